"""Compiling with an interpreter that is unpacked for it; here a script stands in for its loader."""

from __future__ import annotations

import marshal
import sys
from pathlib import Path

import pytest

from workbench.errors import MissingError, StepError
from workbench.packaging.image import bytecode
from workbench.packaging.image.bytecode import compiled, unpack_python
from workbench.packaging.image.places import LOADER, PYTHON
from workbench.packaging.image.tar_layer import File, Link

SOURCE = b"x = frozenset({'a', 'b', 'c', 'd'})\ny = 1 in {1, 2, 3}\n"
ENTRIES = {"usr/lib/a.py": File(SOURCE), "usr/lib/b.so": File(b""), "bin": Link("usr/bin")}


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Called as the loader is: --library-path FOLDER PROGRAM ARGUMENTS.
    script = f'#!/bin/sh\nunset PYTHONHOME\nshift 3\nexec {sys.executable} "$@"\n'
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    entries = {LOADER: File(script.encode(), 0o755), PYTHON: File(b"", 0o755), "etc/x": File(b"")}
    return unpack_python(entries, tmp_path / "python")


def test_the_interpreter_is_unpacked_once_and_without_the_rest(python):
    assert not (python / "etc").exists()
    (python / "mark").touch()
    assert unpack_python({}, python) == python
    assert (python / "mark").exists()


def test_modules_are_compiled_under_their_place_in_the_image(python):
    made = compiled(ENTRIES, python)
    assert set(made) == {"usr/lib/a.pyc", "usr/lib/b.so", "bin"}
    content = made["usr/lib/a.pyc"]
    assert isinstance(content, File)
    assert content.read()[4:8] == b"\1\0\0\0"  # PEP 552: by hash, and not checked
    assert marshal.loads(content.read()[16:]).co_filename == "/usr/lib/a.py"
    assert compiled(ENTRIES, python) == made


def test_nothing_to_compile_needs_no_interpreter(tmp_path):
    entries = {"usr/lib/b.so": File(b"")}
    assert compiled(entries, tmp_path / "absent") == entries


def test_a_module_that_is_not_valid_is_told(python):
    with pytest.raises(StepError, match=r"compiled: usr/lib/a\.py: .*SyntaxError"):
        compiled({"usr/lib/a.py": File(b"def f(:\n")}, python)


def test_a_machine_that_cannot_run_it_says_so(python, tmp_path, monkeypatch):
    with pytest.raises(MissingError, match="does not run here: No such file"):
        compiled(ENTRIES, tmp_path / "absent")
    (python / LOADER).write_text("#!/bin/sh\necho 'cannot execute' >&2\nexit 127\n")
    with pytest.raises(MissingError, match="does not run here: cannot execute"):
        compiled(ENTRIES, python)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(MissingError, match="Darwin arm64") as caught:
        compiled(ENTRIES, python)
    assert caught.value.hint == bytecode.WITHOUT
