"""The emulator before the real server, driven by boto3."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from workbench.serving import PlatformOptions, ServerProcess
from workbench.serving.archives import FolderSource
from workbench.serving.front import Front
from workbench.serving.session import running

pytest.importorskip("onnx_server")
boto3 = pytest.importorskip("boto3")

ROOM = 14_000_000
"""Over the empty server: two or three of the six models (4 MB each, and 8 MB free before the first
load), while four callers ask for them."""


def empty_server_bytes(tmp_path: Path) -> int:
    """What a server without models takes here, counted as the server counts it."""
    from tests.server.conftest import running as server

    (tmp_path / "none").mkdir()
    with server(tmp_path, "--multi-model", "--models-dir", str(tmp_path / "none")) as empty:
        rollup = Path(f"/proc/{empty.worker()}/smaps_rollup").read_text()
    return next(int(x.split()[1]) * 1024 for x in rollup.splitlines() if x.startswith("Anonymous"))


@pytest.fixture
def platform(archives: Path, tmp_path: Path) -> Iterator[tuple[ServerProcess, Front]]:
    limit = empty_server_bytes(tmp_path) + ROOM
    environment = {"ONNX_SERVER_MEMORY_LIMIT_BYTES": str(limit)}
    options = PlatformOptions("desk", port=0, environment=environment)
    source = FolderSource(archives)
    with running(None, source, tmp_path / "models", options, threading.Event()) as both:
        yield both


@pytest.fixture
def front(platform: tuple[ServerProcess, Front]) -> Front:
    return platform[1]


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


def test_while_a_worker_is_replaced_only_the_server_is_to_blame(
    platform: tuple[ServerProcess, Front], client: Any
) -> None:
    server, _ = platform
    for number in (0, 1):
        ask(client, number, 1.0)

    def status(number: int) -> int:
        try:
            answer = ask(client, number % 2, 1.0)
        except client.exceptions.ModelError as error:
            return int(error.response["OriginalStatusCode"])
        assert f"{1.0 + number % 2:.1f}" in answer["Body"].read().decode()
        return 200

    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    with ThreadPoolExecutor(4) as pool:
        assert all(s in (200, 0) or s >= 500 for s in pool.map(status, range(40)))
    assert [status(number) for number in (0, 1)] == [200, 200]
