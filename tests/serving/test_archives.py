"""Archives are unpacked without trusting them."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from tests.serving.conftest import make_artifact
from workbench.serving import pack_artifact
from workbench.serving.archives import FolderSource
from workbench.serving.unpacking import ArchiveError, unpack


def archive(*names: str, kind: bytes = tarfile.REGTYPE, size: int = 3) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as tar:
        for name in names:
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
        ("a", tarfile.BLKTYPE),
        ("a", tarfile.FIFOTYPE),
    ],
)
def test_what_could_do_harm_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(archive(name, kind=kind), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_more_bytes_than_the_limit_are_refused_before_they_are_written(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="more than 10 bytes"):
        unpack(archive("a", size=11), tmp_path / "into", max_bytes=10)
    assert not (tmp_path / "into").exists()


def test_the_limit_holds_for_all_members_together(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="more than 10 bytes"):
        unpack(archive("a", "b", "c", size=4), tmp_path / "into", max_bytes=10)
    assert not (tmp_path / "into/c").exists()


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="or 3 files"):
        unpack(archive("a", "b", "c", "d"), tmp_path / "into", max_files=3)
    assert not (tmp_path / "into/d").exists()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_grows_is_refused_before_it_fills_the_memory(
    tmp_path: Path, kind: bytes
) -> None:
    header = tarfile.TarInfo("a")
    header.type, header.size = kind, 64_000_000
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(bytes(1_000_000))
    made.seek(0)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="header"):
            unpack(made, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_name_that_no_disk_takes_is_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"path": "a\0b"}
        tar.addfile(member)
    made.seek(0)
    with pytest.raises(ArchiveError):
        unpack(made, tmp_path / "into")


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", archive("a").getvalue()[:40], gzip.compress(b"no tar" * 200)],
    ids=["empty", "text", "cut off", "no tar"],
)
def test_a_broken_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(io.BytesIO(content), tmp_path)


def test_a_folder_tells_its_archives_and_their_manifests(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "artifact", 1.0)
    (tmp_path / "archives/more").mkdir(parents=True)
    pack_artifact(artifact, tmp_path / "archives/more/a.tar.gz")
    (tmp_path / "archives/b.tar.gz").write_bytes(archive("other").getvalue())
    source = FolderSource(tmp_path / "archives")
    assert source.targets() == ["b.tar.gz", "more/a.tar.gz"]
    assert source.manifest("more/a.tar.gz") == artifact.manifest
    assert source.manifest("b.tar.gz") is None


def test_a_link_in_the_folder_does_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "secret.tar.gz").write_bytes(archive("a").getvalue())
    (tmp_path / "archives/a.tar.gz").symlink_to(tmp_path / "secret.tar.gz")
    with pytest.raises(ArchiveError, match="no archive"):
        FolderSource(tmp_path / "archives").unpack("a.tar.gz", tmp_path / "into")
