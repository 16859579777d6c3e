"""Bad input ends in one clear sentence and exit code 2, and leaves nothing behind."""

import numpy as np
import pytest

from tests.end_to_end.conftest import FEATURES, HIDDEN, RECIPE, mlp


def refused(result, *says, code=2):
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    assert sum(line.startswith("error:") for line in result.err.splitlines()) == 1
    for text in says:
        assert text in " ".join(result.err.split())


def nothing_left(folder):
    assert not (folder / "runs").exists()
    store = folder / "store"
    assert not store.exists() or not any((store / "tmp").iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("int8: [export", "\tint8: [export"), ["recipe.yaml:9", "spaces"]),
        (("name: small", "name: small\nname: twice"), ["recipe.yaml:2", "twice"]),
        (("variants:", "varients:"), ["recipe.yaml:7", "Did you mean 'variants'?"]),
        (("batch: [1]", "batch: many"), ["recipe.yaml:10", "profile.batch"]),
        (("quantize: dynamic-int8", "quantise: dynamic-int8"), [":9", "Did you mean 'quantize'?"]),
        (("quantize: dynamic-int8", "quantize: dynamic-int9"), ["recipe.yaml:9", "scheme"]),
        (("quantize: dynamic-int8", "quantize: {bitz: 4}"), [":9", "Did you mean 'bits'?"]),
        (("[export, {quantize: dynamic-int8}]", "[{quantize: dynamic-int8}]"), [":9", "'export'"]),
        (("fp32: [export]", "fp32: []"), ["recipe.yaml:8", "Add 'export'"]),
        (("size <=", "sise <="), ["recipe.yaml:13", "Did you mean 'size'?"]),
        (("size <=", "nearest_neighbour <="), ["recipe.yaml:13", "does not give"]),
        (("size <=", "latency.p50[batch=7] <="), ["recipe.yaml:13", "no cell"]),
        (("size <= 0.5 * baseline", "size <= 3 ms"), ["recipe.yaml:13", "unit 'ms'"]),
        (
            ("- size <= 0.5 * baseline", "- {gate: size <= 1 B, variants: [fp32]}"),
            ["recipe.yaml:13", "the baseline"],
        ),
        (("dtype: float32", "dtype: flaot32"), ["recipe.yaml:5", "dtype"]),
        (("net.py:build", "time:sleep"), ["'time'"]),
        (("net.py:build", "none.py:build"), ["none.py"]),
        (("weights.pt", "nothing.pt"), ["no checkpoint", "nothing.pt"]),
        (("data: data.npz", "data: other.npz"), ["recipe.yaml:6", "other.npz"]),
        (("classification:", "clasification:"), [":6", "Did you mean 'classification'?"]),
        (("[batch, 32]", "[batch, 33]"), ["33"]),
        (("[export, {quantize", "[finetune, export, {quantize"), [":9", "hold no sample to learn"]),
        (("{data: data.npz}", "{data: data.npz, training: data.npz}"), [":6", "in evaluation too"]),
        (("[export, {quantize", "[export, finetune, {quantize"), [":9", "before 'export'"]),
        (("[export, {quantize", "[prune, export, {quantize"), [":9", "needs a `target`"]),
        (
            ("[export, {quantize", "[{distill: {student: {model: none}}}, export, {quantize"),
            [":9", "no model 'none'"],
        ),
    ],
)
def test_a_wrong_recipe_is_refused(cli, project, tmp_path, change, says):
    (project / "recipe.yaml").write_text(RECIPE.replace(*change))
    refused(cli("run", project / "recipe.yaml"), *says)
    nothing_left(tmp_path)


def test_a_recipe_that_does_not_exist_is_refused(cli):
    refused(cli("run", "no-such-recipe"), "no recipe 'no-such-recipe'")


def test_a_model_that_does_not_exist_is_refused(cli, project, tmp_path):
    refused(cli("run", project / "recipe.yaml", "--model", "minilmm"), "Did you mean 'minilm'?")
    nothing_left(tmp_path)


def empty(path):
    path.write_bytes(b"")


def truncated(path):
    mlp(path)
    path.write_bytes(path.read_bytes()[:3000])


def text(path):
    path.write_text("this is no model")


def without_weights(path):
    mlp(path, external=True)
    path.with_name(f"{path.name}.data").unlink()


def short_weights(path):
    mlp(path, external=True)
    data = path.with_name(f"{path.name}.data")
    data.write_bytes(data.read_bytes()[:100])


def escaping(path):
    import onnx

    mlp(path, external=True)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../../secret"
    path.write_bytes(model.SerializeToString())


def future(path):
    import onnx

    mlp(path)
    model = onnx.load(path)
    model.opset_import[0].version = 99
    path.write_bytes(model.SerializeToString())


