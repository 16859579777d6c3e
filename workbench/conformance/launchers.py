"""Starts and ends the servers that clauses need for themselves: processes and containers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from workbench.conformance.client import Client
from workbench.errors import StepError
from workbench.machine import free_port

START_S = 60.0
PLATFORM_PORT = 8080


class Process:
    """A server that runs as a child process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or none when it still runs after the timeout."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once: with its children, which are of its session."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class ProcessLauncher:
    """Starts a command; the port is told by SAGEMAKER_BIND_TO_PORT."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._command = list(command)
        self._environment = environment or {}

    def start(self, environment: dict[str, str], *, bind_port: bool = False) -> Process:
        """Start one and wait until /ping answers; the port is always told by the variable.

        Raises:
            TimeoutError: it ended or did not answer.
        """
        port = free_port()
        told = {"SAGEMAKER_BIND_TO_PORT": str(port)}
        process = subprocess.Popen(
            self._command,
            env={**os.environ, **self._environment, **environment, **told},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        running = Process(process, port)
        _wait_for_ping(running)
        return running


class Container:
    """A server that runs in a container, by name."""

    def __init__(self, engine: str, name: str, port: int) -> None:
        self._engine, self._name = engine, name
        self.url = f"http://127.0.0.1:{port}"

    def terminate(self) -> None:
        """Send SIGTERM to its first process."""
        run_engine([self._engine, "kill", "--signal", "TERM", self._name])

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or none when it still runs after the timeout."""
        deadline = time.monotonic() + timeout_s
        query = [
            self._engine,
            "inspect",
            "-f",
            "{{.State.Running}} {{.State.ExitCode}}",
            self._name,
        ]
        while True:
            running, code = run_engine(query).split()
            if running == "false":
                return int(code)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)

    def kill(self) -> None:
        """Remove it, running or not."""
        subprocess.run(
            [self._engine, "rm", "--force", self._name], capture_output=True, check=False
        )


class ContainerLauncher:
    """Runs ``IMAGE serve`` with an engine; ``arguments`` go to its ``run`` command."""

    def __init__(self, engine: str, image: str, arguments: Sequence[str] = ()) -> None:
        self._engine, self._image = engine, image
        self._arguments = list(arguments)
        self._count = 0

    def start(self, environment: dict[str, str], *, bind_port: bool = False) -> Container:
        """Start one and wait until /ping answers.

        On the host's network the port is always told by SAGEMAKER_BIND_TO_PORT, as 8080 may be
        taken; else the container keeps 8080 unless ``bind_port`` asks for another.

        Raises:
            StepError: the engine refuses.
            TimeoutError: it ended or did not answer.
        """
        self._count += 1
        name = f"verify-{os.getpid()}-{self._count}"
        port = free_port()
        words = [self._engine, "run", "--detach", "--name", name, *self._arguments]
        if self._on_host_network():
            environment = {**environment, "SAGEMAKER_BIND_TO_PORT": str(port)}
        else:
            inside = port if bind_port else PLATFORM_PORT
            words += ["--publish", f"127.0.0.1:{port}:{inside}"]
            if bind_port:
                environment = {**environment, "SAGEMAKER_BIND_TO_PORT": str(port)}
        for key, value in environment.items():
            words += ["--env", f"{key}={value}"]
        running = Container(self._engine, name, port)
        try:
            run_engine([*words, self._image, "serve"])
            _wait_for_ping(running)
        except StepError:
            running.kill()
            raise
        return running

    def _on_host_network(self) -> bool:
        joined = " ".join(self._arguments)
        return "--network host" in joined or "--network=host" in joined or "--net=host" in joined


def _wait_for_ping(running: Process | Container) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if (code := running.wait(0.0)) is not None:
            running.kill()
            raise TimeoutError(f"it ended with exit code {code}")
        try:
            if Client(running.url).request("GET", "/ping", timeout_s=2.0).status == 200:
                return
        except (OSError, HTTPException):
            pass  # Not listening yet.
        time.sleep(0.05)
    running.kill()
    raise TimeoutError(f"/ping did not answer 200 within {START_S:.0f} s")


def run_engine(words: list[str]) -> str:
    """Standard output of a command of the engine.

    Raises:
        StepError: it failed; the message holds its last line.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StepError(f"'{' '.join(words[:2])}' failed: {last}")
    return done.stdout


def load_archive(engine: str, archive: Path) -> str:
    """Load a ``docker save`` archive into docker or podman; returns the image's name or id.

    Raises:
        StepError: the engine refuses it, or does not say what it loaded.
    """
    lines = run_engine([engine, "load", "--input", str(archive)]).strip().splitlines()
    for line in reversed(lines):
        if line.startswith("Loaded image"):
            return line.split(": ", 1)[1].split(",")[0].strip()
    raise StepError(f"{engine} does not say which image it loaded from '{archive}'.")
