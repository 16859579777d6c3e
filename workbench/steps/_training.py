"""The one training loop: resumable, stopped early, deterministic by its seed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from workbench.artifact import disk_errors
from workbench.errors import StepError
from workbench.plugins import did_you_mean
from workbench.records import Manifest
from workbench.steps import StepContext
from workbench.steps._training_options import TrainingOptions

CHECKPOINT_S = 30.0
"""A killed training loses at most so many seconds, and what the step under way takes."""
WARM_UP = 0.05
ALIKE = 16
"""Batches of samples that are sorted by size together, so that little is padding."""

Loss = Callable[[Sequence[int]], Any]
"""The loss of the samples at some positions: a torch scalar."""


@dataclass
class History:
    """What a training came to: the losses per epoch (the first: before it) and how it ended."""

    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = 0
    ended: str = ""
    resumed_at: int | None = None

    @property
    def summary(self) -> str:
        """One clause: epochs, validation loss before and after, and why it ended."""
        before, after = self.validation[0], self.validation[self.best]
        epochs = len(self.validation) - 1
        return (
            f"{epochs} epoch{'s' * (epochs != 1)} ({self.ended}), validation loss "
            f"{before:.4g} → {after:.4g} (epoch {self.best})"
        )

    def choices(self) -> dict[str, Any]:
        """For the account: the whole curve."""
        return {
            "best_epoch": self.best,
            "ended": self.ended,
            **({} if self.resumed_at is None else {"resumed_at_epoch": self.resumed_at}),
            "training_loss": [round(value, 6) for value in self.training],
            "validation_loss": [round(value, 6) for value in self.validation],
        }


def train(
    module: Any,
    manifest: Manifest,
    parts: tuple[list[int], list[int]],
    loss: Loss,
    options: TrainingOptions,
    context: StepContext,
    *,
    sizes: Sequence[int],
    name: str = "training",
    span: tuple[float, float] = (0.0, 1.0),
) -> History:
    """Train a module in place; it ends with the weights that did best on the validation part.

    Zeros of the parameters that the manifest calls sparse stay zeros. A checkpoint lies in
    ``context.scratch``, from which a killed training goes on.

    Args:
        module: the torch module; in eval mode when it returns.
        manifest: of the artifact it came from.
        parts: positions to learn from, and to validate on.
        loss: the loss of a batch; it runs the module.
        options: how to train.
        context: progress and scratch folder.
        sizes: rough size of each sample.
        name: of the checkpoint: one for each training of a step.
        span: what part of the step's progress this training is.

    Raises:
        StepError: there are too few samples, or the loss is not finite from the start.
    """
    import torch

    learn, validate = parts
    if len(learn) < 2 or not validate:
        raise StepError(
            f"{len(learn)} samples to learn from and {len(validate)} to validate on are too few.",
            hint="Give more training data, or lower `validation`.",
        )
    torch.manual_seed(options.seed)
    trained = _trainable(module, options.freeze)
    masks = _masks(module, manifest)
    optimizer = _optimizer(trained, options)
    steps = math.ceil(len(learn) / options.batch)
    total = steps * options.epochs
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(options.schedule, total))
    run = _Checkpoint(module, optimizer, rate, context.scratch, name)
    history = run.history
    run.load()
    began = time.monotonic() - run.seconds
    if not history.validation:
        first = _mean_loss(module, validate, loss, options.batch)
        if not math.isfinite(first):
            raise StepError(
                "The loss is not finite before any training.",
                hint="The model's outputs do not fit the loss: logits and labels are wanted.",
            )
        history.validation.append(first)
        run.keep_best()
    while not history.ended:
        epoch = len(history.validation)
        if epoch > options.epochs:
            history.ended = "all"
            break
        order = _order(learn, sizes, options, epoch)
        module.train()
        for step in range(run.step, steps):
            batch = order[step * options.batch : (step + 1) * options.batch]
            value = loss(batch)
            number = float(value.detach())
            if not math.isfinite(number):
                history.ended = f"the loss became {number} in epoch {epoch}"
                break
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(trained, options.clip)
            optimizer.step()
            rate.step()
            with torch.no_grad():
                for parameter, mask in masks:
                    parameter.mul_(mask)
            run.step, run.sum = step + 1, run.sum + number
            done = ((epoch - 1) * steps + run.step) / total
            context.progress(span[0] + (span[1] - span[0]) * done, 1.0)
            context.say(f"epoch {epoch} of {options.epochs}, loss {run.sum / run.step:.4g}")
            if run.due():
                run.save(time.monotonic() - began)
        if history.ended:
            break
        validation = _mean_loss(module, validate, loss, options.batch)
        history.training.append(run.sum / steps)
        history.validation.append(validation)
        run.step, run.sum = 0, 0.0
        if math.isfinite(validation) and validation < history.validation[history.best]:
            history.best = epoch
            run.keep_best()
        elif not math.isfinite(validation):
            history.ended = f"the validation loss became {validation} in epoch {epoch}"
        elif epoch - history.best >= options.patience:
            history.ended = f"none better for {options.patience}"
        if options.minutes is not None and time.monotonic() - began > options.minutes * 60:
            history.ended = history.ended or f"{options.minutes:g} minutes passed"
        run.save(time.monotonic() - began)
    run.save(time.monotonic() - began)
    run.restore_best()
    module.eval()
    return history


def _mean_loss(module: Any, positions: Sequence[int], loss: Loss, batch: int) -> float:
    import torch

    module.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(positions), batch):
            part = positions[start : start + batch]
            total += float(loss(part)) * len(part)
    return total / len(positions)


def _trainable(module: Any, freeze: tuple[str, ...]) -> list[Any]:
    names = [_plain(name) for name, _ in module.named_parameters()]
    for pattern in freeze:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise StepError(
                f"'{pattern}' in `freeze` names no parameter.", hint=did_you_mean(pattern, names)
            )
    trained = []
    for name, parameter in module.named_parameters():
        learned = not any(fnmatchcase(_plain(name), pattern) for pattern in freeze)
        parameter.requires_grad_(learned and parameter.is_floating_point())
        if parameter.requires_grad:
            trained.append(parameter)
    if not trained:
        raise StepError("`freeze` leaves no parameter to train.")
    return trained


def _masks(module: Any, manifest: Manifest) -> list[tuple[Any, Any]]:
    structure = manifest.source.structure if manifest.source else None
    sparse = set(structure.sparse) if structure else set()
    return [(p, (p != 0).to(p.dtype)) for n, p in module.named_parameters() if _plain(n) in sparse]


def _plain(name: str) -> str:
    """A parameter's name without what simulated rounding puts around it."""
    return name.replace(".parametrizations.weight.original", ".weight")


