"""Every shipped recipe is valid, and goes the whole way where its model's package is installed."""

from pathlib import Path

import pytest

from workbench.errors import MissingError
from workbench.models import model_cards
from workbench.recipe import load_recipe
from workbench.resolve import check, recipe_schema, resolve
from workbench.run_directory import load_run

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_valid_and_named_like_its_file(path):
    source = load_recipe(path)
    check(source)
    assert source.recipe.name == path.stem
    assert source.recipe.description


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_goes_the_whole_way(cli, path, tmp_path):
    source = load_recipe(path)
    recipe = source.recipe
    try:
        resolve(source, smoke=True)
    except MissingError as error:
        pytest.skip(str(error))
    result = cli("run", path, "--smoke")
    assert result.code == 0, result.err
    run = load_run(tmp_path / "runs" / f"{recipe.name}-smoke")
    assert [variant.name for variant in run.variants] == list(recipe.variants)
    assert all(variant.measurement.latency for variant in run.variants)


def test_every_reference_model_has_a_card_that_can_be_read():
    cards = model_cards()
    assert {"minilm", "digits-cnn", "efficientnet-lite0", "magika"} <= set(cards)
    for card in cards.values():
        assert "==" in card.package


def test_the_schema_completes_every_step_with_its_options():
    import json

    text = json.dumps(recipe_schema())
    for word in ("quantize", "dynamic-int8", "sentence-similarity", "per_channel", "max_rounds"):
        assert word in text
