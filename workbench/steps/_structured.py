"""Structured pruning: rounds of measuring, choosing, removing and training."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from workbench.artifact import seal
from workbench.errors import StepError
from workbench.records import Account, Manifest
from workbench.steps._budget import Sensitivity, Size, allocate, sensitivities, size_of
from workbench.steps._channels import Found, find_channels, remove
from workbench.steps._compensate import gather, silence
from workbench.steps._forward import forward, tensors_of
from workbench.steps._imitation import kind_of, output_loss
from workbench.steps._importance import by_activation, by_magnitude, by_taylor
from workbench.steps._observe import batches
from workbench.steps._training import Loss, train
from workbench.steps.finetune import label_loss
from workbench.torch_modules import load_torch, save_torch

if TYPE_CHECKING:
    import numpy as np

    from workbench.artifact import Artifact
    from workbench.datasets import TrainingSet
    from workbench.steps import StepContext
    from workbench.steps.prune import Prune

    Feed = dict[str, np.ndarray]

LATENCY_TRIALS = 5
MEASURED = 4
TAYLOR_SAMPLES = 512


def prune_structured(
    options: Prune, source: Artifact, target: Path, context: StepContext
) -> tuple[Manifest, Account]:
    """Remove channels, neurons and heads until the target holds.

    Raises:
        StepError: see :meth:`Prune.apply`.
    """
    assert options.target is not None
    work = _Work(options, source, context)
    if not work.feeds:
        raise StepError("Structured pruning measures on calibration data, and there are none.")
    first = size_of(work.module, source.manifest, work.feeds[0])
    widths = _widths(work.module)
    targets = {
        name: share
        for name in ("parameters", "macs")
        if (share := getattr(options.target, name)) is not None
    }
    latency = None
    if options.target.latency is not None:
        targets, latency = _for_latency(work, targets, options.target.latency)
    rounds = []
    for number in range(options.rounds):
        now = {name: share ** ((number + 1) / options.rounds) for name, share in targets.items()}
        rounds.append(work.round(now, first, number))
        if number + 1 < options.rounds:
            rounds[-1]["training"] = work.train(number)
    last = size_of(work.module, source.manifest, work.feeds[0])
    manifest = save_torch(work.module, source, target)
    removed = {
        name: [before, after]
        for name, before in widths.items()
        if (after := _widths(work.module).get(name, before)) != before
    }
    return manifest, Account(
        summary=f"{first.parameters / 1e6:.3g} M → {last.parameters / 1e6:.3g} M parameters "
        f"({last.parameters / first.parameters:.0%}), {first.macs / 1e6:.3g} M → "
        f"{last.macs / 1e6:.3g} M MACs ({last.macs / first.macs:.0%})"
        + (f", latency × {latency[-1]['latency']:.2f}" if latency else "")
        + f"; the output's relative squared error is {rounds[-1]['damage']:.3g}",
        changed={"layers made narrower": len(removed)},
        skipped=tuple(work.skipped),
        choices={
            "importance": options.importance,
            "output_channels": removed,
            "rounds": rounds,
            **({"latency_trials": latency} if latency else {}),
        },
    )


class _Work:
    """A module being pruned, with the data that it is measured on."""

    def __init__(self, options: Prune, source: Artifact, context: StepContext) -> None:
        self.options, self.source, self.context = options, source, context
        self.manifest = source.manifest
        self.module = load_torch(source.path, self.manifest)
        calibration = context.calibration(source)
        feeds = list(batches(calibration, options.samples, lambda done, total: None))
        # What is fitted looks better on the data it was fitted to: a quarter is for measuring.
        self.feeds = feeds[::MEASURED]
        self.fitted = [f for i, f in enumerate(feeds) if i % MEASURED] or self.feeds
        self.skipped: list[Any] = []
        self.moments: dict[Any, Any] = {}

    def round(self, targets: Mapping[str, float], whole: Size, number: int) -> dict[str, Any]:
        """Measure, choose and remove once; says what it found."""
        table = self.table(number)
        chosen = self.choose(table, targets, whole)
        before = self._outputs()
        doomed = [(row.item, row.doomed(chosen[row.item.name])) for row in table]
        silence(doomed, self.moments)
        self.module = self._without(table, chosen)
        return {
            "target": dict(targets),
            "removed": {name: count for name, count in chosen.items() if count},
            "sensitivity": {
                row.item.name: {
                    f"{at:.0%}": float(f"{damage:.3g}")
                    for at, damage in zip(row.at, row.damage, strict=True)
                }
                for row in table
            },
            "damage": self._damage(before),
        }

    def table(self, number: int = 0) -> list[Sensitivity]:
        """The sensitivities of all channels as they are now."""
        found = self._found()
        self.skipped = found.skipped
        size = size_of(self.module, self.manifest, self.feeds[0])

        def say(done: int, total: int) -> None:
            self.context.say(f"round {number + 1}, sensitivity of {done} of {total} layers")
            self.context.progress(number + 0.5 * done / total, self.options.rounds)

        scores = self._scores(found)
        self.moments = {}
        if self.options.compensate:
            self.moments = gather(self.module, self.manifest, found.channels, self.fitted)
        return sensitivities(
            self.module, self.manifest, found.channels, scores, self.feeds, self.moments, size, say
        )

    def choose(
        self, table: Sequence[Sensitivity], targets: Mapping[str, float], whole: Size
    ) -> dict[str, int]:
        """How many units go, by name."""

        def measure(counts: dict[str, int]) -> Mapping[str, float]:
            size = size_of(self._without(table, counts), self.manifest, self.feeds[0])
            return {"parameters": size.parameters, "macs": size.macs}

        return allocate(table, measure, targets, whole)

    def train(self, number: int) -> dict[str, Any]:
        """Train what is left, by labels or by the outputs of the model that came in."""
        options = self.options.finetune
        assert options is not None
        learned = self.context.training_set(self.source)
        loss = (
            label_loss(self.module, self.manifest, learned, options.augment)
            if learned.targets is not None
            else self._imitation(learned)
        )
        span = ((number + 0.5) / self.options.rounds, (number + 1) / self.options.rounds)
        history = train(
            self.module,
            self.manifest,
            learned.held_out(options.validation),
            loss,
            options,
            self.context,
            sizes=learned.sizes,
            name=f"round-{number}",
            span=span,
        )
        return history.choices()

    def exported(self, table: Sequence[Sensitivity], counts: dict[str, int], place: Path) -> Path:
        """The model without some units as an ONNX file."""
        from workbench.steps.export import Export

        torch_place, onnx_place = place / "torch", place / "onnx"
        torch_place.mkdir(parents=True)
        onnx_place.mkdir()
        module = self._without(table, counts)
        artifact = seal(torch_place, save_torch(module, self.source, torch_place))
        manifest, _ = Export().apply(artifact, onnx_place, self.context)
        return onnx_place / (manifest.model_file or "model.onnx")

    def _found(self) -> Found:
        return find_channels(
            self.module,
            self.manifest,
            self.feeds[0],
            self.options.exclude,
            self.options.multiple,
        )

    def _scores(self, found: Found) -> dict[str, Any]:
        if self.options.importance == "magnitude":
            return by_magnitude(found.channels)
        if self.options.importance == "activation":
            return by_activation(self.module, self.manifest, found.channels, self.fitted)
        learned = self.context.training_set(self.source)
        loss = label_loss(self.module, self.manifest, learned)
        positions, _ = learned.held_out(0.1)
        return by_taylor(self.module, found.channels, loss, positions[:TAYLOR_SAMPLES])

    def _without(self, table: Sequence[Sensitivity], counts: Mapping[str, int]) -> Any:
        part = copy.deepcopy(self.module)
        doomed = {row.item.name: row.doomed(counts[row.item.name]) for row in table}
        remove(part, self.manifest, self.feeds[0], doomed)
        return part.eval()

    def _outputs(self) -> list[Any]:
        import torch

        run = forward(self.module, self.manifest)
        with torch.inference_mode():
            return [run(tensors_of(feed)) for feed in self.feeds]

    def _damage(self, before: list[Any]) -> float:
        pairs = list(zip(self._outputs(), before, strict=True))
        error = sum(float((got - wanted).double().square().sum()) for got, wanted in pairs)
        return float(f"{error / sum(float(w.double().square().sum()) for _, w in pairs):.4g}")

    def _imitation(self, learned: TrainingSet) -> Loss:
        import torch

        teacher = forward(load_torch(self.source.path, self.manifest), self.manifest)
        run = forward(self.module, self.manifest)
        with torch.inference_mode():
            kind = kind_of(teacher(tensors_of(self.feeds[0])).numpy(), self.manifest)

        def loss(positions: Sequence[int]) -> Any:
            tensors = tensors_of(learned.feed(positions))
            with torch.no_grad():
                wanted = teacher(tensors)
            return output_loss(kind, run(tensors), wanted, 2.0)

        return loss


def _for_latency(
    work: _Work, targets: dict[str, float], wanted: float
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The targets with the share of MACs at which the measured latency holds, by bisection."""
    table = work.table()
    whole = size_of(work.module, work.manifest, work.feeds[0])
    trials: list[dict[str, float]] = []
    low, high = 0.0, 1.0
    share = min(wanted, targets.get("macs", wanted))
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        original = work.exported(table, dict.fromkeys((r.item.name for r in table), 0), place / "0")
        for trial in range(LATENCY_TRIALS):
            try:
                counts = work.choose(table, {**targets, "macs": share}, whole)
            except StepError:
                low = share
                share = (low + high) / 2
                continue
            file = work.exported(table, counts, place / str(trial + 1))
            cells = work.context.bench.latency({"before": original, "after": file}, "before")
            after, before = cells["after"], cells["before"]
            ratios = [a.p50_ms.value / b.p50_ms.value for a, b in zip(after, before, strict=True)]
            trials.append({"macs": share, "latency": statistics.median(ratios)})
            work.context.say(f"{share:.0%} of the MACs: latency × {trials[-1]['latency']:.2f}")
            low, high = (share, high) if trials[-1]["latency"] <= wanted else (low, share)
            share = (low + high) / 2
    met = [trial for trial in trials if trial["latency"] <= wanted]
    if not met:
        best = min((t["latency"] for t in trials), default=float("nan"))
        raise StepError(
            f"A latency of {wanted:.0%} cannot be met: the least that was measured is {best:.0%}.",
            hint="Raise the target, or quantize too.",
        )
    chosen = max(met, key=lambda trial: trial["macs"])
    trials.remove(chosen)
    return {**targets, "macs": chosen["macs"]}, [*trials, chosen]


def _widths(module: Any) -> dict[str, int]:
    """Output channels of the convolutions and linear layers."""
    import torch

    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    return {n: m.weight.shape[0] for n, m in module.named_modules() if isinstance(m, kinds)}
