"""Whole layers: which list of modules they are, and which of them to keep."""

from __future__ import annotations

from typing import Any

from workbench.errors import StepError


def layer_list(module: Any, wanted: str | None = None) -> tuple[str, int]:
    """Path and length of a model's list of equal layers: the longest, or the one that is asked for.

    Raises:
        StepError: there is no list of two or more modules of the same class.
    """
    import torch

    if wanted is not None:
        try:
            return wanted, len(list(module.get_submodule(wanted).children()))
        except AttributeError:
            raise StepError(f"The model has no module '{wanted}'.") from None
    found = [
        (len(part), path)
        for path, part in module.named_modules()
        if isinstance(part, torch.nn.ModuleList)
        and len(part) > 1
        and len({type(child) for child in part}) == 1
    ]
    if not found:
        raise StepError(
            "The model has no list of equal layers of which some could be left out.",
            hint="Prune channels instead (`structured`), or give a student of its own.",
        )
    length, path = max(found, key=lambda item: item[0])
    return path, length


def spread(count: int, total: int) -> tuple[int, ...]:
    """``count`` of ``total`` layers, spread evenly, the first and the last among them.

    A start that keeps the ends is the usual one (Sanh et al. 2019, arXiv:1910.01108 take every
    other layer; Sajjad et al. 2020, arXiv:2004.03844 compare).

    Raises:
        StepError: there are not so many.
    """
    if not 1 <= count <= total:
        raise StepError(f"{count} layers cannot be kept of {total}.")
    if count == 1:
        return (total - 1,)
    return tuple(round(i * (total - 1) / (count - 1)) for i in range(count))
