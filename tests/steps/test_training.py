"""Fine-tuning and distilling: what is learned, what holds, and what happens when it goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.steps.graphs import error, run
from tests.steps.nets import CODE, accuracy, apply, artifact, context, factory, outputs, state
from workbench.errors import InputError, StepError
from workbench.steps import make_step

LEARN = {"learning_rate": 0.05, "batch": 16}


def test_fine_tuning_learns_the_labels_and_keeps_the_best_of_the_held_out_part(
    tmp_path: Path,
) -> None:
    source = artifact(tmp_path, "mlp")
    tuned, account = apply(source, "finetune", epochs=20, **LEARN)
    assert accuracy(tuned) > max(0.9, accuracy(source))
    losses = account.choices["validation_loss"]
    assert account.choices["best_epoch"] == int(np.argmin(losses))
    assert account.choices["samples"] + account.choices["validated_on"] == 120


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    first, again, other = (
        state(apply(source, "finetune", epochs=2, seed=seed, **LEARN)[0]) for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_training_that_gets_no_better_stops_early(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    _, account = apply(
        source, "finetune", epochs=500, patience=2, schedule="constant", optimizer="sgd", **LEARN
    )
    assert account.choices["ended"] == "none better for 2"
    assert len(account.choices["validation_loss"]) < 400


def test_frozen_parameters_stay_and_a_pattern_for_nothing_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    tuned, _ = apply(source, "finetune", epochs=2, freeze=("blocks.*",), **LEARN)
    before, after = state(source), state(tuned)
    assert torch.equal(before["blocks.0.weight"], after["blocks.0.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])
    with pytest.raises(StepError, match="names no parameter") as caught:
        apply(source, "finetune", freeze=("head.weigth",))
    assert caught.value.hint == "Did you mean 'head.weight'?"


def test_a_loss_that_becomes_nan_ends_the_training_with_the_last_good_weights(
    tmp_path: Path,
) -> None:
    source = artifact(tmp_path, "mlp")
    calls = 0

    def spoil(output: Any, targets: Any) -> Any:
        nonlocal calls
        calls += output.requires_grad
        value = torch.nn.functional.cross_entropy(output, targets)
        return value * float("nan") if calls > 20 else value  # 7 batches an epoch

    tuned, account = apply(source, "finetune", context(source, spoil=spoil), epochs=20, **LEARN)
    assert "the loss became nan in epoch 3" in account.summary
    assert account.choices["best_epoch"] in (1, 2)
    assert np.isfinite(outputs(tuned)).all()
    assert accuracy(tuned) > accuracy(source)


def test_a_loss_that_is_nan_from_the_start_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    with pytest.raises(StepError, match="not finite before any training"):
        apply(source, "finetune", context(source, spoil=lambda o, t: o.sum() * float("nan")))


def test_fine_tuning_without_labels_is_refused_with_the_way_out(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    with pytest.raises(StepError, match="no labels") as caught:
        apply(source, "finetune", context(source, labelled=False))
    assert "distill" in str(caught.value.hint)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    whole, _ = apply(source, "finetune", epochs=4, **LEARN)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen: list[str] = []

    def stop(text: str) -> None:
        seen.append(text)
        if text.startswith("epoch 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(source, "finetune", context(source, scratch=scratch, say=stop), epochs=4, **LEARN)
    assert list(scratch.glob("*.pt"))
    later: list[str] = []
    resumed, _ = apply(
        source, "finetune", context(source, scratch=scratch, say=later.append), epochs=4, **LEARN
    )
    assert later[0].startswith("epoch 3")
    assert all(torch.equal(value, state(whole)[name]) for name, value in state(resumed).items())


RECIPE = """
name: killed
model:
  factory: nets.py:mlp
  inputs: [{name: x, shape: [batch, 8]}]
task: {classification: {data: data.npz, training: learn.npz}}
variants:
  tuned: [{finetune: {epochs: 60, patience: 60, batch: 2, learning_rate: 0.001}}, export]
