"""Every clause of the hosting contract against our own server; and a wrong server is found out."""

from __future__ import annotations

import http.server
import os
import threading

import pytest

from tests.server.conftest import running
from tests.server.models import write_linear
from workbench.conformance import Result, check
from workbench.conformance.samples import sample_from_option
from workbench.conformance.targets import Options, open_target

SINGLE = ("C11", "C12", "C13", "C14", "C15", "C16", "C18", "C19", "C20", "C21", "C29")
MULTI = ("C9", "C11", "C16", "C22", "C23", "C24", "C29")


def _results(url: str, options: Options) -> dict[str, Result]:
    with open_target(url, options) as subject:
        return {result.clause: result for result in check(subject)}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    (folder / "x.json").write_text('{"instances": [[1.0, 2.0, 3.0, 4.0]]}')
    (folder / "x.jsonl").write_text("[1.0, 2.0, 3.0, 4.0]\n")
    kinds = ("x.json:application/json", "x.jsonl:application/jsonlines")
    return tuple(sample_from_option(f"{folder}/{kind}") for kind in kinds)


@pytest.fixture(scope="module")
def single(tmp_path_factory, samples):
    """Results of a server with one model; of any server with CONFORMANCE_URL set."""
    if url := os.environ.get("CONFORMANCE_URL"):
        yield _results(url, Options(samples=samples))
        return
    folder = tmp_path_factory.mktemp("single")
    with running(folder, "--model", str(write_linear(folder / "linear"))) as server:
        yield _results(f"http://127.0.0.1:{server.port}", Options(samples=samples))


@pytest.fixture(scope="module")
def multi(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("multi")
    for factor in (2, 3):
        write_linear(folder / "models" / f"m{factor}", factor=factor)
    arguments = ("--multi-model", "--models-dir", str(folder / "models"))
    with running(folder, *arguments) as server:
        options = Options(samples=samples, models=folder / "models")
        yield _results(f"http://127.0.0.1:{server.port}", options)


def test_the_table_has_every_clause(single):
    assert sorted(single, key=lambda c: int(c[1:])) == [f"C{i}" for i in range(1, 31)]


def test_a_clause_that_was_not_tested_says_why(single, multi):
    for result in (*single.values(), *multi.values()):
        assert result.outcome != "not tested" or result.detail


@pytest.mark.parametrize("clause", SINGLE)
def test_a_server_with_one_model_meets(single, clause):
    assert single[clause].outcome == "pass", single[clause].detail


@pytest.mark.parametrize("clause", MULTI)
def test_a_server_with_many_models_meets(multi, clause):
    assert multi[clause].outcome == "pass", multi[clause].detail


class _Wrong(http.server.BaseHTTPRequestHandler):
    """Answers everything with 500 and a traceback, but for a /ping with a body."""

    def _answer(self) -> None:
        body = b"pong" if self.path == "/ping" else b'Traceback (most recent call last): File "x"'
        self.send_response(200 if self.path == "/ping" else 500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing: the test reads no log."""


def test_a_wrong_server_fails_the_clauses_that_it_breaks(samples):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Wrong)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        results = _results(
            f"http://127.0.0.1:{server.server_port}", Options(mode="single", samples=samples)
        )
    finally:
        server.shutdown()
    for clause in ("C11", "C16", "C19"):
        assert results[clause].outcome == "fail", results[clause]
