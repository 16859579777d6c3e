"""What is left of an embedding model's abilities beyond the task that a recipe judges.

    python benchmarks/embeddings.py runs/minilm-3-layers

For every variant of a run: Pearson on Lee's 1,225 pairs, Spearman on WordSim-353, and the accuracy
of a linear probe for kind against unkind sentences of film reviews (ridge regression, half of the
sentences to learn from). The first variant is the baseline; shares of its figures are in brackets.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from workbench.artifact import Artifact, open_artifact
from workbench.datasets import load_dataset
from workbench.preprocess import batches, make_feed
from workbench.run_directory import load_run
from workbench.runtime import open_session
from workbench.tasks import make_task

PROBED = 3000
RIDGE = 1e-2


def embed(artifact: Artifact, texts: list[str]) -> np.ndarray:
    """Embeddings, float32 ``[texts, width]``."""
    session = open_session(artifact.model_path)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows: dict[int, np.ndarray] = {}
    for part in batches(order, 32):
        output = session.run(None, make_feed(artifact, [texts[i] for i in part]))[0]
        rows |= dict(zip(part, output, strict=True))
    return np.stack([rows[i] for i in range(len(texts))])


def correlation(artifact: Artifact, data: str, metric: str) -> float:
    """The task's score of an artifact on scored pairs."""
    task = make_task("sentence-similarity", {"data": data, "metric": metric}).bind(Path())
    score = task.judge(task.outputs(artifact), None).score
    assert score is not None
    return score.value


def probe(artifact: Artifact) -> float:
    """Accuracy of a ridge classifier on the second half of the sentences."""
    samples = load_dataset("rated-sentences", folder=Path()).joined()
    films = [i for i, name in enumerate(samples.ids) if name.startswith("film")]
    chosen = sorted(films, key=samples.hashes.__getitem__)[:PROBED]
    values = embed(artifact, [samples.inputs[i] for i in chosen]).astype(np.float64)
    values = np.concatenate([values, np.ones((len(values), 1))], 1)
    wanted = np.array([1.0 if (samples.labels or [])[i] == "positive" else -1.0 for i in chosen])
    half = len(values) // 2
    learn = values[:half]
    ridge = learn.T @ learn + RIDGE * half * np.eye(learn.shape[1]) / learn.shape[1]
    weights = np.linalg.solve(ridge, learn.T @ wanted[:half])
    return float((np.sign(values[half:] @ weights) == wanted[half:]).mean())


def main() -> int:
    """Print the table, and the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    run = load_run(arguments.run)
    rows: dict[str, dict[str, Any]] = {}
    for variant in run.variants:
        artifact = open_artifact(arguments.run / "variants" / variant.name)
        rows[variant.name] = {
            "lee": correlation(artifact, "lee", "pearson"),
            "wordsim": correlation(artifact, "wordsim353", "spearman"),
            "probe": probe(artifact),
        }
    base = next(iter(rows.values()))
    print("| variant | Lee, Pearson | WordSim, Spearman | film probe |\n|---|--:|--:|--:|")
    for name, row in rows.items():
        cells = " | ".join(f"{value:.4f} ({value / base[key]:.1%})" for key, value in row.items())
        print(f"| {name} | {cells} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
