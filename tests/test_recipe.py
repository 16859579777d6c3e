"""Recipes: what is read, and how faults are told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RecipeError
from workbench.recipe import load_recipe
from workbench.yaml_source import dump_yaml, read_yaml

GOOD = """\
name: demo
model: minilm
task: sentence-similarity
variants:
  fp32: [export]
  int8:
    - export
    - quantize: {scheme: dynamic-int8}
gates:
  - size <= 0.5 * baseline
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_with_its_steps_options_and_defaults(tmp_path):
    recipe = load_recipe(write(tmp_path, GOOD)).recipe
    assert recipe.baseline == "fp32"
    assert [use.name for use in recipe.variants["int8"]] == ["export", "quantize"]
    assert recipe.variants["int8"][1].options == {"scheme": "dynamic-int8"}
    assert recipe.gates[0].gate == "size <= 0.5 * baseline"
    assert recipe.gates[0].variants is None


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("variants:", "varients:"), 4, "Did you mean 'variants'?"),
        (("name: demo", "name: demo\nname: again"), 2, "'name' stands here twice"),
        (("  fp32: [export]", "\tfp32: [export]"), 5, "no valid YAML"),
        (("model: minilm", "model: [1]"), 2, "model"),
        (("task: sentence-similarity\n", ""), None, "this key is missing"),
        (("gates:", "profile: {bach: [1]}\ngates:"), 9, "Did you mean 'batch'?"),
        (("gates:", "profile: {batch: [0]}\ngates:"), 9, "profile.batch"),
        (("- export", "- 7"), 7, "write a name"),
        (("name: demo", "name: ../demo"), 1, "name"),
    ],
)
def test_a_fault_names_file_line_and_mend(tmp_path, change, line, says):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    text = str(caught.value)
    assert says in text
    assert str(path) in text
    if line is not None:
        assert caught.value.line == line


def test_a_missing_file_and_a_binary_one_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="no file"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecipeError, match="cannot be read as text"):
        load_recipe(tmp_path / "binary.yaml")


def test_overrides_change_values_before_they_are_checked(tmp_path):
    path = write(tmp_path, GOOD)
    recipe = load_recipe(path, overrides=("profile.batch=[2, 4]", "model=magika")).recipe
    assert recipe.profile.batch == (2, 4)
    assert recipe.model == "magika"
    with pytest.raises(RecipeError, match="Did you mean 'batch'"):
        load_recipe(path, overrides=("profile.batsh=[2]",))
    with pytest.raises(RecipeError, match=r"key\.path=value"):
        load_recipe(path, overrides=("profile.batch",))


def test_merged_keys_of_yaml_are_read(tmp_path):
    text = GOOD.replace("gates:", "profile: {<<: &p {batch: [2]}, threads: [1]}\ngates:")
    assert load_recipe(write(tmp_path, text)).recipe.profile.batch == (2,)


def test_a_recipe_as_written_reads_back_as_itself(tmp_path):
    recipe = load_recipe(write(tmp_path, GOOD)).recipe
    again = write(tmp_path, dump_yaml(recipe.as_written()))
    assert load_recipe(again).recipe == recipe


def test_only_keeps_the_baseline_and_the_named_variants(tmp_path):
    path = write(tmp_path, GOOD.replace("gates:", "  extra: [export]\ngates:"))
    assert list(load_recipe(path, only=("int8",)).recipe.variants) == ["fp32", "int8"]
    with pytest.raises(RecipeError, match="Did you mean 'int8'"):
        load_recipe(path, only=("int9",))


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.one_of(st.integers(), st.booleans(), st.from_regex(r"[a-z]{1,8}", fullmatch=True)),
        min_size=1,
        max_size=6,
    )
)
def test_every_key_of_a_mapping_has_its_line(tmp_path_factory, data):
    import json

    path = tmp_path_factory.mktemp("yaml") / "data.yaml"
    path.write_text("".join(f'"{k}": {json.dumps(v)}\n' for k, v in data.items()))
    source = read_yaml(path)
    assert source.data == data
    assert [source.line((key,)) for key in data] == list(range(1, len(data) + 1))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_recipe_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("yaml") / "data.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    try:
        load_recipe(path)
    except RecipeError as error:
        assert str(error)
