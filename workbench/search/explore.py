"""The search itself: ask, try, tell, until the budget is spent; then measure the frontier."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from workbench.artifact import check_writable, digest
from workbench.errors import InputError, StepError
from workbench.machine import machine, same_machine
from workbench.plugins import code_digest
from workbench.progress import Progress, Work
from workbench.recipe import RecipeSource
from workbench.resolve import Resolved, open_steps, resolve
from workbench.runner import Runner
from workbench.search.engines import Answer, Hired, in_process, processes, ray_workers, taken
from workbench.search.evaluate import Evaluator, Spec
from workbench.search.finish import finish, frontier_trials
from workbench.search.plot import require_matplotlib
from workbench.search.records import Ended, Question, SearchResult, Trial, knobs_text
from workbench.search.study import Asked, Study, open_study, require_optuna
from workbench.search.table import figure_text
from workbench.search_options import SearchOptions, Space
from workbench.steps import steps
from workbench.store import Store

GUESS_S = 15.0
"""Of a trial, until one was seen."""


@dataclass(frozen=True)
class Where:
    """Who runs the trials; see :mod:`workbench.search.engines`."""

    engine: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    worker_type: str | None = None

    def check(self) -> None:
        """Refuse what does not belong together.

        Raises:
            InputError: an option of Ray's without Ray.
        """
        if self.engine == "local" and (self.address or self.worker_type):
            raise InputError("--address and --worker-type are Ray's.", hint="Give --engine ray.")


def search(
    source: RecipeSource,
    *,
    runs: Path = Path("runs"),
    trials: int | None = None,
    minutes: float | None = None,
    where: Where | None = None,
    strict: bool = False,
    store: Store | None = None,
    progress: Progress | None = None,
) -> tuple[SearchResult, Path | None]:
    """Explore the chains of a recipe's ``search:`` block, and run those that no other beats.

    Args:
        source: from :func:`workbench.load_recipe`.
        runs: folder of run directories; the run is named after the recipe, with
            ``-frontier``.
        trials: how many chains to try in all, those of earlier sittings included; none: the
            recipe's.
        minutes: time after which no further chain is begun, over all sittings; none: the recipe's.
        where: who runs the trials; none: this process.
        strict: a constraint that is undecided counts as broken.
        store: where artifacts, measurements and the search's memory are kept.
        progress: is told how the work goes.

    Returns:
        The result, and the run directory of the frontier; none where no chain keeps the
        constraints.

    Raises:
        WorkbenchError: what stops the search; a trial that ended before it is not run again.
    """
    where, progress, store = where or Where(), progress or Progress(), store or Store()
    began = time.monotonic()
    where.check()
    require_optuna()
    require_matplotlib()
    check_writable(runs)
    options = _options(source, trials, minutes)
    resolved, space = resolve(source), Space(options.steps)
    for step in open_steps(space):
        step.check()
    evaluator = Evaluator(Spec(source, store.root, strict), resolved)
    progress.plan([Work("baseline", GUESS_S)])
    progress.start("baseline")
    started = evaluator.started
    progress.finish("baseline", time.monotonic() - began, reused=evaluator.store.performed == 0)
    file = store.root / "searches" / f"{_key(resolved, options, store, strict)}.journal"
    with open_study(file, options, space, evaluator.objectives, started) as study:
        resumed = len(study.trials)
        with _hired(where, evaluator, progress) as hired:
            exhausted = _Exploration(study, evaluator, options, hired, progress).run()
        found = list(study.trials)
    _require_made(found)
    result = SearchResult(
        name=f"{resolved.name}-frontier",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        objectives=options.objectives,
        constraints=options.constraints,
        trials=tuple(sorted(found, key=lambda trial: trial.number)),
        exhausted=exhausted,
        resumed=resumed,
        seconds=0,
    )
    return finish(result, resolved, evaluator, runs, store, progress, began)


def _options(source: RecipeSource, trials: int | None, minutes: float | None) -> SearchOptions:
    """The recipe's block with the budget that was asked for."""
    options = source.recipe.search
    if options is None:
        raise InputError(
            f"{source.source.file} has no `search:` block.",
            hint="docs/search.md shows one; `workbench recipes show digits-search` prints one.",
        )
    asked = {"trials": trials, "minutes": minutes}
    return options.model_copy(update={k: v for k, v in asked.items() if v is not None})


def _key(resolved: Resolved, options: SearchOptions, store: Store, strict: bool) -> str:
    """Of the search's memory: all that its figures hang on, and not its budget."""
    here = machine()
    recipe = resolved.recipe
    return digest(
        {
            "model": Runner(resolved, store).root.key,
            "task": resolved.task.digest,
            "baseline": [use.as_written() for use in recipe.variants[recipe.baseline]],
            "search": options.model_dump(mode="json", exclude={"trials", "minutes"}),
            "profile": resolved.profile.model_dump(mode="json"),
            "traffic": resolved.traffic.model_dump(mode="json") if resolved.traffic else None,
            "steps": {name: code_digest(cls) for name, cls in steps().items()},
            "machine": [here.cpu, here.isa, here.cores],
            "strict": strict,
        }
    )


