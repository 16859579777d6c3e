"""One start of one server with one model, and its figures while it runs."""

from __future__ import annotations

import http.client
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from load import HOST, Target, closed_loop, open_loop, pings_under_load
from peers.base import Peer
from processes import Server, machine_cpu_s, start
from sample_models import Model

CONNECTIONS = 32
OVERLOAD = 64
START_S = 90.0
POLL_S = 0.01
TOLERANCE = 1e-4


class FailedError(Exception):
    """A server did not start, or gave a wrong answer; the message says what was seen."""


@dataclass
class Visit:
    """A running server that has given its first right answer ``cold_s`` after its start."""

    peer: Peer
    model: Model
    right: np.ndarray
    server: Server
    target: Target
    cold_s: float = 0.0

    def check(self) -> None:
        """The answer to the sample must be right.

        Raises:
            FailedError: it is not.
        """
        got = np.asarray(self.peer.answer(self.target.ask()), np.float64)
        if got.shape != self.right.shape or not np.allclose(
            got, self.right, rtol=0, atol=TOLERANCE
        ):
            raise FailedError(f"wrong answer: {got[:4]} for {self.right[:4]}")

    def closed(self, seconds: float) -> dict[str, Any]:
        """Throughput, latency and CPU time at 32 connections that each wait for their answer.

        ``others_cpus`` is what other processes of the machine used meanwhile, the load generator
        included: it tells whether the machine was quiet.
        """
        machine, before = machine_cpu_s(), self.server.cpu_s()
        load = closed_loop(self.target, CONNECTIONS, seconds)
        spent = self.server.cpu_s() - before
        others = max(0.0, machine_cpu_s() - machine - spent)
        good = load["requests"] - load["refused"]
        self._check_all(good, load)
        return {
            **load,
            "requests_per_s": good / load["seconds"],
            "cpu_ms_per_request": spent * 1e3 / good,
            "others_cpus": others / load["seconds"],
        }

    def open(self, rate: float, seconds: float, seed: int) -> dict[str, Any]:
        """Latency of requests that come at random, ``rate`` a second."""
        return open_loop(self.target, rate, seconds, seed)

    def memory(self) -> dict[str, Any]:
        """Proportional set size of all processes together, after a pause."""
        time.sleep(1.0)
        return {"pss_bytes": self.server.pss_bytes(), "processes": len(self.server.processes())}

    def pings(self, seconds: float) -> dict[str, Any]:
        """Latency of pings while 64 connections wait for slow inferences."""
        body = self.peer.body(self.model.slow)
        slow = Target(self.target.port, self.peer.path, body, self.target.folder)
        return pings_under_load(slow, self.peer.ping, OVERLOAD, seconds)

    def _check_all(self, good: int, load: dict[str, Any]) -> None:
        if good < 0.99 * load["requests"] or not good:
            raise FailedError(f"requests were refused: {load}; log: {self.server.tail()}")

    def _wait_for_answer(self, began: float) -> None:
        last: Exception | None = None
        while time.perf_counter() - began < START_S and self.server.process.poll() is None:
            try:
                self.check()
                self.cold_s = time.perf_counter() - began
                return
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                last = error
            time.sleep(POLL_S)
        raise FailedError(
            f"it ended, or gave no answer within {START_S:.0f} s; last: {last!r}; "
            f"log: {self.server.tail()}"
        )


@contextmanager
def visit(peer: Peer, model: Model, right: np.ndarray) -> Iterator[Visit]:
    """Start a server, wait for its first right answer (asked for every 10 ms), stop it at the end.

    Raises:
        FailedError: it does not start, or answers wrongly.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "server"
        work.mkdir()
        target = Target(port, peer.path, peer.body(model.sample), Path(folder))
        launch = peer.launch(peer.bin, model.folder, port, work)
        began = time.perf_counter()
        server = start(launch, work)
        try:
            found = Visit(peer, model, right, server, target)
            found._wait_for_answer(began)
            yield found
        finally:
            server.stop()


def free_port() -> int:
    """A port that is free, with the two after it; multi-model-server takes none from 32767 up."""
    while True:
        port = random.randrange(20_000, 30_000)
        try:
            for number in (port, port + 1, port + 2):
                with socket.socket() as probe:
                    probe.bind((HOST, number))
        except OSError:
            continue
        return port
