"""What the formats share: the calls with labels, references between them, JSON text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.validation import UPLOAD

References = dict[tuple[str, str], Any]
"""What stands for a value: by the parameter it is given to, and the value itself."""

LABELS = {
    "create_role": "role",
    "put_role_policy": "role_policy",
    UPLOAD: "archive",
    "create_model": "model",
    "create_endpoint_config": "configuration",
    "create_endpoint": "endpoint",
    "create_inference_component": "component",
    "register_scalable_target": "target",
    "put_scaling_policy": "policy",
    "put_scheduled_action": "schedule",
    "put_metric_alarm": "alarm",
}
"""What the resource is called that a call makes."""


def labelled(actions: Iterable[Action]) -> Iterator[tuple[str, Action]]:
    """Each call with a label of its own: ``model``, ``model2``."""
    seen: Counter[str] = Counter()
    for action in actions:
        label = LABELS[action.operation]
        seen[label] += 1
        yield label if seen[label] == 1 else f"{label}{seen[label]}", action


def replaced(
    value: Any, references: Mapping[tuple[str, str], Any], literal: Callable[[str], str] = str
) -> Any:
    """A copy in which references stand for the values that other resources give.

    ``literal`` is applied to all other strings that are values.
    """

    def under(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: under(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [under(key, inner) for inner in value]
        if isinstance(value, str):
            return references.get((key, value), literal(value))
        return value

    return under("", value)


def tags(listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The tags of a call as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed}


def text(data: Any) -> str:
    """Data as the text of a JSON file."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
