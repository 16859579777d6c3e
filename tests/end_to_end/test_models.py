"""Model references of every kind, offline: found, loaded safely, exported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import mlp
from workbench.artifact import seal
from workbench.errors import ModelError
from workbench.models import find_model
from workbench.recipe import FactoryModel
from workbench.run_directory import load_run
from workbench.torch_modules import load_torch
from workbench.weights import read_state

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = (*SPECIAL, "the", "cat", "sat", "on", "a", "mat", "dogs", "run", "fast", "slow")
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}


@pytest.fixture
def hugging_face(tmp_path):
    """Make a Hugging Face folder of an architecture with random weights and a small tokenizer."""

    def make(kind, auto="AutoModel", **settings):
        import torch
        import transformers
        from tokenizers import Tokenizer, models, pre_tokenizers, processors

        folder = tmp_path / kind
        words = {word: index for index, word in enumerate(WORDS)}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(kind, **{**SMALL, **settings})
        getattr(transformers, auto).from_config(config).save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return make


def recipe(tmp_path, model, variants="{fp32: [export], fused: [export, fuse]}"):
    texts = ["the cat sat", "dogs run fast", "a slow mat", "the dogs sat on a mat"] * 10
    rows = [f"{text} {index % 7}" for index, text in enumerate(texts)]
    (tmp_path / "texts.csv").write_text("text\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"name: t\nmodel: {json.dumps(str(model))}\ntask: {{agreement: {{data: texts.csv}}}}\n"
        f"variants: {variants}\nprofile: {{batch: [1], sequence: [8], seconds: 0.1}}\n"
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "exporter"), [("bert", "optimum"), ("ernie", "torch.onnx (torch.export)")]
)
def test_a_hugging_face_folder_is_exported_and_its_attention_fused(
    cli, hugging_face, tmp_path, kind, exporter
):
    result = cli("run", recipe(tmp_path, hugging_face(kind)))
    assert result.code == 0, result.err
    run = load_run(tmp_path / "runs" / "t")
    exported, fused = run.variants[1].lineage
    assert exported.account.choices["exporter"] == exporter
    assert exported.account.parity.within
    assert [spec.shape for spec in run.variants[0].signature.inputs] == [("batch", "sequence")] * 3
    if exporter == "optimum":
        assert fused.account.changed["MultiHeadAttention"] == 2
    assert run.variants[1].measurement.quality.agreement["cosine_min"] > 0.9999


@pytest.mark.slow
def test_sentence_transformers_pooling_is_part_of_the_graph(cli, hugging_face, tmp_path):
    folder = hugging_face("bert")
    kinds = ["Transformer", "Pooling", "Normalize"]
    package = "sentence_transformers.models"
    modules = [
        {"idx": i, "path": f"{i}_{kind}" if i else "", "type": f"{package}.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    result = cli("run", recipe(tmp_path, folder, "{fp32: [export]}"))
    assert result.code == 0, result.err
    [variant] = load_run(tmp_path / "runs" / "t").variants
    [output] = variant.signature.outputs
    assert (output.name, output.shape) == ("sentence_embedding", ("batch", 64))


@pytest.mark.slow
def test_a_text_classifier_keeps_its_labels(cli, hugging_face, tmp_path):
    labels = {0: "bad", 1: "good"}
    folder = hugging_face("bert", "AutoModelForSequenceClassification", id2label=labels)
    result = cli("run", recipe(tmp_path, folder, "{fp32: [export]}"))
    assert result.code == 0, result.err
    manifest = tmp_path / "runs" / "t" / "variants" / "fp32" / "manifest.json"
    assert json.loads(manifest.read_text())["labels"] == ["bad", "good"]


def test_a_folder_without_weights_is_refused(cli, hugging_face, tmp_path):
    folder = hugging_face("bert")
    (folder / "model.safetensors").unlink()
    result = cli("run", recipe(tmp_path, folder))
    assert result.code == 2
    assert "no weights" in result.err


def test_a_folder_without_a_tokenizer_is_refused(cli, hugging_face, tmp_path):
    folder = hugging_face("bert")
    (folder / "tokenizer.json").unlink()
    result = cli("run", recipe(tmp_path, folder))
    assert (result.code, "no tokenizer" in result.err) == (2, True)


def test_a_truncated_safetensors_file_is_refused(cli, hugging_face, tmp_path):
    path = hugging_face("bert") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    result = cli("run", recipe(tmp_path, path.parent))
    assert result.code == 2
    assert "no whole safetensors file" in result.err


def test_a_hub_id_that_is_not_here_says_so_offline(tmp_path):
    # In a process of its own: huggingface_hub reads HF_HUB_OFFLINE when it is imported.
    code = (
        "import pathlib, workbench.models as m\n"
        "m.find_model('nobody/nothing-of-this-name', folder=pathlib.Path())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "MissingError" in done.stderr
    assert "cannot be downloaded" in done.stderr


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="neither"):
        find_model("folder", folder=tmp_path)
    with pytest.raises(ModelError, match=r"no model 'none\.onnx'"):
        find_model("none.onnx", folder=tmp_path)


def test_the_key_follows_weights_scripts_and_arguments(project, tmp_path):
    def key(**changes):
        model = {"factory": "net.py:build", "checkpoint": "weights.pt"}
        model |= {"inputs": [{"name": "x", "shape": ["batch", 32]}], **changes}
        return find_model(FactoryModel.model_validate(model), folder=project).key()

    first = key()
    assert key() == first
    assert key(arguments={"width": 64}) != first
    (project / "net.py").write_text((project / "net.py").read_text() + "\n# changed\n")
    assert key() != first
    second = key()
    with (project / "weights.pt").open("ab") as file:
        file.write(b"x")
    assert key() != second


def test_files_that_change_between_the_key_and_the_reading_are_refused(project, tmp_path):
    model = {"factory": "net.py:build", "checkpoint": "weights.pt"}
    model |= {"inputs": [{"name": "x", "shape": ["batch", 32]}]}
    reference = find_model(FactoryModel.model_validate(model), folder=project)
    reference.key()
    (project / "net.py").write_text((project / "net.py").read_text() + "# changed\n")
    (tmp_path / "root").mkdir()
    with pytest.raises(ModelError, match="changed while they were read"):
        reference.materialize(tmp_path / "root")


def test_a_wrapped_checkpoint_of_a_parallel_model_is_unwrapped(tmp_path):
    import torch

    state = {"module.weight": torch.ones(2, 2)}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "wrapped.pt")
    assert list(read_state(tmp_path / "wrapped.pt")) == ["weight"]
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(ModelError, match="no state dict"):
        read_state(tmp_path / "none.pt")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04broken")
    with pytest.raises(ModelError, match="no whole torch checkpoint"):
        read_state(tmp_path / "broken.pt")


def test_a_factory_model_is_stored_as_safetensors_and_loads_again(project, tmp_path):
    import torch

    model = {"factory": "net.py:build", "checkpoint": "weights.pt"}
    model |= {"inputs": [{"name": "x", "shape": ["batch", 32]}]}
    reference = find_model(FactoryModel.model_validate(model), folder=project)
    target = tmp_path / "root"
    target.mkdir()
    artifact = seal(target, reference.materialize(target))
    assert set(artifact.manifest.files) == {"factory.py", "weights.safetensors"}
    module = load_torch(target, artifact.manifest)
    state = torch.load(project / "weights.pt", weights_only=True)
    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])


def test_an_onnx_root_keeps_its_external_data(tmp_path):
    mlp(tmp_path / "own.onnx", external=True)
    reference = find_model("own.onnx", folder=tmp_path)
    target = tmp_path / "root"
    target.mkdir()
    artifact = seal(target, reference.materialize(target))
    assert set(artifact.manifest.files) == {"model.onnx", "own.onnx.data"}
    assert artifact.manifest.signature.inputs[0].shape == ("batch", 32)
    assert np.dtype(artifact.manifest.signature.inputs[0].dtype) == np.float32


def test_a_factory_may_be_a_function_of_a_module(cli, project, monkeypatch):
    package = project / "nets_of_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("from nets_of_a_package.net import build\n")
    (project / "net.py").rename(package / "net.py")
    monkeypatch.syspath_prepend(project)
    module = ("--set", "model.factory=nets_of_a_package:build")
    result = cli("run", project / "recipe.yaml", "--only", "int8", *module)
    assert result.code == 0, result.err
    first = load_run(Path("runs") / "small").variants[0].key
    (package / "net.py").write_text((package / "net.py").read_text() + "# changed\n")
    cli("run", project / "recipe.yaml", "--only", "int8", *module)
    assert load_run(Path("runs") / "small").variants[0].key != first


@pytest.mark.slow
def test_pickled_hugging_face_weights_are_read_safely_and_are_part_of_the_key(
    cli, hugging_face, tmp_path
):
    import torch
    from safetensors.torch import load_file

    folder = hugging_face("bert")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    path = recipe(tmp_path, folder, "{fp32: [export]}")
    assert cli("run", path).code == 0
    first = load_run(tmp_path / "runs" / "t").variants[0].key
    state["embeddings.word_embeddings.weight"] += 1
    torch.save(state, folder / "pytorch_model.bin")
    assert cli("run", path).code == 0
    assert load_run(tmp_path / "runs" / "t").variants[0].key != first


@pytest.mark.slow
def test_what_a_manifest_says_is_part_of_what_was_measured(cli, hugging_face, tmp_path):
    folder = hugging_face("bert")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 64}')
    path = recipe(tmp_path, folder, "{fp32: [export]}")
    assert cli("run", path).code == 0
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 4}')
    assert cli("run", path).code == 0
    manifest = tmp_path / "runs" / "t" / "variants" / "fp32" / "manifest.json"
    assert json.loads(manifest.read_text())["preprocess"]["max_length"] == 4


@pytest.mark.slow
def test_a_smoke_run_keeps_the_head_of_a_classifier(cli, hugging_face, tmp_path):
    folder = hugging_face("bert", "AutoModelForSequenceClassification", num_labels=3)
    result = cli("run", recipe(tmp_path, folder, "{fp32: [export]}"), "--smoke")
    assert result.code == 0, result.err
    [output] = load_run(tmp_path / "runs" / "t-smoke").variants[0].signature.outputs
    assert output.shape[-1] == 3


def test_broken_configurations_are_refused(cli, hugging_face, tmp_path):
    folder = hugging_face("bert")
    (folder / "modules.json").write_text("[")
    result = cli("run", recipe(tmp_path, folder))
    assert (result.code, "modules.json" in result.err) == (2, True)
    (folder / "config.json").write_text("{}")
    result = cli("run", recipe(tmp_path, folder))
    assert (result.code, "model_type" in result.err) == (2, True)
