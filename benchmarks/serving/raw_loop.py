"""The limit: the model in a loop in one process, without HTTP; prints JSON.

    python raw_loop.py FOLDER SAMPLE_JSON SECONDS

One thread per CPU calls the session on batches of the sample, from Python lists or texts to lists,
for SECONDS at each batch size; prints instances per second by batch size.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "apps"))
from predictor import Predictor  # noqa: E402

BATCHES = (1, 2, 4, 8, 16, 32)


def rate(predict: Predictor, sample: Any, batch: int, seconds: float) -> float:
    """Instances per second of all threads together."""
    end = time.perf_counter() + seconds
    counts = [0] * (os.cpu_count() or 1)

    def work(index: int) -> None:
        instances = [sample] * batch
        while time.perf_counter() < end:
            predict(instances)
            counts[index] += batch

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(counts))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def main() -> None:
    """Measure all batch sizes."""
    folder, sample, seconds = Path(sys.argv[1]), json.loads(sys.argv[2]), float(sys.argv[3])
    predict = Predictor(folder)
    rate(predict, sample, 1, 0.3)  # warm up
    print(json.dumps({str(batch): rate(predict, sample, batch, seconds) for batch in BATCHES}))


if __name__ == "__main__":
    main()
