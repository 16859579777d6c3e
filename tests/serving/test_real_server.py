"""The emulator before the real server, driven by boto3."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from workbench.serving import PlatformOptions
from workbench.serving.archives import FolderSource
from workbench.serving.front import Front
from workbench.serving.session import running

pytest.importorskip("onnx_server")
boto3 = pytest.importorskip("boto3")

ROOM = 28_000_000
"""Over the empty server: a few of the six models, not all; each wants 8 MB free before its first
load, and four requests at a time keep four of them (4 MB each) from being unloaded."""


def empty_server_bytes(tmp_path: Path) -> int:
    """What a server without models takes here, counted as the server counts it."""
    from tests.server.conftest import running as server

    (tmp_path / "none").mkdir()
    with server(tmp_path, "--multi-model", "--models-dir", str(tmp_path / "none")) as empty:
        rollup = Path(f"/proc/{empty.worker()}/smaps_rollup").read_text()
    return next(int(x.split()[1]) * 1024 for x in rollup.splitlines() if x.startswith("Anonymous"))


@pytest.fixture
def front(archives: Path, tmp_path: Path) -> Iterator[Front]:
    limit = empty_server_bytes(tmp_path) + ROOM
    options = PlatformOptions(
        "desk", port=0, environment={"ONNX_SERVER_MEMORY_LIMIT_BYTES": str(limit)}
    )
    source = FolderSource(archives)
    with running(None, source, tmp_path / "models", options, threading.Event()) as (_, front):
        yield front


@pytest.fixture
def client(front: Front) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=front.url,
        region_name="eu-west-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )


def ask(client: Any, number: int, value: float) -> Any:
    return client.invoke_endpoint(
        EndpointName="desk",
        ContentType="application/json",
        TargetModel=f"plus-{number}.tar.gz",
        CustomAttributes="trace=7",
        Body=json.dumps({"instances": [[value, value]]}),
    )


def test_every_answer_comes_from_the_model_that_was_asked(front: Front, client: Any) -> None:
    order = random.Random(0)
    calls = [(order.randrange(6), float(order.randrange(100))) for _ in range(120)]

    def right(call: tuple[int, float]) -> bool:
        answer = ask(client, *call)
        return f"{sum(call):.1f}" in answer["Body"].read().decode()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, calls))
    assert front.endpoint.metrics.summary("ModelUnloadingTime")[1] > 0


def test_an_error_of_the_model_reaches_boto3_as_model_error(client: Any) -> None:
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(
            EndpointName="desk",
            ContentType="application/json",
            TargetModel="plus-0.tar.gz",
            Body=b"{",
        )
    assert caught.value.response["OriginalStatusCode"] == 400
    assert "error" in caught.value.response["OriginalMessage"]


def test_custom_attributes_come_back(client: Any) -> None:
    assert ask(client, 1, 1.0)["CustomAttributes"] == "trace=7"
