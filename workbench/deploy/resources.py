"""What each call makes: how to see whether it is there already, and how to take it away again."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.sdk import Sender
from workbench.errors import InputError, MissingError

Parameters = dict[str, Any]
ABSENT = (
    "Could not find", "does not exist", "NoSuchEntity", "Not Found", "404", "cannot find",
    "ResourceNotFound", "No scalable target", "No scaling policy", "ObjectNotFound",
)  # fmt: skip


BUSY = ("in progress", "is being", "in use", "InUse", "Cannot delete", "Cannot update", "currently")
"""What AWS says of something that can be taken away only a while later: an endpoint that is still
being made, or that has inference components which are not gone yet."""
BUSY_S = 600.0


@dataclass(frozen=True)
class Undo:
    """A call that takes away what another made, or puts back what was there before it."""

    service: str
    operation: str
    parameters: Parameters


@dataclass(frozen=True)
class Resource:
    """``find`` tells what is there, ``remove`` takes it away, each by the ``keys`` alone.

    ``keys`` are the parameters of the making call that say which one it is. What can be put over
    and over has ``told``: where in the answer of ``find`` it stands with what it was put with.
    """

    keys: tuple[str, ...]
    find: str
    remove: str
    told: str | None = None
    plural: str | None = None
    """Where finding and removing take a list of one key: that list's name, by the key's."""


_TARGET = ("ServiceNamespace", "ResourceId", "ScalableDimension")
RESOURCES: dict[str, Resource] = {
    "create_role": Resource(("RoleName",), "get_role", "delete_role"),
    "put_role_policy": Resource(
        ("RoleName", "PolicyName"), "get_role_policy", "delete_role_policy", told=""
    ),
    "upload_file": Resource(("Bucket", "Key"), "head_object", "delete_object"),
    "create_model": Resource(("ModelName",), "describe_model", "delete_model"),
    "create_endpoint_config": Resource(
        ("EndpointConfigName",), "describe_endpoint_config", "delete_endpoint_config"
    ),
    "create_endpoint": Resource(("EndpointName",), "describe_endpoint", "delete_endpoint"),
    "create_inference_component": Resource(
        ("InferenceComponentName",), "describe_inference_component", "delete_inference_component"
    ),
    # Deregistering deletes the target's policies and scheduled actions too (its API reference).
    "register_scalable_target": Resource(
        _TARGET,
        "describe_scalable_targets",
        "deregister_scalable_target",
        told="ScalableTargets",
        plural="ResourceIds",
    ),
    "put_scaling_policy": Resource(
        ("PolicyName", *_TARGET),
        "describe_scaling_policies",
        "delete_scaling_policy",
        told="ScalingPolicies",
        plural="PolicyNames",
    ),
    "put_scheduled_action": Resource(
        ("ScheduledActionName", *_TARGET),
        "describe_scheduled_actions",
        "delete_scheduled_action",
        told="ScheduledActions",
        plural="ScheduledActionNames",
    ),
    "put_metric_alarm": Resource(
        ("AlarmName",), "describe_alarms", "delete_alarms", told="MetricAlarms", plural="AlarmNames"
    ),
    "create_transform_job": Resource(
        ("TransformJobName",), "describe_transform_job", "stop_transform_job"
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
        self._sender = Sender(self._session, region)

    def __call__(self, service: str) -> Any:
        """The client of a service."""
        if service not in self._made:
            self._made[service] = self._session.client(service)
        return self._made[service]

    def send(self, service: str, operation: str, parameters: Parameters) -> Parameters:
        """What AWS answers to a call that makes, changes or asks something.

        Raises:
            Exception: what botocore raises.
        """
        return self._sender.send(self(service), service, operation, parameters)

    @property
    def why_boto3(self) -> str:
        """Why the last such call did not go through the SageMaker SDK that is installed."""
        return self._sender.why_boto3

    def account(self) -> str:
        """The account's twelve digits."""
        return str(self("sts").get_caller_identity()["Account"])


def standing(action: Action, clients: Clients) -> Parameters | None:
    """What is there under the name of what the action makes; none where nothing is."""
    resource = RESOURCES[action.operation]
    key = _key(action)
    if resource.plural is not None:
        name = resource.plural.removesuffix("s")
        key[resource.plural] = [key.pop(name)]
    call: Callable[..., Any] = getattr(clients(action.service), resource.find)
    told = found(call, key)
    if told is None or not resource.told:
        return told
    return next(iter(told[resource.told]), None)


def is_kept(action: Action, there: Parameters | None) -> bool:
    """Whether what is there is what the action would make.

    What is made once bears its content in its name, or is one of a kind; what is put is compared,
    but for its tags and for what only AWS knows.
    """
    if there is None or RESOURCES[action.operation].told is None:
        return there is not None
    asked = {k: v for k, v in action.parameters.items() if k not in ("Tags", "AlarmActions")}
    return _within(_read(asked), _read(there))


def undo(action: Action, there: Parameters | None) -> list[Undo]:
    """The calls that bring back what was there before the action."""
    resource = RESOURCES[action.operation]
    if there is not None:
        same = {k: there[k] for k in action.parameters if k in there and k != "Tags"}
        if "PolicyDocument" in same:
            same["PolicyDocument"] = json.dumps(_read(same["PolicyDocument"]))
        return [Undo(action.service, action.operation, same)]
    key = _key(action)
    if resource.remove == "delete_alarms":
        key = {"AlarmNames": list(key.values())}
    return [Undo(action.service, resource.remove, key)]


def _key(action: Action) -> Parameters:
    return {name: action.parameters[name] for name in RESOURCES[action.operation].keys}


def _within(asked: Any, there: Any) -> bool:
    """Whether all that is asked stands there; AWS adds defaults of its own."""
    if isinstance(asked, dict) and isinstance(there, dict):
        return all(key in there and _within(value, there[key]) for key, value in asked.items())
    return bool(asked == there)


def _read(value: Any) -> Any:
    """A policy's document is sent as JSON and comes back read."""
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items()}
    return value


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


def patiently(call: Callable[..., Any], parameters: Parameters, poll_s: float) -> None:
    """Call until AWS no longer says that it is busy, for at most ten minutes."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            call(**parameters)
        except Exception as error:  # botocore makes its exception classes at run time
            answer = getattr(error, "response", {}).get("Error", {})
            said = f"{answer.get('Code', '')} {answer.get('Message', '')}"
            if not any(text in said for text in BUSY) or time.monotonic() > until:
                raise
            time.sleep(poll_s)
        else:
            return


class aws_errors:  # noqa: N801 - a context manager reads as a verb phrase
    """What botocore raises, as one sentence: missing credentials, no way to AWS, a refusal."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not type(error).__module__.startswith("botocore"):
            return
        name, answer = type(error).__name__, getattr(error, "response", {}).get("Error", {})
        if answer:
            told = f"{answer.get('Code', '')}: {answer.get('Message', '')}"
            raise InputError(f"AWS refuses: {' '.join(told.split())[:500]}") from error
        if "Credential" in name or name in ("ProfileNotFound", "TokenRetrievalError"):
            raise MissingError(
                f"There are no AWS credentials that can be used: {error}.",
                hint="Set AWS_PROFILE, or the keys of the environment, or run 'aws configure'.",
            ) from error
        raise MissingError(
            f"AWS cannot be reached: {error}.", hint="Mind the network, and --region."
        ) from error
