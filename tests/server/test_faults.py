"""What fails around the server: its worker is killed, files are gone or wrong, disks are full."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.server.conftest import Running, free_port
from tests.server.hostile import kinds
from tests.server.models import write_heavy, write_linear

ROW = {"instances": [[1, 2, 3, 4]]}
ANSWER = {"predictions": [[3.0, 6.0, 9.0, 12.0]]}


def until_right(server: Running, path: str = "/invocations", seconds: float = 20) -> None:
    """Wait for the right answer."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, HTTPException):
            if server.json("POST", path, ROW) == (200, ANSWER):
                return
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.05)


def test_a_worker_killed_under_load_is_replaced_and_nobody_gets_a_wrong_answer(serve, tmp_path):
    server = serve("--model", write_linear(tmp_path / "m", factor=3.0))
    stop, answers, lost = threading.Event(), [], []

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(server.json("POST", "/invocations", ROW))
            except (OSError, HTTPException, ValueError) as error:
                lost.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    workers = [server.worker()]
    for _ in range(3):
        until_right(server)
        os.kill(server.worker(), signal.SIGKILL)
        while server.process.poll() is None:
            with contextlib.suppress(IndexError, OSError):  # between two workers there is none
                if server.worker() != workers[-1]:
                    break
        workers.append(server.worker())
    until_right(server)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(set(workers)) == 4
    assert {status for status, _ in answers} <= {200, 503}
    assert all(body == ANSWER for status, body in answers if status == 200)
    assert len(lost) <= 4 * 3  # what was under way when a worker died
    died = [event for event in server.events() if event["event"] == "worker_died"]
    assert [event["code"] for event in died] == [-signal.SIGKILL] * 3


def test_a_worker_killed_while_it_loads_a_model_leaves_a_server_that_loads_it(serve, tmp_path):
    folder = tmp_path / "models"
    write_linear(folder / "linear", factor=3.0)
    write_heavy(folder / "heavy")
    server = serve("--multi-model", "--models-dir", folder)
    assert server.json("POST", "/models", {"model_name": "linear", "url": "linear"})[0] == 200

    def load() -> None:
        with contextlib.suppress(OSError, HTTPException):
            server.json("POST", "/models", {"model_name": "heavy", "url": "heavy"})

    loading = threading.Thread(target=load)
    loading.start()
    time.sleep(0.02)
    os.kill(server.worker(), signal.SIGKILL)
    loading.join()
    until_right(server, "/models/linear/invoke")
    status, _ = server.json("POST", "/models", {"model_name": "heavy", "url": "heavy"})
    assert status in (200, 409)  # 409 where the load was quicker than the kill


