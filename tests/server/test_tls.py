"""HTTPS, and client certificates where a client CA is set."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.server.models import write_linear

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")

BODY = json.dumps({"instances": [[1, 2, 3, 4]]})


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def keys(tmp_path):
    """``ca.crt``, and ``server`` and ``client`` (.crt and .key) that it signed; ``stranger``."""
    names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    for name in ("ca", "stranger"):
        openssl(tmp_path, *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                f"{name}.crt")  # fmt: skip
    for name in ("server", "client"):
        leaf = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE")
        openssl(tmp_path, *new, "-subj", f"/CN={name}", *names, *leaf, "-keyout", f"{name}.key",
                "-out", f"{name}.crt")  # fmt: skip
    return tmp_path


def invoke(port: int, keys: Path, client: str | None = None) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    if client:
        context.load_cert_chain(keys / f"{client}.crt", keys / f"{client}.key")
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("POST", "/invocations", BODY, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def until_ready(port: int, keys: Path, client: str | None = None) -> tuple[int, bytes]:
    end = time.monotonic() + 20
    while True:
        try:
            status, body = invoke(port, keys, client)
            if status != 503:
                return status, body
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def test_answers_go_over_https(serve, keys):
    server = serve("--model", write_linear(keys / "m"), wait=False,
                   tls_cert=str(keys / "server.crt"), tls_key=str(keys / "server.key"))  # fmt: skip
    assert until_ready(server.port, keys) == (200, b'{"predictions":[[1.0,2.0,3.0,4.0]]}')
    with pytest.raises((OSError, http.client.HTTPException)):
        server.ask("GET", "/ping")


def test_a_client_without_a_certificate_of_the_client_ca_is_refused(serve, keys):
    server = serve("--model", write_linear(keys / "m"), wait=False,
                   tls_cert=str(keys / "server.crt"), tls_key=str(keys / "server.key"),
                   tls_client_ca=str(keys / "ca.crt"))  # fmt: skip
    assert until_ready(server.port, keys, "client")[0] == 200
    for stranger in (None, "stranger"):
        with pytest.raises((OSError, http.client.HTTPException)):
            invoke(server.port, keys, stranger)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"tls_cert": "server.crt"}, "TLS_KEY"),
        ({"tls_cert": "none.crt", "tls_key": "server.key"}, "none.crt"),
        ({"tls_client_ca": "ca.crt"}, "TLS_CERT"),
    ],
)
def test_half_a_tls_setting_ends_the_server_with_the_reason(serve, keys, given, word):
    settings = {name: str(keys / value) for name, value in given.items()}
    server = serve("--model", write_linear(keys / "m"), wait=False, **settings)
    assert server.process.wait(20) == 2
    assert word in server.log.read_text()
