"""What is open in a chain: found, drawn, counted, and refused where it is malformed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.resolve import recipe_schema
from workbench.search_options import Space, SpaceError
from workbench.shipped import shipped
from workbench.yaml_source import read_yaml

scalars = st.one_of(st.integers(-9, 9), st.booleans(), st.none(), st.text("abc", max_size=3))
choices = st.fixed_dictionaries(
    {"choice": st.lists(scalars, min_size=1, max_size=3, unique_by=str)}
)
ranges = st.builds(
    lambda low, width, step: {"range": [low, low + width], "step": step},
    st.integers(-5, 5), st.integers(2, 6), st.integers(1, 2),
)  # fmt: skip
options = st.dictionaries(
    st.text("pqrs", min_size=1, max_size=2),
    st.recursive(
        st.one_of(scalars, choices, ranges),
        lambda inner: st.dictionaries(st.text("xy", min_size=1, max_size=1), inner, max_size=2),
        max_leaves=4,
    ),
    min_size=1,
    max_size=3,
)
uses = st.one_of(st.just("export"), st.builds(lambda o: {"quantize": o}, options))
alternatives = st.lists(
    st.one_of(uses, st.lists(uses, max_size=2)), min_size=1, max_size=2, unique_by=repr
)
chains = st.lists(
    st.one_of(uses, st.builds(lambda a: {"choice": a}, alternatives)), min_size=1, max_size=3
)


def closed(node) -> bool:
    if isinstance(node, dict):
        return not {"choice", "range"} & set(node) and all(map(closed, node.values()))
    return all(map(closed, node)) if isinstance(node, list | tuple) else True


@given(chains)
def test_every_drawn_chain_has_nothing_open_and_hangs_on_known_knobs(steps):
    try:
        space = Space(steps)
    except SpaceError as error:
        assert "open" in str(error) or "twice" in str(error)
        return
    names = [knob.name for knob in space.knobs]
    assert len(set(names)) == len(names)
    drawn = [space.draw(values) for values in space.combinations(300)]
    assert len(drawn) == min(300, space.count)
    for one in drawn:
        assert closed(one.steps)
        assert set(one.knobs) <= set(names)
    # What a chain does not hang on does not change it.
    by_knobs = {tuple(sorted(one.knobs.items(), key=str)): one.key for one in drawn}
    for one in drawn:
        assert by_knobs[tuple(sorted(one.knobs.items(), key=str))] == one.key


def test_alternatives_of_steps_are_spliced_into_the_chain_and_inactive_knobs_are_left_out():
    space = Space(
        ["export", {"choice": [[], ["fuse", {"quantize": {"bits": {"choice": [8, 4]}}}], "fuse"]}]
    )
    drawn = {tuple(map(str, d.steps)): d.knobs for d in map(space.draw, space.combinations(99))}
    assert drawn == {
        ("export",): {"step 2": "none"},
        ("export", "fuse", "{'quantize': {'bits': 8}}"): {"step 2": "fuse + quantize", "bits": "8"},
        ("export", "fuse", "{'quantize': {'bits': 4}}"): {"step 2": "fuse + quantize", "bits": "4"},
        ("export", "fuse"): {"step 2": "fuse"},
    }
    assert space.count == 6


def test_knobs_are_named_by_as_few_keys_as_tell_them_apart():
    open_ = {"choice": [1, 2]}
    steps = [{"prune": {"target": {"macs": open_}, "seed": open_}}, {"finetune": {"seed": open_}}]
    assert [knob.name for knob in Space(steps).knobs] == ["macs", "prune.seed", "finetune.seed"]
    twice = [{"prune": {"seed": open_}}, {"prune": {"seed": open_}}]
    assert [knob.name for knob in Space(twice).knobs] == ["prune.seed", "prune.seed 2"]


def test_ranges_are_whole_or_fractions_with_a_step_or_without():
    made = {"a": {"range": [1, 4]}, "b": {"range": [0.1, 0.3], "step": 0.1},
            "c": {"range": [0.5, 1.5]}, "d": {"range": [8, 512], "log": True}}  # fmt: skip
    a, b, c, d = Space([{"quantize": made}]).knobs
    assert a.values == (1, 2, 3, 4)
    assert b.values == (0.1, 0.2, 0.3)
    assert math.isinf(c.count)
    assert d.log
    assert d.count == 505
    many = Space([{"quantize": {"a": {"range": [1, 10_000_000]}}}])
    assert many.knobs[0].values == (1, 10_000_000)
    assert many.listed == 2


def test_a_fraction_is_written_with_six_digits_within_its_range():
    space = Space([{"prune": {"p": {"range": [0.1234564, 0.9]}}}])
    draws = (space.draw({"p": p}).steps[0]["prune"]["p"] for p in (0.1234564, 0.30000000000000004))
    assert list(draws) == [0.1234564, 0.3]


def test_editors_complete_and_check_the_block():
    from jsonschema import Draft202012Validator

    recipe = read_yaml(shipped("recipes") / "digits-search.yaml").data
    editor = Draft202012Validator(recipe_schema())
    assert editor.is_valid(recipe)

    def accepts(step) -> bool:
        search = {**recipe["search"], "steps": ["export", step]}
        return editor.is_valid({**recipe, "search": search})

    assert accepts({"quantize": {"scheme": {"choice": ["float16"]}}})
    assert accepts({"choice": ["fuse", [], ["fuse", {"quantize": "float16"}]]})
    for share in ({"range": [0.1, 0.9]}, {"choice": [0.2, 0.4]}, 0.3):
        assert accepts({"prune": {"target": {"parameters": share}}})
    assert not accepts({"prune": {"target": {"parameters": {"rang": [0.1, 0.9]}}}})
    assert not accepts({"quantise": {"scheme": "float16"}})
    assert not accepts({"quantize": {"scheme": "float17"}})
    assert not accepts({"quantize": {"scheme": {"choise": ["float16"]}}})
    assert not accepts({"choice": ["fuze"]})


@pytest.mark.parametrize(
    ("steps", "place", "says"),
    [
        (["export"], (), "nothing is left open"),
        ([{"choice": []}], (0,), "a list of values"),
        ([{"choice": 3}], (0,), "a list of values"),
        ([{"q": {"bits": {"choice": [8, 8]}}}], (0, "q", "bits", "choice", 1), "twice"),
        ([{"q": {"bits": {"choice": [8], "log": True}}}], (0, "q", "bits"), "'log' cannot stand"),
        ([{"q": {"bits": {"range": [8]}}}], (0, "q", "bits"), "two numbers"),
        ([{"q": {"bits": {"range": [8, "x"]}}}], (0, "q", "bits"), "two numbers"),
        ([{"q": {"bits": {"range": [8, 4]}}}], (0, "q", "bits"), "empty"),
        ([{"q": {"bits": {"range": [0, 4], "log": True}}}], (0, "q", "bits"), "above 0"),
        ([{"q": {"bits": {"range": [0, 4], "step": 9}}}], (0, "q", "bits"), "does not fit"),
    ],
)
def test_a_malformed_opening_is_refused_at_its_place(steps, place, says):
    with pytest.raises(SpaceError, match=says) as caught:
        Space(steps)
    assert caught.value.place == place