def edited(**changes):
    """Change parts of the manifest."""

    def edit(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def written(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def cut(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def a_folder_in_its_place(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()


def signature(name: str, dtype: str) -> dict[str, object]:
    tensor = {"name": name, "dtype": dtype, "shape": ["batch", 4]}
    return {"inputs": [tensor], "outputs": [tensor | {"name": "y"}]}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "does not load"),
        (written("model.onnx", b""), "does not load"),
        (written("model.onnx", os.urandom(5000)), "does not load"),
        (a_folder_in_its_place, "does not load"),
        (lambda folder: (folder / "model.onnx").unlink(), "is missing"),
        (written("manifest.json", b"{"), "cannot be read"),
        (written("manifest.json", b"\xff\xfe"), "cannot be read"),
        (written("manifest.json", b"[" * 100_000), "cannot be read"),
        (written("manifest.json", b"[]"), "malformed"),
        (written("manifest.json", b"null"), "malformed"),
        (edited(schema_version=99), "schema version 99"),
        (edited(format="torch"), "torch"),
        (edited(model_file="../../secret.onnx"), "outside"),
        (edited(model_file=7), "malformed"),
        (edited(files={"model.onnx": {"bytes": 1}}), "says 1"),
        (edited(files={"gone.bin": {"bytes": 1}}), "is missing"),
        (edited(signature=signature("z", "float32")), "names z"),
        (edited(signature=signature("x", "float99")), "malformed"),
        (edited(signature={"inputs": []}), "no inputs"),
        (edited(preprocess={"kind": "audio"}), "audio"),
        (edited(preprocess={"kind": "image"}), "image"),
        (edited(preprocess={"kind": "text", "max_length": 4}), "text"),
        (edited(preprocess=7), "malformed"),
        (edited(labels=7), "malformed"),
    ],
)
def test_a_spoilt_model_is_422_with_the_reason_and_the_server_lives(many, tmp_path, spoil, reason):
    server, folder = many
    spoilt = folder / f"spoilt-{time.time_ns()}"
    write_linear(spoilt)
    spoil(spoilt)
    status, body = server.json("POST", "/models", {"model_name": "spoilt", "url": spoilt.name})
    assert (status, reason in body["error"]) == (422, True), body
    assert str(folder) not in body["error"]
    assert server.json("GET", "/models/spoilt")[0] == 404
    assert server.json("POST", "/models/linear/invoke", ROW) == (200, ANSWER)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    from tests.server.conftest import running

    folder = tmp_path_factory.mktemp("many")
    write_linear(folder / "models" / "linear", factor=3.0)
    arguments = ("--multi-model", "--models-dir", str(folder / "models"))
    with running(folder, *arguments) as server:
        assert server.json("POST", "/models", {"model_name": "linear", "url": "linear"})[0] == 200
        yield server, folder / "models"


@pytest.mark.parametrize("kind", ["numbers", "text"])
def test_a_model_whose_folder_is_deleted_goes_on_answering(serve, tmp_path, kind):
    good = getattr(kinds, kind)(tmp_path / kind)
    server = serve("--model", tmp_path / kind)
    shutil.rmtree(tmp_path / kind)
    for _ in range(3):
        status, _, body = server.ask("POST", "/invocations", good.body, content_type=good.media)
        assert (status, json.loads(body)) == (200, good.answer)


def test_after_a_crash_the_models_that_are_still_there_are_served(serve, tmp_path):
    folder = tmp_path / "models"
    for name in ("linear", "gone"):
        write_linear(folder / name, factor=3.0)
    server = serve("--multi-model", "--models-dir", folder)
    for name in ("linear", "gone"):
        assert server.json("POST", "/models", {"model_name": name, "url": name})[0] == 200
    shutil.rmtree(folder / "gone")
    os.kill(server.worker(), signal.SIGKILL)
    until_right(server, "/models/linear/invoke")
    assert server.json("POST", "/models/gone/invoke", ROW)[0] == 404
    assert "not_loaded_again" in {event["event"] for event in server.events()}


@contextlib.contextmanager
def started(folder: Path, model: Path, **options):
    """A server with other surroundings than the tests have: ``options`` are those of Popen."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "onnx_server", "--model", str(model), "--port", str(port)], **options
    )
    log = folder / "log"
    log.touch()
    try:
        server = Running(process, port, log)
        server.wait()
        yield server
    finally:
        process.terminate()
        process.wait(30)


def check_lives(server: Running) -> None:
    """It answers, also after its worker died."""
    until_right(server)
    worker = server.worker()
    os.kill(worker, signal.SIGKILL)
    until_right(server)
    assert server.worker() != worker


def test_a_full_disk_under_the_log_stops_nothing(tmp_path):
    with open("/dev/full", "wb") as full:
        model = write_linear(tmp_path / "m", factor=3.0)
        with started(tmp_path, model, stderr=full, stdout=full) as server:
            assert server.json("POST", "/invocations", {"instances": "x"})[0] == 400
            check_lives(server)


def test_a_log_that_nobody_reads_any_more_stops_nothing(tmp_path):
    reading, writing = os.pipe()
    model = write_linear(tmp_path / "m", factor=3.0)
    with started(tmp_path, model, stderr=writing) as server:
        os.close(reading)
        os.close(writing)
        check_lives(server)


def test_it_needs_no_place_to_write(tmp_path):
    model = write_linear(tmp_path / "m", factor=3.0)
    nowhere = {"TMPDIR": "/proc", "HOME": "/proc", "XDG_CACHE_HOME": "/proc"}
    with (
        (tmp_path / "stderr").open("wb") as log,
        started(tmp_path, model, env=os.environ | nowhere, cwd="/proc", stderr=log) as server,
    ):
        check_lives(server)
    for line in (tmp_path / "stderr").read_text().splitlines():
        json.loads(line)


MOUNTED = """
mount -t tmpfs -o size=4k none "$1" && dd if=/dev/zero of="$1/f" bs=4k 2>/dev/null
shift
exec "$@"
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may mount"
)
def test_a_full_temporary_disk_stops_nothing(tmp_path):
    model = write_linear(tmp_path / "m", factor=3.0)
    disk = tmp_path / "disk"
    disk.mkdir()
    port = free_port()
    serve = [sys.executable, "-m", "onnx_server", "--model", str(model), "--port", str(port)]
    command = ["unshare", "-m", "sh", "-c", MOUNTED, "sh", str(disk), *serve]
    environment = os.environ | {"TMPDIR": str(disk), "HOME": str(disk)}
    process = subprocess.Popen(command, env=environment, cwd=disk, stderr=subprocess.DEVNULL)
    (tmp_path / "log").touch()
    try:
        server = Running(process, port, tmp_path / "log")
        server.wait()
        check_lives(server)
    finally:
        process.terminate()
        process.wait(30)
