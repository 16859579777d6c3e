"""1,000 tiny models of which 100 are in memory: are answers right, and what do the hits cost?

The models are asked by Zipf's law: the k-th most popular one k times less often than the first.
What is not in memory is loaded at its first call, and the model that was asked longest ago is
unloaded. Each answer is checked against the model that was asked. Then those in memory are asked by
the same law at full load: that throughput, over the one of the same server with a single model, is
the cost of having many. Both get their load from the same generator.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from load import Target, closed_loop, ping
from peers.base import Launch, Peer, instances_body
from processes import Server, start
from residents import Client, Residents
from sample_models import ROW, Model, tiny, tiny_answer
from traffic import Zipf, right, traffic
from visit import CONNECTIONS, FailedError, free_port, visit

MODELS = 1000
RESIDENT = 100
CLIENTS = 8
PICKS = 20_000
START_S = 30.0
WARM_S = 2.0


def measure(peer: Peer, seconds: float, seed: int) -> dict[str, Any]:
    """The figures of one round; odd and even rounds take the two servers in another order.

    Raises:
        FailedError: a server does not start, or a model in memory answers wrongly.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        models = [tiny(folder / "models" / _name(number), number) for number in range(MODELS)]
        if seed % 2:
            single, many = _single(peer, models[0], seconds), _many(peer, folder, seconds, seed)
        else:
            many, single = _many(peer, folder, seconds, seed), _single(peer, models[0], seconds)
    ratio = many["hits"]["requests_per_s"] / single["requests_per_s"]
    return {**many, "single": single, "hits_over_single": ratio}


def _single(peer: Peer, model: Model, seconds: float) -> dict[str, Any]:
    with visit(peer, model, tiny_answer(0)) as found:
        found.closed(min(WARM_S, seconds))
        return found.closed(seconds)


def _many(peer: Peer, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    port, work, body = free_port(), folder / "server", instances_body(ROW)
    work.mkdir()
    command = ["--multi-model", "--models-dir", str(folder / "models"), "--port", str(port)]
    server = start(Launch([str(peer.bin / "onnx-server"), *command]), work)
    try:
        _wait(port, server)
        residents = Residents(port, folder / "models", RESIDENT)
        names = [_name(number) for number in range(MODELS)]
        told = traffic(residents, port, names, body, CLIENTS, seconds, seed)
        loaded = residents.names()
        _check(port, loaded, body)
        zipf = Zipf(len(loaded), seed)
        paths = [f"/models/{loaded[zipf.draw()]}/invoke" for _ in range(PICKS)]
        target = Target(port, paths[0], body, folder)
        closed_loop(target, CONNECTIONS, min(WARM_S, seconds), paths)
        hits = _hits(target, server, paths, seconds)
        _check(port, loaded, body)
    finally:
        server.stop()
    return {"models": MODELS, "resident": len(loaded), "traffic": told, "hits": hits}


def _hits(target: Target, server: Server, paths: list[str], seconds: float) -> dict[str, Any]:
    before = server.cpu_s()
    load = closed_loop(target, CONNECTIONS, seconds, paths)
    spent = server.cpu_s() - before
    if load["refused"] or load["broken"]:
        raise FailedError(f"models in memory refused: {load}; log: {server.tail()}")
    return {
        **load,
        "requests_per_s": load["requests"] / load["seconds"],
        "cpu_ms_per_request": spent * 1e3 / load["requests"],
    }


def _check(port: int, loaded: list[str], body: bytes) -> None:
    """Every model in memory gives its own answer."""
    client = Client(port)
    for name in loaded:
        status, content = client.call("POST", f"/models/{name}/invoke", body)
        if status != 200 or not right(content, tiny_answer(_number(name))):
            raise FailedError(f"wrong answer of {name}: {status} {content[:300]!r}")


def _wait(port: int, server: Server) -> None:
    end = time.monotonic() + START_S
    while ping(port, "/ping") is None:
        if time.monotonic() > end or server.process.poll() is not None:
            raise FailedError(f"the server of many models does not start: {server.tail()}")
        time.sleep(0.02)


def _name(number: int) -> str:
    return f"tiny-{number:04}"


def _number(name: str) -> int:
    return int(name.removeprefix("tiny-"))
