"""Compiles Python modules with the image's own Python, so that the digest does not depend on ours.

Bytecode differs between Pythons, and with random hashes between runs. The interpreter of the
image's base is unpacked into the cache and run by its own loader: Linux on x86-64 suffices, with
any distribution and without privileges. Modules then lie in the image as ``.pyc`` alone
(PEP 3147, "sourceless"): a container starts as fast as with both, and the image is smaller.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from workbench.artifact import disk_errors
from workbench.errors import MissingError, StepError
from workbench.packaging.image.places import LOADER, MULTIARCH, PYTHON
from workbench.packaging.image.tar_layer import Entries, Entry, File

SCRIPT = """
import py_compile, sys
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
for path in sys.stdin.read().splitlines():
    try:
        py_compile.compile(path, path + "c", "/" + path, True, invalidation_mode=unchecked)
    except py_compile.PyCompileError as error:
        sys.exit(path + ": " + " ".join(error.msg.split()))
"""
WITHOUT = "Leave the bytecode out (--no-bytecode): containers then take twice as long to start."


def unpack_python(base: Entries, folder: Path) -> Path:
    """Put the base's interpreter, libraries and modules into ``folder``, whole or not at all."""
    if not folder.is_dir():
        staging = folder.with_name(f".{folder.name}.{os.getpid()}")
        with disk_errors(folder):
            for path, entry in base.items():
                if isinstance(entry, File) and path.startswith(("usr/bin/", "usr/lib/")):
                    target = staging / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(entry.read())
                    target.chmod(entry.mode)
            try:
                staging.rename(folder)
            except OSError:
                shutil.rmtree(staging)
                if not folder.is_dir():
                    raise
    return folder


def compiled(entries: Mapping[str, Entry], python: Path) -> dict[str, Entry]:
    """The entries with every ``.py`` in the place of its source compiled, as ``.pyc``.

    Args:
        entries: of a layer.
        python: where ``unpack_python`` has put the interpreter.

    Raises:
        MissingError: this machine cannot run the image's Python.
        StepError: a module is not valid.
    """
    sources = sorted(p for p, e in entries.items() if p.endswith(".py") and isinstance(e, File))
    others = {path: entry for path, entry in entries.items() if path not in set(sources)}
    if not sources:
        return others
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise MissingError(
            f"The image's Python does not run on {platform.system()} {platform.machine()}, so "
            "that nothing can be compiled.",
            hint=WITHOUT,
        )
    with tempfile.TemporaryDirectory(prefix="workbench-bytecode-") as name:
        folder = Path(name)
        with disk_errors(folder):
            for path in sources:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(_file(entries, path).read())
        _run(python, sources, folder)
        done = {f"{path}c": File((folder / f"{path}c").read_bytes()) for path in sources}
    return others | done


def _run(python: Path, sources: list[str], folder: Path) -> None:
    command = [str(python / LOADER), "--library-path", str(python / MULTIARCH)]
    command += [str(python / PYTHON), "-B", "-S", "-s", "-c", SCRIPT]
    # A fixed seed: the order of sets of constants, and so the bytes, depend on it.
    environment = {"PYTHONHOME": str(python / "usr"), "PYTHONHASHSEED": "0", "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, input="\n".join(sources), text=True,
            capture_output=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise MissingError(
            f"The image's Python does not run here: {error.strerror}.", hint=WITHOUT
        ) from error
    last = done.stderr.strip().splitlines()[-1:]
    if done.returncode == 1 and last and last[0].startswith(("usr/", "opt/")):
        raise StepError(f"A module of the image cannot be compiled: {last[0]}")
    if done.returncode != 0:
        reason = last[0] if last else f"status {done.returncode}"
        raise MissingError(f"The image's Python does not run here: {reason}", hint=WITHOUT)


def _file(entries: Mapping[str, Entry], path: str) -> File:
    entry = entries[path]
    assert isinstance(entry, File)
    return entry
