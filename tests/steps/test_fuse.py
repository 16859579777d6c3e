"""The fuse step on a tiny random BERT and on a small CNN."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from tests.steps import graphs
from workbench.artifact import Artifact
from workbench.errors import StepError


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("bert")
    path = folder / "exported.onnx"
    architecture = graphs.tiny_bert(path)
    return graphs.artifact(folder / "bert", onnx.load(str(path)), architecture=architecture)


@pytest.fixture(scope="module")
def fused(bert):
    return graphs.step(bert, "fuse")


def test_every_attention_layer_is_fused_and_accounted_for(bert, fused):
    artifact, account = fused
    assert account.changed["MultiHeadAttention"] == 2
    assert account.changed["BiasGelu"] == 2
    assert not account.skipped
    assert "2 MultiHeadAttention" in account.summary
    assert graphs.operators(artifact).count("MultiHeadAttention") == 2


def test_fused_outputs_agree_with_the_original(bert, fused):
    feed = graphs.bert_feed()
    difference = np.abs(graphs.run(fused[0], feed) - graphs.run(bert, feed)).max()
    assert difference < 1e-4


@pytest.mark.parametrize("mask", ["left padded", "with holes", "right padded"])
def test_masks_of_every_form_keep_their_meaning(bert, fused, mask):
    feed = graphs.bert_feed()
    if mask == "left padded":
        feed["attention_mask"][0, :5] = 0
    elif mask == "with holes":
        feed["attention_mask"][1, [2, 7]] = 0
    else:
        feed["attention_mask"][2, 6:] = 0
    real = feed["attention_mask"].astype(bool)
    difference = np.abs(graphs.run(fused[0], feed) - graphs.run(bert, feed))[real]
    assert difference.max() < 1e-4


def test_skip_norms_stay_split_when_the_runtime_loads_the_model(fused, tmp_path):
    artifact, _ = fused
    assert "SkipLayerNormalization" not in graphs.operators(artifact)
    assert "SkipLayerNormalization" not in graphs.loaded_operators(artifact, tmp_path)


def test_for_cuda_the_fused_norms_are_kept(bert):
    artifact, account = graphs.step(bert, "fuse", device="cuda")
    assert account.changed["SkipLayerNormalization"] == 4
    assert "EmbedLayerNormalization" in graphs.operators(artifact)


def test_weights_of_fused_attention_stay_visible_to_quantize(fused):
    feeds = [graphs.bert_feed(batch=32)]
    quantized, account = graphs.step(fused[0], "quantize", feeds, scheme="dynamic-int8")
    assert account.changed["MatMul"] == 12  # query, key, value, output, up, down in both layers
    assert set(account.bytes_before) == {"attention", "embedding", "feed-forward", "rest"}
    feed = graphs.bert_feed(seed=9)
    exact = graphs.run(fused[0], feed)
    assert graphs.error(graphs.run(quantized, feed), exact) < 0.03


def test_tables_inside_a_fused_embedding_are_shrunk_too(bert):
    fused, _ = graphs.step(bert, "fuse", device="cuda")
    for scheme in ("dynamic-int8", "weight-only"):
        quantized, account = graphs.step(fused, "quantize", scheme=scheme)
        assert account.changed["EmbedLayerNormalization"] == 2  # words and positions
        assert account.bytes_after["embedding"] < 0.3 * account.bytes_before["embedding"]
        feed = graphs.bert_feed()
        assert graphs.error(graphs.run(quantized, feed), graphs.run(fused, feed)) < 0.05


def test_attention_that_matches_no_pattern_is_reported(bert):
    _, account = graphs.step(bert, "fuse", attention=False)
    assert "MultiHeadAttention" not in account.changed


def test_convolution_takes_in_its_batch_normalisation(tmp_path):
    source = graphs.artifact(tmp_path / "cnn", graphs.cnn())
    artifact, account = graphs.step(source, "fuse")
    assert "BatchNormalization" not in graphs.operators(artifact)
    assert account.changed["BatchNormalization removed"] == 1
    feed = {"x": graphs.random().standard_normal((2, 3, 16, 16)).astype(np.float32)}
    assert np.abs(graphs.run(artifact, feed) - graphs.run(source, feed)).max() < 1e-4


def test_a_graph_with_nothing_to_fuse_says_so(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(64, 32)))
    _, account = graphs.step(source, "fuse")
    assert account.summary.startswith("Nothing was fused")
    assert account.changed == {}


def test_transformer_of_which_nothing_matches_is_no_failure(tmp_path):
    from workbench.records import Architecture

    source = graphs.artifact(
        tmp_path / "mlp",
        graphs.mlp(),
        architecture=Architecture(model_type="unheard-of", num_heads=4, hidden_size=64, layers=2),
    )
    _, account = graphs.step(source, "fuse")
    assert account.skipped[0].name == "attention"
    assert "0 of 2 layers" in account.skipped[0].reason


def test_signature_and_tokenizer_are_carried_over(bert, fused):
    artifact, _ = fused
    assert artifact.manifest.signature == bert.manifest.signature
    assert json.loads((artifact.path / "tokenizer.json").read_text()) == {}
    assert artifact.manifest.model_file == "model.onnx"


def test_a_truncated_file_is_one_clear_error(tmp_path):
    source = graphs.artifact(tmp_path / "mlp", graphs.mlp())
    source.model_path.write_bytes(source.model_path.read_bytes()[:1000])
    with pytest.raises(StepError, match="cannot be read"):
        graphs.step(source, "fuse")