def _hired(where: Where, evaluator: Evaluator, progress: Progress) -> AbstractContextManager[Hired]:
    if where.engine == "ray":
        return ray_workers(
            evaluator.spec,
            address=where.address,
            workers=where.workers,
            worker_type=where.worker_type,
            timed=evaluator.timed,
        )
    if (where.workers or 1) > 1:
        return processes(evaluator.spec, where.workers or 1)
    return in_process(evaluator, lambda text: progress.note(doing=text))


class _Exploration:
    """Keeps all workers busy until the budget is spent."""

    def __init__(
        self,
        study: Study,
        evaluator: Evaluator,
        options: SearchOptions,
        hired: Hired,
        progress: Progress,
    ) -> None:
        self.study, self.evaluator, self.options = study, evaluator, options
        self.hired, self.progress = hired, progress
        self.timing = f"{evaluator.resolved.name}/trial"
        self.spent_s = study.spent_s
        self.total = min(options.trials, study.chains or options.trials)
        self.began = self.finished = time.monotonic()
        self.pending: dict[Future[Answer], Asked] = {}

    def run(self) -> bool:
        """Whether every chain was tried."""
        guess = self.evaluator.store.timing(self.timing) or GUESS_S
        left = max(0, self.total - len(self.study.trials))
        self.progress.plan([Work(self._label(at), guess) for at in range(1, left + 1)])
        exhausted = False
        while True:
            while not exhausted and self._affordable():
                if not self.pending:
                    self.progress.start(self._label(1))
                asked = self.study.ask()
                if asked is None:
                    exhausted = True
                else:
                    self.pending[self.hired.ask(self._question(asked))] = asked
            if not self.pending:
                break
            done, _ = wait(self.pending, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future)
        self.progress.plan([])
        return exhausted or len(self.study.trials) == self.study.chains

    def _affordable(self) -> bool:
        """Whether another trial may begin now."""
        if len(self.pending) >= self.hired.slots:
            return False
        if len(self.study.trials) + len(self.pending) >= self.options.trials:
            return False
        minutes = self.options.minutes
        return minutes is None or self._spent_s() < 60 * minutes

    def _spent_s(self) -> float:
        return self.spent_s + time.monotonic() - self.began

    def _label(self, ahead: int) -> str:
        return f"trial {len(self.study.trials) + ahead} of {self.total}"

    def _question(self, asked: Asked) -> Question:
        measured = [trial for trial in self.study.trials if trial.ended is Ended.MEASURED]
        return Question(
            number=asked.number,
            steps=asked.drawn.steps,
            knobs=dict(asked.drawn.knobs),
            rivals=tuple(trial.terms(self.evaluator.objectives) for trial in measured),
            made={t.digest: t.number for t in self.study.trials if t.digest and t.same_as is None},
        )

    def _take(self, future: Future[Answer]) -> None:
        label = self._label(1)
        asked = self.pending.pop(future)
        trial = taken(future)
        _require_one_machine(self.evaluator, trial, self.study.trials)
        self.study.tell(asked, trial)
        self.study.spend(self._spent_s())
        now = time.monotonic()
        self.evaluator.store.remember_timing(self.timing, now - self.finished)
        on_it = frontier_trials(self.study.trials, self.evaluator.objectives)
        detail = f"{_shown(trial, self.evaluator)}; {len(on_it)} on the frontier"
        self.progress.finish(label, now - self.finished, reused=False, detail=detail)
        self.finished = now
        if self.pending:
            self.progress.start(self._label(1))


def _shown(trial: Trial, evaluator: Evaluator) -> str:
    """A trial on one line: what was turned how, and what came of it."""
    knobs = knobs_text(trial.knobs)
    if trial.ended is not Ended.MEASURED:
        return f"{knobs} → {trial.ended}: {trial.reason}"
    figures = (f"{o.text} {figure_text(o, trial.figures[o.text])}" for o in evaluator.objectives)
    return f"{knobs} → {', '.join(figures)}"


def _require_one_machine(evaluator: Evaluator, trial: Trial, others: list[Trial]) -> None:
    """Speeds that were measured on different machines are not held against each other.

    Raises:
        InputError: the workers are of different kinds.
    """
    if not evaluator.timed or not others or not (trial.machine and others[0].machine):
        return
    if reasons := same_machine(trial.machine, others[0].machine):
        raise InputError(
            f"The workers are of different kinds, so their latencies say nothing: {reasons[0]}.",
            hint="Pin the trials to one kind with --worker-type.",
        )


def _require_made(trials: list[Trial]) -> None:
    """Refuse to call it a result where not one chain could be made.

    Raises:
        StepError: says what was in the way of the first.
    """
    if trials and all(trial.ended is Ended.REFUSED for trial in trials):
        raise StepError(
            f"None of the {len(trials)} chains could be made. The first: {trials[0].reason}",
            hint="`workbench run` of the recipe with such a chain as a variant shows more.",
        )
    if not trials:
        raise InputError("The time was over before a chain was tried.", hint="Give more --minutes.")
