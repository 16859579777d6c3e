"""AWS as far as it can be had here: moto behind real HTTP, with what it lacks, and with faults.

moto has no ``UpdateEndpoint`` and no inference components; both are added here, as far as the
deployment uses them. No container runs: an endpoint answers what it is told to.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ACCOUNT = "123456789012"
REGION = "us-east-1"
Start = Callable[..., Any]


@dataclass
class Aws:
    """The calls that came, and which of them fail: ``faults[operation] = (status, code, text)``."""

    calls: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    """Operation, user agent and content of each call to SageMaker, as they came over the wire."""
    faults: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    starts: str = "InService"
    """Status of endpoints from when they are made or changed."""
    reason: str = ""
    url: str = ""
    job_leaves: dict[str, bytes] | None = None
    """What a Processing job leaves in place of what it would measure."""
    job_status: str = ""
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    """What is told of each Processing job."""
    threads: list[threading.Thread] = field(default_factory=list)
    container: str = ""
    """URL of the server that stands for the endpoint's container."""

    def wrap(self, app: Any) -> Any:
        def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
            if environ["PATH_INFO"].startswith("/endpoints/"):
                return self._invoke(environ, start)
            operation = _operation(environ)
            if operation:
                self.calls.append(operation)
            if "SageMaker" in environ.get("HTTP_X_AMZ_TARGET", ""):
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = io.BytesIO(body)
                agent = environ.get("HTTP_USER_AGENT", "")
                self.requests.append((operation, agent, json.loads(body or b"{}")))
            if operation in self.faults:
                status, code, text = self.faults[operation]
                return _json(start, status, {"__type": code, "message": text})
            own = getattr(self, f"_{operation}", None)
            if own is None:
                if operation == "CreateEndpointConfig":
                    _name_models(environ)
                return app(environ, start)
            size = int(environ.get("CONTENT_LENGTH") or 0)
            status, value = own(json.loads(environ["wsgi.input"].read(size) or b"{}"))
            return _json(start, status, value)

        return answer

    @property
    def environment(self) -> dict[str, str]:
        """What makes clients speak to this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have this process speak to this server, and not try again what fails."""
        for name, value in (*self.environment.items(), ("AWS_MAX_ATTEMPTS", "1")):
            monkeypatch.setenv(name, value)

    def put_bucket(self, name: str) -> None:
        """As if the bucket had been there before."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(request).close()

    def _invoke(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """What the container of the endpoint answers: a server that runs here in its place."""
        self.calls.append("InvokeEndpoint")
        name = environ["PATH_INFO"].split("/")[2]
        if name not in _backend().endpoints:
            text = f"Endpoint {name} of account {ACCOUNT} not found."
            return _json(start, 400, {"__type": "ValidationError", "message": text})
        size = int(environ.get("CONTENT_LENGTH") or 0)
        kind = environ["CONTENT_TYPE"]
        asked = urllib.request.Request(
            f"{self.container}/invocations", environ["wsgi.input"].read(size),
            {"Content-Type": kind, "Accept": environ.get("HTTP_ACCEPT", "*/*")},
        )  # fmt: skip
        with urllib.request.urlopen(asked) as reply:
            content = reply.read()
        start("200 OK", [("Content-Type", "application/json"),
                         ("Content-Length", str(len(content)))])  # fmt: skip
        return [content]

    # --- what moto lacks -------------------------------------------------------------------------

    def _UpdateEndpoint(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        endpoint = _backend().endpoints.get(asked["EndpointName"])
        if endpoint is None:
            return _absent("endpoint", asked["EndpointName"])
        endpoint.endpoint_config_name = asked["EndpointConfigName"]
        return 200, {"EndpointArn": endpoint.arn}

    def _CreateInferenceComponent(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        name = asked["InferenceComponentName"]
        self.components[name] = asked
        return 200, {"InferenceComponentArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:x/{name}"}

    def _DescribeInferenceComponent(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        name = asked["InferenceComponentName"]
        if name not in self.components:
            return _absent("inference component", name)
        return 200, {"InferenceComponentName": name, "InferenceComponentStatus": "InService"}

    def _ListInferenceComponents(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        found = [
            {"InferenceComponentName": name, "InferenceComponentStatus": "InService"}
            for name, made in self.components.items()
            if made["EndpointName"] == asked["EndpointNameEquals"]
        ]
        return 200, {"InferenceComponents": found}

    def _DeleteInferenceComponent(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        if self.components.pop(asked["InferenceComponentName"], None) is None:
            return _absent("inference component", asked["InferenceComponentName"])
        return 200, {}

    def _CreateProcessingJob(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        """The job runs here, on what lies in S3 and with nothing else."""
        name = asked["ProcessingJobName"]
        self.jobs[name] = {"ProcessingJobStatus": "InProgress"}
        thread = threading.Thread(target=self._process, args=(asked,))
        self.threads.append(thread)
        thread.start()
        return 200, {"ProcessingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:x/{name}"}

    def _process(self, asked: dict[str, Any]) -> None:
        """Of a job that fails nothing is uploaded: that it would be is documented nowhere."""
        from botocore.exceptions import ClientError

        s3, told = _s3(self.url), self.jobs[asked["ProcessingJobName"]]
        source = asked["ProcessingInputs"][0]["S3Input"]
        target = asked["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
        message = asked["AppSpecification"]["ContainerArguments"][2]
        with tempfile.TemporaryDirectory() as root:
            here = {path: f"{root}{path}" for path in
                    (source["LocalPath"], target["LocalPath"], message)}  # fmt: skip
            Path(here[target["LocalPath"]]).mkdir(parents=True)
            bucket, _, prefix = source["S3Uri"].removeprefix("s3://").partition("/")
            with suppress(ClientError):  # of a job that is stopped the input is taken away
                for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
                    file = Path(here[source["LocalPath"]]) / item["Key"].removeprefix(prefix)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    s3.download_file(bucket, item["Key"], str(file))
            code = 0
            if self.job_leaves is None:
                words = [here[word] for word in asked["AppSpecification"]["ContainerArguments"]]
                command = [sys.executable, "-m", "workbench.profiler.job", *words]
                code = subprocess.run(command, capture_output=True).returncode
            for file_name, content in (self.job_leaves or {}).items():
                (Path(here[target["LocalPath"]]) / file_name).write_bytes(content)
            folder = target["S3Uri"].removeprefix(f"s3://{bucket}/")
            for file in Path(here[target["LocalPath"]]).iterdir() if code == 0 else ():
                s3.upload_file(str(file), bucket, f"{folder}/{file.name}")
            if code:
                told["FailureReason"] = f"AlgorithmError: , exit code: {code}"
            if Path(here[message]).is_file():
                told["ExitMessage"] = Path(here[message]).read_text()
        if told["ProcessingJobStatus"] == "InProgress":
            told["ProcessingJobStatus"] = self.job_status or ("Failed" if code else "Completed")

    def _DescribeProcessingJob(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        name = asked["ProcessingJobName"]
        return 200, {"ProcessingJobName": name, **self.jobs[name]}

    def _StopProcessingJob(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        if asked["ProcessingJobName"] not in self.jobs:
            return _absent("requested job with name", asked["ProcessingJobName"])
        self.jobs[asked["ProcessingJobName"]]["ProcessingJobStatus"] = "Stopped"
        return 200, {}

    def _StopTransformJob(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        job = _backend().transform_jobs.get(asked["TransformJobName"])
        if job is None:
            return _absent("transform job", asked["TransformJobName"])
        job.transform_job_status = "Stopped"
        return 200, {}

    def _DescribeEndpoint(self, asked: dict[str, Any]) -> tuple[int, Any]:  # noqa: N802
        endpoint = _backend().endpoints.get(asked["EndpointName"])
        if endpoint is None:
            return _absent("endpoint", asked["EndpointName"])
        told = {
            "EndpointName": asked["EndpointName"],
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.endpoint_config_name,
            "EndpointStatus": self.starts,
        }
        return 200, told | ({"FailureReason": self.reason} if self.reason else {})


@contextmanager
def aws() -> Iterator[Aws]:
    """A server of its own, empty; ``url`` is for AWS_ENDPOINT_URL."""
    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    _allow_components()
    for service in ("sagemaker", "s3", "iam", "cloudwatch", "applicationautoscaling", "sts"):
        get_backend(service).reset()
    made = Aws()
    app = made.wrap(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        for job in made.threads:
            job.join()
        server.shutdown()
        thread.join()


def _s3(url: str) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=url, region_name=REGION)


def _allow_components() -> None:
    """moto checks a target's dimension against a list that is older than inference components."""
    from moto.applicationautoscaling import models, responses

    dimension = SimpleNamespace(value="sagemaker:inference-component:DesiredCopyCount")
    known = [*models.ScalableDimensionValueSet, dimension]
    models.ScalableDimensionValueSet = responses.ScalableDimensionValueSet = known


def _name_models(environ: dict[str, Any]) -> None:
    """moto wants a model in every variant; with inference components there is none."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    asked = json.loads(environ["wsgi.input"].read(size))
    for variant in asked["ProductionVariants"]:
        variant.setdefault("ModelName", next(iter(_backend()._models)))
    body = json.dumps(asked).encode()
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _operation(environ: dict[str, Any]) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    return str(target.rpartition(".")[2])


def _backend() -> Any:
    from moto.backends import get_backend

    return get_backend("sagemaker")[ACCOUNT][REGION]


def _absent(kind: str, name: str) -> tuple[int, Any]:
    text = f"Could not find {kind} '{name}'."
    return 400, {"__type": "ValidationException", "message": text}


def _json(start: Start, status: int, value: Any) -> Iterable[bytes]:
    body = json.dumps(value).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start(f"{status} X", headers)
    return [body]
