"""Draw what `peers.py measure --json` and `peers_images.py measure` found as one picture.

python benchmarks/frontier.py minilm.json images.json docs/frontier.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

OURS, THEIRS = "#0b7285", "#868e96"


Points = dict[str, tuple[float, float]]


def draw(axis: Any, points: Points, title: str, across: str, up: str) -> None:
    """Name every point; ours are in colour, and what nothing beats is joined by a line."""
    for name, (x, y) in points.items():
        ours = name.startswith("workbench")
        axis.scatter(x, y, color=OURS if ours else THEIRS, marker="o" if ours else "s", zorder=3)
        label = name.removeprefix("workbench-") if ours else name
        style = {"color": OURS if ours else THEIRS, "fontsize": 7}
        axis.annotate(label, (x, y), xytext=(4, 3), textcoords="offset points", **style)
    kept = [
        (x, y)
        for x, y in points.values()
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())
    ]
    axis.step(*zip(*sorted(kept), strict=True), where="post", color=OURS, linewidth=0.8, zorder=1)
    axis.set(title=title, xlabel=across, ylabel=up)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.invert_yaxis()  # better is higher
    axis.grid(alpha=0.25)
    axis.margins(x=0.25)


def main() -> int:
    """Read both results and write the picture."""
    texts, images, target = (Path(argument) for argument in sys.argv[1:4])
    rows = json.loads(texts.read_text())["rows"]
    pictures = json.loads(images.read_text())["artifacts"]
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    named = {row["name"]: row for row in rows if row.get("latency")}
    named.pop("torch-eager", None)
    cosine = {n: max(1e-5, 1 - row["quality"]["documents_mean"]) for n, row in named.items()}
    size = {name: (row["megabytes"], cosine[name]) for name, row in named.items()}
    time = {
        name: (1 / next(c for c in row["latency"] if c["batch"] == 1)["speedup"], cosine[name])
        for name, row in named.items()
    }
    draw(axes[0], size, "MiniLM: size", "MB", "1 − mean cosine, Lee documents")
    draw(axes[1], time, "MiniLM: time, 1 × 16", "p50 over fp32's", "1 − mean cosine, Lee documents")
    faster = {
        n: (1 / r["batch_1"]["speedup"], max(1e-2, 1 - r["agreement"])) for n, r in pictures.items()
    }
    draw(
        axes[2],
        faster,
        "EfficientNet-Lite0: time, batch 1",
        "p50 over fp32's",
        "other labels than fp32",
    )
    figure.savefig(target, metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