def _optimizer(trained: list[Any], options: TrainingOptions) -> Any:
    import torch

    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=rate, momentum=0.9, weight_decay=decay)
    return torch.optim.AdamW(trained, lr=rate, weight_decay=decay)


def _schedule(kind: str, total: int) -> Callable[[int], float]:
    warm = max(1, round(total * WARM_UP))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        part = min(1.0, (step - warm) / max(1, total - warm))
        if kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * part))
        return 1.0 if kind == "constant" else 1.0 - part

    return factor


def _order(
    positions: list[int], sizes: Sequence[int], options: TrainingOptions, epoch: int
) -> list[int]:
    """The samples of an epoch: shuffled, then sorted by size within stretches of whole batches."""
    import torch

    generator = torch.Generator().manual_seed(options.seed * 100_003 + epoch)
    shuffled = [positions[i] for i in torch.randperm(len(positions), generator=generator).tolist()]
    if len(set(sizes)) < 2:
        return shuffled
    stretch = options.batch * ALIKE
    batches: list[list[int]] = []
    rest: list[int] = []
    for start in range(0, len(shuffled), stretch):
        part = sorted(shuffled[start : start + stretch], key=lambda i: sizes[i])
        cut = [part[i : i + options.batch] for i in range(0, len(part), options.batch)]
        batches += [batch for batch in cut if len(batch) == options.batch]
        rest += [i for batch in cut if len(batch) < options.batch for i in batch]
    mixed = torch.randperm(len(batches), generator=generator).tolist()
    return [*(i for number in mixed for i in batches[number]), *rest]


class _Checkpoint:
    """Where a training is: weights, the best weights, optimizer, position; on disk now and then."""

    def __init__(
        self, module: Any, optimizer: Any, rate: Any, folder: Path | None, name: str
    ) -> None:
        self.module, self.optimizer, self.rate = module, optimizer, rate
        self.path = folder / f"{name}.pt" if folder else None
        self.history = History()
        self.step, self.sum, self.seconds = 0, 0.0, 0.0
        self._best: dict[str, Any] = {}
        self._saved = time.monotonic()

    def keep_best(self) -> None:
        """These weights are the best so far."""
        self._best = {n: t.detach().clone() for n, t in self.module.state_dict().items()}

    def restore_best(self) -> None:
        """Put the best weights back."""
        self.module.load_state_dict(self._best, strict=True)

    def due(self) -> bool:
        """Whether it is time to save again."""
        return self.path is not None and time.monotonic() - self._saved > CHECKPOINT_S

    def save(self, seconds: float) -> None:
        """Write everything; a kill while it writes leaves the last one whole."""
        import torch

        if self.path is None:
            return
        history = self.history
        temporary = self.path.with_suffix(f".{os.getpid()}")
        with disk_errors(self.path):
            torch.save(
                {
                    "module": self.module.state_dict(),
                    "best_module": self._best,
                    "optimizer": self.optimizer.state_dict(),
                    "rate": self.rate.state_dict()["last_epoch"],
                    "random": torch.get_rng_state(),
                    "step": self.step,
                    "sum": self.sum,
                    "seconds": seconds,
                    "training": history.training,
                    "validation": history.validation,
                    "best": history.best,
                    "ended": history.ended,
                },
                temporary,
            )
            temporary.replace(self.path)
        self._saved = time.monotonic()

    def load(self) -> None:
        """Go on from the checkpoint, if there is one that can be read."""
        import torch

        if self.path is None or not self.path.is_file():
            return
        try:
            held = torch.load(self.path, map_location="cpu", weights_only=True)
            self.module.load_state_dict(held["module"], strict=True)
            self.optimizer.load_state_dict(held["optimizer"])
        except Exception:  # a checkpoint of other code or a torn disk: begin anew, nothing is lost
            self.path.unlink(missing_ok=True)
            raise StepError(
                f"The checkpoint {self.path} cannot be read and was removed.",
                hint="Run again: the training begins anew.",
            ) from None
        self.rate.last_epoch = held["rate"]
        for group, base in zip(self.optimizer.param_groups, self.rate.base_lrs, strict=True):
            group["lr"] = base * self.rate.lr_lambdas[0](held["rate"])
        torch.set_rng_state(held["random"])
        self._best = held["best_module"]
        self.step, self.sum, self.seconds = held["step"], held["sum"], held["seconds"]
        self.history.training, self.history.validation = held["training"], held["validation"]
        self.history.best, self.history.ended = held["best"], held["ended"]
        self.history.resumed_at = len(self.history.validation)


def batches_of(count: int, size: int) -> Iterator[list[int]]:
    """Consecutive positions, at most ``size`` at a time."""
    for start in range(0, count, size):
        yield list(range(start, min(start + size, count)))
