"""The memory of a search: an Optuna study in a journal file, which a killed search goes on from.

Each trial that ended stands in the journal whole, so that it is not run again. One that was under
way when the search was killed is asked anew. A chain that was tried already costs nothing: Optuna
is told what is known of it, and asked again.
"""

from __future__ import annotations

import logging
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.artifact import disk_errors
from workbench.errors import InputError, MissingError
from workbench.objectives import Objective
from workbench.records import Interval
from workbench.search.records import Ended, Trial
from workbench.search_options import LISTED, Drawn, Knob, SearchOptions, Space, Value

RECORD, VIOLATION, SPENT = "trial", "violation", "spent_s"
"""Attributes in the study: a trial's record and by how much it breaks a constraint; seconds."""

REFUSED = 1e9
"""Violation of a chain that cannot be made: worse than any that can."""

ASKED_AGAIN = 20
"""Times that the sampler may name what was tried, before an untried chain is taken at random."""


def require_optuna() -> Any:
    """The module.

    Raises:
        MissingError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import optuna
    except ModuleNotFoundError as error:
        raise MissingError(
            f"{error.name} is not installed, and a search needs it.",
            hint="pip install 'workbench[search]'",
        ) from error
    optuna.logging.set_verbosity(logging.ERROR)
    return optuna


@contextmanager
def open_study(
    file: Path,
    options: SearchOptions,
    space: Space,
    objectives: Sequence[Objective],
    started: dict[str, Interval],
) -> Iterator[Study]:
    """The study of a file, made where there is none; nobody else may have it open.

    Args:
        file: the journal.
        options: sampler and seed.
        space: what is searched.
        objectives: in the order of the study's directions.
        started: the baseline's figures by objective, which stand for a chain that is the baseline.

    Raises:
        InputError: another process has it.
        MissingError: Optuna is not installed, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    optuna = require_optuna()
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError("This search is under way in another process.") from None
    try:
        _mend(file)
        yield Study(optuna, file, options, space, objectives, started)
    finally:
        lock.release()


def _mend(file: Path) -> None:
    """Take away what a kill left in the journal: half a line, and Optuna's own lock."""
    for stale in file.parent.glob(f"{file.name}.lock*"):
        stale.unlink()
    if file.is_file():
        content = file.read_bytes()
        if content and not content.endswith(b"\n"):
            with file.open("r+b") as journal:
                journal.truncate(content.rfind(b"\n") + 1)


@dataclass(frozen=True)
class Asked:
    """A chain to try, its number, and Optuna's handle of the trial."""

    number: int
    drawn: Drawn
    handle: Any


