"""What each call makes: how to see whether it is there already, and how to take it away again."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.deploy.action import Action
from workbench.errors import MissingError

Parameters = dict[str, Any]
ABSENT = ("Could not find", "does not exist", "NoSuchEntity", "Not Found", "404", "cannot find",
          "ResourceNotFound", "No scalable target", "ObjectNotFound")  # fmt: skip


@dataclass(frozen=True)
class Undo:
    """A call that takes away what another made."""

    service: str
    operation: str
    parameters: Parameters


@dataclass(frozen=True)
class Resource:
    """``find`` names the call that fails where it is not there, ``undo`` those that remove it.

    ``keys`` are the parameters of the making call that say which one it is.
    """

    keys: tuple[str, ...]
    find: str | None
    undo: tuple[tuple[str, Mapping[str, Any]], ...]


RESOURCES: dict[str, Resource] = {
    "create_role": Resource(("RoleName",), "get_role", (("delete_role", {}),)),
    "put_role_policy": Resource(("RoleName", "PolicyName"), None, (("delete_role_policy", {}),)),
    "upload_file": Resource(("Bucket", "Key"), "head_object", (("delete_object", {}),)),
    "create_model": Resource(("ModelName",), "describe_model", (("delete_model", {}),)),
    "create_endpoint_config": Resource(
        ("EndpointConfigName",), "describe_endpoint_config", (("delete_endpoint_config", {}),)
    ),
    "create_endpoint": Resource(("EndpointName",), "describe_endpoint", (("delete_endpoint", {}),)),
    "create_inference_component": Resource(
        ("InferenceComponentName",),
        "describe_inference_component",
        (("delete_inference_component", {}),),
    ),
    # Deregistering deletes the target's policies and scheduled actions too (its API reference).
    "register_scalable_target": Resource(
        ("ServiceNamespace", "ResourceId", "ScalableDimension"),
        None,
        (("deregister_scalable_target", {}),),
    ),
    "put_scaling_policy": Resource((), None, ()),
    "put_scheduled_action": Resource((), None, ()),
    "put_metric_alarm": Resource(("AlarmName",), None, (("delete_alarms", {}),)),
    "create_transform_job": Resource(
        ("TransformJobName",), "describe_transform_job", (("stop_transform_job", {}),)
    ),
}
"""By the operation that makes it. ``update_endpoint`` is undone by the caller, who knows the old
configuration."""


class Clients:
    """boto3's clients by service, made when they are first asked for."""

    def __init__(self, region: str) -> None:
        """Credentials and endpoint are boto3's own (environment, profile, AWS_ENDPOINT_URL).

        Raises:
            MissingError: boto3 is not installed.
        """
        try:
            boto3 = importlib.import_module("boto3")
        except ImportError:
            raise MissingError(
                "Deploying needs boto3.", hint="pip install 'workbench[sagemaker]'"
            ) from None
        self._session = boto3.session.Session(region_name=region)
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service."""
        if service not in self._made:
            self._made[service] = self._session.client(service)
        return self._made[service]

    def account(self) -> str:
        """The account's twelve digits."""
        return str(self("sts").get_caller_identity()["Account"])


def key_of(action: Action) -> Parameters:
    """Which resource an action makes."""
    return {name: action.parameters[name] for name in RESOURCES[action.operation].keys}


def exists(action: Action, clients: Clients) -> bool:
    """Whether what the action makes is there. What can be put twice is never said to be there."""
    find = RESOURCES[action.operation].find
    if find is None:
        return False
    call: Callable[..., Any] = getattr(clients(action.service), find)
    return found(call, key_of(action)) is not None


def found(call: Callable[..., Any], parameters: Parameters) -> Any | None:
    """What a describing call answers; none where there is no such thing."""
    try:
        return call(**parameters)
    except Exception as error:  # botocore makes its exception classes at run time
        if is_absent(error):
            return None
        raise


def is_absent(error: Exception) -> bool:
    """Whether AWS says that there is no such thing, which each service says in its own way."""
    answer = getattr(error, "response", {}).get("Error", {})
    said = f"{answer.get('Code', '')} {answer.get('Message', '')}"
    return bool(answer) and any(text in said for text in ABSENT)


def undo(action: Action) -> list[Undo]:
    """The calls that take away what the action made."""
    made = []
    for operation, more in RESOURCES[action.operation].undo:
        parameters = key_of(action)
        if operation == "delete_alarms":
            parameters = {"AlarmNames": [parameters["AlarmName"]]}
        made.append(Undo(action.service, operation, {**parameters, **more}))
    return made
