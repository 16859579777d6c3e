"""A small classifier, its data and its recipe; and the command line in this process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workbench.cli import main

FEATURES, CLASSES, HIDDEN = 32, 3, 128

FACTORY = f"""
import torch

def build(width={HIDDEN}):
    return torch.nn.Sequential(
        torch.nn.Linear({FEATURES}, width), torch.nn.ReLU(), torch.nn.Linear(width, {CLASSES})
    )
"""

RECIPE = """\
name: small
model:
  factory: net.py:build
  checkpoint: weights.pt
  inputs: [{name: x, dtype: float32, shape: [batch, 32]}]
task: {classification: {data: data.npz}}
variants:
  fp32: [export]
  int8: [export, {quantize: dynamic-int8}]
profile: {batch: [1], threads: [1], seconds: 0.2}
gates:
  - quality >= baseline - 5%
  - size <= 0.5 * baseline
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd, monkeypatch, tmp_path):
    """Run the command line; a store of its own lies in ``tmp_path / 'store'``."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "store"))
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as done:
            main()
        captured = capfd.readouterr()
        return Result(int(done.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with a factory, a checkpoint that separates three clusters, data and a recipe."""
    import torch

    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "net.py").write_text(FACTORY)
    random = np.random.default_rng(0)
    centres = random.standard_normal((CLASSES, FEATURES)) * 2
    y = random.integers(0, CLASSES, 240)
    x = (centres[y] + random.standard_normal((240, FEATURES))).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=y)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
    torch.save(net.state_dict(), folder / "weights.pt")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def mlp(path: Path, weight: np.ndarray | None = None, opset: int = 18, external: bool = False):
    """An ONNX classifier ``x`` float32 ``[batch, 32]`` → ``logits`` ``[batch, 3]``."""
    random = np.random.default_rng(0)
    first = random.standard_normal((FEATURES, HIDDEN)).astype(np.float32)
    second = random.standard_normal((HIDDEN, CLASSES)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "second"], ["logits"]),
        ],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            numpy_helper.from_array(first if weight is None else weight, "first"),
            numpy_helper.from_array(second, "second"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(
        model,
        path,
        save_as_external_data=external,
        location=f"{path.name}.data",
        size_threshold=0,
    )
    return path
