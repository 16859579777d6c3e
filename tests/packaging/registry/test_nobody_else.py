"""Credentials go to the registry that they are for, and nowhere else; TLS, a proxy, and ECR."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from tests.packaging.registry.cutting_proxy import CuttingProxy
from tests.packaging.registry.fake_registry import FakeRegistry, Fault
from tests.packaging.registry.registries import need_program
from workbench.errors import InputError, MissingError, StepError
from workbench.packaging.image.parts import Image
from workbench.packaging.image.registry import Credentials, pull, push, transport

ME = Credentials("me", "pw")
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def stranger() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


def test_another_host_gets_the_request_but_no_credentials(
    fake: FakeRegistry, stranger: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    push(image, f"{fake.host}/app:1")
    fake.authorize = lambda header: header == ME.basic
    fake.blob_location = f"http://{stranger.host}/v2/elsewhere/blobs"
    stranger.blobs = dict(fake.blobs)
    pulled = pull(f"{fake.host}/app:1", tmp_path / "pulled", credentials=ME)
    assert pulled.digest() == image.digest()
    assert stranger.count("GET") == 3
    assert not any(asked.authorization for asked in stranger.asked)


def test_another_host_that_asks_for_credentials_gets_none(
    fake: FakeRegistry, stranger: FakeRegistry, image: Image, tmp_path: Path
) -> None:
    push(image, f"{fake.host}/app:1")
    fake.authorize = lambda header: header == ME.basic
    fake.blob_location = f"http://{stranger.host}/v2/elsewhere/blobs"
    stranger.authorize = lambda header: False
    with pytest.raises(StepError, match="sends us to pull a layer, answers 401"):
        pull(f"{fake.host}/app:1", tmp_path / "pulled", credentials=ME)
    assert not any(asked.authorization for asked in stranger.asked)


def test_an_upload_that_is_sent_elsewhere_goes_without_credentials(
    fake: FakeRegistry, stranger: FakeRegistry, image: Image
) -> None:
    fake.authorize = lambda header: header == ME.basic
    stranger.uploads["there"] = bytearray()
    where = {"Location": f"http://{stranger.host}/v2/x/blobs/uploads/there"}
    fake.faults = [Fault("POST", "", status=202, headers=where)]
    stranger.authorize = lambda header: False
    with pytest.raises(StepError, match="sends us to push a layer, answers 401"):
        push(image, f"{fake.host}/app:1", credentials=ME)
    assert stranger.asked
    assert not any(asked.authorization for asked in stranger.asked)


def test_an_upload_follows_only_redirects_that_keep_its_method(
    fake: FakeRegistry, stranger: FakeRegistry, image: Image
) -> None:
    where = {"Location": f"http://{stranger.host}/v2/app/blobs/uploads/"}
    fake.faults = [Fault("POST", "", status=301, headers=where)]
    with pytest.raises(StepError, match="fails to push a layer: 301"):
        push(image, f"{fake.host}/app:1")
    assert stranger.asked == []


def test_redirects_end(fake: FakeRegistry, image: Image) -> None:
    fake.other = lambda asked: (307, {"Location": asked.path}, b"")
    with pytest.raises(StepError, match="redirects more than 5 times"):
        push(image, f"{fake.host}/app:1")


# TLS, a proxy, and ECR


@pytest.fixture
def behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, Path]]:
    """A fake registry with ECR's name, which only an HTTPS proxy leads to."""
    need_program("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    names = ["-addext", f"subjectAltName=DNS:{ECR}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words, *names, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    fake = FakeRegistry().start(tls)
    with fake, CuttingProxy(fake.host, []) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield fake, proxy, certificate


def test_ecrs_token_reaches_ecr_through_tls_and_a_proxy(
    behind_tls: tuple[FakeRegistry, CuttingProxy, Path],
    image: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, proxy, certificate = behind_tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    own = Credentials("AWS", "123456789012-auth-token").basic
    fake.authorize = lambda header: header == own
    with mock_aws():
        assert push(image, f"{ECR}/team/app:1", create=True) == image.digest()
        assert pull(f"{ECR}/team/app:1", tmp_path / "pulled").digest() == image.digest()
        import boto3

        client = boto3.client("ecr", region_name="eu-west-1")
        assert client.describe_repositories()["repositories"][0]["repositoryName"] == "team/app"
    assert set(proxy.connects) == {f"{ECR}:443"}


@pytest.mark.usefixtures("behind_tls")
def test_a_certificate_that_nobody_trusts_is_refused(image: Image) -> None:
    with pytest.raises(MissingError, match="is not trusted") as caught:
        push(image, f"{ECR}/app:1", credentials=ME)
    assert "SSL_CERT_FILE" in str(caught.value)


def test_a_redirect_to_plain_http_or_to_this_machine_is_refused(
    behind_tls: tuple[FakeRegistry, CuttingProxy, Path],
    image: Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, _, certificate = behind_tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for where, message in (
        (f"http://{ECR}/v2/", "anybody on the way can read"),
        ("http://127.0.0.1:9/v2/", "on this machine"),
        ("https://localhost/v2/", "on this machine"),
    ):
        fake.other = lambda asked, where=where: (307, {"Location": where}, b"")  # type: ignore[misc]
        with pytest.raises(InputError, match=message):
            push(image, f"{ECR}/app:1", credentials=ME)


def test_a_token_service_on_this_machine_is_not_for_registries_elsewhere(
    behind_tls: tuple[FakeRegistry, CuttingProxy, Path],
    stranger: FakeRegistry,
    image: Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, _, certificate = behind_tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    fake.authorize = lambda header: False
    fake.challenge = f'Bearer realm="http://{stranger.host}/token"'
    with pytest.raises(StepError, match="names no place to get a token from"):
        push(image, f"{ECR}/app:1", credentials=ME)
    assert stranger.asked == []


def test_a_registry_without_tls_is_told_from_one_with(
    fake: FakeRegistry, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "is_loopback", lambda host: False)
    with pytest.raises((MissingError, StepError), match="does not speak TLS"):
        push(image, f"{fake.host}/app:1")
