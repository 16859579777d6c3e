"""Debian packages: read without trust, fetched by lock, and the lock renewed from a mirror."""

from __future__ import annotations

import contextlib
import hashlib
import json
import lzma
import os
import subprocess
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.packaging.makers import link, write_deb
from workbench.errors import CorruptError, InputError, MissingError
from workbench.packaging.image import debian_index, debs, download
from workbench.packaging.image.debian import (
    DebianLock,
    LockedDeb,
    archive_url,
    fetch_deb,
    lock_path,
    read_lock,
)
from workbench.packaging.image.debian_index import INDEX, compare, renew
from workbench.packaging.image.debs import merged, read_deb, resolve
from workbench.packaging.image.tar_layer import File, Folder, Link

MEMBERS = (("./usr/lib/libthing.so.1.2", b"code"), ("./usr/share/doc/thing/copyright", b"free"))


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
def test_a_package_is_read(tmp_path, packed):
    path = write_deb(
        tmp_path / "t.deb",
        [*MEMBERS, link("./usr/lib/libthing.so.1", "libthing.so.1.2"), link("./usr/x", "", b"5")],
        packed=packed,
    )
    deb = read_deb(path)
    assert deb.fields["Version"] == "1:2.0-3"
    assert deb.entries["usr/share/doc/thing/copyright"] == File(b"free")
    assert deb.entries["usr/lib/libthing.so.1"] == Link("libthing.so.1.2")
    assert isinstance(deb.entries["usr/x"], Folder)


def test_links_are_followed_within_the_image(tmp_path):
    entries = read_deb(
        write_deb(
            tmp_path / "t.deb",
            [
                *MEMBERS,
                link("./usr/lib/a", "/usr/lib/b"),
                link("./usr/lib/b", "../lib/libthing.so.1.2"),
                link("./usr/lib/hard", "./usr/lib/libthing.so.1.2", tarfile.LNKTYPE),
                link("./usr/lib/c", "d"),
                link("./usr/lib/d", "c"),
                link("./usr/lib/e", "/lib/libthing.so.1.2"),
            ],
        )
    ).entries
    for name in ("a", "b", "hard", "e"):
        assert resolve(entries, f"usr/lib/{name}") == File(b"code")
    assert resolve(entries, "usr/lib/absent") is None
    with pytest.raises(CorruptError, match="circle"):
        resolve(entries, "usr/lib/c")


@pytest.mark.parametrize(
    "member",
    [
        ("../../etc/passwd", b""),
        ("/etc/passwd", b""),
        ("./a/../../b", b""),
        link("./a", "../outside"),
        link("./usr/a", "../../outside"),
        link("./a", "./absent", tarfile.LNKTYPE),
        link("./dev/sda", "", tarfile.BLKTYPE),
        link("./dev/tty", "", tarfile.CHRTYPE),
        link("./pipe", "", tarfile.FIFOTYPE),
    ],
)
def test_what_no_library_package_holds_is_refused(tmp_path, member):
    with pytest.raises(CorruptError):
        read_deb(write_deb(tmp_path / "t.deb", [member]))


def test_setuid_is_not_taken_over(tmp_path):
    info = tarfile.TarInfo("./usr/bin/su")
    info.mode = 0o4755
    deb = read_deb(write_deb(tmp_path / "t.deb", [info]))
    assert deb.entries["usr/bin/su"] == File(b"", 0o755)


