"""One way to ask a model, wherever it is: a URL, an endpoint of SageMaker, or an artifact here."""

from __future__ import annotations

import http.client
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from workbench.artifact import Artifact
from workbench.deploy.resources import Clients, aws_errors, is_absent
from workbench.errors import InputError, StepError
from workbench.machine import free_port
from workbench.serving import ServerProcess

TIMEOUT_S = 70.0
"""The hosting contract's C14: an answer comes within 60 s, and a client waits 70."""
TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.stream",
}
"""Content types by the ending of a file; others are sent as bytes."""


@dataclass(frozen=True)
class Question:
    """A request's body with its content type, and the type of the answer that is wanted."""

    body: bytes
    content_type: str
    accept: str = "application/json"


def question(file: Path, content_type: str | None = None, accept: str | None = None) -> Question:
    """A question from a file; its ending tells the content type unless one is given.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    kind = content_type or TYPES.get(file.suffix.lower(), "application/octet-stream")
    return Question(body, kind, accept or "application/json")


class Asker(Protocol):
    """Asks one model."""

    def ask(self, question: Question) -> bytes:
        """The answer's body.

        Raises:
            InputError: the model refuses the question, or there is none.
            StepError: it fails, or does not answer.
        """


@dataclass(frozen=True)
class UrlAsker:
    """A container or server; ``target`` is the name of a model where it holds many."""

    url: str
    target: str | None = None

    def ask(self, question: Question) -> bytes:
        """``POST /invocations``, or the route of the target model."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"'{self.url}' is no URL of a server.")
        path = parts.path.rstrip("/")
        if not path.endswith(("/invocations", "/invoke")):
            route = (
                f"/models/{quote(self.target, safe='')}/invoke" if self.target else "/invocations"
            )
            path += route
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
        headers = {"Content-Type": question.content_type, "Accept": question.accept}
        try:
            connection.request("POST", path, question.body, headers)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise StepError(f"{self.url} does not answer: {error}.") from None
        finally:
            connection.close()
        _check(self.url, reply.status, content)
        return content


@dataclass(frozen=True)
class EndpointAsker:
    """An endpoint of SageMaker; ``target`` names a model's archive, ``variant`` one variant."""

    name: str
    clients: Clients
    target: str | None = None
    variant: str | None = None
    component: str | None = None

    def ask(self, question: Question) -> bytes:
        """``InvokeEndpoint``."""
        more = {"TargetModel": self.target, "TargetVariant": self.variant,
                "InferenceComponentName": self.component}  # fmt: skip
        try:
            answer = self.clients.send("sagemaker-runtime", "invoke_endpoint", {
                "EndpointName": self.name, "Body": question.body,
                "ContentType": question.content_type, "Accept": question.accept,
                **{k: v for k, v in more.items() if v is not None},
            })  # fmt: skip
        except Exception as error:  # botocore makes its exception classes at run time
            told = getattr(error, "response", {})
            if "OriginalStatusCode" in told:
                _check(self.name, told["OriginalStatusCode"], told["OriginalMessage"].encode())
            if is_absent(error) or told.get("Error", {}).get("Code") == "ValidationError":
                message = told["Error"].get("Message", "")
                raise InputError(f"The endpoint {self.name} cannot be asked: {message}") from None
            with aws_errors():
                raise
            raise StepError(f"The endpoint {self.name} does not answer: {error}") from error
        return bytes(answer["Body"].read())


@contextmanager
def asked_here(artifact: Artifact) -> Iterator[UrlAsker]:
    """The artifact behind a server of its own on this machine.

    Raises:
        MissingError: the server is not installed.
        StepError: it does not start.
    """
    with (
        tempfile.TemporaryFile() as log,
        ServerProcess(["--model", str(artifact.path)], port=free_port(), log=log) as server,
    ):
        server.wait_ready()
        yield UrlAsker(server.url)


def _check(who: str, status: int, content: bytes) -> None:
    if status < 400:
        return
    message = " ".join(content.decode("utf-8", "replace").split())[:500]
    kind = InputError if status < 500 and status not in (408, 429) else StepError
    raise kind(f"{who} answers {status}: {message}")
