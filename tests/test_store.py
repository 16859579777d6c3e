"""The store: made once, whole or not at all, safe for several processes."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from workbench.artifact import copy_artifact, open_artifact, write_atomic
from workbench.errors import CorruptError, InputError, MissingError
from workbench.records import Manifest, Signature, Skipped
from workbench.store import Store


def make(folder: Path, text: str = "weights") -> Manifest:
    (folder / "model.onnx").write_text(text)
    return Manifest(
        name="m", format="onnx", model_file="model.onnx", signature=Signature(inputs=())
    )


def test_an_artifact_is_made_once(tmp_path):
    calls = []

    def count(folder):
        calls.append(folder)
        return make(folder)

    first = Store(tmp_path).artifact("key", count)
    again = Store(tmp_path).artifact("key", count)
    assert len(calls) == 1
    assert first.digest == again.digest
    assert not any((tmp_path / "tmp").iterdir())


def test_a_failure_leaves_nothing_and_is_not_remembered(tmp_path):
    store = Store(tmp_path)

    def fail(folder):
        (folder / "half").write_text("x")
        raise InputError("no")

    with pytest.raises(InputError):
        store.artifact("key", fail)
    assert not any((tmp_path / "artifacts").iterdir())
    assert not any((tmp_path / "tmp").iterdir())
    assert store.artifact("key", make).manifest.name == "m"


def test_a_damaged_artifact_is_refused_by_reading_and_made_again_by_the_store(tmp_path):
    store = Store(tmp_path)
    artifact = store.artifact("key", make)
    artifact.model_path.write_text("weighty")
    with pytest.raises(CorruptError, match="not what was written"):
        open_artifact(artifact.path)
    assert store.artifact("key", make).model_path.read_text() == "weights"


def test_a_damaged_manifest_is_corrupt_and_a_missing_one_is_no_artifact(tmp_path):
    artifact = Store(tmp_path).artifact("key", make)
    (artifact.path / "manifest.json").write_text("{")
    with pytest.raises(CorruptError):
        open_artifact(artifact.path)
    with pytest.raises(InputError, match="no artifact"):
        open_artifact(tmp_path)


def test_records_and_arrays_are_kept_and_remade_when_damaged(tmp_path):
    store = Store(tmp_path)
    calls = []

    def record():
        calls.append("record")
        return Skipped(name="a", reason="b")

    def array():
        calls.append("array")
        return np.arange(3)

    for _ in range(2):
        assert store.record("r", Skipped, record).reason == "b"
        assert store.array("a", array).tolist() == [0, 1, 2]
    assert calls == ["record", "array"]
    (tmp_path / "records" / "r.json").write_text("{}")
    (tmp_path / "arrays" / "a.npy").write_bytes(b"\x93NUMPY")
    store.record("r", Skipped, record)
    store.array("a", array)
    assert len(calls) == 4


def _slowly(root: Path, log: Path, ready: Path) -> None:
    def work(folder: Path) -> Manifest:
        with log.open("a") as file:
            file.write("made\n")
        ready.touch()
        time.sleep(0.5)
        return make(folder)

    Store(root).artifact("key", work)


def test_two_processes_make_one_artifact_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "store", tmp_path / "log", tmp_path / "ready")
    both = [context.Process(target=_slowly, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_killed_process_leaves_a_store_that_goes_on(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = tmp_path / "ready"
    process = context.Process(target=_slowly, args=(tmp_path / "store", tmp_path / "log", ready))
    process.start()
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    store = Store(tmp_path / "store")
    assert not any((store.root / "artifacts").iterdir())
    assert store.artifact("key", make).model_path.read_text() == "weights"
    assert not any((store.root / "tmp").iterdir())


def test_a_copy_replaces_an_older_one_whole(tmp_path):
    store = Store(tmp_path / "store")
    one = store.artifact("one", make)
    two = store.artifact("two", lambda folder: make(folder, "other"))
    target = tmp_path / "run" / "int8"
    target.parent.mkdir()
    copy_artifact(one, target)
    (target / "stray").write_text("x")
    copy_artifact(two, target)
    assert open_artifact(target).digest == two.digest
    assert not (target / "stray").exists()


def test_a_link_in_an_artifact_is_refused(tmp_path):

    with pytest.raises(InputError, match="is a link"):
        Store(tmp_path).artifact("key", lambda folder: _linked(folder))


def _linked(folder: Path) -> Manifest:
    manifest = make(folder)
    (folder / "evil").symlink_to("/etc/passwd")
    return manifest


def test_a_store_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MissingError, match="Cannot write"):
        Store(tmp_path / "file" / "store")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full to fill a disk")
def test_a_full_disk_is_a_clear_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    import errno

    target = tmp_path / "run.json"
    target.write_text("old")

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(MissingError, match="No space left"):
        write_atomic(target, "new")
    assert target.read_text() == "old"
