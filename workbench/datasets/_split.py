"""Splits that follow from the content alone: the same data give the same split everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

CALIBRATION = 0.25
STATED = "calibration 25 %, evaluation 75 %, by content hash; copies of a sample stay together"


def split_by_hash(hashes: Sequence[str], *shares: float) -> list[list[int]]:
    """Positions of the samples of each share, and last of all the rest, each in their order.

    Distinct contents are ranked by their hash and dealt out; samples of the same content go to the
    same part. A share of ``s`` gets ``ceil(s × contents)``, but the rest keeps at least one.
    """
    ranked = sorted(set(hashes))
    part: dict[str, int] = {}
    start = 0
    for number, share in enumerate(shares):
        count = min(math.ceil(share * len(ranked)), max(0, len(ranked) - 1 - start))
        part.update(dict.fromkeys(ranked[start : start + count], number))
        start += count
    parts: list[list[int]] = [[] for _ in (*shares, None)]
    for position, content in enumerate(hashes):
        parts[part.get(content, len(shares))].append(position)
    return parts


def split_pairs(
    hashes: Sequence[str], left: Sequence[int], right: Sequence[int], share: float
) -> tuple[list[int], list[int]]:
    """Positions of the samples for calibration and for evaluation, breaking few pairs.

    Samples that pairs connect stay together: whole groups go to calibration, in the order of
    their smallest hash, as long as they fit into the share. Where none fits (every sample is
    paired with most others), samples are split one by one and pairs across the parts are lost.
    """
    root = list(range(len(hashes)))

    def find(item: int) -> int:
        while root[item] != item:
            root[item] = root[root[item]]
            item = root[item]
        return item

    first_of: dict[str, int] = {}
    for position, content in enumerate(hashes):
        root[find(position)] = find(first_of.setdefault(content, position))
    for a, b in zip(left, right, strict=True):
        root[find(a)] = find(b)
    groups: dict[int, list[int]] = {}
    for position in range(len(hashes)):
        groups.setdefault(find(position), []).append(position)
    room = share * len(hashes)
    calibration: set[int] = set()
    for group in sorted(groups.values(), key=lambda g: min(hashes[i] for i in g)):
        if len(calibration) + len(group) <= room:
            calibration.update(group)
    if not calibration:
        first, rest = split_by_hash(hashes, share)
        return first, rest
    everything = range(len(hashes))
    return sorted(calibration), [i for i in everything if i not in calibration]
