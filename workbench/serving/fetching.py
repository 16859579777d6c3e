"""The unpacked models, below the folder that the container may load from."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from workbench.artifact import disk_errors
from workbench.serving.archives import Source
from workbench.serving.metrics import Metrics


class Fetched:
    """Each model is fetched once and stays on disk; two threads must not fetch the same one."""

    def __init__(self, source: Source, folder: Path, metrics: Metrics) -> None:
        self._source, self._folder, self._metrics = source, folder, metrics

    def fetch(self, target: str, name: str) -> Path:
        """The folder of a model, where the platform would put it (C9); ``name`` is its opaque id.

        Raises:
            ArchiveError: there is no such archive, or it is refused.
            MissingError: the disk is full.
        """
        place = self._folder / name / "model"
        if place.is_dir():
            return place
        began = time.monotonic()
        staging = self._folder / f".{name}"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with disk_errors(place):
                staging.mkdir(parents=True)
                self._source.unpack(target, staging)
                place.parent.mkdir(exist_ok=True)
                staging.rename(place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._metrics.observe_seconds("ModelDownloadingTime", time.monotonic() - began)
        return place
