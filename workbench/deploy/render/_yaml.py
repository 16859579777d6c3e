"""YAML documents for readers of YAML 1.1, to which ``off`` and ``12:30`` are no texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from workbench.yaml_source import dump_yaml

PLAIN = re.compile(r"[A-Za-z/][\w./-]*")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def documents(manifests: Iterable[Mapping[str, Any]]) -> str:
    """Manifests as the documents of one file."""
    return "---\n".join(dump_yaml(_quoted(manifest)) for manifest in manifests)


def _quoted(value: Any) -> Any:
    """Texts in quotes wherever YAML 1.1 would not read them as texts."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        return {_quoted(key): _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(inner) for inner in value]
    if isinstance(value, str) and (not PLAIN.fullmatch(value) or value.lower() in WORDS):
        return DoubleQuotedScalarString(value)
    return value
