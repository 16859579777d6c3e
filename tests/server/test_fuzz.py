"""Whatever is sent, the server lives, says why it refuses, and answers the next request rightly.

``FUZZ_EXAMPLES`` says how many inputs are sent (default 3,000); with it they differ in every run.
``pytest -s`` prints what was answered.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.server.conftest import running
from tests.server.hostile import kinds
from tests.server.hostile.client import Client, table
from tests.server.hostile.surfaces import SURFACES, WEIGHT

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3000"))


class Fleet:
    """A server for each kind of model, started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stack = folder, ExitStack()
        self.clients: dict[str, Client] = {}

    def client(self, kind: str) -> Client:
        if kind not in self.clients:
            self.clients[kind] = self._many() if kind == "many" else self._one(kind)
        return self.clients[kind]

    def _one(self, kind: str) -> Client:
        good = getattr(kinds, kind)(self.folder / kind)
        server = self.stack.enter_context(running(self.folder, "--model", str(self.folder / kind)))
        return Client(server, good)

    def _many(self) -> Client:
        models = self.folder / "models"
        good = kinds.numbers(models / "m")
        kinds.numbers(models / "other")
        (models / "broken").mkdir()
        (models / "broken" / "model.onnx").write_bytes(b"none")
        server = self.stack.enter_context(
            running(self.folder, "--multi-model", "--models-dir", str(models))
        )
        server.json("POST", "/models", {"model_name": "m", "url": "m"})
        return Client(server, good, "/models/m/invoke")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("fuzz"))
    with fleet.stack:
        yield fleet
        print(f"\n{table(fleet.clients)}")
        for client in fleet.clients.values():
            client.close()


@pytest.mark.parametrize(
    ("kind", "make", "weight"), [pytest.param(*s, id=f"{s[0]}-{s[1].__name__}") for s in SURFACES]
)
def test_hostile_requests_are_answered_and_leave_the_server_as_it_was(fleet, kind, make, weight):
    client = fleet.client(kind)

    @settings(
        max_examples=-(-EXAMPLES * weight // WEIGHT),
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def fire(draw: random.Random) -> None:
        client.fire(f"{kind} {make.__name__}", make(draw, kind))

    fire()
    client.check_alive()
