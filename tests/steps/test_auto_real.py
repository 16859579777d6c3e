"""``scheme: auto`` on a real model: digits-cnn, judged by its accuracy on real digits."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import needs
from workbench.errors import BudgetError, ExitCode
from workbench.recipe import load_recipe
from workbench.resolve import resolve
from workbench.runner import Runner
from workbench.store import Store

pytestmark = [needs("digit-recognizer-py"), needs("mlxtend")]


def runner(folder: Path, within: str) -> Runner:
    quantize = {"scheme": "auto", "within": {"quality": within}, "rounding": "nearest"}
    recipe = {
        "name": "digits-auto",
        "model": "digits-cnn",
        "task": {"classification": {"data": "mnist-5k", "batch": 64}},
        "variants": {"fp32": ["export"], "small": ["export", {"quantize": quantize}]},
    }
    file = folder / "digits-auto.yaml"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return Runner(resolve(load_recipe(file)), Store(folder / "store"))


def test_digits_become_as_small_as_half_a_percent_of_accuracy_allows(tmp_path: Path) -> None:
    made = runner(tmp_path, "-0.5%")
    small, source = made.artifact("small"), made.artifact("fp32")
    assert small.model_path.stat().st_size < 0.3 * source.model_path.stat().st_size
    quality, reference = made.bench.quality(small, source), made.bench.quality(source, source)
    assert quality.difference is not None
    assert reference.score is not None
    assert quality.difference.low >= -0.005 * reference.score.value
    [chosen] = [p for p in small.manifest.lineage[-1].account.choices["curve"] if p["chosen"]]
    assert chosen["difference"]["low"] == quality.difference.low


def test_a_budget_narrower_than_the_interval_is_refused_with_the_code_of_a_failed_gate(
    tmp_path: Path,
) -> None:
    """On 1,000 digits the interval reaches 0.4 points down even where no label changes."""
    with pytest.raises(BudgetError, match="the best of") as caught:
        runner(tmp_path, "-0.01%").artifact("small")
    assert caught.value.exit_code == ExitCode.GATE_FAILED
