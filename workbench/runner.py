"""The runner: from a resolved recipe to a run directory, doing each thing once.

Variants share what they have in common through keys: a step's key is the digest of its parent's
key, its name, options and code, the data and the instruction sets it depends on, and the versions
of the libraries. What the store has under a key is not made again: caching and resuming in one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import workbench.artifact
import workbench.onnx_file
import workbench.profiler
import workbench.runtime
import workbench.validate
from workbench.artifact import Artifact, digest
from workbench.errors import InputError
from workbench.gates import judge
from workbench.machine import machine
from workbench.plugins import code_digest, sources_digest
from workbench.preprocess import vocabulary_of
from workbench.profiler import measure_footprint, measure_latency
from workbench.profiler.job import Elsewhere, Job
from workbench.progress import Progress, Work
from workbench.records import (
    Footprint,
    Latency,
    LatencyTable,
    Machine,
    Manifest,
    Measurement,
    Outcome,
    Quality,
    Run,
    StepRecord,
    VariantResult,
    Verdict,
)
from workbench.resolve import Resolved
from workbench.run_directory import publish
from workbench.runtime import few
from workbench.steps import Bench, Step, StepContext
from workbench.store import Store
from workbench.validate import validate

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]

PARITY_SAMPLES = 4
QUICK_SECONDS = 0.5
"""Seconds for a cell and artifact where a step asks for a rough figure."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Node:
    """One artifact to be: the chain of steps that leads to it, as keys."""

    key: str
    step: Step | None
    parent: Node | None

    @property
    def label(self) -> str:
        """The step with its options, so that two quantize steps can be told apart."""
        if self.step is None:
            return "model"
        options = self.step.model_dump(exclude_defaults=True)
        short = self.step.shorthand
        shown = " ".join(
            str(value) if name == short else f"{name}={value}" for name, value in options.items()
        )
        return f"{self.step.name} {shown}".strip()[:60]


