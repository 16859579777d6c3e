"""Layers: the same entries give the same bytes, and come back as they were."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import CorruptError, InputError
from workbench.packaging.image.tar_layer import (
    Entries,
    Entry,
    File,
    Folder,
    Hashing,
    Link,
    write_layer,
    write_tar,
)

PART = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=120
).filter(lambda part: part not in (".", ".."))
PATH = st.lists(PART, min_size=1, max_size=4).map("/".join)
ENTRY = st.one_of(
    st.builds(File, st.binary(max_size=2000), st.sampled_from([0o644, 0o755, 0o600])),
    st.builds(Link, PATH),
    st.just(Folder(0o1777)),
)


def fitting(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Without entries below files."""
    blocked = {name for name, entry in entries.items() if not isinstance(entry, Folder)}
    return {
        name: entry
        for name, entry in entries.items()
        if not any(name.startswith(f"{other}/") for other in blocked)
    }


TREES = st.dictionaries(PATH, ENTRY, max_size=8).map(fitting)


def packed(entries: Entries, folder: Path) -> Path:
    layer = write_layer("x", entries, folder / "blobs")
    content = layer.blob.path.read_bytes()
    assert layer.blob.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert layer.blob.size == len(content)
    tar = gzip.decompress(content)
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert layer.unpacked == len(tar)
    return layer.blob.path


@given(entries=TREES, seed=st.randoms())
def test_the_order_of_entries_does_not_matter(tmp_path_factory, entries, seed):
    folder = tmp_path_factory.mktemp("order")
    names = list(entries)
    seed.shuffle(names)
    again = {name: entries[name] for name in names}
    assert packed(entries, folder) == packed(again, folder)


@given(entries=TREES)
def test_any_names_come_back_with_content_and_mode(tmp_path_factory, entries):
    path = packed(entries, tmp_path_factory.mktemp("names"))
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar}
        for name, entry in entries.items():
            member = members[name]
            assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, "")
            if isinstance(entry, File):
                file = tar.extractfile(member)
                assert file is not None
                assert file.read() == entry.content
                assert member.mode == entry.mode
            elif isinstance(entry, Link):
                assert member.issym()
                assert member.linkname == entry.target
            else:
                assert member.isdir()
                assert member.mode == entry.mode


def test_parents_come_first_and_are_folders(tmp_path):
    path = packed({"a/b/c": File(b"1")}, tmp_path)
    with tarfile.open(path) as tar:
        assert [(m.name, m.isdir(), m.mode) for m in tar] == [
            ("a", True, 0o755),
            ("a/b", True, 0o755),
            ("a/b/c", False, 0o644),
        ]


def test_a_file_from_disk_is_as_one_from_memory(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    assert packed({"f": File(tmp_path / "f")}, tmp_path) == packed(
        {"f": File(b"x" * 100_000)}, tmp_path
    )


def test_the_time_is_that_of_source_date_epoch(tmp_path, monkeypatch):
    before = packed({"f": File(b"")}, tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    after = packed({"f": File(b"")}, tmp_path)
    assert before != after
    with tarfile.open(after) as tar:
        assert tar.getmember("f").mtime == 1_700_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InputError, match="yesterday"):
        packed({"f": File(b"")}, tmp_path)


def test_neither_header_tells_when_or_where(tmp_path):
    content = packed({"f": File(b"")}, tmp_path).read_bytes()
    assert content[:8] == b"\x1f\x8b\x08\0\0\0\0\0"  # no flags, so no name; no time


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "a//b", "a/", "", ".", "./a"])
def test_a_path_that_is_not_clean_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="no clean path"):
        packed({name: File(b"")}, tmp_path)


def test_nothing_lies_below_a_file(tmp_path):
    with pytest.raises(InputError, match="both a file and a folder"):
        packed({"a": File(b""), "a/b": File(b"")}, tmp_path)


def test_a_layer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(InputError):
        packed({"/": File(b"")}, tmp_path)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_file_that_changes_while_it_is_packed_is_told(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")

    class Sink(Hashing):
        def write(self, block: bytes) -> int:
            return len(block)

    for size in (3, 9):
        monkeypatch.setattr(
            "os.fstat", lambda _, size=size: type("S", (), {"st_size": size, "st_mode": 0o100644})()
        )
        with pytest.raises(CorruptError, match=r"grew|shrank"):
            write_tar({"m": File(path)}, Sink(None))  # type: ignore[arg-type]
