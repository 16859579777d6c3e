"""How much memory is kept free before a model is loaded."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
from onnx_server import limits
from onnx_server.errors import InsufficientMemory
from onnx_server.memory import Memory


@dataclass
class Process:
    """Memory of a process that never was, in bytes, and its clock."""

    held: int = 100
    peak: int = 100
    now: float = 0.0

    def take(self, amount: int, *, for_a_moment: int = 0) -> None:
        self.peak = max(self.peak, self.held + amount + for_a_moment)
        self.held += amount

    def reset(self) -> bool:
        self.peak = self.held
        return True


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    made = Process()
    monkeypatch.setattr(limits, "resident_bytes", lambda: made.held)
    monkeypatch.setattr(limits, "peak_bytes", lambda: made.peak)
    monkeypatch.setattr(limits, "reset_peak", made.reset)
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


def load(memory: Memory, process: Process, held: int = 20, beyond: int = 15) -> int:
    before = memory.open("model", file_bytes=20)
    process.take(held, for_a_moment=beyond)
    return memory.close("model", before)


def test_a_model_is_charged_what_it_holds(process: Process) -> None:
    assert load(Memory(1000), process) == 20


def test_a_known_model_is_refused_where_the_peak_of_its_load_does_not_fit(process: Process) -> None:
    memory = Memory(154)
    load(memory, process)
    with pytest.raises(InsufficientMemory, match="needs about"):
        load(memory, process)  # 120 held, 35 at the peak, of 154
    process.take(-20)
    memory.forget()
    load(memory, process)


def test_an_unknown_model_needs_twice_its_file(process: Process) -> None:
    with pytest.raises(InsufficientMemory):
        Memory(139).open("model", file_bytes=20)
    assert Memory(140).open("model", file_bytes=20) == 100


def test_room_is_kept_for_what_requests_took(process: Process) -> None:
    memory = Memory(180)
    load(memory, process)
    process.take(0, for_a_moment=30)  # requests
    with pytest.raises(InsufficientMemory, match="for requests"):
        load(memory, process)


def test_what_requests_took_once_is_forgotten_by_and_by(process: Process) -> None:
    memory = Memory(180)
    load(memory, process)
    process.take(0, for_a_moment=50)
    refused = 0
    while True:
        try:
            load(memory, process)
        except InsufficientMemory:
            process.now += 30
            refused += 1
        else:
            break
    assert 1 <= refused <= 3


def test_a_load_that_failed_does_not_count_as_a_request(process: Process) -> None:
    memory = Memory(1000)
    memory.open("model", file_bytes=20)
    process.take(0, for_a_moment=880)
    memory.abandon()
    load(memory, process)


def test_a_model_that_takes_more_than_was_free_is_refused_afterwards(process: Process) -> None:
    memory = Memory(150)
    with pytest.raises(InsufficientMemory, match="takes"):
        load(memory, process, held=60)


def test_without_peaks_what_models_hold_still_counts(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "reset_peak", lambda: False)
    memory = Memory(141)
    load(memory, process)
    load(memory, process)
    with pytest.raises(InsufficientMemory):
        load(memory, process)


def test_the_peak_is_measured_and_begins_again() -> None:
    # In a process of its own: in this one the allocator may keep what another test freed.
    code = """
import numpy as np
from onnx_server import limits
assert limits.reset_peak()
before = limits.resident_bytes()
np.ones(60 << 20, np.uint8).sum()
first = limits.peak_bytes() - before
limits.trim()
assert limits.reset_peak()
print(first >> 20, (limits.peak_bytes() - before) >> 20)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    first, again = map(int, done.stdout.split())
    assert first >= 55
    assert again < 20


def test_what_requests_take_while_a_model_loads_is_theirs(process: Process) -> None:
    memory = Memory(200)
    load(memory, process)
    load(memory, process, beyond=15 + 40)  # requests run beside the load
    with pytest.raises(InsufficientMemory, match="for requests"):
        load(memory, process)  # 140 held, 35 at the peak, 40 for requests, of 200


def test_a_model_alone_is_loaded_though_its_peak_does_not_fit(process: Process) -> None:
    memory = Memory(144)
    load(memory, process, beyond=30)
    process.take(-20)
    memory.forget()
    with pytest.raises(InsufficientMemory):
        memory.open("model", file_bytes=20)
    assert memory.open("model", file_bytes=20, alone=True) == 100