class Runner:
    """Runs one resolved recipe on one store."""

    def __init__(
        self,
        resolved: Resolved,
        store: Store | None = None,
        progress: Progress | None = None,
        *,
        remeasure: bool = False,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """``elsewhere`` measures the latency, if it is not to be this machine's."""
        self.resolved = resolved
        self.store = store or Store()
        self.progress = progress or Progress()
        self.remeasure = remeasure
        self.elsewhere = elsewhere
        self.machine: Machine = machine()
        self._artifacts: dict[str, Artifact] = {}

    # --- the tree of keys ----------------------------------------------------------------------

    @cached_property
    def root(self) -> Node:
        """The model as it came."""
        return Node(digest({"model": self.resolved.model.key(), **self._base}), None, None)

    @cached_property
    def leaves(self) -> dict[str, Node]:
        """The node of each variant."""
        leaves = {}
        for name, chain in self.resolved.chains.items():
            node = self.root
            for step in chain:
                node = Node(self._step_key(node.key, step), step, node)
            leaves[name] = node
        return leaves

    @cached_property
    def _base(self) -> dict[str, Any]:
        """What every artifact depends on: library versions and the code all steps share."""
        shared = (workbench.artifact, workbench.onnx_file, workbench.runtime, workbench.validate)
        return {
            "versions": {
                name: found for name, found in self.machine.versions.items() if name != "workbench"
            },
            "code": sources_digest(Path(module.__file__ or "") for module in shared),
        }

    def _step_key(self, parent: str, step: Step) -> str:
        return digest(
            {
                "parent": parent,
                "step": step.name,
                "options": step.model_dump(mode="json"),
                "step_code": code_digest(type(step)),
                "data": self.resolved.task.digest if step.uses_data else None,
                "training": self.resolved.task.training_digest if step.uses_training else None,
                "bench": self._bench_key if step.uses_bench else None,
                "sources": step.sources(self.resolved.source.folder),
                "isa": self.machine.isa if step.uses_machine else None,
                **self._base,
            }
        )

    # --- the work ------------------------------------------------------------------------------

    def run(self) -> Run:
        """Make, validate, evaluate and profile all variants and judge the gates.

        Raises:
            WorkbenchError: anything that stops the run; what was finished before stays stored.
        """
        began = time.monotonic()
        if self.elsewhere is not None:
            self.elsewhere.check(self.resolved.profile)
        self.progress.plan(list(self._plan()))
        root = self._artifact(self.root)
        if root.manifest.signature.inputs:
            self.resolved.task.check(root)
        artifacts = {name: self._artifact(node) for name, node in self.leaves.items()}
        qualities = self._qualities(artifacts)
        footprints = {
            name: self._work(f"size and memory · {name}", partial(self.footprint, artifact))
            for name, artifact in artifacts.items()
        }
        table = self._work(self._latency_label, partial(self._latency, artifacts))
        measurements = {
            name: Measurement(
                footprint=footprints[name],
                quality=qualities[name],
                latency=table.cells[name],
                skipped=table.skipped,
            )
            for name in artifacts
        }
        recipe, traffic = self.resolved.recipe, self.resolved.traffic
        return Run(
            name=self.resolved.name,
            created=_now(),
            smoke=self.resolved.smoke,
            recipe=recipe.as_written(),
            model=self.resolved.model.name,
            task=recipe.task.name,
            machine=table.machine,
            measured=table.measured,
            variants=tuple(
                VariantResult(
                    name=name,
                    baseline=name == recipe.baseline,
                    key=self.leaves[name].key,
                    signature=artifact.manifest.signature,
                    lineage=artifact.manifest.lineage,
                    measurement=measurements[name],
                )
                for name, artifact in artifacts.items()
            ),
            verdicts=tuple(self._verdicts(measurements)),
            traffic=traffic.model_dump(mode="json") if traffic else None,
            seconds=round(time.monotonic() - began, 2),
            reused=self.store.reused,
            performed=self.store.performed,
        )

    def publish(self, run: Run, runs: Path) -> Path:
        """Write the run directory of what :meth:`run` returned; see :mod:`run_directory`."""
        artifacts = {name: self.artifact(name) for name in self.leaves}
        return publish(run, artifacts, runs, self.store)

    def artifact(self, variant: str) -> Artifact:
        """The artifact of one variant, made or from the store, without measuring it.

        Raises:
            WorkbenchError: a step failed.
        """
        return self._artifact(self.leaves[variant])

    @property
    def artifact_of_model(self) -> Artifact:
        """The recipe's model as it came."""
        return self._artifact(self.root)

    @property
    def bench(self) -> Bench:
        """The measurements of any artifact beside another, as steps take them."""
        return _Bench(self)

    # --- artifacts -----------------------------------------------------------------------------

    def _artifact(self, node: Node) -> Artifact:
        if node.key not in self._artifacts:
            parent = self._artifact(node.parent) if node.parent else None
            self._artifacts[node.key] = self._work(
                node.label,
                lambda: self.store.artifact(node.key, partial(self._make, node, parent)),
            )
        return self._artifacts[node.key]

    def _make(self, node: Node, parent: Artifact | None, folder: Path) -> Manifest:
        if node.step is None or parent is None:
            return self.resolved.model.materialize(folder)
        began = time.monotonic()
        with self.store.scratch(node.key) as scratch:
            context = StepContext(
                machine=self.machine,
                calibration=self.resolved.task.calibration,
                progress=self.progress.advance,
                say=lambda text: self.progress.note(doing=text),
                training=self.resolved.task.training_set,
                bench=_Bench(self),
                model=self.artifact_of_model,
                folder=self.resolved.source.folder,
                scratch=scratch,
                array=self.store.array,
            )
            manifest, account = node.step.apply(parent, folder, context)
        if manifest.format == "onnx":
            child = folder / (manifest.model_file or "model.onnx")
            from_onnx = parent.manifest.format == "onnx"
            feeds = self._samples(parent) if from_onnx else []
            parity = validate(
                child,
                parent.model_path if from_onnx else None,
                feeds,
                tolerance=node.step.tolerance,
            )
            account = account.model_copy(update={"parity": parity or account.parity})
        record = StepRecord(
            step=node.step.name,
            options=node.step.model_dump(mode="json"),
            key=node.key,
            seconds=round(time.monotonic() - began, 2),
            account=account,
        )
        return manifest.model_copy(update={"lineage": (*parent.manifest.lineage, record)})

    def _samples(self, artifact: Artifact) -> list[Feed]:
        """A few real inputs to compare a step's result with its parent on: some, and one alone."""
        first = next(self.resolved.task.calibration(artifact), None)
        if first is None:
            return []
        signature = artifact.manifest.signature
        return [few(first, signature, PARITY_SAMPLES), few(first, signature, 1)]

    # --- measurements --------------------------------------------------------------------------

    def _qualities(self, artifacts: dict[str, Artifact]) -> dict[str, Quality]:
        keys = {name: self.outputs_key(artifact) for name, artifact in artifacts.items()}
        outputs = {
            name: self._work(f"quality · {name}", partial(self._outputs, artifact, keys[name]))
            for name, artifact in artifacts.items()
        }
        baseline = self.resolved.recipe.baseline
        return {
            name: self.store.record(
                digest({"quality": keys[name], "reference": keys[baseline]}),
                Quality,
                partial(
                    self.resolved.task.judge,
                    outputs[name],
                    None if name == baseline else outputs[baseline],
                    artifacts[name].manifest.labels,
                ),
            )
            for name in artifacts
        }

    def outputs_key(self, artifact: Artifact) -> str:
        """The store's key of an artifact's outputs on the task's evaluation samples."""
        # int8 kernels differ between instruction sets, so outputs are of one kind of machine.
        return digest(
            {
                "outputs": artifact.digest,
                "task": self.resolved.task.digest,
                "isa": self.machine.isa,
                **self._base,
            }
        )

    def _outputs(self, artifact: Artifact, key: str) -> np.ndarray:
        task = self.resolved.task
        self.progress.note(key=key)
        return self.store.array(key, lambda: task.outputs(artifact, progress=self.progress.advance))

    def footprint(self, artifact: Artifact) -> Footprint:
        """Size, load time and memory of an ONNX artifact, measured or from the store."""
        profile = self.resolved.profile
        sizes = profile.sizes(
            artifact.manifest.signature, profile.grid(artifact.manifest.signature)[0]
        )
        own = {"footprint": artifact.digest, "sizes": sizes}
        key = digest({**own, **self._machine_key, **self._base})
        self.progress.note(key=key)
        return self.store.record(
            key,
            Footprint,
            lambda: measure_footprint(artifact, sizes=sizes, vocabulary=vocabulary_of(artifact)),
        )

    def _latency(self, artifacts: dict[str, Artifact]) -> LatencyTable:
        baseline = self.resolved.recipe.baseline
        profile = self.resolved.profile
        key = digest(
            {
                "latency": {name: artifact.digest for name, artifact in artifacts.items()},
                "baseline": baseline,
                "profile": profile.model_dump(mode="json"),
                **(self._machine_key if self.elsewhere is None else self._key_elsewhere),
                **self._base,
            }
        )
        self.progress.note(key=key)
        if self.remeasure:
            self.store.forget_record(key)

        def measure() -> LatencyTable:
            vocabulary = vocabulary_of(artifacts[baseline])
            if self.elsewhere is not None:
                job = Job(artifacts=tuple(artifacts), baseline=baseline, options=profile,
                          vocabulary=vocabulary)  # fmt: skip
                return self.elsewhere.measure(job, artifacts, self.progress.advance)
            cells, skipped = measure_latency(
                {name: artifact.model_path for name, artifact in artifacts.items()},
                baseline=baseline,
                options=profile,
                vocabulary=vocabulary,
                progress=self.progress.advance,
            )
            return LatencyTable(cells=cells, skipped=skipped, machine=self.machine, measured=_now())

        return self.store.record(key, LatencyTable, measure)

    @cached_property
    def _machine_key(self) -> dict[str, Any]:
        """What latency and memory depend on beyond the artifact: the machine and the profiler."""
        here = self.machine
        return {
            "cpu": here.cpu,
            "isa": here.isa,
            "cores": here.cores,
            "gpu": here.gpu,
            "governor": here.governor,
            "profiler": self._profiler,
        }

    @cached_property
    def _bench_key(self) -> dict[str, Any]:
        """What a step depends on that measures while it chooses."""
        profile = self.resolved.profile.model_dump(mode="json")
        return {"task": self.resolved.task.digest, "profile": profile, **self._machine_key}

    @property
    def _key_elsewhere(self) -> dict[str, Any]:
        assert self.elsewhere is not None
        return {**self.elsewhere.key, "profiler": self._profiler}

    @cached_property
    def _profiler(self) -> str:
        return sources_digest(sorted(Path(workbench.profiler.__file__).parent.glob("*.py")))

    def _verdicts(self, measurements: dict[str, Measurement]) -> Iterator[Verdict]:
        recipe = self.resolved.recipe
        for gate in recipe.gates:
            for name, measured in measurements.items():
                chosen = gate.variants is None or name in gate.variants
                if name == recipe.baseline or not chosen:
                    continue
                if self.resolved.smoke:
                    yield Verdict(
                        gate=gate.gate,
                        variant=name,
                        outcome=Outcome.NOT_JUDGED,
                        reason="a smoke run only shows that everything works",
                    )
                else:
                    yield judge(gate.gate, name, measured, measurements[recipe.baseline])

    # --- progress ------------------------------------------------------------------------------

    def _plan(self) -> Iterator[Work]:
        seen: set[str] = set()
        for leaf in self.leaves.values():
            for node in _path(leaf):
                if node.key not in seen:
                    seen.add(node.key)
                    guess = node.step.seconds if node.step else 3.0
                    yield self._estimate(node.label, guess, self.store.has(node.key))
        # An artifact that is stored was most likely measured too: a guess, for the time left only.
        stored = {name: self.store.has(node.key) for name, node in self.leaves.items()}
        for name in self.leaves:
            yield self._estimate(f"quality · {name}", 4.0, stored[name])
        for name in self.leaves:
            yield self._estimate(f"size and memory · {name}", 3.0, stored[name])
        profile = self.resolved.profile
        cells = len(profile.batch) * len(profile.sequence) * len(profile.threads)
        guess = 1.5 * cells * len(self.leaves) * profile.seconds * len(profile.devices)
        measured = all(stored.values()) and not self.remeasure
        yield self._estimate(self._latency_label, guess, measured)

    @property
    def _latency_label(self) -> str:
        return "latency" if self.elsewhere is None else f"latency on {self.elsewhere.name}"

    def _estimate(self, label: str, guess: float, stored: bool) -> Work:
        if stored:
            return Work(label, 0.1)
        return Work(label, self.store.timing(self._timing(label)) or guess)

    def _timing(self, label: str) -> str:
        return f"{self.resolved.name}/{label}"

    def _work(self, label: str, make: Callable[[], Result]) -> Result:
        """Do one piece of work with its progress; what the store had counts as reused."""
        performed, began = self.store.performed, time.monotonic()
        self.progress.start(label)
        result = make()
        seconds = time.monotonic() - began
        reused = self.store.performed == performed
        if not reused:
            self.store.remember_timing(self._timing(label), seconds)
        detail = ""
        if isinstance(result, Artifact):
            self.progress.note(bytes=result.size_bytes)
            for record in result.manifest.lineage[-1:]:
                self.progress.note(key=record.key, step=record.step)
                detail = record.account.summary
        self.progress.finish(label, seconds, reused=reused, detail=detail)
        return result


class _Bench(Bench):
    """The runner's measurements, for a step that measures while it chooses."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.figures = runner.resolved.task.task.figures

    def quality(self, artifact: Artifact, reference: Artifact) -> Quality:
        """See :class:`Bench`; the outputs of both are kept in the store."""
        task, store = self._runner.resolved.task, self._runner.store
        outputs, expected = (
            store.array(self._runner.outputs_key(each), partial(task.outputs, each))
            for each in (artifact, reference)
        )
        same = artifact.digest == reference.digest
        return task.judge(outputs, None if same else expected, artifact.manifest.labels)

    def latency(
        self, models: Mapping[str, Path], baseline: str, *, quick: bool = False
    ) -> Mapping[str, tuple[Latency, ...]]:
        """See :class:`Bench`."""
        model = self._runner.artifact_of_model
        profile = self._runner.resolved.profile
        if quick:
            less = {"seconds": min(profile.seconds, QUICK_SECONDS), "processes": 1}
            profile = profile.model_copy(update=less)
        cells, _ = measure_latency(
            dict(models),
            baseline=baseline,
            options=profile,
            vocabulary=vocabulary_of(model),
            progress=lambda done, total: None,
        )
        return cells

    def cost(
        self, artifacts: Mapping[str, Artifact], latencies: Mapping[str, tuple[Latency, ...]]
    ) -> Mapping[str, float]:
        """See :class:`Bench`; the memory of each is measured in a fresh process."""
        from workbench.cost.catalog import Catalog
        from workbench.cost.planner import plan
        from workbench.cost.profile import profiles_of_run

        runner = self._runner
        traffic = runner.resolved.traffic
        if traffic is None:
            raise InputError(
                "A step is to make the cost least, and the recipe has no traffic to price.",
                hint="Give it one: traffic: {requests: 1M}",
            )
        if not artifacts:
            return {}
        variants = tuple(
            VariantResult(
                name=name,
                baseline=at == 0,
                key=artifact.digest,
                signature=artifact.manifest.signature,
                lineage=artifact.manifest.lineage,
                measurement=Measurement(
                    footprint=runner.footprint(artifact),
                    latency=latencies[name],
                ),
            )
            for at, (name, artifact) in enumerate(artifacts.items())
        )
        run = Run(
            name=runner.resolved.name, created=_now(), recipe={}, model=runner.resolved.model.name,
            task=runner.resolved.recipe.task.name, machine=runner.machine, measured=_now(),
            variants=variants, seconds=0,
        )  # fmt: skip
        found = plan(profiles_of_run(run), traffic, Catalog.standard(), break_evens=False)
        prices: dict[str, float] = {}
        for variant in found.variants:
            if variant.best is None:
                reason = " ".join(r.reasons[0] for r in variant.refusals[:1])
                raise InputError(f"No hosting option serves the recipe's traffic. {reason}")
            prices[variant.variant] = float(variant.best.usd.mid)
        return prices


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _path(leaf: Node) -> list[Node]:
    nodes: list[Node] = []
    node: Node | None = leaf
    while node is not None:
        nodes.append(node)
        node = node.parent
    return nodes[::-1]
