"""Routing, eviction and limits of the platform's emulator, against a stub of the container."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.stub import StubContainer
from workbench.serving.answers import ApiError
from workbench.serving.archives import FolderSource
from workbench.serving.container import Container
from workbench.serving.platform import TARGET, Endpoint, Limits
from workbench.serving.portfolio import Portfolio, Slot


def make_endpoint(
    stub: StubContainer, archives: Path, folder: Path, invoke_s: float = 10.0, cached: bool = True
) -> Endpoint:
    container = Container("127.0.0.1", stub.port)
    portfolio = Portfolio(container, FolderSource(archives), folder, cached=cached)
    return Endpoint("e", container, portfolio, Limits(invoke_s=invoke_s, payload_bytes=100))


def ask(endpoint: Endpoint, number: int, body: bytes = b"1") -> str:
    answer = endpoint.invoke(body, {TARGET: f"plus-{number}.tar.gz"})
    return str(json.loads(answer.body)["model"])


def name(number: int) -> str:
    return Slot(f"plus-{number}.tar.gz").name


def test_the_least_recently_used_model_is_evicted_on_507(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=2)
    endpoint = make_endpoint(stub, archives, tmp_path)
    assert [ask(endpoint, n) for n in (0, 1, 0, 2)] == [name(n) for n in (0, 1, 0, 2)]
    assert stub.unloads == [name(1)]
    assert endpoint.metrics.summary("ModelCacheHit") == (1.0, 4)
    assert "LoadedModelCount{" in endpoint.metrics.render()


def test_concurrent_first_calls_load_a_model_once(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=2, load_s=0.2)
    endpoint = make_endpoint(stub, archives, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(endpoint, 3), range(8))) == {name(3)}
    assert stub.loads == [name(3)]


def test_a_model_too_large_for_an_empty_container_is_a_model_error_507(
    archives: Path, tmp_path: Path
) -> None:
    endpoint = make_endpoint(StubContainer(budget=0), archives, tmp_path)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0)
    assert (caught.value.kind, caught.value.body["OriginalStatusCode"]) == ("ModelError", 507)


def test_a_model_that_still_loads_is_not_ready_and_is_later(archives: Path, tmp_path: Path) -> None:
    endpoint = make_endpoint(StubContainer(budget=1, load_s=0.6), archives, tmp_path, invoke_s=0.3)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0)
    assert caught.value.kind == "ModelNotReadyException"
    import time

    time.sleep(0.8)
    assert ask(endpoint, 0) == name(0)


def test_an_answer_after_the_limit_is_a_model_error(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1, invoke_s=1.0)
    endpoint = make_endpoint(stub, archives, tmp_path, invoke_s=0.3)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0)
    assert caught.value.kind == "ModelError"
    assert "timed out" in caught.value.body["OriginalMessage"]


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
    assert stub.unloads == [name(0), name(0)]
    assert stub.models == {}


def test_only_the_contracts_headers_reach_the_container(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path)
    given = {TARGET: "plus-0.tar.gz", "x-amzn-sagemaker-inference-id": "i", "authorization": "no"}
    endpoint.invoke(b"1", given)
    assert stub.seen["x-amzn-sagemaker-inference-id"] == "i"
    assert "authorization" not in stub.seen


@pytest.mark.parametrize(
    "target", ["../plus-0.tar.gz", "/plus-0.tar.gz", "none.tar.gz", "plus-0.zip", ""]
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
