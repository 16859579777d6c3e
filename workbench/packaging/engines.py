"""Builds images with docker, podman or buildah, whichever works here.

Options that only a certain machine needs come from the environment: WORKBENCH_BUILD_OPTIONS goes
into each build, WORKBENCH_RUN_OPTIONS into each run, both split as a shell would.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.artifact import disk_errors
from workbench.conformance.launchers import ContainerLauncher, load_archive, run_engine
from workbench.errors import InputError, MissingError, StepError
from workbench.packaging.engine_output import follow
from workbench.progress import Progress

ANSWER_S = 20.0
"""How long an engine may take to say that it works."""
BUILD_OPTIONS, RUN_OPTIONS = "WORKBENCH_BUILD_OPTIONS", "WORKBENCH_RUN_OPTIONS"


@dataclass(frozen=True)
class Engine:
    """An engine that works; ``rootless`` when it runs without root's rights."""

    name: str
    program: str
    version: str
    rootless: bool

    @property
    def runs(self) -> bool:
        """Whether it runs containers too; buildah only builds."""
        return self.name != "buildah"


@dataclass(frozen=True)
class Unusable:
    """An engine that does not work here, and why."""

    name: str
    reason: str


def _docker(ask: Callable[..., str]) -> tuple[str, bool]:
    read = json.loads(ask("info", "--format", "{{json .}}"))
    if errors := read.get("ServerErrors"):
        raise StepError(str(errors[0]))
    return str(read["ServerVersion"]), "rootless" in str(read.get("SecurityOptions"))


def _podman(ask: Callable[..., str]) -> tuple[str, bool]:
    read = json.loads(ask("info", "--format", "json"))
    return str(read["version"]["Version"]), bool(read["host"]["security"]["rootless"])


def _buildah(ask: Callable[..., str]) -> tuple[str, bool]:
    version = json.loads(ask("version", "--json"))["version"]
    return str(version), bool(json.loads(ask("info"))["host"]["rootless"])


_CHECKS = {"docker": _docker, "podman": _podman, "buildah": _buildah}
NAMES = tuple(_CHECKS)
"""In the order in which they are preferred."""


def find_engine(name: str) -> Engine | Unusable:
    """Whether one engine works here: it is asked about itself and its server."""
    program = shutil.which(name)
    if program is None:
        return Unusable(name, "it is not installed")

    def ask(*words: str) -> str:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
        if done.returncode != 0:
            raise StepError((done.stderr.strip().splitlines() or ["it fails without a word"])[-1])
        return done.stdout

    try:
        version, rootless = _CHECKS[name](ask)
    except subprocess.TimeoutExpired:
        return Unusable(name, f"it does not answer within {ANSWER_S:.0f} s")
    except (OSError, StepError) as error:
        return Unusable(name, str(error))
    except (ValueError, KeyError, TypeError):
        return Unusable(name, "it does not say its version as it should")
    return Engine(name, program, version, rootless)


def choose_engine(name: str | None = None, *, to_run: bool = False) -> Engine:
    """The engine of this name, or the first that works; ``to_run``: one that runs containers.

    Raises:
        InputError: there is no engine of this name, or it does not run containers.
        MissingError: it, or none, works here; the message has the reason of each.
    """
    if name is not None and name not in NAMES:
        raise InputError(f"'{name}' is no engine.", hint=f"Choose one of {', '.join(NAMES)}.")
    if name == "buildah" and to_run:
        raise InputError("buildah does not run containers.", hint="Choose docker or podman.")
    reasons = []
    for candidate in (name,) if name else NAMES:
        if candidate == "buildah" and to_run:
            continue
        found = find_engine(candidate)
        if isinstance(found, Engine):
            return found
        reasons.append(f"{found.name}: {found.reason}")
    raise MissingError(
        f"{f'{name} does' if name else 'No container engine does'} not work here "
        f"({'; '.join(reasons)}).",
        hint="Start or install one of docker, podman and buildah, or build without an engine.",
    )


def build(
    engine: Engine,
    context: Path,
    dockerfile: str,
    tag: str,
    *,
    log: Path,
    build_args: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Build an image of Docker schema 2 under ``tag``.

    Args:
        engine: which one.
        context: the folder that is built from.
        dockerfile: its path in ``context``.
        tag: the image's name.
        log: where all that the engine says is written.
        build_args: values of the Dockerfile's ARGs.
        progress: is told of one piece of work, in steps.

    Raises:
        InputError: there is no such Dockerfile, or the options cannot be split.
        MissingError: the log cannot be written.
        StepError: the build fails; the message ends with the engine's last lines.
    """
    file = context / dockerfile
    if not file.is_file():
        raise InputError(f"There is no {file}.", hint="Write the context again.")
    words = [engine.program, "bud" if engine.name == "buildah" else "build"]
    if engine.name != "docker":  # docker keeps schema 2 by itself, and knows no --format
        words += ["--format", "docker"]
    words += ["--file", str(file), "--tag", tag]
    for key, value in sorted((build_args or {}).items()):
        words += ["--build-arg", f"{key}={value}"]
    words += [*_options(BUILD_OPTIONS), str(context)]
    progress = progress or Progress()
    label, began = f"build {tag} with {engine.name}", time.monotonic()
    progress.start(label)
    code, last = follow(words, log, progress)
    if code != 0:
        raise StepError(
            f"{engine.name} fails to build {dockerfile} (exit code {code}; all it said is in "
            f"{log}):\n" + "\n".join(f"  {line}" for line in last) + "\n",
            hint=f"What this machine needs beside can be given in {BUILD_OPTIONS}, such as "
            "'--isolation chroot' for buildah in a container.",
        )
    progress.finish(label, time.monotonic() - began, reused=False)


def load(engine: Engine, archive: Path) -> str:
    """Load a ``docker save`` archive; returns the image's name or id.

    Raises:
        StepError: the engine refuses it.
    """
    if engine.name == "buildah":
        return run_engine([engine.program, "pull", f"docker-archive:{archive}"]).split()[-1]
    return load_archive(engine.program, archive)


def save(engine: Engine, tag: str, archive: Path) -> None:
    """Write an image as a ``docker save`` archive, which appears only when it is whole.

    Raises:
        MissingError: the folder cannot be written.
        StepError: the engine does not know the image, or cannot write it.
    """
    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    if engine.name == "docker":
        words = ["save", "--output", str(part), tag]
    elif engine.name == "podman":
        words = ["save", "--format", "docker-archive", "--output", str(part), tag]
    else:
        words = ["push", tag, f"docker-archive:{part}:{tag}"]
    try:
        with disk_errors(archive):
            archive.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
        run_engine([engine.program, *words])
        with disk_errors(archive):
            part.replace(archive)
    finally:
        part.unlink(missing_ok=True)


def launcher(engine: Engine, image: str, arguments: Sequence[str] = ()) -> ContainerLauncher:
    """What runs ``IMAGE serve``, waits for its /ping, and ends it.

    Raises:
        InputError: the engine does not run containers.
    """
    if not engine.runs:
        raise InputError(f"{engine.name} does not run containers.", hint="Choose docker or podman.")
    return ContainerLauncher(engine.program, image, [*_options(RUN_OPTIONS), *arguments])


def _options(variable: str) -> list[str]:
    try:
        return shlex.split(os.environ.get(variable, ""))
    except ValueError as error:
        raise InputError(f"{variable} cannot be split: {error}.", hint="Mind quotes.") from None
