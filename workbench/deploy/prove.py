"""Asks a new endpoint once with a real input, and compares with the artifact's own answer."""

from __future__ import annotations

import json
from typing import Any

from workbench.artifact import Artifact
from workbench.conformance.samples import samples_from_manifest
from workbench.deploy.asking import Asker, Question, asked_here
from workbench.errors import StepError

TOLERANCE = 0.02
"""Largest difference of a number, relative to the largest one of the answer. The endpoint's CPU is
another, and int8 results depend on its instruction sets; two MiniLM with other weights differed by
three times as much (benchmarks/serving/portfolio.py: 0.06)."""


def prove(there: Asker, artifact: Artifact) -> str:
    """How far the endpoint's answer is from the artifact's, in a few words.

    Raises:
        StepError: the two differ, or one of them gives no answer.
    """
    samples = samples_from_manifest(artifact.manifest.model_dump(mode="json"))
    if not samples:
        return "not asked: no request can be made from the model's signature"
    sample = samples[0]
    question = Question(sample.body, sample.content_type)
    with asked_here(artifact) as here:
        expected = here.ask(question)
    worst = difference(_read(expected), _read(there.ask(question)))
    if worst > TOLERANCE:
        raise StepError(
            f"The endpoint's answer differs from the artifact's by {worst:.2g} (relative); at most "
            f"{TOLERANCE:g} is allowed."
        )
    return f"its answer is the artifact's, within {worst:.1e}"


def difference(expected: Any, found: Any) -> float:
    """The largest difference of two numbers at the same place, over the largest number.

    Infinite where the two have other keys, lengths, texts or types.
    """
    pairs = _pairs(expected, found)
    if pairs is None:
        return float("inf")
    scale = max((abs(a) for a, _ in pairs), default=0.0)
    worst = max((abs(a - b) for a, b in pairs), default=0.0)
    return worst / max(scale, 1e-12)


def _pairs(a: Any, b: Any) -> list[tuple[float, float]] | None:
    numbers = (int, float)
    if isinstance(a, numbers) and isinstance(b, numbers) and not isinstance(a, bool):
        return [(float(a), float(b))]
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return _joined([(a[key], b[key]) for key in a])
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return _joined(list(zip(a, b, strict=True)))
    return [] if a == b else None


def _joined(parts: list[tuple[Any, Any]]) -> list[tuple[float, float]] | None:
    found: list[tuple[float, float]] = []
    for one, other in parts:
        pairs = _pairs(one, other)
        if pairs is None:
            return None
        found += pairs
    return found


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        text = content[:200].decode("utf-8", "replace")
        raise StepError(f"The answer is no JSON: {text}") from None
