"""The image that measures, run as the platform runs it: as root, with folders and no network."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.conftest import LIMITS, podman
from tests.containers.test_pure_image import CACHE, load, mirror  # noqa: F401 - fixtures
from tests.server.models import write_linear
from workbench.deploy.job_request import INPUT_FOLDER, MESSAGE, OUTPUT_FOLDER
from workbench.packaging.image.build import build_profiler_image
from workbench.packaging.image.contents import paths_of
from workbench.packaging.image.parts import Image
from workbench.packaging.image.scan import scan
from workbench.profile_options import ProfileOptions
from workbench.profiler.job import ERROR, JOB, RESULT, Failure, Job
from workbench.records import LatencyTable

IMAGE_BYTES = 56e6
"""What is transferred of the image; 53 MB when this was written."""


@pytest.fixture(scope="module")
def image(mirror: None) -> Image:  # noqa: F811
    return build_profiler_image(cache=CACHE)


@pytest.fixture(scope="module")
def loaded(image: Image, load: Callable[[Image, str], str]) -> str:  # noqa: F811
    return load(image, "profiler")


def job(root: Path) -> None:
    """A job of two artifacts, as the platform lays it out below ``/opt/ml``."""
    source = root / "processing" / "input"
    for name in ("plain", "double"):
        write_linear(source / name)
    options = ProfileOptions(batch=(1, 4), threads=(1,), seconds=0.2, processes=2)
    asked = Job(artifacts=("plain", "double"), baseline="plain", options=options)
    (source / JOB).write_text(asked.model_dump_json())
    for folder in ("processing/output", "output"):
        (root / folder).mkdir(parents=True)


def measure(image: str, root: Path) -> str:
    """Run the job; what it prints."""
    words = ("run", "--rm", *LIMITS, "--network", "none", "--read-only", "--tmpfs", "/tmp")
    places = (INPUT_FOLDER, OUTPUT_FOLDER, MESSAGE)
    return podman(*words, "--volume", f"{root}:/opt/ml", image, *places, check=False)


def test_it_holds_no_torch_and_what_runs(image: Image) -> None:
    assert image.compressed < IMAGE_BYTES
    assert [str(finding) for finding in scan(image)] == []
    names = {path.split("/")[5] for path in paths_of(image) if "/dist-packages/" in path}
    assert {"onnxruntime", "onnx", "numpy", "workbench"} <= names
    assert not names & {"torch", "transformers", "optimum", "boto3", "typer"}


def test_the_command_writes_it(image: Image, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workbench", "profiler"]
    archive = tmp_path / "profiler.tar"
    done = subprocess.run([*command, "--output", str(archive)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert image.digest() in done.stderr
    with tarfile.open(archive) as tar:
        assert "manifest.json" in tar.getnames()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--output FILE or --push" in done.stderr


def test_it_measures(loaded: str, tmp_path: Path) -> None:
    job(tmp_path)
    said = measure(loaded, tmp_path)
    output = tmp_path / "processing" / "output"
    table = LatencyTable.model_validate_json((output / RESULT).read_bytes())
    assert {name: len(cells) for name, cells in table.cells.items()} == {"plain": 2, "double": 2}
    assert all(cell.p50_ms.value > 0 for cells in table.cells.values() for cell in cells)
    assert table.machine.python.startswith("3.11.")
    assert "onnxruntime" in table.machine.versions
    assert "torch" not in table.machine.versions
    assert "of 2 cells" in said
    assert not (tmp_path / "output" / "message").exists()


def test_what_fails_is_told_to_the_platform(loaded: str, tmp_path: Path) -> None:
    job(tmp_path)
    (tmp_path / "processing" / "input" / "double" / "model.onnx").write_bytes(b"no model")
    measure(loaded, tmp_path)
    told = (tmp_path / "processing" / "output" / ERROR).read_bytes()
    failure = Failure.model_validate_json(told)
    assert failure.exit_code == 2
    assert failure.message in (tmp_path / "output" / "message").read_text()
