"""Archives are unpacked without trusting them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from workbench.serving.archives import ArchiveError, unpack


def archive(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        member.size = size if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(b"x" * size))
    made.seek(0)
    return made


def test_a_regular_file_is_unpacked(tmp_path: Path) -> None:
    unpack(archive("a/b"), tmp_path)
    assert (tmp_path / "a/b").read_bytes() == b"xxx"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/a", tarfile.REGTYPE),
        ("a/../../b", tarfile.REGTYPE),
        ("a", tarfile.SYMTYPE),
        ("a", tarfile.LNKTYPE),
        ("a", tarfile.CHRTYPE),
        ("a", tarfile.FIFOTYPE),
    ],
)
def test_what_could_do_harm_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(archive(name, kind), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_more_bytes_than_the_limit_are_refused_before_they_are_written(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="more than 10 bytes"):
        unpack(archive("a", size=11), tmp_path / "into", max_bytes=10)
    assert not (tmp_path / "into").exists()


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        unpack(io.BytesIO(archive("a").getvalue()[:40]), tmp_path)
