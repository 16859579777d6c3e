"""How long from the trained MiniLM to each artifact of the shipped recipe.

    python benchmarks/time_to_artifact.py [--repeat 3]

Each variant is made in a fresh process with an empty store: process start, imports, reading the
model, every step, and the validation of every step's result. What the peers take is measured in the
same way by ``benchmarks/peers.py produce``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "minilm-int8.yaml"


def make(variant: str) -> None:
    """Make one variant's artifact in this process, with the store of WORKBENCH_HOME."""
    from workbench.recipe import load_recipe
    from workbench.resolve import resolve
    from workbench.runner import Runner

    Runner(resolve(load_recipe(RECIPE))).artifact(variant)


def main() -> None:
    """Time all variants and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="fresh processes for each variant")
    parser.add_argument("--variant", help="make this one only, in this process, untimed")
    options = parser.parse_args()
    if options.variant:
        make(options.variant)
        return
    from workbench.recipe import load_recipe

    print("| variant | seconds to artifact (each run) | CPU seconds (mean) |")
    print("| --- | --- | ---: |")
    for variant in load_recipe(RECIPE).recipe.variants:
        times, spent = [], 0.0
        for _ in range(options.repeat):
            with tempfile.TemporaryDirectory() as store:
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, __file__, "--variant", variant],
                    env={**os.environ, "WORKBENCH_HOME": store, "HF_HUB_OFFLINE": "1"},
                    check=True,
                )
                times.append(time.perf_counter() - began)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                spent += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        shown = " / ".join(f"{seconds:.1f}" for seconds in sorted(times))
        print(f"| {variant} | {shown} | {spent / options.repeat:.1f} |")


if __name__ == "__main__":
    main()
