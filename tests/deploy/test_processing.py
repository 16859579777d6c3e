"""Latency that another machine measures: the whole way, with a job that really runs, here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import needs
from tests.deploy.aws import ACCOUNT, REGION, Aws, aws
from tests.server.models import write_linear
from workbench.artifact import Artifact, open_artifact
from workbench.cost.profile import profiles_of_run
from workbench.deploy.processing import Place, ProcessingJob
from workbench.deploy.resources import Clients
from workbench.errors import CorruptError, InputError, StepError
from workbench.profile_options import ProfileOptions
from workbench.profiler.job import ERROR, RESULT, Job
from workbench.records import Footprint, Measurement, Run, Signature, VariantResult
from workbench.run_directory import load_run

BUCKET, KIND = "my-bucket", "ml.c7i.xlarge"
OPTIONS = ProfileOptions(batch=(1,), threads=(1,), seconds=0.1)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        made.put_bucket(BUCKET)
        yield made


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Artifact]:
    return {name: open_artifact(write_linear(tmp_path / name), verify=False) for name in "ab"}


def place(**more: Any) -> Place:
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/profiler@sha256:{'a' * 64}"
    role = f"arn:aws:iam::{ACCOUNT}:role/measures"
    return Place(**{"instance_type": KIND, "image": image, "bucket": BUCKET, "role": role,
                    "poll_s": 0.01, **more})  # fmt: skip


def measured(artifacts: dict[str, Artifact], clients: Clients, **more: Any) -> Any:
    job = Job(artifacts=tuple(artifacts), baseline="a", options=OPTIONS)
    return ProcessingJob(place(**more), clients).measure(job, artifacts, lambda *_: None)


def left(clients: Clients) -> list[str]:
    found = clients("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return [item["Key"] for item in found]


def test_the_job_measures_and_says_on_which_type(
    cloud: Aws, artifacts: dict[str, Artifact]
) -> None:
    clients = Clients(REGION)
    table = measured(artifacts, clients)
    assert set(table.cells) == {"a", "b"}
    assert table.machine.instance_type == KIND
    assert "CreateProcessingJob" in cloud.calls
    assert left(clients) == []
    run = Run(
        name="r", created="", recipe={}, model="m", task="t", machine=table.machine, seconds=0,
        measured=table.measured,
        variants=(VariantResult(
            name="a", baseline=True, key="k", signature=Signature(inputs=()), lineage=(),
            measurement=Measurement(
                footprint=Footprint(size_bytes=1, model_bytes=1, parameters=1, sparsity=0),
                latency=table.cells["a"],
            ),
        ),),
    )  # fmt: skip
    (profile,) = profiles_of_run(run)
    assert profile.cpu == KIND  # which the cost engine takes as measured on that family


def test_what_is_wanted_is_kept(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    clients = Clients(REGION)
    measured(artifacts, clients, keep=True)
    assert any(key.endswith(f"output/{RESULT}") for key in left(clients))


def test_a_job_that_fails_says_why_itself(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    (artifacts["b"].path / "model.onnx").write_bytes(b"no model")
    clients = Clients(REGION)
    with pytest.raises(StepError, match=r"on ml\.c7i\.xlarge is Failed: .*not an ONNX model"):
        measured(artifacts, clients)
    assert left(clients) == []


@pytest.mark.parametrize("content", [None, b"{}"])
def test_a_result_that_is_missing_or_broken_is_refused(
    cloud: Aws, artifacts: dict[str, Artifact], content: bytes | None
) -> None:
    cloud.job_leaves = {} if content is None else {RESULT: content}
    with pytest.raises(CorruptError, match=r"latency\.json"):
        measured(artifacts, Clients(REGION))


@pytest.mark.parametrize("operation", ["CreateProcessingJob"])
def test_what_aws_refuses_is_said(
    cloud: Aws, artifacts: dict[str, Artifact], operation: str
) -> None:
    cloud.faults[operation] = (400, "ResourceLimitExceeded", "The quota is 0 instances")
    clients = Clients(REGION)
    with pytest.raises(InputError, match="The quota is 0"):
        measured(artifacts, clients)
    assert left(clients) == []


def test_an_unknown_instance_type_is_refused_before_anything_is_sent(
    cloud: Aws, artifacts: dict[str, Artifact]
) -> None:
    with pytest.raises(InputError, match=r"cannot be 'ml\.no\.such'"):
        measured(artifacts, Clients(REGION), instance_type="ml.no.such")
    assert "CreateProcessingJob" not in cloud.calls


def test_an_interrupted_job_is_stopped(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    cloud.job_leaves, cloud.job_status = {}, "InProgress"

    def stop(*_: float) -> None:
        raise KeyboardInterrupt

    job = Job(artifacts=tuple(artifacts), baseline="a", options=OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        ProcessingJob(place(), Clients(REGION)).measure(job, artifacts, stop)
    assert "StopProcessingJob" in cloud.calls


@needs("magika")
def test_a_run_is_measured_there_and_is_a_run_like_any_other(cloud: Aws, tmp_path: Path) -> None:
    asked = place()
    command = [
        sys.executable, "-m", "workbench", "run", "magika", "--smoke", "--only", "w8",
        "--runs", str(tmp_path / "runs"), "--on", f"sagemaker:{KIND}", "--image", asked.image,
        "--bucket", BUCKET, "--role", asked.role, "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = load_run(next((tmp_path / "runs").iterdir()))
    assert run.machine.instance_type == KIND
    assert all(v.measurement and v.measurement.latency for v in run.variants)
    wrong = subprocess.run([*command[:10], "--on", "laptop"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "'laptop' is no place to measure" in wrong.stderr


def test_the_job_needs_nothing_heavy() -> None:
    program = (
        "import sys, workbench.profiler.job, workbench.profiler.worker;"
        "print({m for m in ('torch', 'transformers', 'optimum', 'boto3') if m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
    assert ERROR != RESULT
