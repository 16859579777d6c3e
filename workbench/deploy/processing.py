"""Measures on an instance type of SageMaker: a Processing job with the profiler's image."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.artifact import Artifact, digest
from workbench.deploy.action import Action
from workbench.deploy.job_request import ANY_ROLE, Place, job_action
from workbench.deploy.job_role import temporary_role
from workbench.deploy.resources import Clients, is_absent, standing
from workbench.deploy.sending import refused, send
from workbench.deploy.validation import check
from workbench.errors import CorruptError, InputError, StepError
from workbench.profile_options import ProfileOptions
from workbench.profiler.job import ERROR, JOB, RESULT, Failure, Job
from workbench.records import LatencyTable
from workbench.serving.artifacts import file_names

START_S = 240.0
"""Until the container runs: about what fetching the instance and the image takes."""
LOST_S = 300.0
"""A line that is down for so long loses no job that is paid for."""
ENDED = ("Completed", "Failed", "Stopped")
GPU_FAMILIES = ("g", "p")
"""How the families with GPUs begin among the types that take Processing jobs (botocore's list)."""


@dataclass(frozen=True)
class ProcessingJob:
    """Measures artifacts on the place's instance type; an ``Elsewhere`` of the runner.

    ``say`` is told what could not be taken away or stopped: that may cost money, but no figures.
    """

    place: Place
    clients: Clients
    say: Callable[[str], None] = lambda text: None

    @property
    def name(self) -> str:
        """Where that is, as people see it."""
        return f"sagemaker:{self.place.instance_type}"

    @property
    def key(self) -> Mapping[str, Any]:
        """The image holds the runtime, whose version changes the figures."""
        return {"on": self.name, "image": self.place.image}

    def check(self, options: ProfileOptions) -> None:
        """Whether such a job can be asked for, before anything long is done.

        Raises:
            InputError: AWS would not understand the request, or the type is for other devices.
            MissingError: boto3 is not installed.
        """
        kind = self.place.instance_type
        role = self.place.role or ANY_ROLE
        check([job_action(self.place, "profile", "input", "output", role=role, limit_s=1, gb=1)])
        has_gpu = kind.split(".")[1].startswith(GPU_FAMILIES)
        if has_gpu and "cuda" not in options.devices:
            raise InputError(
                f"{kind} has a GPU, and the recipe measures on the CPU alone.",
                hint="Choose a type without one, or give the recipe profile: {devices: [cuda]}.",
            )
        if not has_gpu and "cpu" not in options.devices:
            raise InputError(
                f"{kind} has no GPU, and the recipe measures on nothing else.",
                hint="Choose a type with one, such as ml.g5.xlarge.",
            )

    def measure(
        self, job: Job, artifacts: Mapping[str, Artifact], progress: Callable[[float, float], None]
    ) -> LatencyTable:
        """Upload, run, wait, fetch; in the end nothing is left, and nothing runs, but what is kept.

        Raises:
            InputError: AWS refuses something.
            StepError: the job fails, with its own words, or AWS cannot be reached.
            CorruptError: what came back is no result.
        """
        self.check(job.options)
        content = digest([job.model_dump(mode="json"), [a.digest for a in artifacts.values()]])
        when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        name = f"workbench-profile-{content[:8]}-{when}"
        place, base = self.place, f"{self.place.prefix}/profile"
        # What is kept lies under its content, and is not sent again; what is not, each for itself.
        source = f"{base}/{content[:16] if place.keep else name}/input"
        target = f"{base}/{name}/output"
        expected_s = START_S + _seconds(job, artifacts)
        with ExitStack() as stack:
            if not place.keep:
                stack.callback(self._remove, f"{base}/{name}/")
            self._upload(job, artifacts, source)
            role = place.role or stack.enter_context(
                temporary_role(name, f"{place.bucket}/{base}/*", self.clients, self.say)
            )
            action = job_action(
                place, name, source, target, role=role, limit_s=max(3600, round(4 * expected_s)),
                gb=10 + 2 * sum(map(_bytes, artifacts.values())) // 10**9,
            )  # fmt: skip
            told = self._run(action, expected_s, progress)
            return self._result(told, job, target)

    def _upload(self, job: Job, artifacts: Mapping[str, Artifact], folder: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="workbench-job-") as file:
            file.write(job.model_dump_json().encode())
            file.flush()
            self._put(Path(file.name), f"{folder}/{JOB}")
        for name, artifact in artifacts.items():
            for path in file_names(artifact):
                self._put(artifact.path / path, f"{folder}/{name}/{path}")

    def _put(self, path: Path, key: str) -> None:
        bucket = self.place.bucket
        action = Action(
            kind="archive", name=f"s3://{bucket}/{key}", service="s3", operation="upload_file",
            parameters={"Filename": str(path), "Bucket": bucket, "Key": key},
        )  # fmt: skip
        if self.place.keep and self._stands(action):
            return
        send(action, self.clients)

    def _stands(self, action: Action) -> bool:
        try:
            return standing(action, self.clients) is not None
        except Exception as error:  # botocore makes its exception classes at run time
            raise refused(f"head_object {action.name}", error) from error

    def _run(
        self, action: Action, expected_s: float, progress: Callable[[float, float], None]
    ) -> dict[str, Any]:
        """What AWS says of the job when it has ended."""
        try:
            send(action, self.clients)
        except InputError:  # refused: there is no job
            raise
        except BaseException:
            self._stop(action.name)
            raise
        try:
            began = time.monotonic()
            while (told := self._told(action.name))["ProcessingJobStatus"] not in ENDED:
                progress(min(time.monotonic() - began, 0.95 * expected_s), expected_s)
                time.sleep(self.place.poll_s)
        except BaseException:
            self._stop(action.name)
            raise
        return told

    def _told(self, name: str) -> dict[str, Any]:
        until = time.monotonic() + LOST_S
        while True:
            try:
                with _refusals(f"describe_processing_job {name}"):
                    found: dict[str, Any] = self.clients("sagemaker").describe_processing_job(
                        ProcessingJobName=name
                    )
                    return found
            except StepError:
                if time.monotonic() > until:
                    raise
                time.sleep(self.place.poll_s)

    def _stop(self, name: str) -> None:
        """Nobody waits for it any more."""
        try:
            self.clients("sagemaker").stop_processing_job(ProcessingJobName=name)
        except Exception as error:  # botocore makes its exception classes at run time
            if not is_absent(error):
                self.say(
                    f"the job {name} may still run, and could not be stopped ({error}): "
                    f"aws sagemaker stop-processing-job --processing-job-name {name}"
                )

    def _result(self, told: dict[str, Any], job: Job, folder: str) -> LatencyTable:
        name, status = told["ProcessingJobName"], told["ProcessingJobStatus"]
        if status != "Completed":
            raise StepError(
                f"The job {name} on {self.place.instance_type} is {status}: "
                f"{self._reason(told, folder)}",
                hint=f"Its log is in CloudWatch: /aws/sagemaker/ProcessingJobs, {name}.",
            )
        content = self._object(f"{folder}/{RESULT}")
        if content is None:
            raise CorruptError(
                f"The job {name} has left no {RESULT}.",
                hint="Its image must be the profiler's: workbench profiler --push REPOSITORY:TAG",
            )
        try:
            table = LatencyTable.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise CorruptError(
                f"The {RESULT} of the job {name} cannot be read: {first['msg']}."
            ) from None
        if set(table.cells) != set(job.artifacts):
            raise CorruptError(f"The {RESULT} of the job {name} is not of these artifacts.")
        machine = table.machine.model_copy(update={"instance_type": self.place.instance_type})
        return table.model_copy(update={"machine": machine})

    def _reason(self, told: dict[str, Any], folder: str) -> str:
        """The job's own words, where it could leave them; AWS's."""
        reasons = [told.get("FailureReason", "")]
        content = self._object(f"{folder}/{ERROR}")
        try:
            failure = Failure.model_validate_json(content) if content else None
        except ValidationError:
            failure = None
        if failure is not None:
            reasons.insert(0, f"{failure.message} {failure.hint or ''}".strip())
        elif said := told.get("ExitMessage"):
            reasons.insert(0, said)
        return " ".join(filter(None, reasons)) or "AWS gives no reason; it may have run too long."

    def _object(self, key: str) -> bytes | None:
        """The content of an object; none where there is none."""
        with _refusals(f"get_object s3://{self.place.bucket}/{key}"):
            try:
                told = self.clients("s3").get_object(Bucket=self.place.bucket, Key=key)
                return bytes(told["Body"].read())
            except Exception as error:  # botocore makes its exception classes at run time
                if "NoSuchKey" in str(error):
                    return None
                raise

    def _remove(self, folder: str) -> None:
        s3, bucket = self.clients("s3"), self.place.bucket
        try:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
            for item in (item for page in pages for item in page.get("Contents", ())):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
        except Exception as error:  # the figures must not be lost for what costs cents
            self.say(f"s3://{bucket}/{folder} could not be removed: {error}")


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # botocore makes its exception classes at run time
        raise refused(what, error) from error


def _seconds(job: Job, artifacts: Mapping[str, Artifact]) -> float:
    """About how long measuring takes, beside loading: half as much again as the rounds."""
    cells = len(job.options.grid(artifacts[job.baseline].manifest.signature))
    return 1.5 * cells * len(artifacts) * job.options.seconds


def _bytes(artifact: Artifact) -> int:
    return sum((artifact.path / name).stat().st_size for name in file_names(artifact))
