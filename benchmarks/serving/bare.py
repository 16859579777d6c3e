"""What a model takes in a process that does nothing else: prints JSON.

    python bare.py FOLDER SAMPLE_JSON FIRST_FOLDER FIRST_SAMPLE_JSON

``before_bytes`` is the process's proportional set size (PSS) after another, tiny model has run: the
interpreter, numpy, onnxruntime and tokenizers, in use. ``after_bytes`` is that once the model in
FOLDER has answered the sample too; ``answer`` is its answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "apps"))
from predictor import Predictor  # noqa: E402


def pss_bytes() -> int:
    """This process's proportional set size."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    """Measure."""
    folder, sample = Path(sys.argv[1]), json.loads(sys.argv[2])
    Predictor(Path(sys.argv[3]))([json.loads(sys.argv[4])])
    before = pss_bytes()
    predict = Predictor(folder)
    answer = predict([sample])[0]
    after = pss_bytes()
    print(json.dumps({"before_bytes": before, "after_bytes": after, "answer": answer}))


if __name__ == "__main__":
    main()
