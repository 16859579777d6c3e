"""Latency that another machine measures: the whole way, with a job that really runs, here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import needs
from tests.deploy.aws import ACCOUNT, REGION, Aws, aws
from tests.server.models import write_linear
from workbench.artifact import Artifact, open_artifact
from workbench.cost.catalog import Catalog
from workbench.cost.profile import profiles_of_run
from workbench.cost.ranges import exactly
from workbench.cost.transfer import transfer
from workbench.deploy.job_request import Place
from workbench.deploy.processing import ProcessingJob
from workbench.deploy.resources import Clients
from workbench.errors import CorruptError, InputError, StepError
from workbench.profile_options import ProfileOptions
from workbench.profiler.job import ERROR, RESULT, Failure, Job
from workbench.report.grids import machine_text
from workbench.run_directory import load_run

BUCKET, KIND = "my-bucket", "ml.c7i.xlarge"
OPTIONS = ProfileOptions(batch=(1,), threads=(1,), seconds=0.1)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as made:
        made.use(monkeypatch)
        made.put_bucket(BUCKET)
        yield made


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Artifact]:
    return {name: open_artifact(write_linear(tmp_path / name), verify=False) for name in "ab"}


def place(**more: Any) -> Place:
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/profiler@sha256:{'a' * 64}"
    role = f"arn:aws:iam::{ACCOUNT}:role/measures"
    return Place(**{"instance_type": KIND, "image": image, "bucket": BUCKET, "role": role,
                    "poll_s": 0.05, **more})  # fmt: skip


def measured(artifacts: dict[str, Artifact], clients: Any, **more: Any) -> Any:
    job = Job(artifacts=tuple(artifacts), baseline="a", options=OPTIONS)
    return ProcessingJob(place(**more), clients).measure(job, artifacts, lambda *_: None)


def left(clients: Clients) -> dict[str, Any]:
    """What lies in the bucket, with the time it was written."""
    found = clients("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return {item["Key"]: item["LastModified"] for item in found}


def roles(clients: Clients) -> list[str]:
    return [role["RoleName"] for role in clients("iam").list_roles()["Roles"]]


def test_the_job_measures_and_says_on_which_type(
    cloud: Aws, artifacts: dict[str, Artifact]
) -> None:
    clients = Clients(REGION)
    table = measured(artifacts, clients)
    assert set(table.cells) == {"a", "b"}
    assert table.machine.instance_type == KIND
    assert machine_text(table.machine).startswith(f"{KIND}: {table.machine.cpu}, ")
    assert left(clients) == {}
    assert roles(clients) == []


def test_what_is_kept_is_not_sent_again(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    clients = Clients(REGION)
    measured(artifacts, clients, keep=True)
    before = left(clients)
    assert any(key.endswith(f"output/{RESULT}") for key in before)
    time.sleep(1.1)  # jobs are named, and S3 tells the time, to the second
    measured(artifacts, clients, keep=True, instance_type="ml.c6i.xlarge")
    after = left(clients)
    models = [key for key in after if key.endswith("model.onnx")]
    assert len(models) == 2
    assert all(after[key] == before[key] for key in models)


def test_a_role_is_made_for_as_long_as_the_job_runs(
    cloud: Aws, artifacts: dict[str, Artifact]
) -> None:
    clients, seen = Clients(REGION), []

    def watch(*_: float) -> None:
        for name in roles(clients):
            told = clients("iam").get_role_policy(RoleName=name, PolicyName="workbench")
            seen.append(json.dumps(told["PolicyDocument"]))

    cloud.job_leaves, cloud.job_status = {}, "Stopped"
    job = Job(artifacts=tuple(artifacts), baseline="a", options=OPTIONS)
    with pytest.raises(StepError, match="is Stopped: AWS gives no reason"):
        ProcessingJob(place(role=None), clients).measure(job, artifacts, watch)
    assert all(f"arn:aws:s3:::{BUCKET}/workbench/profile/*" in document for document in seen)
    assert seen
    assert roles(clients) == []


# --- what fails ----------------------------------------------------------------------------------


def test_a_job_that_fails_says_why_itself(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    (artifacts["b"].path / "model.onnx").write_bytes(b"no model")
    clients = Clients(REGION)
    with pytest.raises(StepError, match=r"is Failed: .*not an ONNX model.* exit code: 2") as caught:
        measured(artifacts, clients)
    assert "/aws/sagemaker/ProcessingJobs" in str(caught.value)
    assert "StopProcessingJob" not in cloud.calls, "it has ended already"
    assert left(clients) == {}


def test_the_jobs_own_file_says_it_best(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    failure = Failure(message="It is too large.", hint="Take less.", exit_code=2)
    cloud.job_leaves, cloud.job_status = {ERROR: failure.model_dump_json().encode()}, "Failed"
    with pytest.raises(StepError, match=r"is Failed: It is too large\. Take less\."):
        measured(artifacts, Clients(REGION))


@pytest.mark.parametrize("content", [None, b"{}", b'{"cells"'])
def test_a_result_that_is_missing_or_broken_is_refused(
    cloud: Aws, artifacts: dict[str, Artifact], content: bytes | None
) -> None:
    cloud.job_leaves = {} if content is None else {RESULT: content}
    with pytest.raises(CorruptError, match=r"latency\.json"):
        measured(artifacts, Clients(REGION))


@pytest.mark.parametrize(
    ("code", "text", "says"),
    [
        ("ResourceLimitExceeded", "The quota is 0 instances", "Service Quotas"),
        ("AccessDeniedException", "You may not", "lack that permission"),
    ],
)
def test_what_aws_refuses_is_said(
    cloud: Aws, artifacts: dict[str, Artifact], code: str, text: str, says: str
) -> None:
    cloud.faults["CreateProcessingJob"] = (400, code, text)
    clients = Clients(REGION)
    with pytest.raises(InputError, match=f"{text}.*{says}"):
        measured(artifacts, clients, role=None)
    assert "StopProcessingJob" not in cloud.calls, "there is none to stop"
    assert left(clients) == {}
    assert roles(clients) == []


def test_a_bucket_that_is_not_there_is_said(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    with pytest.raises(InputError, match="NoSuchBucket"):
        measured(artifacts, Clients(REGION), bucket="no-such-bucket")
    assert "CreateProcessingJob" not in cloud.calls


@pytest.mark.parametrize(
    ("kind", "devices", "says"),
    [
        ("ml.no.such", ("cpu",), r"cannot be 'ml\.no\.such'"),
        ("ml.g5.xlarge", ("cpu",), "has a GPU, and the recipe measures on the CPU alone"),
        ("ml.c7i.xlarge", ("cuda",), "has no GPU, and the recipe measures on nothing else"),
    ],
)
def test_a_type_that_is_no_good_is_refused_before_anything_is_done(
    cloud: Aws, kind: str, devices: tuple[Any, ...], says: str
) -> None:
    there = ProcessingJob(place(instance_type=kind), Clients(REGION))
    with pytest.raises(InputError, match=says):
        there.check(ProfileOptions(devices=devices))
    assert cloud.calls == []


def test_a_gpu_is_for_recipes_that_measure_on_it(cloud: Aws) -> None:
    there = ProcessingJob(place(instance_type="ml.g5.xlarge"), Clients(REGION))
    there.check(ProfileOptions(devices=("cpu", "cuda")))


def test_another_image_measures_again() -> None:
    one, other = (ProcessingJob(place(image=image), Clients(REGION)) for image in ("a", "b"))
    assert one.key != other.key


class Flaky:
    """Clients whose line is down while ``lost`` is more than nothing."""

    def __init__(self, lost: int) -> None:
        self.lost, self.clients = lost, Clients(REGION)

    def __call__(self, service: str) -> Any:
        client = self.clients(service)
        return SimpleNamespace(
            stop_processing_job=client.stop_processing_job,
            describe_processing_job=self.describe,
        ) if service == "sagemaker" else client  # fmt: skip

    def send(self, *call: Any) -> Any:
        return self.clients.send(*call)

    def describe(self, **asked: str) -> Any:
        self.lost -= 1
        if self.lost >= 0:
            from botocore.exceptions import EndpointConnectionError

            raise EndpointConnectionError(endpoint_url="https://sagemaker")
        return self.clients("sagemaker").describe_processing_job(**asked)


def test_a_line_that_is_down_for_a_while_loses_no_job(
    cloud: Aws, artifacts: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(measured(artifacts, Flaky(3)).cells) == {"a", "b"}
    monkeypatch.setattr("workbench.deploy.processing.LOST_S", 0.0)
    with pytest.raises(StepError, match="Could not connect"):
        measured(artifacts, Flaky(1000))
    assert "StopProcessingJob" in cloud.calls


def test_what_cannot_be_stopped_is_said(cloud: Aws, artifacts: dict[str, Artifact]) -> None:
    cloud.job_leaves, cloud.job_status = {}, "InProgress"
    cloud.faults["StopProcessingJob"] = (400, "AccessDeniedException", "You may not")
    said: list[str] = []

    def interrupt(*_: float) -> None:
        raise KeyboardInterrupt

    job = Job(artifacts=tuple(artifacts), baseline="a", options=OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        ProcessingJob(place(), Clients(REGION), said.append).measure(job, artifacts, interrupt)
    assert "may still run" in said[0]
    assert "aws sagemaker stop-processing-job" in said[0]


# --- the command ---------------------------------------------------------------------------------


def command(runs: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "workbench", "run", "magika", "--smoke", "--only", "w8",
        "--runs", str(runs), *more, "--on", f"sagemaker:{KIND}", "--image", place().image,
        "--bucket", BUCKET,
    ]  # fmt: skip


@needs("magika")
def test_a_run_is_measured_there_and_is_a_run_like_any_other(cloud: Aws, tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "runs", "--json"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"latency on sagemaker:{KIND}" in done.stderr
    run = load_run(next((tmp_path / "runs").iterdir()))
    assert run.machine.instance_type == KIND
    assert all(v.measurement and v.measurement.latency for v in run.variants)
    # What the cost engine makes of it: this family's own figures, and a range for others.
    catalog = Catalog.standard()
    for profile in profiles_of_run(run):
        same = transfer(profile, catalog.instance("ml.c7i.2xlarge"))
        assert (same.speed, same.why) == (exactly(1.0), "measured on this family")
        other = transfer(profile, catalog.instance("ml.c6i.xlarge"))
        assert other.speed.low < other.speed.high


@needs("magika")
def test_ctrl_c_stops_the_job_and_leaves_nothing(cloud: Aws, tmp_path: Path) -> None:
    cloud.job_leaves, cloud.job_status = {}, "InProgress"
    running = subprocess.Popen(
        command(tmp_path / "runs", "--remeasure"), stderr=subprocess.PIPE, text=True,
        env={**os.environ, "WORKBENCH_HOME": str(tmp_path / "store")},
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while "DescribeProcessingJob" not in cloud.calls and time.monotonic() < until:
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "StopProcessingJob" in cloud.calls
    clients = Clients(REGION)
    assert left(clients) == {}
    assert roles(clients) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--on", "laptop"], "'laptop' is no place to measure"),
        (["--on", f"sagemaker:{KIND}"], "--on needs --image and --bucket"),
        (["--bucket", BUCKET], "--bucket is for --on"),
    ],
)
def test_wrong_words_are_refused(words: list[str], says: str) -> None:
    line = [sys.executable, "-m", "workbench", "run", "minilm-int8", *words]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 2
    assert says in done.stderr