@given(damage=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_package_is_corrupt_and_nothing_else(tmp_path_factory, damage, byte):
    path = write_deb(tmp_path_factory.mktemp("d") / "t.deb", MEMBERS, packed="")
    content = bytearray(path.read_bytes())
    content[damage] = byte
    path.write_bytes(bytes(content))
    with contextlib.suppress(CorruptError):
        read_deb(path)


def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(debs, "MAX_BYTES", 20_000)
    with pytest.raises(CorruptError, match="more than 20000 bytes"):
        read_deb(write_deb(tmp_path / "t.deb", [("./zeros", bytes(100_000))]))


def test_a_format_that_nothing_unpacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.import_module", _no_module)
    with pytest.raises(MissingError, match="zstd"):
        read_deb(write_deb(tmp_path / "t.deb", MEMBERS, packed=".zst"))
    with pytest.raises(CorruptError, match=r"unpacks '\.lzma'"):
        read_deb(write_deb(tmp_path / "t.deb", MEMBERS, packed=".lzma"))
    with pytest.raises(CorruptError, match=r"debian-binary 2\.x"):
        read_deb(write_deb(tmp_path / "t.deb", MEMBERS, version=b"3.0\n"))


def _no_module(name: str) -> None:
    raise ImportError(name)


def test_paths_lie_below_usr():
    assert merged("lib64/ld.so") == "usr/lib64/ld.so"
    assert merged("bin") == "usr/bin"
    assert merged("library/x") == "library/x"
    assert merged("usr/lib/x") == "usr/lib/x"


# --- fetching ----------------------------------------------------------------------------------


class Server:
    """Answers with what is put into ``files``, by path; keeps what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | int] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                found = outer.files.get(self.path, 404)
                content = found if isinstance(found, bytes) else b""
                self.send_response(200 if isinstance(found, bytes) else found)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Server()
    thread = Thread(target=made.http.serve_forever, daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()


CONTENT = b"a package"
LOCKED = LockedDeb(
    name="libc6",
    version="2.36-9+deb12u1",
    architecture="amd64",
    archive="debian-security",
    filename="pool/updates/main/g/glibc/libc6_2.36-9+deb12u1_amd64.deb",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


def test_a_package_is_fetched_once(server, tmp_path):
    place = f"/debian-security/{LOCKED.filename}"
    server.files[place] = CONTENT
    path, origin = fetch_deb(LOCKED, tmp_path, f"{server.url}/debian")
    assert path.read_bytes() == CONTENT
    assert origin == f"{server.url}{place}"
    assert fetch_deb(LOCKED, tmp_path, f"{server.url}/debian") == (path, "")
    assert server.asked == [place]
    path.write_bytes(b"damaged")
    assert fetch_deb(LOCKED, tmp_path, f"{server.url}/debian")[1] == origin
    assert path.read_bytes() == CONTENT


def test_a_version_that_left_the_mirror_comes_from_the_snapshot(server, tmp_path):
    listed = {
        "result": [{"architecture": "i386", "hash": "x"}, {"architecture": "amd64", "hash": "a1"}]
    }
    server.files["/mr/binary/libc6/2.36-9%2Bdeb12u1/binfiles"] = json.dumps(listed).encode()
    server.files["/file/a1"] = CONTENT
    path, origin = fetch_deb(LOCKED, tmp_path, f"{server.url}/debian", server.url)
    assert path.read_bytes() == CONTENT
    assert origin == f"{server.url}/file/a1"


def test_other_bytes_are_never_put_into_place(server, tmp_path):
    server.files[f"/debian-security/{LOCKED.filename}"] = b"a backage"
    with pytest.raises(CorruptError, match="SHA-256 differs"):
        fetch_deb(LOCKED, tmp_path, f"{server.url}/debian")
    server.files[f"/debian-security/{LOCKED.filename}"] = b"a package and more"
    with pytest.raises(CorruptError, match="more than 9 bytes"):
        fetch_deb(LOCKED, tmp_path, f"{server.url}/debian")
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.files[f"/debian-security/{LOCKED.filename}"] = 503
    with pytest.raises(MissingError, match="answers 503"):
        fetch_deb(LOCKED, tmp_path, f"{server.url}/debian")
    assert len(server.asked) == download.TRIES
    server.files[f"/debian-security/{LOCKED.filename}"] = 403
    with pytest.raises(MissingError, match="answers 403"):
        fetch_deb(LOCKED, tmp_path, f"{server.url}/debian")
    assert len(server.asked) == download.TRIES + 1


def test_a_package_that_nobody_has_is_named(server, tmp_path):
    with pytest.raises(MissingError, match=r"libc6 2\.36-9\+deb12u1 is neither"):
        fetch_deb(LOCKED, tmp_path, f"{server.url}/debian", server.url)


def test_without_a_network_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.0)
    with pytest.raises(MissingError, match="cannot be fetched"):
        fetch_deb(LOCKED, tmp_path, "http://127.0.0.1:9/debian")


# --- the lock ----------------------------------------------------------------------------------


def test_the_shipped_lock_is_valid_and_its_order_is_that_of_names():
    names = [deb.name for deb in read_lock(lock_path()).packages]
    assert names == sorted(names)
    assert {"libc6", "python3.11-minimal", "libstdc++6", "ca-certificates"} <= set(names)


@pytest.mark.parametrize(
    "change",
    [
        {"filename": "../../etc/passwd"},
        {"sha256": "../x"},
        {"name": "a/b"},
        {"archive": "https://elsewhere"},
        {"size": 0},
    ],
)
def test_a_lock_that_leads_elsewhere_is_corrupt(tmp_path, change):
    lock = {"release": "bookworm", "packages": [LOCKED.model_dump() | change]}
    (tmp_path / "debian.lock").write_text(json.dumps(lock))
    with pytest.raises(CorruptError, match="cannot be read"):
        read_lock(tmp_path / "debian.lock")


def publish(server: Server, suite: str, archive: str, packages: dict[str, str]) -> None:
    """An index with versions by name, and its release."""
    index = "\n\n".join(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: x\n y\n"
        f"Filename: pool/main/{name}_{version.partition(':')[2] or version}_amd64.deb\n"
        f"Size: 9\nSHA256: {hashlib.sha256(version.encode()).hexdigest()}"
        for name, version in packages.items()
    )
    content = lzma.compress(index.encode())
    digest = hashlib.sha256(content).hexdigest()
    server.files[f"/{archive}/dists/{suite}/{INDEX}"] = content
    server.files[f"/{archive}/dists/{suite}/InRelease"] = (
        f"Suite: x\nSHA256:\n {digest} {len(content):>8} {INDEX}\n".encode()
    )


def test_the_lock_is_renewed_to_the_newest_of_all_suites(server, monkeypatch):
    monkeypatch.setattr(debian_index, "check_signature", lambda _: False)
    publish(server, "bookworm", "debian", {"libc6": "2.36-9", "zlib1g": "1:1.2.13", "other": "1"})
    publish(server, "bookworm-updates", "debian", {"tz": "2026"})
    publish(server, "bookworm-security", "debian-security", {"libc6": "2.36-9+deb12u1"})
    old = DebianLock(release="bookworm", packages=(LOCKED,))
    new = renew(old, f"{server.url}/debian", ["zlib1g"])
    assert [(deb.name, deb.version, deb.archive) for deb in new.packages] == [
        ("libc6", "2.36-9+deb12u1", "debian-security"),
        ("zlib1g", "1:1.2.13", "debian"),
    ]
    with pytest.raises(InputError, match="no package absent"):
        renew(old, f"{server.url}/debian", ["absent"])
    server.files[f"/debian/dists/bookworm/{INDEX}"] = lzma.compress(b"")
    with pytest.raises(CorruptError, match="not the one that InRelease names"):
        renew(old, f"{server.url}/debian")


def test_an_unsigned_release_is_refused_where_that_can_be_told():
    try:
        assert debian_index.check_signature(b"Suite: x\n") is False
    except CorruptError as error:
        assert "not signed by Debian" in str(error)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("9", "1:1"),
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+b"),
        ("2.36-9", "2.36-9+deb12u1"),
        ("2.36-9+deb12u9", "2.36-9+deb12u14"),
        ("1-1", "1-1.1"),
        ("1.0-1", "1.0.1-1"),
    ],
)
def test_versions_are_in_debians_order(older, newer):
    assert compare(older, newer) < 0 < compare(newer, older)
    assert compare(older, older) == 0


VERSION = st.from_regex(r"([0-9]:)?[0-9][0-9a-c.+~]{0,5}(-[0-9a-c.+~]{1,4})?", fullmatch=True)


@pytest.mark.skipif(not Path("/usr/bin/dpkg").exists(), reason="compares with dpkg")
@given(left=VERSION, right=VERSION)
def test_versions_are_in_dpkgs_order(left, right):
    command = ["/usr/bin/dpkg", "--compare-versions", left, "lt", right]
    older = subprocess.run(command, check=False, env=os.environ).returncode == 0
    assert (compare(left, right) < 0) == older


def test_the_archive_of_security_updates_lies_beside_debians():
    assert archive_url("https://deb.debian.org/debian", "debian-security") == (
        "https://deb.debian.org/debian-security"
    )
    assert archive_url("https://m.example/x", "debian-security") == (
        "https://m.example/x/debian-security"
    )
