from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import needs
from tests.tasks.small_models import embedding, linear, write_tokenizer
from workbench.errors import DataError
from workbench.preprocess import make_feed
from workbench.records import BytesPreprocess, ImagePreprocess, TextPreprocess
from workbench.tasks import BoundTask, make_task
from workbench.tasks._generate import generate


def bound(folder: Path, name: str, **options: Any) -> BoundTask:
    return make_task(name, options).bind(folder)


class TestSentenceSimilarity:
    @pytest.fixture
    def pairs(self, tmp_path: Path) -> Path:
        """Eight texts in a circle; people's score is the cosine of the angle between them."""
        rows = [
            f"t{a},t{b},{np.cos((a - b) * np.pi / 4):.6f},evaluation"
            for a in range(8)
            for b in range(a)
        ]
        head = "text_a,text_b,score,split"
        (tmp_path / "p.csv").write_text("\n".join([head, *rows]))
        return tmp_path

    def circle(self, task: BoundTask) -> np.ndarray:
        angles = np.array([int(text[1:]) for text in task.samples.inputs]) * np.pi / 4
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    @pytest.mark.parametrize("metric", ["pearson", "spearman"])
    def test_the_right_geometry_scores_one(self, pairs: Path, metric: str) -> None:
        task = bound(pairs, "sentence-similarity", data="p.csv", metric=metric)
        quality = task.judge(self.circle(task) * 7, None)
        assert quality.metric == metric
        assert quality.score is not None
        assert quality.score.value == pytest.approx(1, abs=0.02)  # rounding breaks ties
        assert quality.difference is None
        assert quality.agreement == {}

    def test_the_baseline_compared_with_itself_loses_nothing(self, pairs: Path) -> None:
        task = bound(pairs, "sentence-similarity", data="p.csv")
        quality = task.judge(self.circle(task), self.circle(task))
        assert quality.difference is not None
        assert quality.difference.value == 0
        assert quality.agreement["cosine_min"] == pytest.approx(1)
        assert quality.agreement["nearest_neighbour"] == 1

    def test_the_worst_sample_is_named_with_its_text(self, pairs: Path) -> None:
        task = bound(pairs, "sentence-similarity", data="p.csv")
        moved = self.circle(task)
        moved[3] = -moved[3]
        quality = task.judge(moved, self.circle(task))
        assert quality.worst[0].sample.endswith(f": {task.samples.inputs[3]}")
        assert quality.worst[0].value == pytest.approx(-1)
        assert "nearest text changed" in quality.worst[0].detail
        assert quality.difference is not None
        assert quality.difference.value < 0

    def test_collapsed_embeddings_score_nothing(self, pairs: Path) -> None:
        task = bound(pairs, "sentence-similarity", data="p.csv")
        quality = task.judge(np.ones((8, 4), np.float32), None)
        assert quality.score is not None
        assert quality.score.value == 0

    def test_data_without_pairs_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("text\na\nb\nc\n")
        with pytest.raises(DataError, match="no scored pairs"):
            bound(tmp_path, "sentence-similarity", data="t.csv")

    def test_a_limit_that_leaves_too_few_pairs_is_refused(self, pairs: Path) -> None:
        with pytest.raises(DataError, match="too few for a correlation"):
            bound(pairs, "sentence-similarity", data="p.csv", limit=2)

    def test_token_outputs_are_no_embeddings(self, pairs: Path) -> None:
        write_tokenizer(pairs)
        model = embedding(pairs, 6, preprocess=TextPreprocess(max_length=8))
        with pytest.raises(DataError, match="Export the model with pooling"):
            bound(pairs, "sentence-similarity", data="p.csv").check(model)

    @needs("gensim")
    def test_a_smoke_run_keeps_a_few_documents(self) -> None:
        task = bound(Path(), "sentence-similarity", limit=6)
        quality = task.judge(np.random.default_rng(0).random((6, 4), np.float32), None)
        assert quality.samples == 6