profile: {batch: [1], threads: [1], seconds: 0.2}
"""


def test_a_killed_run_resumes_its_training_from_the_checkpoint(tmp_path: Path) -> None:
    from tests.steps.nets import samples

    values, labels = samples(artifact(tmp_path, "mlp"))
    np.savez(tmp_path / "learn.npz", x=values, y=labels)
    np.savez(tmp_path / "data.npz", x=values + np.float32(0.01), y=labels)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "nets.py").write_text(CODE)
    home = tmp_path / "home"
    environment = {**os.environ, "WORKBENCH_HOME": str(home), "HF_HUB_OFFLINE": "1",
                   "OMP_NUM_THREADS": "1"}  # fmt: skip

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", "run", str(tmp_path / "recipe.yaml"),
             "--runs", str(tmp_path / "runs"), "--json"],
            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    killed = start()
    checkpoints: list[Path] = []
    while not checkpoints and killed.poll() is None:
        checkpoints = list(home.glob("scratch/*/training.pt"))
    assert checkpoints, killed.communicate()[1]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    held = torch.load(checkpoints[0], weights_only=True)
    assert held["validation"]
    again = start()
    out, complaint = again.communicate()
    assert again.returncode == 0, complaint
    assert '"resumed_at_epoch"' in out
    assert not list(home.glob("scratch/*"))


def test_quantization_aware_training_ends_in_float_weights_that_bear_rounding(
    tmp_path: Path,
) -> None:
    """Nearer to its own int8 form than the same training without it."""
    source, _ = apply(artifact(tmp_path, "residual"), "finetune", epochs=3, **LEARN)

    def lost(**options: Any) -> float:
        tuned, account = apply(source, "finetune", context(source), epochs=8, **LEARN, **options)
        assert set(state(tuned)) == set(state(source))
        assert bool(account.changed) == bool(options)
        exported, _ = apply(tuned, "export", context(tuned))
        int8, _ = apply(exported, "quantize", context(exported), scheme="static-int8")
        feed = next(context(source).calibration(source))
        before, after = (run(what, feed) for what in (exported, int8))
        return error(after, before)

    assert lost(qat="int8") < lost()


# --- distil ------------------------------------------------------------------------------------


def teacher(folder: Path) -> Any:
    return apply(artifact(folder, "mlp"), "finetune", epochs=20, **LEARN)[0]


def test_a_student_of_some_layers_learns_its_teachers_outputs_without_labels(
    tmp_path: Path,
) -> None:
    source = teacher(tmp_path)
    given = context(source, labelled=False)
    student, account = apply(
        source, "distill", given, student={"layers": 2}, outputs="mse", epochs=20, **LEARN
    )
    assert len([n for n in state(student) if n.startswith("blocks.")]) == 4
    (
        before,
        *_,
    ) = account.choices["validation_loss"]
    assert min(account.choices["validation_loss"]) < 0.5 * before
    assert accuracy(student) >= accuracy(source) - 0.05
    exported, _ = apply(student, "export", context(student))
    assert exported.manifest.signature.inputs == source.manifest.signature.inputs


def test_hidden_states_of_the_kept_layers_can_be_compared_too(tmp_path: Path) -> None:
    source = teacher(tmp_path)
    student, account = apply(
        source, "distill", context(source, labelled=False),
        student={"layers": [0, 3]}, outputs="mse", hidden=1.0, epochs=5, **LEARN,
    )  # fmt: skip
    assert account.choices["validation_loss"][-1] < account.choices["validation_loss"][0]
    assert set(state(student)) < set(state(source))


def test_a_student_of_another_architecture_takes_the_teachers_place(tmp_path: Path) -> None:
    source = teacher(tmp_path)
    other = factory("mlp", width=8, depth=1).model_dump(mode="json")
    student, account = apply(
        source, "distill", student={"model": other}, outputs="mse", epochs=30, **LEARN
    )
    assert account.choices["parameters"] < 0.2 * account.choices["teacher_parameters"]
    assert state(student)["first.weight"].shape == (8, 8)
    assert accuracy(student) > 0.8


def test_the_teachers_outputs_are_computed_once(tmp_path: Path) -> None:
    from dataclasses import replace

    source = teacher(tmp_path)
    made: dict[str, Any] = {}

    def array(key: str, make: Any) -> Any:
        if key not in made:
            made[key] = make()
        return made[key]

    given = replace(context(source), array=array)
    apply(source, "distill", given, student={"layers": 2}, epochs=1)
    kept = dict(made)
    apply(source, "distill", given, student={"layers": 3}, epochs=1)
    assert list(made) == list(kept)
    np.testing.assert_allclose(next(iter(made.values())), outputs(source), atol=1e-5)


def test_a_student_whose_outputs_do_not_match_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    other = factory("mlp", classes=5).model_dump(mode="json")
    with pytest.raises(StepError, match=r"student gives outputs of shape .*5\].* teacher .*3\]"):
        apply(source, "distill", student={"model": other}, outputs="mse", epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"student": {}}, "either `layers` or `model`"),
        ({"student": {"layers": 1, "model": "minilm"}}, "either `layers` or `model`"),
        ({"hidden": 1.0}, "needs a student of `layers`"),
        ({"labels": 1.5}, "less than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_step("distill", options)


def test_more_layers_than_there_are_is_refused(tmp_path: Path) -> None:
    source = artifact(tmp_path, "mlp")
    with pytest.raises(StepError, match="9 layers cannot be kept of 4"):
        apply(source, "distill", student={"layers": 9})


def test_augmented_images_are_learned_from_and_validation_ones_stay(tmp_path: Path) -> None:
    source = artifact(tmp_path, "residual")
    moved = {"shift": 0.1, "rotate": 10, "scale": 0.1}
    _, account = apply(
        source,
        "distill",
        student={"model": factory("residual", width=8).model_dump(mode="json")},
        outputs="mse",
        augment=moved,
        epochs=3,
        **LEARN,
    )
    assert account.choices["validation_loss"][0] > min(account.choices["validation_loss"])
    flat = artifact(tmp_path, "mlp")
    with pytest.raises(StepError, match="moves images"):
        apply(flat, "finetune", augment=moved)
