"""Archives from S3: boto3 against a server of this machine that answers as S3 does."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import InputError
from workbench.serving.archives import S3Source
from workbench.serving.unpacking import ArchiveError

boto3 = pytest.importorskip("boto3")


def archive(name: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 3
        tar.addfile(member, io.BytesIO(b"xxx"))
    return made.getvalue()


OBJECTS = {
    "/bucket/models/a.tar.gz": archive("manifest.json"),
    "/bucket/models/bad.tar.gz": archive("../../outside"),
    "/bucket/models/more/b.tar.gz": archive("b"),
    "/bucket/secret.tar.gz": archive("secret"),
}


class Objects(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        content = OBJECTS.get(self.path)
        self.send_response(404 if content is None else 200)
        size = 2**60 if "huge" in self.path else len(content or b"")
        self.send_header("Content-Length", str(size))
        self.send_header("ETag", '"1"')
        self.end_headers()
        if content is not None and self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Objects) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
            region_name="eu-west-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        server.shutdown()


@pytest.mark.parametrize("url", ["s3://bucket/models", "s3://bucket/models/"])
def test_an_object_below_the_prefix_is_unpacked(client: Any, tmp_path: Path, url: str) -> None:
    source = S3Source(url, client)
    source.unpack("a.tar.gz", tmp_path / "a")
    source.unpack("more/b.tar.gz", tmp_path / "b")
    assert (tmp_path / "a/manifest.json").read_bytes() == b"xxx"
    assert (tmp_path / "b/b").read_bytes() == b"xxx"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../secret.tar.gz", "would leave"),
        ("/secret.tar.gz", "would leave"),
        ("bad.tar.gz", "would leave"),
        ("none.tar.gz", "s3://bucket/models/none.tar.gz cannot be downloaded"),
        ("a", r"no \.tar\.gz"),
    ],
)
def test_what_is_not_there_or_would_leave_is_refused(
    client: Any, tmp_path: Path, target: str, reason: str
) -> None:
    with pytest.raises(ArchiveError, match=reason):
        S3Source("s3://bucket/models", client).unpack(target, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_an_object_larger_than_what_may_be_unpacked_is_not_downloaded(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OBJECTS, "/bucket/models/huge.tar.gz", b"")
    with pytest.raises(ArchiveError, match="larger than"):
        S3Source("s3://bucket/models", client).unpack("huge.tar.gz", tmp_path)


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(InputError, match="names no bucket"):
        S3Source("s3:///models", object())
