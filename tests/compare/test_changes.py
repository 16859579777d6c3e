"""What changed between two runs, by key path."""

from hypothesis import given
from hypothesis import strategies as st

from tests.compare.built import machine, pair, run, scored, source, step, variant
from workbench.compare.changes import changes, differences
from workbench.compare.records import Aspect

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
BOTH = [("fp32", "fp32"), ("int8", "int8")]


def found(before, after, pairs=BOTH):
    made = changes(source(before, "before"), source(after, "after"), pairs)
    return {(c.aspect.value, c.key): (c.kind, c.before, c.after) for c in made}


@given(VALUES)
def test_nothing_differs_from_itself(value):
    assert list(differences(value, value, "")) == []


@given(VALUES, VALUES)
def test_differences_turn_round_with_their_sides(one, other):
    there = {(key, repr(a), repr(b)) for key, a, b in differences(one, other, "")}
    back = {(key, repr(b), repr(a)) for key, a, b in differences(other, one, "")}
    assert there == back


def test_a_run_does_not_differ_from_a_second_one_of_its_kind():
    assert found(pair(), pair(created="2026-11-02T10:00:00+00:00")) == {}


def test_an_option_of_a_step_is_told_by_its_path():
    after = pair(steps=(step("export", opset=18), step("quantize", bits=4)))
    assert found(pair(), after) == {
        ("recipe", "variants.int8.quantize.bits"): ("changed", 8, 4),
    }


def test_a_step_put_in_between_does_not_shift_the_others():
    steps = (step("export", opset=18), step("fuse"), step("quantize", bits=4))
    assert found(pair(), pair(steps=steps)) == {
        ("recipe", "variants.int8.fuse"): ("added", None, "fuse"),
        ("recipe", "variants.int8.quantize.bits"): ("changed", 8, 4),
    }


def test_a_second_step_of_one_kind_is_numbered():
    steps = (step("export", opset=18), step("quantize", bits=8), step("quantize", bits=4))
    made = found(pair(), pair(steps=steps))
    assert made == {("recipe", "variants.int8.quantize#2"): ("added", None, "quantize")}


def test_profile_gates_and_variants_are_told():
    before = pair(recipe={"profile": {"batch": [1], "seconds": 2}, "gates": ["size <= 1 MB", "a"]})
    more = (*pair().variants, variant("w8", key="w8"))
    after = run(*more, recipe={"profile": {"batch": [1, 8]}, "gates": ["a", {"gate": "b"}]})
    made = changes(source(before, "before"), source(after, "after"), BOTH)
    assert [(c.key, c.kind, c.before, c.after) for c in made] == [
        ("profile.batch", "changed", [1], [1, 8]),
        ("profile.seconds", "removed", 2, None),
        ("gates", "removed", "size <= 1 MB", None),
        ("gates", "added", None, "b"),
        ("variants.w8", "added", None, "export"),
    ]


def test_model_data_versions_and_machine_are_told_apart():
    other = machine(
        cpu="Test CPU 2", versions={"onnxruntime": "1.23.0", "torch": "2.6.0"}, load_average=9.0
    )
    after = pair(
        machine=other,
        model="another",
        recipe={"model": "another", "task": {"classification": {"data": "letters", "limit": 9}}},
    )
    assert found(pair(), after) == {
        ("model", "model"): ("changed", "some-model", "another"),
        ("data", "task.data"): ("changed", "digits", "letters"),
        ("data", "task.limit"): ("added", None, 9),
        ("versions", "onnxruntime"): ("changed", "1.22.0", "1.23.0"),
        ("versions", "onnx"): ("removed", "1.17.0", None),
        ("versions", "torch"): ("added", None, "2.6.0"),
        ("machine", "cpu"): ("changed", "Test CPU 1", "Test CPU 2"),
    }


def test_data_of_one_name_that_score_the_same_model_differently_are_other_data():
    made = found(pair(), pair(score=0.8))
    assert made[("data", "score of the same baseline files")] == ("changed", 0.9, 0.8)


def test_other_samples_are_other_data():
    fewer = run(
        variant("fp32", key="base", baseline=True, quality=scored(0.9, samples=100)),
        variant("int8", key="small"),
    )
    assert found(pair(), fewer, [])[("data", "samples")] == ("changed", 500, 100)


def test_an_option_that_a_task_is_given_by_itself_is_its_data():
    short = pair(recipe={"task": {"classification": "digits"}})
    assert found(pair(), short) == {}


def test_the_aspects_have_an_order():
    after = pair(machine=machine(cpu="x", versions={}), recipe={"profile": {"batch": [1]}})
    made = changes(source(pair(), "b"), source(after, "a"), BOTH)
    assert [c.aspect for c in made] == [
        Aspect.RECIPE, Aspect.VERSIONS, Aspect.VERSIONS, Aspect.MACHINE,
    ]  # fmt: skip
