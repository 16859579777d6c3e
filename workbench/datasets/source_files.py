"""Source files: files of this Python and of packages that workbench needs, by their extension.

The label is the extension's content type in Magika's words. Extensions that are no label are left
out (a ``.txt`` may be anything). The files, and so the data's digest, differ between machines with
other versions: compare figures of one machine.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path

from workbench.datasets import Dataset, Split
from workbench.datasets._split import CALIBRATION, STATED, split_by_hash

PACKAGES = ("numpy", "onnx", "torch", "transformers")
PER_LABEL = 40
SMALLEST, LARGEST = 256, 1_000_000
"""Bytes; a shorter file often fits several types (one line of JSON is JSON Lines, too)."""

LEFT_OUT = frozenset({"site-packages", "__pycache__", "invalid"})
"""Folders: other packages, compiled files, and tests of files that break their format's rules."""

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
    candidates: dict[str, list[tuple[str, str, Path]]] = {}
    for name, path in _files():
        rank = hashlib.sha256(name.encode()).hexdigest()
        candidates.setdefault(LABELS[path.suffix], []).append((rank, name, path))
    found = [
        (name, label, path)
        for label, files in sorted(candidates.items())
        for name, path in islice(_usable(files), PER_LABEL)
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


def _usable(files: list[tuple[str, str, Path]]) -> Iterator[tuple[str, Path]]:
    for _, name, path in sorted(files):
        if SMALLEST <= path.stat().st_size <= LARGEST:
            yield name, path


def _files() -> Iterator[tuple[str, Path]]:
    """All files with a known extension, and the names by which every machine knows them."""
    folders = {"python": Path(sysconfig.get_path("stdlib"))}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            folders[package] = Path(str(distribution(package).locate_file(package)))
    for package, folder in folders.items():
        for parent, inner, files in os.walk(folder):
            inner[:] = [name for name in inner if name not in LEFT_OUT]
            for file in files:
                if os.path.splitext(file)[1] in LABELS:
                    path = Path(parent, file)
                    yield f"{package}/{path.relative_to(folder).as_posix()}", path
