"""The program of a job that measures elsewhere; run whole in tests/deploy/test_processing.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workbench.packaging.context import locked_requirements
from workbench.profiler.job import ERROR, JOB, Failure, main


def test_the_job_needs_nothing_heavy() -> None:
    program = (
        "import sys, workbench.profiler.job, workbench.profiler.worker;"
        "print({m for m in ('torch', 'transformers', 'optimum', 'boto3') if m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_its_image_measures_with_the_runtime_that_serves() -> None:
    serving, measuring = (
        {name: (version, hashes) for name, version, hashes in locked_requirements(container)}
        for container in ("onnx_server", "profiler")
    )
    shared = set(serving) & set(measuring)
    assert shared >= {"onnxruntime", "numpy"}
    assert {name: serving[name] for name in shared} == {name: measuring[name] for name in shared}


@pytest.mark.parametrize("text", [None, "{", '{"artifacts": ["a"], "new": 1}'])
def test_a_job_of_another_version_is_said(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / JOB).write_text(text)
    code = main(tmp_path, tmp_path / "output", tmp_path / "message")
    failure = Failure.model_validate_json((tmp_path / "output" / ERROR).read_bytes())
    assert code == failure.exit_code == 2
    assert "Build the image with the version" in (failure.hint or "")
    assert (tmp_path / "message").read_text().startswith(failure.message[:50])


def test_what_nobody_foresaw_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("ü" * 2000)

    monkeypatch.setattr("workbench.profiler.job.measure", fail)
    assert main(tmp_path, tmp_path, tmp_path / "message") == 70
    told = Failure.model_validate_json((tmp_path / ERROR).read_bytes())
    assert told.message.startswith("RuntimeError: ü")
    assert len((tmp_path / "message").read_bytes()) <= 1000
    assert "Traceback" in capsys.readouterr().err
