"""What onnxruntime refuses while it runs is the client's fault where the values are at fault."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_server.errors import BadRequest, ModelError
from onnx_server.manifest import read_manifest
from onnx_server.model import _failure, load

from tests.server.hostile import kinds

PREFIX = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running X node. "


class Fail(Exception):  # noqa: N818
    """onnxruntime has a class of this name, and no base for its classes."""


@pytest.fixture
def model(tmp_path):
    kinds.ids(tmp_path / "ids")
    return load(read_manifest(tmp_path / "ids"), threads=1, device="cpu", max_batch=4)


@pytest.mark.parametrize("wrong", [6, 10**9, -7, -(2**63)])
def test_an_id_beyond_the_vocabulary_is_a_bad_request(model, wrong):
    with pytest.raises(BadRequest, match=r"cannot take these values: .*out of data bounds"):
        model.run({"ids": np.array([[1, wrong]])})
    assert model.run({"ids": np.array([[1, 5]])})["y"].tolist() == [[12.0, 14.0]]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("/src/ops.h:5 void f(int) axis == 1 was false. Attempting to broadcast 3 by 4",
         "Attempting to broadcast 3 by 4"),
        ("/src/gather.cc:150 Out of range value in index tensor", "Out of range value in index"),
        ("matmul_helper.h:59 Compute MatMul dimension mismatch", "Compute MatMul dimension"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_a_bad_request_without_source_files(status, reason):
    failure = _failure(Fail(f"{PREFIX}Name:'n' Status Message: {status}"))
    assert isinstance(failure, BadRequest)
    assert failure.message.startswith(f"The model cannot take these values: {reason}")


@pytest.mark.parametrize(
    "status", ["a.cc:1 Failed to allocate memory for requested buffer of size 9", "CUDA error 700"]
)
def test_anything_else_is_the_models_failure(status):
    assert isinstance(_failure(Fail(f"{PREFIX}Name:'n' Status Message: {status}")), ModelError)


def test_more_rows_than_may_be_batched_run_in_parts(model, monkeypatch):
    assert model.batches
    ran = []
    run = model._run
    monkeypatch.setattr(model, "_run", lambda feed: ran.append(len(feed["ids"])) or run(feed))
    ids = np.arange(22).reshape(11, 2) % 6
    outputs = model.run({"ids": ids})["y"]
    assert ran == [4, 4, 3]
    alone = [run({"ids": row[None]})["y"] for row in ids]
    np.testing.assert_array_equal(outputs, np.concatenate(alone))
