"""Runs a command that is stopped when its parent dies: ``tether.py PARENT_PID COMMAND...``.

Linux only. A script of its own rather than code run between fork and exec, which is not safe in a
process with threads. What it sets outlives the exec.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):  # it died before that
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])
