"""Routing, limits and errors of the platform's emulator, against a stub of the container."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.endpoints import ask, eventually, make_endpoint, name
from tests.serving.stub import StubContainer
from workbench.serving.answers import ApiError
from workbench.serving.platform import TARGET


def test_a_model_that_still_loads_is_not_ready_and_is_later(archives: Path, tmp_path: Path) -> None:
    endpoint = make_endpoint(StubContainer(budget=1, load_s=0.6), archives, tmp_path, invoke_s=0.3)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0)
    assert caught.value.kind == "ModelNotReadyException"
    time.sleep(0.8)
    assert ask(endpoint, 0) == name(0)


@pytest.mark.parametrize("body", [b"1", b"drip"])
def test_an_answer_that_is_not_whole_at_the_limit_is_a_model_error(
    archives: Path, tmp_path: Path, body: bytes
) -> None:
    stub = StubContainer(budget=1, invoke_s=1.0 if body == b"1" else 0.0)
    endpoint = make_endpoint(stub, archives, tmp_path, invoke_s=0.3)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0, body)
    assert (caught.value.kind, caught.value.status) == ("ModelError", 424)
    assert caught.value.body["OriginalStatusCode"] == 0
    assert "timed out" in caught.value.body["OriginalMessage"]
    assert 'Invocation5XXErrors{endpoint="e"} 1' in endpoint.metrics.render()


def test_a_container_that_hangs_up_is_a_model_error_of_the_server(
    archives: Path, tmp_path: Path
) -> None:
    endpoint = make_endpoint(StubContainer(budget=1), archives, tmp_path)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0, b"die")
    assert (caught.value.kind, caught.value.body["OriginalStatusCode"]) == ("ModelError", 0)
    assert "server error" in str(caught.value)


def test_a_containers_error_is_passed_on_in_at_most_2048_characters(
    archives: Path, tmp_path: Path
) -> None:
    endpoint = make_endpoint(StubContainer(budget=1), archives, tmp_path)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0, b"bad")
    assert caught.value.body["OriginalStatusCode"] == 400
    assert len(caught.value.body["OriginalMessage"]) == 2048


def test_without_a_cache_a_model_is_unloaded_after_its_call(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path, cached=False)
    ask(endpoint, 0)
    ask(endpoint, 0)
    assert eventually(lambda: stub.unloads == [name(0), name(0)])
    assert stub.models == {}


def test_only_the_contracts_headers_reach_the_container(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path)
    given = {TARGET: "plus-0.tar.gz", "x-amzn-sagemaker-inference-id": "i", "authorization": "no"}
    endpoint.invoke(b"1", given)
    assert stub.seen["x-amzn-sagemaker-inference-id"] == "i"
    assert "authorization" not in stub.seen


@pytest.mark.parametrize(
    "target",
    [
        "../plus-0.tar.gz",
        "/plus-0.tar.gz",
        "none.tar.gz",
        "plus-0.zip",
        f"{'x' * 300}.tar.gz",
        "a\0.tar.gz",
        "",
    ],
)
def test_a_target_that_is_no_archive_of_the_folder_is_refused(
    archives: Path, tmp_path: Path, target: str
) -> None:
    endpoint = make_endpoint(StubContainer(budget=1), archives, tmp_path)
    with pytest.raises(ApiError) as caught:
        endpoint.invoke(b"1", {TARGET: target})
    assert caught.value.kind == "ValidationError"


def test_a_model_that_the_container_lost_is_loaded_again(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path)
    ask(endpoint, 0)
    stub.models.clear()
    assert ask(endpoint, 0) == name(0)


def test_a_model_that_a_new_worker_still_loads_is_awaited(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path)
    ask(endpoint, 0)
    stub.reloading, stub.models = stub.models, {}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, endpoint, 0)
        time.sleep(0.2)
        assert not answer.done()
        stub.reloading, stub.models = {}, stub.reloading
        assert answer.result(5) == name(0)


def test_a_fault_while_loading_is_an_internal_failure_and_no_loaded_model(
    archives: Path, tmp_path: Path
) -> None:
    class Broken:
        def unpack(self, target: str, folder: Path) -> None:
            raise KeyError(target)

    endpoint = make_endpoint(StubContainer(budget=1), archives, tmp_path, source=Broken())
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            ask(endpoint, 0)
        assert caught.value.kind == "InternalFailure"
    assert 'LoadedModelCount{endpoint="e"} 0' in endpoint.metrics.render()
