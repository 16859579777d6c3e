"""The store: content-addressed artifacts and measurements, each made once.

Layout under the root (``WORKBENCH_HOME``, default ``~/.cache/workbench``)::

    artifacts/<key>/        one artifact, with its manifest
    records/<key>.json      one measurement or judgement
    arrays/<key>.npy        outputs of one artifact on one task
    timings.json            how long things took, for the time left
    locks/<key>.lock        one lock a key
    scratch/<key>/          checkpoints of work that was not finished

Something appears under its key whole or not at all: it is made in ``tmp/``, flushed and renamed
under the key's lock. A process that dies leaves only a folder in ``tmp/``, which the next holder
of the lock removes. Failures are never stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from workbench.artifact import Artifact, disk_errors, open_artifact, seal, write_atomic
from workbench.errors import CorruptError, InputError
from workbench.records import Manifest

if TYPE_CHECKING:
    import numpy as np

Made = TypeVar("Made", bound=BaseModel)
FORGOTTEN_S = 14 * 24 * 3600
"""Checkpoints that nobody came back to for so long go."""


def default_root() -> Path:
    """``WORKBENCH_HOME``, or ``workbench`` in the user's cache folder."""
    home = os.environ.get("WORKBENCH_HOME")
    if home:
        return Path(home).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "workbench"


class Store:
    """A folder of things made once, safe for several processes at a time."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        self.reused = 0
        self.performed = 0
        with disk_errors(self.root):
            for name in ("artifacts", "records", "arrays", "locks", "tmp"):
                (self.root / name).mkdir(parents=True, exist_ok=True)

    def artifact(self, key: str, make: Callable[[Path], Manifest]) -> Artifact:
        """The artifact of a key; made by ``make`` in an empty folder when it is not there.

        A stored artifact whose files are not what was written is made again.
        """
        target = self.root / "artifacts" / key
        with self.lock(key):
            if target.is_dir():
                try:
                    found = open_artifact(target)
                    self.reused += 1
                    return found
                except (CorruptError, InputError):
                    shutil.rmtree(target)
            with self._staging(key) as staging:
                manifest = make(staging)
                with disk_errors(self.root):
                    seal(staging, manifest)
                    staging.rename(target)
            self.performed += 1
            return open_artifact(target, verify=False)

    def record(self, key: str, kind: type[Made], make: Callable[[], Made]) -> Made:
        """The record of a key, made when it is not there or cannot be read."""
        path = self.root / "records" / f"{key}.json"
        with self.lock(key):
            if path.is_file():
                try:
                    found = kind.model_validate_json(path.read_bytes())
                    self.reused += 1
                    return found
                except ValidationError:
                    path.unlink()
            made = make()
            text = made.model_dump_json(exclude_none=True) + "\n"
            write_atomic(path, text, self.root / "tmp" / f"{key}.json")
            self.performed += 1
            return made

    def forget_record(self, key: str) -> None:
        """Make the record of a key anew next time."""
        with self.lock(key):
            (self.root / "records" / f"{key}.json").unlink(missing_ok=True)

    def array(self, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, made when it is not there or cannot be read."""
        import numpy as np

        path = self.root / "arrays" / f"{key}.npy"
        with self.lock(key):
            if path.is_file():
                try:
                    found: np.ndarray = np.load(path, allow_pickle=False)
                    self.reused += 1
                    return found
                except (ValueError, OSError, EOFError):
                    path.unlink()
            made = make()
            temporary = self.root / "tmp" / f"{key}.npy"
            with disk_errors(path):
                try:
                    with temporary.open("wb") as file:
                        np.save(file, made, allow_pickle=False)
                        file.flush()
                        os.fsync(file.fileno())
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
            self.performed += 1
            return made

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A folder for what makes a killed piece of work resume; it goes when the work is done.

        It stays where the work failed or was interrupted. The key's lock is held by whoever makes
        the artifact, so that one process at a time works in it.
        """
        folder = self.root / "scratch" / key
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            folder.touch()
        for other in folder.parent.iterdir():
            if time.time() - other.stat().st_mtime > FORGOTTEN_S:
                shutil.rmtree(other, ignore_errors=True)
        try:
            yield folder
        except BaseException:
            with contextlib.suppress(OSError):
                folder.rmdir()  # an empty one is of no use
            raise
        shutil.rmtree(folder, ignore_errors=True)

    def has(self, key: str) -> bool:
        """Whether anything is stored under a key."""
        return (
            (self.root / "artifacts" / key).is_dir()
            or (self.root / "records" / f"{key}.json").is_file()
            or (self.root / "arrays" / f"{key}.npy").is_file()
        )

    def timing(self, name: str) -> float | None:
        """Seconds that something of this name took last, or none."""
        value = self._timings().get(name)
        return float(value) if isinstance(value, int | float) else None

    def remember_timing(self, name: str, seconds: float) -> None:
        """Keep how long something took; a hint for the time left and nothing else."""
        timings = self._timings() | {name: round(seconds, 2)}
        write_atomic(self.root / "timings.json", json.dumps(timings, sort_keys=True) + "\n")

    def _timings(self) -> dict[str, object]:
        try:
            data = json.loads((self.root / "timings.json").read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the lock of a key; another process that wants it waits."""
        from filelock import FileLock

        with disk_errors(self.root):
            lock = FileLock(self.root / "locks" / f"{key}.lock")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _staging(self, key: str) -> Iterator[Path]:
        """An empty folder; the key's lock is held, so what lies there of this key is dead."""
        folder = self.root / "tmp" / key
        shutil.rmtree(folder, ignore_errors=True)
        with disk_errors(folder):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