def not_a_number(path):
    weight = np.ones((FEATURES, HIDDEN), np.float32)
    weight[3, 3] = np.nan
    mlp(path, weight)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (empty, "is empty"),
        (truncated, "truncated"),
        (text, "no ONNX file"),
        (without_weights, "not beside it"),
        (short_weights, "bad.onnx"),
        (escaping, "outside its folder"),
        (future, "opset 99"),
        (not_a_number, "not finite"),
    ],
)
def test_a_damaged_onnx_file_is_refused(cli, project, tmp_path, damage, says):
    damage(tmp_path / "bad.onnx")
    variants = "variants={a: [], b: [{quantize: dynamic-int8}]}"
    result = cli(
        "run", project / "recipe.yaml", "--model", tmp_path / "bad.onnx", "--set", variants
    )
    refused(result, says)
    nothing_left(tmp_path)


@pytest.mark.parametrize("damage", [empty, truncated, text, without_weights, future])
def test_profile_refuses_a_damaged_onnx_file(cli, tmp_path, damage):
    damage(tmp_path / "bad.onnx")
    refused(cli("profile", tmp_path / "bad.onnx"), "bad.onnx")


def test_weights_with_nan_are_refused(cli, project, tmp_path):
    import torch

    state = torch.load(project / "weights.pt", weights_only=True)
    state["0.weight"][0, 0] = float("nan")
    torch.save(state, project / "weights.pt")
    refused(cli("run", project / "recipe.yaml"), "not finite", "0.weight")
    nothing_left(tmp_path)


class Evil:
    def __reduce__(self):
        import pathlib

        return pathlib.Path.touch, (pathlib.Path("evil"),)


def test_a_pickle_that_runs_code_is_refused_and_not_run(cli, project, tmp_path):
    import torch

    torch.save({"0.weight": Evil()}, project / "weights.pt")
    refused(cli("run", project / "recipe.yaml"), "runs code", "safetensors")
    assert not (tmp_path / "evil").exists()
    nothing_left(tmp_path)


def test_a_checkpoint_of_another_architecture_is_refused(cli, project):
    result = cli("run", project / "recipe.yaml", "--set", "model.arguments={width: 64}")
    refused(result, "does not fit")


def test_data_of_another_shape_are_refused_before_anything_long(cli, project, tmp_path):
    narrow = np.random.default_rng(0).standard_normal((40, 31)).astype(np.float32)
    np.savez(project / "data.npz", x=narrow, y=np.zeros(40, int))
    refused(cli("run", project / "recipe.yaml"), "31", "32")
    nothing_left(tmp_path)


def test_a_model_that_keeps_state_is_refused(cli, project):
    (project / "net.py").write_text(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(32, 128), torch.nn.Linear(128, 3)
        self.seen = 0.0

    def forward(self, x):
        self.seen += 1.0
        return self.last(self.first(x)) * self.seen

def build():
    return Net()
"""
    )
    result = cli("run", project / "recipe.yaml", "--set", "model.checkpoint=null")
    refused(result, "another answer", code=3)


def test_a_loop_over_data_is_refused_with_the_exporters_reason(cli, project):
    (project / "net.py").write_text(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(32, 3)

    def forward(self, x):
        while x.sum() > 0:
            x = x - 1
        return self.last(x)

def build():
    return Net()
"""
    )
    result = cli("run", project / "recipe.yaml", "--set", "model.checkpoint=null")
    refused(result, "loops on the data", code=3)


def test_inputs_that_forward_does_not_take_are_told(cli, project):
    wrong = ("--set", "model.inputs=[{name: x, dtype: float64, shape: [batch, 32]}]")
    refused(cli("run", project / "recipe.yaml", *wrong), "forward", "float64", code=3)


def test_too_little_memory_is_told_before_loading(cli, project, tmp_path, monkeypatch):
    import workbench.machine as machine

    mlp(tmp_path / "good.onnx")
    monkeypatch.setattr(machine, "available_memory", lambda: 1000)
    refused(cli("profile", tmp_path / "good.onnx"), "memory")
    refused(cli("run", project / "recipe.yaml"), "memory")
    nothing_left(tmp_path)


def test_a_folder_that_cannot_be_written_is_a_clear_error(cli, project, tmp_path):
    (tmp_path / "occupied").write_text("a file")
    result = cli("run", project / "recipe.yaml", "--smoke", "--runs", tmp_path / "occupied")
    refused(result, "Cannot write", code=4)


def test_a_misspelt_option_is_exit_code_2(cli):
    assert cli("run", "minilm-int8", "--smokey").code == 2
    assert cli("runn").code == 2
