"""``workbench serve`` as it is typed, with the real server."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.models import write_linear
from tests.serving.endpoints import eventually
from workbench.cli import serving
from workbench.machine import free_port
from workbench.serving import Served, ServedModel

pytest.importorskip("onnx_server")

SECONDS = 30.0
"""No command of these tests may take longer."""


class Command:
    """A running ``workbench serve``, with what it printed when it was ready."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log
        assert process.stdout is not None
        self.line = process.stdout.readline()
        self.ready: dict[str, Any] = json.loads(self.line) if self.line else {}

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self, number: int) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def serve(tmp_path: Path, *words: object) -> Iterator[Command]:
    log = tmp_path / "log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ONNX_SERVER_")}
    command = [sys.executable, "-m", "workbench", "serve", "--json", "--port", "0"]
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*command, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=file,
            env=environment | {"TMPDIR": str(tmp_path)},
            text=True,
        ) as process,
    ):
        limit = threading.Timer(SECONDS, process.kill)
        limit.start()
        try:
            yield Command(process, log)
        finally:
            limit.cancel()
            if process.poll() is None:
                process.terminate()


def ask(model: dict[str, Any]) -> tuple[int, Any]:
    """Status and JSON answer of the example of a model."""
    words = shlex.split(model["example"])
    headers = dict(words[i + 1].split(": ") for i, word in enumerate(words) if word == "-H")
    request = urllib.request.Request(words[1], words[-1].encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return []


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with the variants ``one`` and ``two`` of one model."""
    for name in ("one", "two"):
        folder = write_linear(tmp_path / "run/variants" / name)
        manifest = json.loads((folder / "manifest.json").read_text()) | {"name": "linear"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "run"


@linux
def test_one_artifact_answers_at_invocations_and_ctrl_c_ends_it(tmp_path: Path, run: Path) -> None:
    with serve(tmp_path, run, "--variant", "one", "--threads", 1) as command:
        (model,) = command.ready["models"]
        assert model["name"] == "linear"
        assert model["url"] == f"{command.ready['url']}/invocations"
        assert command.ready["pid"] == command.process.pid
        assert ask(model) == (200, {"predictions": [[0.0] * 4]})
        (server,) = children(command.process.pid)
        assert command.end(signal.SIGINT) == 0
    assert ended(server)
    assert command.log.endswith("Stopped.\n")
    assert "Traceback" not in command.log
    assert list(tmp_path.glob("workbench-serve-*")) == []


def test_several_answer_by_their_names(tmp_path: Path, run: Path) -> None:
    other = write_linear(tmp_path / "other")
    with serve(tmp_path, f"{run}:one", run / "variants/two", other) as command:
        url = command.ready["url"]
        assert {m["name"]: m["url"] for m in command.ready["models"]} == {
            name: f"{url}/models/{name}/invoke" for name in ("linear-one", "linear-two", "other")
        }
        assert [ask(m)[0] for m in command.ready["models"]] == [200, 200, 200]
        assert command.end(signal.SIGTERM) == 0


@linux
@pytest.mark.parametrize("platform", [[], ["--platform"]])
def test_a_killed_command_leaves_no_server_behind(
    tmp_path: Path, run: Path, platform: list[str]
) -> None:
    with serve(tmp_path, f"{run}:one", *platform) as command:
        (server,) = children(command.process.pid)
        (worker,) = children(server)
        command.end(signal.SIGKILL)
    assert eventually(lambda: ended(server) and ended(worker), 10)


@linux
def test_behind_the_platform_a_dead_worker_is_replaced_and_a_dead_server_ends_the_command(
    tmp_path: Path, run: Path
) -> None:
    with serve(tmp_path, f"{run}:one", "--platform", "--endpoint", "e") as command:
        (model,) = command.ready["models"]
        assert model["url"] == f"{command.ready['url']}/endpoints/e/invocations"
        assert ask(model)[0] == 200
        (server,) = children(command.process.pid)
        os.kill(children(server)[0], signal.SIGKILL)
        answers = [ask(model)]
        assert eventually(lambda: answers.append(ask(model)) or answers[-1][0] == 200)
        for status, answer in answers:
            assert status in (200, 503) or answer["OriginalStatusCode"] in (0, 503)
        os.kill(server, signal.SIGKILL)
        assert command.process.wait(SECONDS) == 3
    assert "The model server was killed by signal 9." in command.log
    assert "Traceback" not in command.log


def test_several_behind_the_platform_are_target_models(tmp_path: Path, run: Path) -> None:
    with serve(tmp_path, f"{run}:one", f"{run}:two", "--platform") as command:
        targets = [m["target_model"] for m in command.ready["models"]]
        assert targets == ["linear-one.tar.gz", "linear-two.tar.gz"]
        assert [ask(m)[0] for m in command.ready["models"]] == [200, 200]
        assert command.end(signal.SIGINT) == 0
    assert command.log.endswith("Stopped.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none"], "error: none does not exist."),
        ([], "error: There is nothing to serve."),
        (["run:one", "--no-cache"], "error: --no-cache belongs to --platform."),
        (["run:one", "--env", "x"], "error: --env x is not KEY=VALUE."),
        (["run:one", "--platform", "--models", "run"], "error: --platform takes either"),
        (["run:one", "--env", "ONNX_SERVER_NO=1"], "error: The model server refused its settings."),
    ],
)
def test_a_mistake_is_one_sentence_with_a_hint(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with serve(tmp_path, *words) as command:
        assert command.process.wait(SECONDS) == 2
        assert command.line == ""
    *_, error, hint = command.log.splitlines()
    assert error.startswith(said)
    assert hint.startswith("  ")
    assert "Traceback" not in command.log


@pytest.mark.parametrize("platform", [[], ["--platform"]])
def test_a_port_that_another_server_has_is_refused(
    tmp_path: Path, run: Path, platform: list[str]
) -> None:
    (tmp_path / "second").mkdir()
    with serve(tmp_path, f"{run}:one", "--port", free_port()) as first:
        port = first.ready["url"].rpartition(":")[2]
        with serve(tmp_path / "second", f"{run}:one", "--port", port, *platform) as second:
            assert second.process.wait(SECONDS) == 2
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use." in second.log


def test_a_person_is_told_where_and_how_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    model = ServedModel("m", "http://h/invocations", "curl http://h/invocations", "m.tar.gz")
    serving._print(Served("http://h", (model,)))
    assert capsys.readouterr().err == (
        "Ready on http://h (Ctrl-C stops it).\n"
        "  m: POST http://h/invocations with TargetModel m.tar.gz\n"
        "Try it:\n"
        "  curl http://h/invocations\n"
    )


def test_the_help_has_an_example_of_each_way() -> None:
    words = [sys.executable, "-m", "workbench", "serve", "--help"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Examples:" in text
    assert all(word in text for word in ("--variant", "--platform --models", "s3://", "--json"))
