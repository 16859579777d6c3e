"""``manifest.json`` of a model: its files, signature and preprocessing.

The format is the workbench's (schema version 1); keys that only the workbench needs are ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnx_server.errors import InvalidModel

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named input or output; a name in ``shape`` is a dynamic axis such as ``batch``."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How raw samples become inputs: ``kind`` text, image or bytes, and its options by name.

    The options are those of the manifest: for text ``tokenizer``, ``max_length``, ``pad_id``,
    ``pad_token``; for image ``size`` (height, width), ``resize``, ``resample``, ``mean``, ``std``
    (scale 0..255), ``channels``; for bytes ``begin``, ``end``, ``block``, ``padding``.
    """

    kind: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the server needs to know of a model; ``folder`` is where its files lie."""

    name: str
    folder: Path
    model_file: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] | None = None
    files: dict[str, int] = field(default_factory=dict)

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.folder / self.model_file


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the model in ``folder``, its files checked to be there in their size.

    Without a ``manifest.json`` the folder's one ``.onnx`` file is the model; its manifest has no
    inputs and outputs until the graph is asked for them. ``folder`` may be that file itself.

    Raises:
        InvalidModel: no model or several, a malformed manifest, a missing or truncated file, a
            file outside the folder; the message says which.
    """
    if folder.is_file():
        return _bare(folder)
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        return _bare(*sorted(folder.glob("*.onnx")))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error  # without the path, which is not told
        raise InvalidModel(f"{MANIFEST} cannot be read: {why}.") from None
    try:
        manifest = _parse(raw, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidModel(f"{MANIFEST} is malformed: {type(error).__name__}: {error}.") from None
    _check_files(manifest)
    return manifest


def _bare(*files: Path) -> Manifest:
    if len(files) != 1:
        count = "several" if files else "no"
        raise InvalidModel(f"The model's folder has no {MANIFEST} and {count} .onnx files.")
    file = files[0]
    return Manifest(file.stem, file.parent, file.name, inputs=(), outputs=())


def _parse(raw: dict[str, Any], folder: Path) -> Manifest:
    if raw["schema_version"] != SCHEMA_VERSION:
        raise InvalidModel(
            f"{MANIFEST} has schema version {raw['schema_version']}; this server reads "
            f"{SCHEMA_VERSION}."
        )
    if raw["format"] != "onnx" or not raw.get("model_file"):
        raise InvalidModel(f"The model's format is '{raw['format']}'; this server runs onnx.")
    options = raw.get("preprocess")
    labels = raw.get("labels")
    if not raw["signature"]["inputs"]:
        raise ValueError("the signature has no inputs")
    return Manifest(
        name=str(raw["name"]),
        folder=folder,
        model_file=_inside(raw["model_file"]),
        inputs=tuple(_tensor(item) for item in raw["signature"]["inputs"]),
        outputs=tuple(_tensor(item) for item in raw["signature"].get("outputs", ())),
        preprocess=None if options is None else Preprocess(str(options["kind"]), dict(options)),
        labels=None if labels is None else tuple(map(str, labels)),
        files={_inside(name): int(f["bytes"]) for name, f in raw.get("files", {}).items()},
    )


def _tensor(raw: dict[str, Any]) -> Tensor:
    shape = tuple(d if isinstance(d, str) else int(d) for d in raw["shape"])
    return Tensor(str(raw["name"]), np.dtype(raw["dtype"]), shape)


def _inside(name: str) -> str:
    """The name of a file, which must lie in the model's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"the file '{name}' lies outside the model's folder")
    return name


def _check_files(manifest: Manifest) -> None:
    for name, size in {manifest.model_file: None, **manifest.files}.items():
        try:
            found = (manifest.folder / name).stat().st_size
        except OSError:
            raise InvalidModel(f"The model's file '{name}' is missing.") from None
        if size is not None and found != size:
            raise InvalidModel(
                f"The model's file '{name}' has {found} bytes, but its manifest says {size}."
            )
