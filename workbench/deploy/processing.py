"""Measures on an instance type of SageMaker: a Processing job with the profiler's image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from workbench.artifact import Artifact, digest
from workbench.deploy.action import Action
from workbench.deploy.deployment import TAG
from workbench.deploy.resources import Clients
from workbench.deploy.validation import check
from workbench.errors import CorruptError, InputError, StepError
from workbench.profiler.job import ERROR, JOB, RESULT, Failure, Job
from workbench.records import LatencyTable
from workbench.serving.artifacts import file_names

INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
"""Where the platform puts what a job is given, and takes what it makes."""
VOLUME_GB = 30
POLL_S = 10.0
START_S = 240.0
"""Until the container runs; for the progress only."""
ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Place:
    """Where jobs run: ``image`` in ECR, ``role`` an ARN, ``bucket`` for what goes in and out."""

    instance_type: str
    image: str
    bucket: str
    role: str
    prefix: str = "workbench"
    limit_s: int = 3600
    keep: bool = False
    poll_s: float = POLL_S


class ProcessingJob:
    """Measures artifacts on the place's instance type; an ``Elsewhere`` of the runner."""

    def __init__(self, place: Place, clients: Clients) -> None:
        self.place, self._clients = place, clients
        self.name = f"sagemaker:{place.instance_type}"
        self.key: Mapping[str, Any] = {"on": self.name}

    def measure(
        self, job: Job, artifacts: Mapping[str, Artifact], progress: Callable[[float, float], None]
    ) -> LatencyTable:
        """Upload, run, wait, fetch; what was uploaded is removed, and the job stopped, at the end.

        Raises:
            InputError: AWS refuses the request.
            StepError: the job fails; the message is the job's own.
            CorruptError: what came back is no result.
        """
        content = digest([job.model_dump(mode="json"), [a.digest for a in artifacts.values()]])
        when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        name = f"workbench-profile-{content[:8]}-{when}"
        folder = f"{self.place.prefix}/profile/{name}"
        action = self._action(name, folder)
        check([action])
        try:
            self._upload(job, artifacts, folder)
            self._send(action)
            try:
                self._wait(name, folder, progress)
            except BaseException:
                with suppress(Exception):
                    self._clients("sagemaker").stop_processing_job(ProcessingJobName=name)
                raise
            return self._result(folder)
        finally:
            if not self.place.keep:
                self._remove(folder)

    def _action(self, name: str, folder: str) -> Action:
        place, url = self.place, f"s3://{self.place.bucket}/{folder}"
        return Action(
            kind="job", name=name, service="sagemaker", operation="create_processing_job",
            parameters={
                "ProcessingJobName": name,
                "RoleArn": place.role,
                "AppSpecification": {
                    "ImageUri": place.image,
                    "ContainerArguments": [INPUT, OUTPUT],
                },
                "ProcessingInputs": [{
                    "InputName": "input",
                    "S3Input": {
                        "S3Uri": f"{url}/input/",
                        "LocalPath": INPUT,
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }],
                "ProcessingOutputConfig": {"Outputs": [{
                    "OutputName": "output",
                    "S3Output": {
                        "S3Uri": f"{url}/output",
                        "LocalPath": OUTPUT,
                        "S3UploadMode": "EndOfJob",
                    },
                }]},
                "ProcessingResources": {"ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": place.instance_type,
                    "VolumeSizeInGB": VOLUME_GB,
                }},
                "StoppingCondition": {"MaxRuntimeInSeconds": place.limit_s},
                "Tags": [{"Key": TAG, "Value": name}],
            },
        )  # fmt: skip

    def _upload(self, job: Job, artifacts: Mapping[str, Artifact], folder: str) -> None:
        s3, bucket = self._clients("s3"), self.place.bucket
        with _refusals("upload to", f"s3://{bucket}"):
            text = job.model_dump_json().encode()
            s3.put_object(Bucket=bucket, Key=f"{folder}/input/{JOB}", Body=text)
            for name, artifact in artifacts.items():
                for file in file_names(artifact):
                    key = f"{folder}/input/{name}/{file}"
                    s3.upload_file(str(artifact.path / file), bucket, key)

    def _send(self, action: Action) -> None:
        with _refusals("start", action.name):
            self._clients("sagemaker").create_processing_job(**action.parameters)

    def _wait(self, name: str, folder: str, progress: Callable[[float, float], None]) -> None:
        began, client = time.monotonic(), self._clients("sagemaker")
        while True:
            told = client.describe_processing_job(ProcessingJobName=name)
            status = told["ProcessingJobStatus"]
            if status in ENDED:
                break
            progress(min(time.monotonic() - began, 0.95 * START_S), START_S)
            time.sleep(self.place.poll_s)
        if status != "Completed":
            why = self._failure(folder) or told.get("FailureReason", "AWS gives no reason")
            raise StepError(
                f"The job {name} on {self.place.instance_type} is {status}: {why}",
                hint="Its log is in CloudWatch, /aws/sagemaker/ProcessingJobs.",
            )

    def _failure(self, folder: str) -> str | None:
        content = self._object(f"{folder}/output/{ERROR}")
        if content is None:
            return None
        with suppress(ValidationError):
            return Failure.model_validate_json(content).message
        return None

    def _result(self, folder: str) -> LatencyTable:
        content = self._object(f"{folder}/output/{RESULT}")
        if content is None:
            raise CorruptError(f"The job has left no {RESULT}.")
        try:
            table = LatencyTable.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise CorruptError(f"The job's {RESULT} cannot be read: {first['msg']}.") from None
        machine = table.machine.model_copy(update={"instance_type": self.place.instance_type})
        return table.model_copy(update={"machine": machine})

    def _object(self, key: str) -> bytes | None:
        s3 = self._clients("s3")
        try:
            return bytes(s3.get_object(Bucket=self.place.bucket, Key=key)["Body"].read())
        except s3.exceptions.NoSuchKey:
            return None

    def _remove(self, folder: str) -> None:
        s3, bucket = self._clients("s3"), self.place.bucket
        with suppress(Exception):  # what is left costs cents; the figures must not be lost for it
            for page in s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=f"{folder}/"
            ):
                for item in page.get("Contents", ()):
                    s3.delete_object(Bucket=bucket, Key=item["Key"])


class _refusals:  # noqa: N801 - a context manager reads as a verb phrase
    """What AWS refuses, as one sentence."""

    def __init__(self, verb: str, what: str) -> None:
        self._what = f"{verb} {what}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        told = error if hasattr(error, "response") else getattr(error, "__context__", None)
        answer = getattr(told, "response", {}).get("Error", {})
        if answer:
            message = f"{answer.get('Code')}: {answer.get('Message')}"
            raise InputError(f"AWS refuses to {self._what}: {message}.") from error
