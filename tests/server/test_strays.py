"""Libraries that print or warn write lines of the log like everybody else."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import logging, warnings
from onnx_server import strays
strays.catch()
warnings.warn("not\\nso good", RuntimeWarning)
logging.getLogger("lib").error("bad %s", "thing")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("lib").exception("worse")
logging.getLogger("lib").info("nothing")
"""


def test_warnings_and_log_records_are_lines_of_json():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=30)
    warned, bad, worse = map(json.loads, done.stderr.splitlines())
    assert (warned["category"], warned["text"]) == ("RuntimeWarning", "not\nso good")
    assert (bad["level"], bad["logger"], bad["text"]) == ("error", "lib", "bad thing")
    assert "ZeroDivisionError" in worse["exception"]
