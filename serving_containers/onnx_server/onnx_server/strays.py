"""What libraries would print as they like becomes lines of the log: warnings and log records.

Whoever reads standard error expects a JSON object in every line of it.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

from onnx_server.logs import LEVELS, log


def catch() -> None:
    """From now on, in the whole process.

    What Pillow warns of is the client's: it would fill the log with what is in images.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.showwarning = _warned
    logging.getLogger().addHandler(_Lines(logging.WARNING))


def _warned(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    log("library_warning", level="warning", category=category.__name__, text=str(message))


class _Lines(logging.Handler):
    """Without a handler Python writes records to standard error, as plain text."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name, "text": record.getMessage()}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        level = record.levelname.lower()
        log("library_message", level=level if level in LEVELS else "error", **fields)
