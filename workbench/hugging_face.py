"""Hugging Face folders: what is taken of them, how they are described, and how they load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from workbench.errors import MissingError, ModelError
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
from workbench.weights import check_finite, read_json, read_state

HUGGING_FACE_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*/config.json")
"""What is taken of a Hugging Face folder: configuration, tokenizer, safetensors, pooling."""
PICKLED_WEIGHTS = "pytorch_model.bin"
"""Read, where there are no safetensors, with weights_only=True, and stored as safetensors."""


def files_of_folder(folder: Path) -> dict[str, Path]:
    """The files that make a Hugging Face model, by their relative name."""
    files = {
        path.relative_to(folder).as_posix(): path
        for pattern in (*HUGGING_FACE_FILES, PICKLED_WEIGHTS)
        for path in folder.glob(pattern)
    }
    if any(name.endswith(".safetensors") for name in files):
        files.pop(PICKLED_WEIGHTS, None)
    return files


def download(reference: str) -> Path:
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


def materialize(
    source: Path, target: Path, *, name: str, smoke: bool, preprocess: Preprocess | None
) -> Manifest:
    """Fill the root artifact's folder from a Hugging Face folder and return its manifest.

    Raises:
        ModelError: a file is missing, damaged or of a kind that is not supported.
    """
    files = files_of_folder(source)
    config = read_json(source / "config.json")
    if "model_type" not in config:
        raise ModelError(f"{source / 'config.json'} names no model_type.")
    for file, path in files.items():
        if file == PICKLED_WEIGHTS or (path.suffix == ".safetensors" and smoke):
            continue
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / file)
    if smoke:
        _make_tiny(source, target)
        config = read_json(target / "config.json")
    elif not any(target.glob("*.safetensors")):
        _convert_bin(source, target)
    for path in target.glob("*.safetensors"):
        check_finite(path)
    preprocess = preprocess or _text_preprocess(source, target, config)
    if preprocess is None:
        raise ModelError(
            f"{source} has no tokenizer: of Hugging Face folders only text models are supported.",
            hint="Give an image model as a factory with its inputs, or as an .onnx file.",
        )
    names = ["input_ids", "attention_mask"]
    if config.get("type_vocab_size"):
        names.append("token_type_ids")
    inputs = tuple(
        TensorSpec(name=given, dtype="int64", shape=("batch", "sequence")) for given in names
    )
    return Manifest(
        name=name,
        format="torch",
        source=TorchSource(
            kind="huggingface",
            task=_task_of(config),
            pooling=_pooling(source),
        ),
        signature=Signature(inputs=inputs),
        preprocess=preprocess,
        labels=_labels(config),
        architecture=Architecture(
            model_type=config["model_type"],
            num_heads=_first(config, "num_attention_heads", "n_heads", "n_head"),
            hidden_size=_first(config, "hidden_size", "dim", "n_embd"),
            layers=_first(config, "num_hidden_layers", "n_layers", "n_layer"),
        ),
    )


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


def _make_tiny(source: Path, target: Path) -> None:
    """Tiny random weights of the same architecture: narrow layers, few heads, the same vocabulary.

    It has as many layers as the original, so that a recipe may name them.
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(source))
    heads = max(1, min(4, int(getattr(config, "num_attention_heads", 4) or 4)))
    small = {
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


def load_module(folder: Path, source: TorchSource) -> Any:
    """The transformers module of a folder, in eval mode, with eager attention.

    Raises:
        ModelError: it cannot be loaded, or lacks weights (a pooler's may be missing).
    """
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


def build_from_config(folder: Path, source: TorchSource) -> Any:
    """The untrained transformers module of a folder's configuration, with eager attention.

    Raises:
        ModelError: transformers cannot build it.
    """
    import torch
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        module = auto_class(source.task).from_config(
            config, attn_implementation="eager", torch_dtype=torch.float32
        )
    except Exception as error:  # transformers raises many types for a bad folder
        raise ModelError(f"{folder} cannot be built: {str(error).splitlines()[0]}") from error
    return module.eval()
