"""What should not be in an image is found, in whichever layer; what may be there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.packaging.image.parts import Image
from workbench.packaging.image.scan import Allowance, Finding, scan
from workbench.packaging.image.tar_layer import Entries, File, Folder, Link, write_layer

KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEA0" * 9 + b"\n"
SITE = "usr/local/lib/python3.11/dist-packages"


def found(tmp_path: Path, *layers: Entries, allowed: tuple[Allowance, ...] = ()) -> list[Finding]:
    made = tuple(write_layer(f"l{n}", layer, tmp_path) for n, layer in enumerate(layers))
    return scan(Image(b"{}", made), allowed)


@pytest.mark.parametrize(
    ("path", "content", "rule"),
    [
        (f"{SITE}/numpy/tests/test_x.py", b"", "tests"),
        (f"{SITE}/x/__pycache__/test_x.cpython-311.pyc", b"", "tests"),
        ("root/.cache/pip/http/a", b"", "cache"),
        ("root/.cache/uv/a", b"", "cache"),
        ("var/cache/apt/pkgcache.bin", b"", "cache"),
        ("var/lib/apt/lists/x_Packages", b"", "cache"),
        (f"{SITE}/pip/__init__.py", b"", "cache"),
        ("usr/bin/gcc-12", b"", "compiler"),
        ("usr/bin/x86_64-linux-gnu-g++", b"", "compiler"),
        ("usr/local/bin/cargo", b"", "compiler"),
        ("opt/app/.git/HEAD", b"", "history"),
        ("opt/app/.env", b"", "settings"),
        ("opt/app/.env.production", b"", "settings"),
        ("root/.pypirc", b"", "settings"),
        ("opt/key.pem", KEY, "private-key"),
        ("opt/id", KEY.replace(b"RSA", b"OPENSSH"), "private-key"),
        ("opt/id", KEY.replace(b"RSA ", b""), "private-key"),
        ("opt/config.py", b"k = 'AKIAQWERTYUIOPASDFGH'", "access-key"),
        ("opt/credentials", b"aws_secret_access_key = " + b"a1/+" * 10, "access-key"),
    ],
)
def test_it_is_found(tmp_path, path, content, rule):
    assert found(tmp_path, {path: File(content)}) == [Finding(rule, path, "l0")]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("usr/lib/python3.11/unittest/case.pyc", b""),
        (f"{SITE}/numpy/testing/x.pyc", b""),
        ("usr/bin/python3.11", b""),
        ("opt/ml/model/model.onnx", b""),
        ("usr/lib/libcrypto.so.3", b"-----BEGIN RSA PRIVATE KEY-----\0-----END"),
        ("etc/ssl/certs/ca-certificates.crt", b"-----BEGIN CERTIFICATE-----\n" + b"MII" * 99),
        (f"{SITE}/aws/examples.json", b"AKIAIOSFODNN7EXAMPLE"),
        ("opt/ml/model/tokenizer.json", b'"XAKIAQWERTYUIOPASDFGHZ"'),
        ("opt/environment", b""),
        ("usr/share/doc/gcc-12-base/copyright", b""),
    ],
)
def test_it_may_be_there(tmp_path, path, content):
    assert found(tmp_path, {path: File(content)}) == []


def test_setuid_is_found_and_the_sticky_bit_is_not(tmp_path):
    entries = {"usr/bin/su": File(b"", 0o4755), "usr/bin/wall": File(b"", 0o2755)}
    layer = {**entries, "tmp": Folder(0o1777), "bin": Link("usr/bin")}
    assert [(f.rule, f.path) for f in found(tmp_path, layer)] == [
        ("setuid", "usr/bin/su"),
        ("setuid", "usr/bin/wall"),
    ]
    allowed = (Allowance("setuid", "usr/bin/*", "Debian's own"),)
    assert found(tmp_path, layer, allowed=allowed) == []


def test_what_a_later_layer_removes_is_still_there(tmp_path):
    (finding,) = found(tmp_path, {"opt/key": File(KEY)}, {"opt/.wh.key": File(b"")})
    assert str(finding) == "opt/key: a private key (layer 'l0')"
