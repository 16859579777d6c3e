from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import helper

from tests.tasks.small_models import FLOAT, artifact, embedding, linear, masked, write_tokenizer
from workbench.errors import DataError, InputError, ModelError, StepError
from workbench.records import Account, StepRecord, TextPreprocess
from workbench.tasks import BoundTask, Task, make_task, tasks

STEPS = tuple(
    StepRecord(step=name, options={}, key="", seconds=0, account=Account(summary=""))
    for name in ("export", "quantize")
)


def bound(folder: Path, name: str = "agreement", **options: Any) -> BoundTask:
    return make_task(name, options).bind(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """40 vectors of three values, class: position of the largest."""
    x = np.random.default_rng(0).standard_normal((40, 3))
    np.savez(tmp_path / "d.npz", x=x, y=x.argmax(1))
    return tmp_path


class TestRegistry:
    def test_every_task_is_documented(self) -> None:
        assert set(tasks()) >= {"sentence-similarity", "classification", "agreement"}
        for name, cls in tasks().items():
            assert cls.name == name
            assert cls.title().endswith(("human", ".")) or len(cls.title()) > 20
            for field, info in cls.model_fields.items():
                assert info.description, f"{name}.{field} has no description"

    def test_a_plain_string_names_the_data(self) -> None:
        assert make_task("classification", "mnist-5k").data == "mnist-5k"

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("sentense-similarity", None, "Did you mean 'sentence-similarity'"),
            ("agreement", {"dta": "x"}, "unknown option 'dta'. Did you mean 'data'"),
            ("agreement", {"limit": 0}, "limit"),
            ("classification", None, "'data' is missing"),
            ("classification", {"data": "x", "top": 3}, "top"),
        ],
    )
    def test_wrong_options_are_named(self, name: str, options: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            make_task(name, options)


class TestFeeds:
    def test_evaluation_and_calibration_share_no_sample(self, data: Path) -> None:
        task, model = bound(data, data="d.npz"), linear(data, np.eye(3))
        feeds = [
            [f["x"] for f in part] for part in (task.evaluation(model), task.calibration(model))
        ]
        rows = [{row.tobytes() for feed in part for row in feed} for part in feeds]
        assert [len(part) for part in rows] == [30, 10]
        assert not rows[0] & rows[1]

    def test_batches_have_the_asked_size(self, data: Path) -> None:
        task, model = bound(data, data="d.npz", batch=7), linear(data, np.eye(3))
        assert [len(f["x"]) for f in task.evaluation(model)] == [7, 7, 7, 7, 2]
        assert [len(f["x"]) for f in task.calibration(model, batch=4)] == [4, 4, 2]

    def test_limits_hold_for_both(self, data: Path) -> None:
        task, model = bound(data, data="d.npz", limit=4), linear(data, np.eye(3))
        assert sum(len(f["x"]) for f in task.evaluation(model)) == 4
        assert sum(len(f["x"]) for f in task.calibration(model)) == 4

    def test_a_fixed_batch_is_filled_up_and_cut(self, data: Path) -> None:
        task = bound(data, data="d.npz")
        fixed, free = linear(data / "a", np.eye(3), 8), linear(data / "b", np.eye(3))
        assert {len(f["x"]) for f in task.evaluation(fixed)} == {8}
        assert np.allclose(task.outputs(fixed), task.outputs(free))

    def test_data_without_calibration_say_so(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=np.eye(2), split=["evaluation"] * 2)
        task = bound(tmp_path, data="d.npz")
        with pytest.raises(DataError, match="no sample to calibrate with"):
            next(task.calibration(linear(tmp_path, np.eye(2))))


class TestCheck:
    def test_data_of_another_shape_are_refused_by_name(self, data: Path) -> None:
        with pytest.raises(DataError, match=r"'x' wants float32\[batch, 5\].*float64\[1, 3\]"):
            bound(data, data="d.npz").check(linear(data, np.ones((5, 2))))

    def test_a_label_beyond_the_models_classes_is_refused(self, data: Path) -> None:
        with pytest.raises(DataError, match="label 2, but the model scores 2 classes"):
            bound(data, "classification", data="d.npz").check(linear(data, np.ones((3, 2))))

    def test_an_output_of_other_rank_is_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=np.zeros((4, 2), np.int64), y=np.arange(4))
        with pytest.raises(DataError, match="not one score per class"):
            bound(tmp_path, "classification", data="d.npz").check(embedding(tmp_path, 3))