class TestClassification:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        labels = ["ant", "bee", "cow"] * 20
        rows = [f"{n},0,{label},evaluation" for n, label in enumerate(labels)]
        (tmp_path / "d.csv").write_text("\n".join(["a,b,label,split", *rows]))
        return tmp_path

    def scores(self, *wrong: int) -> np.ndarray:
        """Scores that are right but for some samples, where the next class is 1 ahead."""
        outputs = np.tile(np.eye(3, dtype=np.float32), (20, 1))
        for i in wrong:
            outputs[i] = np.roll(outputs[i], 1)
        return outputs

    def test_accuracy_and_its_paired_difference(self, data: Path) -> None:
        task = bound(data, "classification", data="d.csv")
        quality = task.judge(self.scores(0, 1, 2, 3, 4, 5), self.scores(5, 6))
        assert quality.score is not None
        assert quality.score.value == pytest.approx(54 / 60)
        assert quality.difference is not None
        assert quality.difference.value == pytest.approx(-4 / 60)
        assert quality.agreement["label_agreement"] == pytest.approx(54 / 60)
        assert quality.agreement["mcnemar_p"] == pytest.approx(2 * 7 / 64)

    def test_flipped_samples_are_listed_surest_first(self, data: Path) -> None:
        task = bound(data, "classification", data="d.csv")
        reference = self.scores(6)
        reference[4] *= 9
        quality = task.judge(self.scores(3, 4), reference, ("ant", "bee", "cow"))
        assert [w.sample for w in quality.worst] == ["d.csv row 5", "d.csv row 4", "d.csv row 7"]
        assert quality.worst[0].value == 9
        assert quality.worst[0].detail.startswith("bee (right) became cow")
        assert quality.worst[2].detail.startswith("bee became ant (right)")

    def test_the_baselines_surest_mistakes_are_listed(self, data: Path) -> None:
        task = bound(data, "classification", data="d.csv")
        quality = task.judge(self.scores(7), None)
        assert [w.sample for w in quality.worst] == ["d.csv row 8"]
        assert "class 2 instead of class 1" in quality.worst[0].detail

    def test_names_follow_the_models_order(self, data: Path) -> None:
        task = bound(data, "classification", data="d.csv")
        backwards = self.scores()[:, ::-1]
        quality = task.judge(backwards, None, ("cow", "bee", "ant"))
        assert quality.score is not None
        assert quality.score.value == 1

    def test_a_name_that_the_model_does_not_know_is_refused(self, data: Path) -> None:
        model = linear(data, np.ones((2, 3)), labels=("ant", "bee", "cat"))
        with pytest.raises(DataError, match="'cow' is no class of the model"):
            bound(data, "classification", data="d.csv").check(model)

    def test_equal_scores_give_no_credit(self, data: Path) -> None:
        for top, share in ((1, 1 / 3), (5, 1)):
            quality = bound(data, "classification", data="d.csv", top=top).judge(
                np.zeros((60, 3), np.float32), None
            )
            assert quality.score is not None
            assert quality.score.value == pytest.approx(share)

    def test_top_five_counts_the_five_highest(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=np.arange(7), y=np.arange(7), split=["evaluation"] * 7)
        outputs = np.tile(np.arange(7, dtype=np.float32), (7, 1))
        quality = bound(tmp_path, "classification", data="d.npz", top=5).judge(outputs, None)
        assert quality.metric == "top-5 accuracy"
        assert quality.score is not None
        assert quality.score.value == pytest.approx(5 / 7)

    def test_data_without_labels_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("text\na\nb\n")
        with pytest.raises(DataError, match="or use the task 'agreement'"):
            bound(tmp_path, "classification", data="t.csv")


