"""Who sends a call to SageMaker: the SageMaker SDK where its request is ours, boto3 otherwise.

``sagemaker.core.resources`` builds each request from classes of its own. Some members come out
under another name, and nested zeros and falses are dropped. No list of these is kept here: the
request is compared just before it would leave, and one that differs does not.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from typing import Any

Parameters = dict[str, Any]
METHODS = {
    "create_model": ("Model", "create"),
    "create_endpoint_config": ("EndpointConfig", "create"),
    "create_endpoint": ("Endpoint", "create"),
    "update_endpoint": ("Endpoint", "update"),
    "create_inference_component": ("InferenceComponent", "create"),
    "create_transform_job": ("TransformJob", "create"),
    "create_processing_job": ("ProcessingJob", "create"),
    "invoke_endpoint": ("Endpoint", "invoke"),
}
"""Class and method of ``sagemaker.core.resources`` by boto3's operation."""
OF_THE_OBJECT = {
    "update_endpoint": ("EndpointName", "EndpointConfigName"),
    "invoke_endpoint": ("EndpointName",),
}
"""What the object is made with; the rest are the method's arguments."""
SHOWN = 3
"""Differences that are told of one call."""


class DiffersError(Exception):
    """The SDK would send something else, or cannot be asked; nothing was sent. Says what."""


class _Answered(BaseException):
    """Carries AWS's answer past what the SDK would do with it."""

    def __init__(self, answer: Parameters) -> None:
        super().__init__()
        self.answer = answer


class Sdk:
    """The SDK, with the credentials, the endpoint and the region of one boto3 session."""

    def __init__(self, session: Any, region: str) -> None:
        """Loads it, which takes seconds.

        Raises:
            ImportError: it is not installed.
        """
        self._resources = importlib.import_module("sagemaker.core.resources")
        self._utils = importlib.import_module("sagemaker.core.utils.utils")
        self._context = {"session": session, "region": region}
        self._one = threading.Lock()

    def send(self, service: str, operation: str, parameters: Parameters) -> Parameters:
        """AWS's answer to exactly this request, as botocore parsed it.

        The SDK would go on to describe what was made, and to put that into its classes, which not
        every answer fits: that the call was carried out is known before.

        Raises:
            DiffersError: nothing was sent.
            botocore.exceptions.ClientError: AWS refuses.
        """
        client, seen = self._client(service), False

        def compare(params: Parameters, **_: Any) -> None:
            nonlocal seen
            if found := list(differences(parameters, params)):
                more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
                raise DiffersError("; ".join(found[:SHOWN]) + more)
            seen = True

        def answered(parsed: Parameters, http_response: Any, **_: Any) -> None:
            if http_response.status_code < 300:
                raise _Answered(parsed)

        events, api = client.meta.events, client.meta.method_to_api_mapping[operation]
        built, called = (f"{step}.{service}.{api}" for step in ("before-parameter-build",
                                                                "after-call"))  # fmt: skip
        with self._one:  # the handlers are of one call
            events.register_first(built, compare)
            events.register_last(called, answered)
            try:
                self._call(client, operation, parameters)
            except _Answered as done:
                return done.answer
            except DiffersError:
                raise
            except Exception as error:
                if seen:
                    raise
                text = " ".join(str(error).split())[:200]
                raise DiffersError(f"it refuses the request: {text}") from error
            finally:
                events.unregister(built, compare)
                events.unregister(called, answered)
        raise AssertionError(f"the SDK sent {operation} with a client that is not ours")

    def _client(self, service: str) -> Any:
        """The one that the SDK will use: it keeps some by session and region, and drops the old."""
        session, region = self._context["session"], self._context["region"]
        made = self._utils.SageMakerClient(session=session, region_name=region)
        return made.get_client(service)

    def _call(self, client: Any, operation: str, parameters: Parameters) -> None:
        kind, method = METHODS[operation]
        model = client.meta.service_model
        shape = model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
        own = OF_THE_OBJECT.get(operation, ())
        there = {key: value for key, value in parameters.items() if key in own}
        target = getattr(self._resources, kind)
        if own:
            target = target(**self._arguments(there, shape))
        rest = {key: value for key, value in parameters.items() if key not in own}
        arguments = self._arguments(rest, shape)
        if method == "update":  # takes no session: without this it would use the process's first
            target._set_client_context(**self._context)
        else:
            arguments |= self._context
        getattr(target, method)(**arguments)

    def _arguments(self, value: Any, shape: Any) -> Any:
        """The SDK's names of members; the keys of maps are the user's, and stay."""
        if shape.type_name == "structure":
            return {
                self._utils.pascal_to_snake(key): self._arguments(inner, shape.members[key])
                for key, inner in value.items()
            }
        if shape.type_name == "list":
            return [self._arguments(inner, shape.member) for inner in value]
        return value


class Sender:
    """Sends calls with one session; remembers why the SDK did not send the last one."""

    def __init__(self, session: Any, region: str) -> None:
        """Nothing is loaded until the first call to SageMaker is sent."""
        self._session, self._region = session, region
        self._sdk: Sdk | None = None
        self._tried, self._broken = False, ""
        self.why_boto3 = ""
        """Of the last call; empty where the SDK sent it, has no such call, or is not installed."""

    def send(self, client: Any, service: str, operation: str, parameters: Parameters) -> Parameters:
        """AWS's answer; ``client`` is boto3's for the service.

        A question to an endpoint loads no SDK: that takes longer than the answer.

        Raises:
            Exception: what botocore raises.
        """
        self.why_boto3 = ""
        if operation in METHODS:
            if operation != "invoke_endpoint":
                self._load()
            if self._sdk is not None:
                try:
                    return self._sdk.send(service, operation, parameters)
                except DiffersError as difference:
                    self.why_boto3 = (
                        f"by boto3, for the SageMaker SDK's request differs: {difference}"
                    )
            elif self._broken:
                self.why_boto3 = f"by boto3, for the SageMaker SDK cannot be loaded: {self._broken}"
        return getattr(client, operation)(**parameters) or {}

    def _load(self) -> None:
        if self._tried:
            return
        self._tried = True
        try:
            self._sdk = Sdk(self._session, self._region)
        except ModuleNotFoundError as error:
            if error.name not in ("sagemaker", "sagemaker.core", "sagemaker.core.resources"):
                self._broken = str(error)
        except Exception as error:  # whatever it does at import: boto3 can send everything
            self._broken = f"{type(error).__name__}: {error}"


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where two requests differ, each in a few words; true is not 1, but 1.0 is."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            inner = f"{path}.{key}".lstrip(".")
            if key not in theirs:
                yield f"no {inner}"
            elif key not in ours:
                yield f"{inner} added"
            else:
                yield from differences(ours[key], theirs[key], inner)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield f"another {path}"