class TestOutputs:
    def test_are_one_float32_row_per_sample_in_order(self, data: Path) -> None:
        seen: list[tuple[float, float]] = []
        task = bound(data, data="d.npz")
        outputs = task.outputs(
            linear(data, 2 * np.eye(3)), threads=1, progress=lambda d, t: seen.append((d, t))
        )
        assert outputs.dtype == np.float32
        assert np.allclose(outputs, 2 * np.stack(task.samples.inputs))
        assert seen == [(16, 30), (30, 30)]

    @pytest.mark.parametrize(("lineage", "error"), [((), ModelError), (STEPS, StepError)])
    def test_nan_is_an_error_that_names_a_sample(
        self, data: Path, lineage: Any, error: type[Exception]
    ) -> None:
        model = linear(data, np.full((3, 3), np.nan), lineage=lineage)
        with pytest.raises(error, match=r"NaN or infinite for 30 of 30 samples .*d.npz"):
            bound(data, data="d.npz").outputs(model)

    def test_a_model_that_cannot_run_is_a_model_error(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", input_ids=np.full((4, 2), 99))
        with pytest.raises(ModelError, match="cannot be run"):
            bound(tmp_path, data="d.npz").outputs(embedding(tmp_path, 3))

    def test_an_output_without_a_row_per_sample_is_refused(self, data: Path) -> None:
        flat = artifact(
            data,
            [helper.make_node("Reshape", ["x", "all"], ["y"])],
            {"x": (FLOAT, ["batch", 3])},
            ("y", ["n"]),
            {"all": np.array([-1], np.int64)},
        )
        with pytest.raises(DataError, match="no row per sample"):
            bound(data, data="d.npz").outputs(flat)

    def test_outputs_per_token_are_padded_and_masked(self, tmp_path: Path) -> None:
        write_tokenizer(tmp_path)
        (tmp_path / "t.csv").write_text(
            "text,split\n" + "".join(f"{t},evaluation\n" for t in ("a b", "a", "a b c d"))
        )
        model = masked(tmp_path, 6, preprocess=TextPreprocess(max_length=8))
        outputs = bound(tmp_path, data="t.csv", batch=2).outputs(model)
        assert outputs.shape == (3, 4, 2)
        assert (outputs != 0).all(2).sum(1).tolist() == [2, 1, 4]


class TestDigest:
    def test_follows_data_and_options(self, data: Path) -> None:
        digests = [
            bound(data, data="d.npz").digest,
            bound(data, data="d.npz", limit=5).digest,
            bound(data, data="d.npz", batch=1).digest,
            bound(data, "classification", data="d.npz").digest,
        ]
        np.savez(data / "d.npz", x=np.eye(3), y=np.arange(3))
        digests.append(bound(data, data="d.npz").digest)
        assert len(set(digests)) == 5

    def test_a_copy_of_the_data_elsewhere_is_the_same(self, data: Path, tmp_path: Path) -> None:
        (data / "e.npz").write_bytes((data / "d.npz").read_bytes())
        assert bound(data, data="d.npz").digest == bound(data, data="e.npz").digest


class TestThirdParties:
    def test_a_task_is_one_class_with_one_method(self, data: Path) -> None:
        from workbench.records import Quality

        class Mean(Task):
            """Mean of the outputs."""

            name: ClassVar[str] = "mean"

            def judge(self, samples: Any, outputs: Any, reference: Any, labels: Any) -> Quality:
                return Quality(metric=f"{outputs.mean():.1f}", samples=len(samples))

        task = Mean(data="d.npz").bind(data)
        outputs = np.ones((30, 2), np.float32)
        assert task.judge(outputs, None).metric == "1.0"
        with pytest.raises(DataError, match="2 outputs for 30 samples"):
            task.judge(outputs[:2], None)
        with pytest.raises(DataError, match="cannot be compared"):
            task.judge(outputs, outputs[:, :1])
