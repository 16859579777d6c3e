"""Data sets from files.

``.npz`` (never unpickled)
    ``x`` or ``inputs``: samples along the first axis; or one array per model input, by its name.
    Optional ``y`` or ``labels`` (class indices or names) and ``split``.
``.csv`` / ``.parquet``
    ``text`` (and ``label``); or ``text_a``, ``text_b``, ``score``; or numeric feature columns (and
    ``label``), which become one float vector per row. Optional ``split``.
a folder
    one subfolder per label, or a flat folder without labels; ``evaluation``, ``calibration`` and
    ``training`` as subfolders are splits. ``.npy`` files are arrays; all others are given to the
    model's preprocessing as files: images, UTF-8 texts, any content.

A ``split`` says ``evaluation``, ``calibration`` or ``training`` for each sample. Without it a
quarter is set apart for calibration by content hash. Labels that are numbers are class indices;
others are names of classes.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.datasets import Dataset, Label, Pairs, Split
from workbench.datasets._split import CALIBRATION, STATED, split_by_hash, split_pairs
from workbench.errors import DataError, MissingError

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, Sequence[Any]]

SPLITS = ("evaluation", "calibration", "training")


def load_path(path: Path) -> Dataset:
    """The data set of a file or folder that exists.

    Raises:
        DataError: the format is unknown or the content malformed; names file, row and column.
        MissingError: pyarrow is missing for a Parquet file.
    """
    if path.is_dir():
        samples, given = _folder(path)
    else:
        loaders: dict[str, Callable[[Path], tuple[Split, Sequence[str] | None]]] = {
            ".npz": _npz,
            ".csv": lambda file: _table(file, _csv_columns(file)),
            ".parquet": lambda file: _table(file, _parquet_columns(file)),
        }
        if path.suffix.lower() not in loaders:
            raise DataError(
                f"{path} is no data set: '{path.suffix}' is not known.",
                hint=f"There is: {', '.join(loaders)}, or a folder.",
            )
        samples, given = loaders[path.suffix.lower()](path)
    if not len(samples):
        raise DataError(f"{path} holds no sample.")
    return _divided(path, samples, given)


def _divided(path: Path, samples: Split, given: Sequence[str] | None) -> Dataset:
    training = None
    if given is not None:
        wrong = sorted(set(given) - set(SPLITS))
        if wrong:
            raise DataError(
                f"{path}: '{wrong[0]}' is no split.", hint=f"There is: {', '.join(SPLITS)}."
            )
        evaluation, calibration, train = (
            [i for i, name in enumerate(given) if name == split] for split in SPLITS
        )
        training = samples.take(train) if train else None
        stated = "split as the file says"
    else:
        stated = STATED
        if samples.pairs is None:
            calibration, evaluation = split_by_hash(samples.hashes, CALIBRATION)
        else:
            left, right = samples.pairs.left.tolist(), samples.pairs.right.tolist()
            calibration, evaluation = split_pairs(samples.hashes, left, right, CALIBRATION)
    return Dataset(
        name=path.name,
        licence="not stated",
        source=f"{path.name}; {stated}.",
        evaluation=samples.take(evaluation),
        calibration=samples.take(calibration),
        training=training,
    )


# --- npz ---------------------------------------------------------------------------------------


def _npz(path: Path) -> tuple[Split, Sequence[str] | None]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read: {error}.",
            hint="Save plain arrays with numpy.savez; arrays of objects are not unpickled.",
        ) from error
    given = arrays.pop("split", None)
    labels = _taken(path, arrays, "y", "labels")
    whole = _taken(path, arrays, "x", "inputs")
    if whole is None and not arrays:
        raise DataError(f"{path} holds no array 'x' or 'inputs', and none named after an input.")
    columns = {"x": whole} if whole is not None else arrays
    every = {**columns, "labels": labels, "split": given}
    lengths = {n: len(a) if a.ndim else 0 for n, a in every.items() if a is not None}
    if len(set(lengths.values())) > 1:
        stated = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{path}: the arrays differ in their number of samples: {stated}.")
    count = next(iter(lengths.values()))
    inputs: list[Any] = (
        list(whole)
        if whole is not None
        else [{name: array[i] for name, array in arrays.items()} for i in range(count)]
    )
    ids = [f"{path.name} {i}" for i in range(count)]
    known = None if labels is None else _labels(path, labels.tolist())
    return Split(inputs, known, ids), None if given is None else [str(s) for s in given.tolist()]


def _taken(path: Path, arrays: dict[str, np.ndarray], *names: str) -> np.ndarray | None:
    found = [name for name in names if name in arrays]
    if len(found) > 1:
        raise DataError(f"{path} holds both '{found[0]}' and '{found[1]}'.")
    return arrays.pop(found[0]) if found else None


# --- tables ------------------------------------------------------------------------------------


def _table(path: Path, columns: Columns) -> tuple[Split, Sequence[str] | None]:
    given = columns.pop("split", None)
    splits = None if given is None else [str(value) for value in given]
    if {"text_a", "text_b", "score"} <= columns.keys():
        return _scored_pairs(path, columns, splits)
    missing = {"text_a", "text_b", "score"} - columns.keys()
    if {"text_a", "text_b"} & columns.keys():
        raise DataError(
            f"{path} has text pairs, but no column '{sorted(missing)[0]}'.",
            hint=f"There is: {', '.join(columns)}.",
        )
    labels = columns.pop("label", None)
    if "text" in columns:
        inputs: list[Any] = [_whole(path, "text", i, v) for i, v in enumerate(columns["text"])]
    elif columns:
        inputs = _features(path, columns)
    else:
        raise DataError(
            f"{path} has no column of inputs.",
            hint="Columns are: text, label; or text_a, text_b, score; or features and label.",
        )
    ids = [f"{path.name} row {i + 1}" for i in range(len(inputs))]
    return Split(inputs, None if labels is None else _labels(path, labels), ids), splits


def _features(path: Path, columns: Columns) -> list[Any]:
    import numpy as np

    matrix = np.empty((len(next(iter(columns.values()))), len(columns)), np.float64)
    for position, (name, values) in enumerate(columns.items()):
        for row, value in enumerate(values):
            matrix[row, position] = _number(path, name, row, value)
    return list(matrix)


def _scored_pairs(
    path: Path, columns: Columns, given: Sequence[str] | None
) -> tuple[Split, Sequence[str] | None]:
    """The distinct texts in the order they appear, with the pairs among them."""
    import numpy as np

    place: dict[str, int] = {}
    ends: dict[str, list[int]] = {"text_a": [], "text_b": []}
    split_of: dict[int, str] = {}
    for row in range(len(columns["score"])):
        for side, found in ends.items():
            text = _whole(path, side, row, columns[side][row])
            found.append(place.setdefault(text, len(place)))
            if given is not None and split_of.setdefault(found[-1], given[row]) != given[row]:
                raise DataError(f"{path}, row {row + 1}: '{text[:40]}' is in two splits.")
    scores = [_number(path, "score", row, value) for row, value in enumerate(columns["score"])]
    pairs = Pairs(
        np.array(ends["text_a"], np.int64),
        np.array(ends["text_b"], np.int64),
        np.array(scores, np.float64),
    )
    ids = [f"{path.name} text {i}" for i in range(len(place))]
    splits = None if given is None else [split_of[i] for i in range(len(place))]
    return Split(list(place), ids=ids, pairs=pairs), splits


def _csv_columns(path: Path) -> Columns:
    csv.field_size_limit(1 << 24)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            columns: dict[str, list[str]] = {name: [] for name in header}
            if not header or len(columns) != len(header) or "" in columns:
                raise DataError(f"{path}: the first row must name every column, each once.")
            for row in rows:
                if len(row) not in (0, len(header)):
                    raise DataError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, but the header names "
                        f"{len(header)} columns."
                    )
                for column, value in zip(columns.values(), row, strict=False):
                    column.append(value)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as UTF-8 CSV: {error}.") from error
    return dict(columns)


def _parquet_columns(path: Path) -> Columns:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingError(
            f"pyarrow is needed to read {path}.", hint="Type: pip install 'workbench[parquet]'"
        ) from None
    try:
        return dict(pyarrow.parquet.read_table(path).to_pydict())
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}.") from error


def _whole(path: Path, column: str, row: int, value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path}, row {row + 1}: '{column}' is no text but {value!r}.")
    return value


def _number(path: Path, column: str, row: int, value: Any) -> float:
    number = _finite(str(value))
    if number is None:
        raise DataError(f"{path}, row {row + 1}: '{column}' is no finite number but {value!r}.")
    return number


def _labels(path: Path, values: Sequence[Any]) -> list[Label]:
    """Class indices where every label is a whole number, else names.

    Raises:
        DataError: a label is missing, negative or a fraction.
    """
    texts = [str(value).strip() for value in values]
    numbers = [_finite(text) for text in texts]
    if all(n is not None and n >= 0 and n == int(n) for n in numbers):
        return [int(n or 0) for n in numbers]
    faulty = [r for r, text in enumerate(texts) if text in ("", "None", "nan")]
    if not faulty and None not in numbers:
        faulty = [r for r, n in enumerate(numbers) if n is None or n < 0 or n != int(n)]
    if faulty:
        raise DataError(
            f"{path}, row {faulty[0] + 1}: the label {values[faulty[0]]!r} is no class.",
            hint="Labels are whole numbers from 0, or names.",
        )
    return list(texts)


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None


# --- folders -----------------------------------------------------------------------------------


def _folder(path: Path) -> tuple[Split, Sequence[str] | None]:
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    parts = [file.relative_to(path).parts for file in files]
    in_splits = bool(parts) and all(len(p) > 1 and p[0] in SPLITS for p in parts)
    given = [p[0] for p in parts] if in_splits else None
    inner = [p[1:] if in_splits else p for p in parts]
    depths = {min(len(p), 2) for p in inner}
    if len(depths) > 1:
        stray = next("/".join(p) for p, i in zip(parts, inner, strict=True) if len(i) == 1)
        raise DataError(
            f"{path} holds labelled subfolders, but '{stray}' lies beside them.",
            hint="Put every file into the subfolder of its label, or all into one flat folder.",
        )
    labels = _labels(path, [p[0] for p in inner]) if depths == {2} else None
    return Split([_item(file) for file in files], labels, ["/".join(p) for p in parts]), given


def _item(file: Path) -> Any:
    import numpy as np

    if file.suffix != ".npy":
        return file
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} cannot be read as an array: {error}.") from error
