"""Interleaved rounds: in each round every server once, in another order, one at a time."""

from __future__ import annotations

import datetime
import http.client
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import many
import numpy as np
from environments import machine, why_not
from peers import PEERS
from peers.base import Peer
from plan import MODELS, OURS, Plan
from processes import wait_for_quiet
from reference import bare, raw
from sample_models import Model, text_model, tiny, tiny_answer
from visit import FailedError, Visit, visit

SHARE = 0.7
"""The open loop's rate over a capacity."""
NEAR = 0.1
"""Capacities that differ by less, relative to the larger, give one rate."""
UNSERVED = {"raw": "minilm", "bare": "memory"}
"""What takes its turn among the servers on MiniLM, and for which figure."""
Record = dict[str, Any]
FAILURES = (
    FailedError,
    OSError,
    http.client.HTTPException,
    ValueError,
    KeyError,
    subprocess.CalledProcessError,
)


class Rounds:
    """All rounds of a plan. After each, ``save`` is told the result so far."""

    def __init__(self, plan: Plan, command: str, save: Callable[[Record], None]) -> None:
        self._plan, self._save = plan, save
        self._result: Record = {
            "command": command,
            "date": datetime.date.today().isoformat(),
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "machine": machine(plan.peers),
            "rates": {},
            "failures": {},
            "records": [],
        }
        self._models: dict[str, Model] = {}
        self._right: dict[str, np.ndarray] = {}

    def run(self) -> Record:
        """Rehearse, then measure."""
        for peer in self._plan.peers:
            if why := why_not(peer):
                self._fail(peer, why)
        with tempfile.TemporaryDirectory() as scratch:
            self._make_models(Path(scratch))
            for name in self._chosen():
                self._rehearse(name)
            for number in range(1, self._plan.rounds + 1):
                for name in self._chosen():
                    self._round(number, name)
                if "many" in self._plan.figures and PEERS[OURS] in self._able():
                    self._many(number)
                self._save(self._result)
        return self._result

    def _make_models(self, scratch: Path) -> None:
        small = self._models["tiny"] = tiny(scratch / "tiny")
        self._right["tiny"] = tiny_answer(0)
        if self._plan.of("minilm"):
            model = self._models["minilm"] = text_model(self._plan.minilm, scratch / "minilm")
            self._right["minilm"] = np.asarray(bare(model, small)["answer"])

    def _chosen(self) -> list[str]:
        return [name for name in MODELS if self._plan.of(name)]

    def _rehearse(self, name: str) -> None:
        """Start each server once unmeasured: files get into memory, and capacities are known."""
        capacity: dict[str, float] = {}

        def load(found: Visit) -> None:
            found.closed(self._plan.warm_s)
            capacity[found.peer.name] = found.closed(self._plan.warm_s)["requests_per_s"]

        for peer in self._able():
            if "tail" in self._plan.figures:
                wait_for_quiet(self._plan.wait_s)
            _note(f"rehearsal, {name}: {peer.name}")
            self._attend(peer, name, load)
        self._result["rates"][name] = list(self._plan.rates) or _rates(capacity)

    def _round(self, number: int, name: str) -> None:
        parts: list[Peer | str] = [*self._able()]
        if name == "minilm":
            parts += [part for part, figure in UNSERVED.items() if figure in self._plan.figures]
        first = (number - 1) % max(1, len(parts))
        for part in parts[first:] + parts[:first]:
            wait_for_quiet(self._plan.wait_s)
            _note(f"round {number}, {name}: {part if isinstance(part, str) else part.name}")
            if isinstance(part, Peer):
                self._attend(part, name, lambda found: self._measure(number, name, found))
            elif part == "raw":
                seconds = max(0.5, self._plan.seconds / 4)
                self._record(number, "minilm", "raw", name, raw(self._models[name], seconds))
            else:
                memory = bare(self._models[name], self._models["tiny"])
                self._record(number, "memory", "bare", name, memory)

    def _many(self, number: int) -> None:
        wait_for_quiet(self._plan.wait_s)
        _note(f"round {number}: many models")
        try:
            figures = many.measure(PEERS[OURS], self._plan.seconds, seed=number)
        except FAILURES as error:
            self._fail(PEERS[OURS], f"many models: {error}")
        else:
            self._record(number, "many", OURS, "tiny", figures)

    def _measure(self, number: int, name: str, found: Visit) -> None:
        for figure, figures in self._figures(number, name, found):
            self._record(number, figure, found.peer.name, name, figures)

    def _figures(self, number: int, name: str, found: Visit) -> Iterator[tuple[str, Record]]:
        """One start's figures; a load warms the server up before all but the cold start."""
        chosen, seconds = self._plan.of(name), self._plan.seconds
        if "cold" in chosen:
            yield "cold", {"cold_s": found.cold_s}
        if chosen == ["cold"]:
            return
        fresh = found.memory() if "memory" in chosen else {}
        found.closed(self._plan.warm_s)
        if fresh:
            yield "memory", {**found.memory(), "fresh_bytes": fresh["pss_bytes"]}
        for figure in {"cpu", "minilm"}.intersection(chosen):
            yield figure, found.closed(seconds)
        if "tail" in chosen:
            for rate in self._result["rates"][name]:
                yield "tail", found.open(rate, seconds, seed=number)
        if "ping" in chosen:
            yield "ping", found.pings(self._plan.ping_s)
        found.check()

    def _attend(self, peer: Peer, name: str, work: Callable[[Visit], None]) -> None:
        try:
            with visit(peer, self._models[name], self._right[name]) as found:
                work(found)
        except FAILURES as error:
            self._fail(peer, f"{name}: {error}")

    def _able(self) -> list[Peer]:
        return [peer for peer in self._plan.peers if peer.name not in self._result["failures"]]

    def _fail(self, peer: Peer, why: str) -> None:
        """From now on the server is left out; its row says why."""
        self._result["failures"][peer.name] = why
        _note(f"{peer.name}: {why}")

    def _record(self, number: int, figure: str, server: str, model: str, found: Record) -> None:
        given = {"round": number, "figure": figure, "server": server, "model": model}
        self._result["records"].append({**given, **found})


def _rates(capacity: dict[str, float]) -> list[float]:
    """70 % of the best peer's capacity and of ours, in whole requests per second."""
    best = max((rate for name, rate in capacity.items() if name != OURS), default=0.0)
    ours = capacity.get(OURS, 0.0)
    apart = abs(best - ours) > NEAR * max(best, ours)
    rates = (best, ours) if apart else (max(best, ours),)
    return [float(round(SHARE * rate)) for rate in rates if rate]


def _note(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
