"""What stands between a push and its registry: the network, and plain HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.packaging.registry.fake_registry import FakeRegistry, Fault
from workbench.errors import MissingError, StepError
from workbench.machine import free_port
from workbench.packaging.image.parts import Image
from workbench.packaging.image.registry import parse_reference, push, transport


def test_nobody_listens(image: Image, waits: list[float]) -> None:
    with pytest.raises(MissingError, match="cannot be reached") as caught:
        push(image, f"127.0.0.1:{free_port()}/app:1")
    assert "port" in str(caught.value)
    assert waits == []


def test_no_such_host(image: Image) -> None:
    with pytest.raises(MissingError, match="cannot be reached"):
        push(image, "registry.invalid/app:1")


def test_no_proxy_leads_to_this_machine(
    fake: FakeRegistry, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert push(image, f"{fake.host}/app:1") == image.digest()


def test_a_silent_registry_is_asked_again_and_then_given_up(
    fake: FakeRegistry, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.2)
    fake.faults = [Fault("HEAD", "", wait_s=0.6)]
    assert push(image, f"{fake.host}/app:1") == image.digest()
    fake.faults = [Fault("HEAD", "", wait_s=0.6, times=99)]
    with pytest.raises(StepError, match=r"nothing came within 0\.2 s"):
        push(image, f"{fake.host}/app:1")


def test_plain_http_is_for_this_machine_or_must_be_allowed(
    fake: FakeRegistry, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = fake.host.rpartition(":")[2]
    sent_to: list[str] = []
    original = transport.Transport._check_scheme

    def remember(self: Any, url: str, local: bool) -> None:
        sent_to.append(url)
        original(self, url, local)

    monkeypatch.setattr(transport.Transport, "_check_scheme", remember)
    where = parse_reference(f"0.0.0.0:{port}/app:1")  # this machine, but by no name of loopback
    monkeypatch.setenv("NO_PROXY", "0.0.0.0")
    with pytest.raises((MissingError, StepError)):
        push(image, where)
    assert all(url.startswith("https://") for url in sent_to)
    assert fake.asked == []
    assert push(image, where, insecure=True) == image.digest()
