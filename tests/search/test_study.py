"""The frontier is what nothing beats; the memory asks for no chain twice and forgets none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.intervals import exact
from workbench.objectives import parse_objective
from workbench.report.html.frontier import beats
from workbench.search.finish import closest, frontier_trials
from workbench.search.plot import axes_of
from workbench.search.records import Ended, Trial
from workbench.search.study import open_study
from workbench.search_options import SearchOptions, Space

pytest.importorskip("optuna", reason="optuna is not installed (workbench[search])")

OBJECTIVES = [parse_objective(text) for text in ("size", "latency.p50", "quality")]
STARTED = {one.text: exact(1.0) for one in OBJECTIVES}


def trial(number, values=(1.0, 1.0, 1.0), ended=Ended.MEASURED, **more) -> Trial:
    figures = {one.text: exact(v) for one, v in zip(OBJECTIVES, values, strict=False)}
    return Trial(number=number, steps=(number,), knobs={}, ended=ended, figures=figures, **more)


small = st.integers(0, 3).map(float)


@given(st.lists(st.tuples(small, small, small), max_size=12))
def test_the_frontier_is_all_that_nothing_beats_and_beats_all_else(vectors):
    trials = [trial(number, values) for number, values in enumerate(vectors)]
    on_it = frontier_trials(trials, OBJECTIVES)
    terms = {t.number: t.terms(OBJECTIVES) for t in trials}
    for one in trials:
        better = [t.number for t in trials if beats(terms[t.number], terms[one.number])]
        assert (one in on_it) == (not better)
        if better:
            assert any(beats(terms[t.number], terms[one.number]) for t in on_it)
    assert bool(on_it) == bool(trials)


def test_quality_is_made_large_and_the_others_small():
    size, latency, quality = OBJECTIVES
    assert (size.maximise, latency.maximise, quality.maximise) == (False, False, True)
    better, worse = trial(1, (1, 1, 0.5)), trial(2, (1, 1, 0.4))
    assert frontier_trials([better, worse], OBJECTIVES) == [better]
    assert axes_of(OBJECTIVES) == [(size, quality), (latency, quality)]
    assert axes_of([size]) == [(None, size)]


def test_what_broke_a_constraint_is_never_on_the_frontier_and_the_closest_keeps_most():
    broken = [
        trial(1, (1,), Ended.BROKEN, violation=0.1),
        trial(2, (9, 9, 9), Ended.BROKEN, violation=0.3, passed=1),
        trial(3, (9, 9, 9), Ended.BROKEN, violation=0.2, passed=1),
    ]
    assert frontier_trials(broken, OBJECTIVES) == []
    assert closest(broken).number == 3
    assert closest([trial(1)]) is None


def explored(file, options, answers, most=200):
    """Ask for chains until none is left or ``most`` were asked; the keys in their order."""
    space, keys = Space(options.steps), []
    with open_study(file, options, space, OBJECTIVES, STARTED) as study:
        while len(keys) < most and (asked := study.ask()) is not None:
            keys.append(asked.drawn.key)
            done = answers(asked).model_copy(
                update={
                    "number": asked.number,
                    "steps": asked.drawn.steps,
                    "knobs": asked.drawn.knobs,
                }
            )
            study.tell(asked, done)
        return keys, [t.number for t in study.trials]


BITS = {"quantize": {"bits": {"choice": [8, 4]}, "block": {"choice": [16, 32, 64]}}}
CHOICE = {"choice": [[], "fuse", BITS]}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_every_chain_is_asked_for_once_until_none_is_left(tmp_path, sampler):
    options = SearchOptions(steps=["export", CHOICE], sampler=sampler)

    def answers(asked):
        """Every way in which a trial can end."""
        ended = list(Ended)[asked.number % len(Ended)]
        if ended is Ended.BROKEN:
            return trial(asked.number, (2.0,), ended, violation=0.5)
        return trial(asked.number, (asked.number, 1.0, 2.0 / asked.number), ended)

    keys, numbers = explored(tmp_path / "a.journal", options, answers)
    assert len(keys) == len(set(keys)) == 8
    assert numbers == list(range(1, 9))
    assert explored(tmp_path / "a.journal", options, answers)[0] == []


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_the_sampler_bears_whatever_way_trials_end(tmp_path, sampler):
    """Far beyond its random start."""
    knobs = {"p": {"range": [0.0, 1.0]}, "q": {"choice": ["a", "b", "c"]}}
    options = SearchOptions(steps=[{"prune": knobs}], sampler=sampler, trials=60)

    def answers(asked):
        p = asked.drawn.knobs["p"]
        if asked.drawn.knobs["q"] == "c":
            return trial(asked.number, (), Ended.REFUSED)
        if p > 0.7:
            return trial(asked.number, (p,), Ended.BROKEN, violation=p - 0.7)
        return trial(asked.number, (abs(p - 0.4), 1.0 + abs(p - 0.4), 1 - abs(p - 0.4)))

    keys, _ = explored(tmp_path / "a.journal", options, answers, most=60)
    assert len(set(keys)) == 60
    with open_study(
        tmp_path / "a.journal", options, Space(options.steps), OBJECTIVES, STARTED
    ) as study:
        ended = {t.ended for t in study.trials}
    assert ended == {Ended.MEASURED, Ended.BROKEN, Ended.REFUSED}


@settings(max_examples=5)
@given(st.integers(0, 99))
def test_a_range_of_fractions_is_never_exhausted_and_what_is_asked_lies_in_it(
    tmp_path_factory, seed
):
    steps = [{"prune": {"p": {"range": [0.1, 0.9]}, "k": {"range": [2, 64], "log": True}}}]
    options = SearchOptions(steps=steps, seed=seed)
    file = tmp_path_factory.mktemp("study") / "a.journal"
    keys, _ = explored(file, options, lambda asked: trial(asked.number), most=15)
    assert len(set(keys)) == 15


def test_what_was_under_way_when_it_was_killed_is_asked_for_first(tmp_path):
    options = SearchOptions(steps=["export", CHOICE])
    space, file = Space(options.steps), tmp_path / "a.journal"
    with open_study(file, options, space, OBJECTIVES, STARTED) as study:
        first, second = study.ask(), study.ask()
        study.tell(first, trial(1).model_copy(update={"steps": first.drawn.steps}))
    file.write_bytes(file.read_bytes() + b'{"op_code": 5, "wor')
    with open_study(file, options, space, OBJECTIVES, STARTED) as study:
        assert [t.steps for t in study.trials] == [first.drawn.steps]
        assert study.ask().drawn.key == second.drawn.key


def test_a_trial_that_was_written_down_is_over_though_optuna_was_not_told(tmp_path, monkeypatch):
    options = SearchOptions(steps=["export", CHOICE])
    space, file = Space(options.steps), tmp_path / "a.journal"
    with open_study(file, options, space, OBJECTIVES, STARTED) as study:
        first = study.ask()
        monkeypatch.setattr(study, "_close", lambda number, trial: None)  # killed just there
        study.tell(first, trial(1).model_copy(update={"steps": first.drawn.steps}))
    with open_study(file, options, space, OBJECTIVES, STARTED) as study:
        assert [(t.number, t.steps) for t in study.trials] == [(1, first.drawn.steps)]
        assert study.ask().number == 2


def test_seconds_are_added_up_over_all_sittings(tmp_path):
    options = SearchOptions(steps=["export", CHOICE])
    for spent in (0.0, 12.5):
        with open_study(
            tmp_path / "a.journal", options, Space(options.steps), OBJECTIVES, STARTED
        ) as study:
            assert study.spent_s == spent
            study.spend(spent + 12.5)
