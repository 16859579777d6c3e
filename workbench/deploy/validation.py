"""Checks requests against botocore's service models, before the first is sent.

botocore's own validator knows names, types, lengths and ranges; allowed values and patterns, which
it leaves to the service, are checked here.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from workbench.deploy.action import Action
from workbench.errors import InputError, MissingError

UPLOAD = "upload_file"
"""boto3's own, which no service model knows."""


def check(actions: Iterable[Action]) -> None:
    """Whether AWS would understand every request.

    Raises:
        InputError: it would not; the message names the request and the parameter.
        MissingError: botocore is not installed.
    """
    for action in actions:
        if action.operation != UPLOAD and (problems := list(_problems(action))):
            raise InputError(
                f"The request {action.operation} of {action.kind} '{action.name}' is wrong: "
                f"{'; '.join(problems[:3])}.",
                hint="The hosting options or names that were given cannot be sent.",
            )


def _problems(action: Action) -> Iterator[str]:
    validate, model = _botocore("botocore.validate"), _service_model(action.service)
    name = next(
        n for n in model.operation_names if _botocore("botocore").xform_name(n) == action.operation
    )
    shape = model.operation_model(name).input_shape
    report = validate.ParamValidator().validate(action.parameters, shape)
    yield from report.generate_report().splitlines()
    yield from _values(action.parameters, shape, "")


def _values(value: Any, shape: Any, path: str) -> Iterator[str]:
    """Values of enumerations, and texts with a pattern."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for key, inner in value.items():
            if key in shape.members:
                yield from _values(inner, shape.members[key], f"{path}.{key}".lstrip("."))
    elif shape.type_name == "list" and isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _values(inner, shape.member, f"{path}[{place}]")
    elif shape.type_name == "string" and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{path} cannot be '{value}'"
        pattern = shape.metadata.get("pattern")
        if pattern and not _fits(pattern, value):
            yield f"{path} '{value}' does not fit {pattern}"


def _fits(pattern: str, value: str) -> bool:
    """A pattern that Python cannot read, such as one with POSIX classes, is left to the service."""
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


@cache
def _service_model(service: str) -> Any:
    """SageMaker's has some megabytes; an endpoint is many requests of few services."""
    return _botocore("botocore.session").get_session().get_service_model(service)


def _botocore(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingError(
            "Deploying needs boto3.", hint="pip install 'workbench[sagemaker]'"
        ) from None
