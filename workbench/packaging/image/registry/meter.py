"""Tells of bytes over several blobs as one piece of work."""

from __future__ import annotations

import time

from workbench.progress import Progress


class Meter:
    """One piece of work of a Progress; begins when it is made."""

    def __init__(self, progress: Progress | None, label: str) -> None:
        self._progress, self._label = progress or Progress(), label
        self._began = time.monotonic()
        self._total = self.done = 0
        self._progress.start(label)

    def expect(self, total: int) -> None:
        """So many bytes will be moved."""
        self._total = total

    def told(self, so_far: int) -> None:
        """So many bytes of the present blob are moved."""
        self._progress.advance(self.done + so_far, self._total)

    def blob_done(self, size: int) -> None:
        """The present blob is moved; another may follow."""
        self.done += size

    def finish(self, detail: str) -> None:
        """All is done; ``detail`` says more than the number of bytes."""
        seconds = time.monotonic() - self._began
        moved = f"{self.done / 1e6:.1f} MB {detail}"
        self._progress.finish(self._label, seconds, reused=False, detail=moved)
