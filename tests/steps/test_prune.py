"""Pruning: channels, heads and layers really go, zeros stay, bad targets are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.steps.nets import accuracy, apply, artifact, context, outputs, state
from workbench.artifact import Artifact, open_artifact, seal
from workbench.errors import InputError, StepError
from workbench.machine import machine
from workbench.models import find_model
from workbench.steps import StepContext, make_step
from workbench.steps._sparse import zero_smallest, zero_two_of_four


def parameters(what: Artifact) -> int:
    return sum(tensor.numel() for tensor in state(what).values())


@pytest.mark.parametrize("importance", ["magnitude", "activation", "taylor"])
def test_structured_pruning_meets_its_target_across_residual_concat_and_depthwise(
    tmp_path: Path, importance: str
) -> None:
    source = artifact(tmp_path, "residual")
    pruned, account = apply(
        source, "prune", target={"parameters": 0.5}, importance=importance, multiple=2
    )
    assert parameters(pruned) <= 0.55 * parameters(source)  # buffers count here too
    assert outputs(pruned).shape == outputs(source).shape
    assert account.choices["output_channels"]
    assert all(after < before for before, after in account.choices["output_channels"].values())


def test_a_pruned_model_is_rebuilt_from_disk_and_exports_with_its_smaller_shapes(
    tmp_path: Path,
) -> None:
    source = artifact(tmp_path, "residual")
    pruned, _ = apply(source, "prune", target={"macs": 0.5}, multiple=1)
    again = open_artifact(pruned.path)
    np.testing.assert_array_equal(outputs(again), outputs(pruned))
    exported, _ = apply(again, "export", context(again))
    before, _ = apply(source, "export")
    assert exported.manifest.signature == before.manifest.signature

    def weights(what: Artifact) -> int:
        graph = onnx.load(str(what.model_path)).graph
        return sum(int(np.prod(t.dims)) for t in graph.initializer)

    assert weights(exported) < 0.7 * weights(before)


def test_pruning_twice_keeps_both_cuts(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    once, _ = apply(source, "prune", target={"parameters": 0.7}, multiple=1)
    twice, _ = apply(once, "prune", context(once), target={"parameters": 0.7}, multiple=1)
    assert parameters(twice) < 0.8 * parameters(once)
    assert outputs(open_artifact(twice.path)).shape == outputs(source).shape


def test_silenced_channels_compute_what_removed_ones_do(tmp_path: Path) -> None:
    """The sensitivity that is measured is that of the model that comes out."""
    source = artifact(tmp_path, "mlp", depth=2)
    pruned, account = apply(source, "prune", target={"parameters": 0.8}, multiple=1)
    [round_] = account.choices["rounds"]
    measured = [*range(8), *range(32, 40)]  # every fourth of eight batches; the others are fitted
    after, before = (outputs(what)[measured] for what in (pruned, source))
    damage = np.square(after - before).sum() / np.square(before).sum()
    assert round_["damage"] == pytest.approx(damage, rel=1e-2)


def test_the_weights_that_are_left_make_up_for_what_went(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")

    def damage(compensate: bool) -> float:
        options = {"target": {"parameters": 0.5}, "multiple": 1, "compensate": compensate}
        _, account = apply(source, "prune", context(source), **options)
        return float(account.choices["rounds"][0]["damage"])

    assert damage(compensate=True) < 0.5 * damage(compensate=False)


def test_the_layer_that_does_nothing_is_the_first_to_go(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    module_state = state(source)
    module_state["last.weight"][:, 16:] = 0  # nobody listens to `each`, so `wide` is for nothing
    from safetensors.torch import save_file

    save_file(module_state, source.path / "weights.safetensors")
    source = seal(source.path, source.manifest)
    pruned, account = apply(source, "prune", target={"parameters": 0.75}, multiple=1)
    assert set(account.choices["output_channels"]) == {"wide", "each"}
    np.testing.assert_allclose(outputs(pruned), outputs(source), atol=1e-5)


def test_a_target_that_leaves_a_layer_empty_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    with pytest.raises(StepError, match="leave a layer empty") as caught:
        apply(source, "prune", target={"parameters": 0.001})
    assert "of the parameters" in caught.value.message


def test_a_model_that_the_tracer_cannot_follow_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "opaque")
    with pytest.raises(StepError, match="'a': the tracer of gradients cannot see") as caught:
        apply(source, "prune", target={"parameters": 0.5})
    assert "unstructured" in str(caught.value.hint)


def test_a_pattern_that_names_no_layer_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    with pytest.raises(StepError, match="'stemm' names no layer") as caught:
        apply(source, "prune", target={"parameters": 0.5}, exclude=("stemm",))
    assert caught.value.hint == "Did you mean 'stem'?"


def test_excluded_layers_keep_their_channels(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    pruned, account = apply(
        source, "prune", target={"parameters": 0.85}, exclude=("wide",), multiple=1
    )
    assert state(pruned)["wide.weight"].shape[0] == 32
    assert any(item.name in ("wide", "each") for item in account.skipped)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a `target`"),
        ({"target": {}}, "at least one of"),
        ({"target": {"parameters": 1.5}}, "less than 1"),
        ({"method": "layers"}, "needs `keep`"),
        ({"target": {"macs": 0.5}, "rounds": 3}, "need `finetune`"),
        ({"target": {"macs": 0.5}, "finetune": {}}, "between rounds"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_step("prune", options)


def test_rounds_train_in_between(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    trained, _ = apply(source, "finetune", epochs=6, learning_rate=0.02)
    given = context(trained)
    pruned, account = apply(
        trained,
        "prune",
        given,
        target={"parameters": 0.4},
        multiple=1,
        rounds=2,
        finetune={"epochs": 2, "learning_rate": 0.01},
    )
    first, second = account.choices["rounds"]
    assert first["training"]["validation_loss"]
    assert "training" not in second
    assert first["target"]["parameters"] == pytest.approx(0.4**0.5)
    assert parameters(pruned) < 0.5 * parameters(source)


def test_whole_layers_go_where_the_output_changes_least(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    changed = state(source)
    for number in (1, 2):  # two of the four blocks do nothing
        changed[f"blocks.{number}.weight"].zero_()
        changed[f"blocks.{number}.bias"].zero_()
    from safetensors.torch import save_file

    save_file(changed, source.path / "weights.safetensors")
    source = seal(source.path, source.manifest)
    pruned, account = apply(source, "prune", method="layers", keep=2)
    assert account.choices["kept"] == [0, 3]
    np.testing.assert_allclose(outputs(pruned), outputs(source), atol=1e-6)
    once_more, _ = apply(pruned, "prune", context(pruned), method="layers", keep=1)
    assert len([name for name in state(once_more) if name.startswith("blocks.")]) == 2


def test_zeros_are_exactly_as_many_as_asked_and_survive_training_and_export(
    tmp_path: Path,
) -> None:
    source = artifact(tmp_path, "mlp", width=64)
    sparse, account = apply(source, "prune", method="unstructured", sparsity=0.8)
    held = {n for n in state(sparse) if n.startswith("blocks.") and n.endswith("weight")}
    assert set(account.choices["sparsity"]) >= held
    zeros = {name: state(sparse)[name] == 0 for name in held}
    total = sum(int(zero.sum()) for zero in zeros.values())
    assert total == int(0.8 * sum(zero.numel() for zero in zeros.values()))
    trained, _ = apply(sparse, "finetune", context(sparse), epochs=2, learning_rate=0.05)
    for name in held:
        after = state(trained)[name]
        assert bool((after[zeros[name]] == 0).all())
        assert not torch.equal(after, state(sparse)[name])
    exported, _ = apply(trained, "export", context(trained))
    graph = onnx.load(str(exported.model_path)).graph
    arrays = [onnx.numpy_helper.to_array(t) for t in graph.initializer]
    assert sum(int((a == 0).sum()) for a in arrays if a.size == 64 * 64) >= total


def test_two_of_every_four_along_the_inputs_are_zero(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp", width=64)
    sparse, account = apply(source, "prune", method="2:4")
    fours = (state(sparse)["blocks.0.weight"].reshape(64, -1, 4) != 0).sum(-1)
    assert bool((fours == 2).all())
    assert "sparse tensor cores" in account.summary


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.booleans(), st.integers(0, 2**31))
def test_the_smallest_weights_are_the_ones_set_to_zero(
    rows: int, sparsity: float, per_layer: bool, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    weights = {
        "a": torch.randn(rows, 7, generator=random),
        "b": torch.randn(5, 3, generator=random),
    }
    before = {name: weight.clone() for name, weight in weights.items()}
    zero_smallest(weights, sparsity, per_layer=per_layer)
    groups = [["a"], ["b"]] if per_layer else [["a", "b"]]
    for group in groups:
        old = torch.cat([before[name].flatten() for name in group]).abs()
        new = torch.cat([weights[name].flatten() for name in group])
        assert int((new == 0).sum()) == int(sparsity * len(old))
        if 0 < int((new == 0).sum()) < len(old):
            assert old[new == 0].max() <= old[new != 0].min()


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**31))
def test_of_every_four_the_two_largest_stay(rows: int, fours: int, seed: int) -> None:
    weight = torch.randn(rows, 4 * fours, generator=torch.Generator().manual_seed(seed))
    before = weight.clone().reshape(rows, fours, 4)
    assert zero_two_of_four({"w": weight}) == {}
    after = weight.reshape(rows, fours, 4)
    assert bool(((after != 0).sum(-1) == 2).all())
    kept, gone = before[after != 0].reshape(-1, 2), before[after == 0].reshape(-1, 2)
    assert bool((kept.abs().amin(1) >= gone.abs().amax(1)).all())


def test_attention_heads_and_neurons_of_a_transformer_go_whole(tmp_path: Path) -> None:
    source = tiny_bert(tmp_path)
    feed = {
        "input_ids": np.arange(24, dtype=np.int64).reshape(2, 12) + 1,
        "attention_mask": np.ones((2, 12), np.int64),
        "token_type_ids": np.zeros((2, 12), np.int64),
    }
    given_feed = StepContext(machine=machine(), calibration=lambda _: iter([feed]), model=source)
    pruned, account = apply(source, "prune", given_feed, target={"macs": 0.6}, multiple=1)
    weights = state(pruned)
    heads = [
        weights[f"encoder.layer.{n}.attention.self.query.weight"].shape[0] // 8 for n in range(3)
    ]
    assert sum(heads) < 12, account.choices
    assert all(weights[f"encoder.layer.{n}.output.dense.weight"].shape[0] == 32 for n in range(3))
    exported, _ = apply(open_artifact(pruned.path), "export", given_feed)
    assert exported.model_path.is_file()
    shorter, _ = apply(pruned, "prune", given_feed, method="layers", keep=2)
    assert not any(name.startswith("encoder.layer.2") for name in state(shorter))
    assert shorter.manifest.architecture is not None
    assert shorter.manifest.architecture.layers == 2
    apply(shorter, "export", given_feed)


def tiny_bert(folder: Path) -> Artifact:
    """A random BERT of three layers of four heads with a word tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    place = folder / "bert"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(str(place))
    words = {"[PAD]": 0, "[UNK]": 1, **{f"w{n}": n for n in range(2, 40)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(place / "tokenizer.json"))
    root = folder / "bert-root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    return seal(root, find_model(str(place), folder=folder).materialize(root))


def test_accuracy_comes_back_by_training_after_pruning(tmp_path: Path) -> None:
    source, _ = apply(
        artifact(tmp_path, "residual"), "finetune", epochs=20, learning_rate=0.05, batch=16
    )
    pruned, _ = apply(source, "prune", context(source), target={"parameters": 0.3}, multiple=1)
    trained, _ = apply(pruned, "distill", context(source), epochs=15, learning_rate=0.03, batch=16)
    assert accuracy(source) > 0.9
    assert accuracy(trained) >= accuracy(source) - 0.05