class Study:
    """Asks for chains and remembers what became of them."""

    def __init__(
        self,
        optuna: Any,
        file: Path,
        options: SearchOptions,
        space: Space,
        objectives: Sequence[Objective],
        started: dict[str, Interval],
    ) -> None:
        self._optuna, self._space, self._objectives = optuna, space, objectives
        self._started = started
        self._distributions = {knob.name: self._distribution(knob) for knob in space.knobs}
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(file))
        )
        with _quiet():
            self._study = optuna.create_study(
                storage=storage,
                study_name="search",
                directions=["maximize" if one.maximise else "minimize" for one in objectives],
                load_if_exists=True,
            )
            done = [
                t for t in self._study.trials if RECORD in t.user_attrs and t.state.is_finished()
            ]
            self._study.sampler = self._sampler(options, len(done))
        self.trials = [Trial.model_validate_json(t.user_attrs[RECORD]) for t in done]
        self._tried: dict[str, int] = {}
        for trial in self.trials:
            self._tried[Drawn(trial.steps, trial.knobs).key] = trial.number
        self._next = max((trial.number for trial in self.trials), default=0) + 1
        self._random = random.Random(f"{options.seed} {len(done)}")
        with _quiet():
            for frozen in self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
                self._take_up(frozen)

    def _take_up(self, frozen: Any) -> None:
        """A trial that was under way when the search was killed is asked for again first.

        One whose record was written already is over.
        """
        if RECORD in frozen.user_attrs:
            trial = Trial.model_validate_json(frozen.user_attrs[RECORD])
            self._close(frozen.number, trial)
            self._tried[Drawn(trial.steps, trial.knobs).key] = trial.number
            self._next = max(self._next, trial.number + 1)
            self.trials.append(trial)
            return
        self._study.tell(frozen.number, state=self._optuna.trial.TrialState.FAIL)
        if set(frozen.params) == set(self._distributions):
            self._study.enqueue_trial(frozen.params)

    @cached_property
    def chains(self) -> int | None:
        """How many different chains there are; none where they are too many to list."""
        if self._space.count > LISTED:
            return None
        return len({self._space.draw(v).key for v in self._space.combinations(LISTED)})

    @property
    def spent_s(self) -> float:
        """Seconds that were spent on it in all sittings."""
        return float(self._study.user_attrs.get(SPENT, 0.0))

    def spend(self, seconds: float) -> None:
        """Remember that so many seconds were spent in all."""
        self._study.set_user_attr(SPENT, round(seconds, 2))

    def ask(self) -> Asked | None:
        """The next trial; none: all chains were tried."""
        with _quiet():
            for _ in range(ASKED_AGAIN):
                if (found := self._ask()) is not None:
                    return found
            values = self._untried()
            if values is None:
                return None
            self._study.enqueue_trial(values)
            for _ in range(ASKED_AGAIN):  # what else was enqueued comes first
                if (found := self._ask()) is not None:
                    return found
            return None

    def _ask(self) -> Asked | None:
        """The sampler's next chain, or none where it was tried already."""
        asked = self._study.ask(self._distributions)
        drawn = self._space.draw(asked.params)
        number = self._tried.get(drawn.key)
        if number is None:
            number, self._next = self._next, self._next + 1
            self._tried[drawn.key] = number
            return Asked(number, drawn, asked)
        known = next((trial for trial in self.trials if trial.number == number), None)
        if known is None:  # it is under way in another worker
            self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
        else:
            asked.set_user_attr(VIOLATION, self._violation(known))
            self._close(asked.number, known)
        return None

    def tell(self, asked: Asked, trial: Trial) -> None:
        """Remember what became of a trial that was asked for."""
        asked.handle.set_user_attr(VIOLATION, self._violation(trial))
        asked.handle.set_user_attr(RECORD, trial.model_dump_json(exclude_defaults=True))
        self._close(asked.handle.number, trial)
        self.trials.append(trial)

    def _violation(self, trial: Trial) -> list[float]:
        source = self._source(trial)
        return [REFUSED if source.ended is Ended.REFUSED else source.violation]

    def _source(self, trial: Trial) -> Trial:
        """The trial that was measured, where another made the same artifact."""
        return next((t for t in self.trials if t.number == trial.same_as), trial)

    def _close(self, number: int, trial: Trial) -> None:
        """Tell Optuna: figures that were not measured are as bad as can be."""
        source = self._source(trial)
        if source.ended is Ended.REFUSED:
            with _quiet():
                self._study.tell(number, state=self._optuna.trial.TrialState.PRUNED)
            return
        figures = source.figures
        if source.ended is Ended.SAME and not figures:  # it is the baseline
            figures = self._started
        worst = {one.text: -math.inf if one.maximise else math.inf for one in self._objectives}
        found = {text: interval.value for text, interval in figures.items()}
        with _quiet():
            self._study.tell(number, [{**worst, **found}[one.text] for one in self._objectives])

    def _untried(self) -> dict[str, Value] | None:
        """Values of a chain that was not tried yet, at random; none where there is none."""
        if self._space.count <= LISTED:
            left = [
                values
                for values in self._space.combinations(LISTED)
                if self._space.draw(values).key not in self._tried
            ]
            return self._random.choice(left) if left else None
        for _ in range(1000):
            values = {knob.name: _any_of(knob, self._random) for knob in self._space.knobs}
            if self._space.draw(values).key not in self._tried:
                return values
        return None

    def _distribution(self, knob: Knob) -> Any:
        kinds = self._optuna.distributions
        if knob.choices is not None:
            return kinds.CategoricalDistribution(tuple(knob.choices))
        if knob.whole:
            return kinds.IntDistribution(
                int(knob.low), int(_last(knob)), log=knob.log, step=int(knob.step or 1)
            )
        return kinds.FloatDistribution(float(knob.low), _last(knob), log=knob.log, step=knob.step)

    def _sampler(self, options: SearchOptions, done: int) -> Any:
        samplers, seed = self._optuna.samplers, options.seed + done
        if options.sampler == "nsga2":
            population = min(50, max(4, options.trials // 4))
            return samplers.NSGAIISampler(
                population_size=population, seed=seed, constraints_func=_violation
            )
        return samplers.TPESampler(
            multivariate=True, constant_liar=True, seed=seed, constraints_func=_violation
        )


def _last(knob: Knob) -> float:
    """The largest number of a range that its steps reach."""
    return knob.settle(knob.low + (knob.count - 1) * (knob.step or 1)) if knob.step else knob.high


def _violation(trial: Any) -> Sequence[float]:
    """What Optuna holds a trial's feasibility by: above 0 is broken."""
    found: Sequence[float] = trial.user_attrs[VIOLATION]
    return found


def _any_of(knob: Knob, dice: random.Random) -> Value:
    if knob.choices is not None or knob.step is not None:
        return dice.choice(knob.values)
    if knob.whole:
        return dice.randint(int(knob.low), int(knob.high))
    return dice.uniform(knob.low, knob.high)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that a part of it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
