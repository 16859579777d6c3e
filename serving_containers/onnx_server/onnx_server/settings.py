"""Settings of the server: from the environment, with defaults derived from the container's limits.

Every field is read from ``ONNX_SERVER_<FIELD>``; the platform's own variables fill some defaults.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from onnx_server.limits import available_cpus, memory_limit_bytes

PREFIX = "ONNX_SERVER_"
BACKLOG = 2048
"""Connections that may wait to be accepted."""


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and says what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set; times in seconds or milliseconds as the names say, sizes in bytes."""

    host: str = "0.0.0.0"
    port: int = 8080
    model: Path | None = Path("/opt/ml/model")
    models_dir: Path = Path("/opt/ml/models")
    multi_model: bool = False
    lanes: int = 1
    threads: int = 1
    max_batch: int = 32
    max_delay_ms: float = 2.0
    max_queue: int = 256
    max_body_bytes: int = 26_214_400
    timeout_s: float = 60.0
    body_timeout_s: float = 30.0
    drain_s: float = 20.0
    memory_limit_bytes: int = 0
    cache_bytes: int = 0
    token: str = ""
    default_accept: str = ""
    placeholders: bool = False
    device: str = "cpu"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None


LEAST = {
    **dict.fromkeys(("lanes", "threads", "max_batch", "max_queue", "max_body_bytes"), 1),
    **dict.fromkeys(("memory_limit_bytes", "cache_bytes", "max_delay_ms", "drain_s"), 0),
    **dict.fromkeys(("timeout_s", "body_timeout_s"), 0.001),
}


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that the environment gives.

    ``lanes`` (inferences that run at a time) defaults to the CPUs that the container may use over
    ``threads`` of one inference; ``memory_limit_bytes`` to nine tenths of the container's limit.

    Raises:
        SettingsError: a value of the wrong type or out of range, or an unknown setting.
    """
    known = {field.name: str(field.type) for field in fields(Settings)}
    values: dict[str, object] = _platform(environment)
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and variable != "ONNX_SERVER_LOG_LEVEL":
            name = variable.removeprefix(PREFIX).lower()
            if name not in known:
                raise SettingsError(f"{variable} is no setting; there are {', '.join(known)}.")
            values[name] = _value(variable, text, known[name])
    for name, least in LEAST.items():
        if name in values and not float(str(values[name])) >= least:
            raise SettingsError(f"{PREFIX}{name.upper()} must be at least {least}.")
    _check_tls(values)
    cpus = max(1, math.ceil(available_cpus()))
    values.setdefault("lanes", max(1, cpus // int(str(values.get("threads", 1)))))
    values.setdefault("memory_limit_bytes", memory_limit_bytes() * 9 // 10)
    return Settings(**values)  # type: ignore[arg-type]


def _check_tls(values: Mapping[str, object]) -> None:
    """Half of TLS is none: the server would go on without, or fail when it is asked."""
    given = [name for name in ("tls_cert", "tls_key", "tls_client_ca") if name in values]
    missing = [name for name in ("tls_cert", "tls_key") if given and name not in values]
    if missing:
        wanted = f"{PREFIX}{missing[0].upper()}"
        raise SettingsError(f"{PREFIX}{given[0].upper()} needs {wanted} too.")
    for name in given:
        path = Path(str(values[name]))
        if not os.access(path, os.R_OK) or not path.is_file():
            raise SettingsError(f"{PREFIX}{name.upper()}: the file '{path}' cannot be read.")


def _platform(environment: Mapping[str, str]) -> dict[str, object]:
    """Defaults from the hosting platform's variables (clauses of its container contract)."""
    values: dict[str, object] = {}
    if port := environment.get("SAGEMAKER_BIND_TO_PORT"):
        values["port"] = _value("SAGEMAKER_BIND_TO_PORT", port, "int")
    if multi := environment.get("SAGEMAKER_MULTI_MODEL"):
        values["multi_model"] = _value("SAGEMAKER_MULTI_MODEL", multi, "bool")
    if batch := environment.get("SAGEMAKER_BATCH"):
        values["placeholders"] = _value("SAGEMAKER_BATCH", batch, "bool")
    if accept := environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"):
        values["default_accept"] = accept
    if timeout := environment.get("SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS") or environment.get(
        "SAGEMAKER_MODEL_SERVER_TIMEOUT"
    ):
        values["timeout_s"] = _value("SAGEMAKER_MODEL_SERVER_TIMEOUT", timeout, "float")
    if megabytes := environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB"):
        size = int(str(_value("SAGEMAKER_MAX_PAYLOAD_IN_MB", megabytes, "int"))) * 1_048_576
        values["max_body_bytes"] = size or 104_857_600
    if folder := environment.get("SM_MODEL_DIR"):
        values["model"] = Path(folder)
    return values


def _value(variable: str, text: str, kind: str) -> object:
    try:
        match kind:
            case "int":
                return int(text)
            case "float":
                number = float(text)
                if not math.isfinite(number):
                    raise ValueError
                return number
            case "bool":
                return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            case "str":
                return text
            case _:
                return Path(text)
    except (ValueError, KeyError):
        raise SettingsError(f"{variable} is '{text}', but must be of type {kind}.") from None