class TestAgreement:
    def outputs(self, columns: int = 4) -> tuple[BoundTask, np.ndarray]:
        task = bound(Path(), "agreement", limit=50)
        return task, np.random.default_rng(0).standard_normal((50, columns)).astype(np.float32)

    def test_scores_of_classes_can_flip(self) -> None:
        task, reference = self.outputs()
        outputs = reference.copy()
        outputs[0] = np.roll(outputs[0], 1)
        quality = task.judge(outputs, reference)
        assert quality.score is None
        assert quality.agreement["label_agreement"] == pytest.approx(49 / 50)
        assert "nearest_neighbour" not in quality.agreement
        assert "became" in quality.worst[0].detail
        assert len(quality.worst) == 5

    def test_sure_probabilities_are_classes_too(self) -> None:
        task, _ = self.outputs()
        sure = np.tile(np.eye(5, dtype=np.float32), (10, 1))
        assert "label_agreement" in task.judge(sure, sure).agreement

    def test_unit_vectors_are_embeddings(self) -> None:
        task, reference = self.outputs()
        reference /= np.linalg.norm(reference, axis=1, keepdims=True)
        quality = task.judge(reference + np.float32(0.001), reference)
        assert quality.agreement["max_abs"] == pytest.approx(0.001, rel=1e-3)
        assert "label_agreement" not in quality.agreement
        assert 0.8 < quality.agreement["nearest_neighbour"] <= 1

    @pytest.mark.parametrize(
        ("classes", "key"), [(True, "label_agreement"), (False, "nearest_neig")]
    )
    def test_the_option_overrules_the_guess(self, classes: bool, key: str) -> None:
        _, reference = self.outputs()
        task = bound(Path(), "agreement", limit=50, classes=classes)
        assert any(k.startswith(key) for k in task.judge(reference, reference).agreement)

    def test_single_values_have_no_direction(self) -> None:
        task, reference = self.outputs(1)
        quality = task.judge(reference * -1, reference)
        assert set(quality.agreement) == {"max_abs", "mean_abs"}
        assert quality.worst[0].value == pytest.approx(quality.agreement["max_abs"])


class TestGenerated:
    def test_token_ids_stay_within_the_models_vocabulary(self, tmp_path: Path) -> None:
        model = embedding(tmp_path, 40)
        task = bound(tmp_path, "agreement", limit=12)
        task.check(model)
        assert task.outputs(model).shape == (12, 32, 4)
        assert max(f["input_ids"].max() for f in task.evaluation(model)) < 32

    def test_are_the_same_for_models_of_the_same_inputs(self, tmp_path: Path) -> None:
        first, second = linear(tmp_path / "a", np.eye(3)), linear(tmp_path / "b", np.ones((3, 9)))
        task = bound(tmp_path, "agreement")
        for a, b in zip(task.evaluation(first), task.evaluation(second), strict=True):
            assert np.array_equal(a["x"], b["x"])

    def test_differ_between_evaluation_and_calibration(self, tmp_path: Path) -> None:
        model, task = linear(tmp_path, np.eye(3)), bound(tmp_path, "agreement")
        rows = [f["x"] for part in (task.evaluation(model), task.calibration(model)) for f in part]
        joined = np.concatenate(rows)
        assert len(np.unique(joined, axis=0)) == len(joined) == 256 + 128

    @pytest.mark.parametrize(
        ("preprocess", "kind"),
        [
            (TextPreprocess(max_length=8), str),
            (ImagePreprocess(size=(6, 4), resize=8, mean=(0,), std=(1,), channels="L"), np.ndarray),
            (BytesPreprocess(begin=2, end=2, block=8, padding=256), bytes),
        ],
    )
    def test_are_raw_where_the_model_preprocesses(
        self, tmp_path: Path, preprocess: Any, kind: type
    ) -> None:
        write_tokenizer(tmp_path)
        model = linear(tmp_path, np.eye(3), preprocess=preprocess)
        first, second = generate(model, [1, 2])
        assert isinstance(first, kind)
        assert not np.array_equal(first, second)

    def test_images_go_through_the_models_preprocessing(self, tmp_path: Path) -> None:
        from tests.test_preprocess import IMAGE, model

        grey = ImagePreprocess(size=(4, 4), mean=(0,), std=(1,), channels="L")
        subject = model(tmp_path, grey, IMAGE)
        assert make_feed(subject, generate(subject, [1, 2]))["image"].shape == (2, 1, 4, 4)
