"""Source files: files of this Python and of packages that workbench needs, by their extension.

The label is the extension's content type in Magika's words. Extensions that are no label are left
out (a ``.txt`` may be anything). The files, and so the data's digest, differ between machines with
other versions: compare figures of one machine.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from workbench.datasets import Dataset, Split
from workbench.datasets._split import CALIBRATION, STATED, split_by_hash

PACKAGES = ("numpy", "onnx", "torch", "transformers")
PER_LABEL = 40
SMALLEST, LARGEST = 16, 1_000_000
"""Bytes; shorter files are not judged by Magika's model but by a rule."""

LABELS = {
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".cc", ".cpp", ".hpp"), "cpp"),
    **dict.fromkeys((".f", ".f90"), "fortran"),
    **{f".{name}": name for name in ("c", "cmake", "csv", "gif", "html", "json", "npy", "onnx")},
    **{f".{name}": name for name in ("pem", "png", "proto", "toml", "wav", "xml", "zip")},
    ".md": "markdown",
    ".so": "elf",
}


def load() -> Dataset:
    """Files as paths and Magika's label names as labels, at most 40 of each, always the same."""
    chosen: dict[str, list[tuple[str, str, Path]]] = {}
    for name, path in _files():
        label = LABELS.get(path.suffix)
        if label and SMALLEST <= path.stat().st_size <= LARGEST:
            rank = hashlib.sha256(name.encode()).hexdigest()
            chosen.setdefault(label, []).append((rank, name, path))
    found = [
        (name, label, path)
        for label, files in sorted(chosen.items())
        for _, name, path in sorted(files)[:PER_LABEL]
        if len(path.read_bytes().strip()) >= SMALLEST
    ]
    names, labels, paths = zip(*found, strict=True)
    samples = Split(paths, labels, names)
    calibration, evaluation = split_by_hash(samples.hashes, CALIBRATION)
    return Dataset(
        name="source-files",
        licence="those of Python and of the packages",
        source=f"Files of this Python and of {', '.join(PACKAGES)}; {STATED}.",
        evaluation=samples.take(evaluation),
        calibration=samples.take(calibration),
    )


def _files() -> Iterator[tuple[str, Path]]:
    """All candidates with the name by which they are known on every machine."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.rglob("*.*"):
        name = path.relative_to(library).as_posix()
        if path.is_file() and not name.startswith("site-packages/"):
            yield f"python/{name}", path
    for package in PACKAGES:
        try:
            folder = Path(str(distribution(package).locate_file(package)))
        except PackageNotFoundError:
            continue
        for path in folder.rglob("*.*"):
            if path.is_file():
                yield f"{package}/{path.relative_to(folder).as_posix()}", path
