"""How long ``workbench cost`` takes: the whole command, and plans of several traffics.

    python benchmarks/cost/plan_time.py docs/data/minilm-profiles.json [--beside CHECKOUT]

Each figure is the median of fresh processes (and the fastest), so that nothing is cached; checkouts
take turns. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[2]
CASES = {
    "5 variants even 2 M, without break-evens": (
        "profiles[-1:] * 5, Traffic(requests=2e6), catalog, break_evens=False"
    ),
    "even 2 M": "profiles, Traffic(requests=2e6), catalog",
    "even 50 M": "profiles, Traffic(requests=5e7), catalog",
    "office hours 5 M, p99 150 ms": (
        "profiles, Traffic(requests=5e6, p99_ms=150, shape=OfficeHours()), catalog"
    ),
    "bursts 20 M": (
        "profiles, Traffic(requests=2e7, shape=Bursts(count=8, minutes=15, height=10)), catalog"
    ),
    "redundant 2 M": "profiles, Traffic(requests=2e6, availability='redundant'), catalog",
    "20 models, 2 M": "profiles, Traffic(requests=2e6), catalog, portfolio=20",
}
"""Arguments of a plan, with break-evens where nothing else is said."""
CHILD = """
import sys, time
from pathlib import Path
from workbench.cost.catalog import Catalog
from workbench.cost.planner import plan
from workbench.cost.profile import profiles_of
from workbench.cost.traffic import Bursts, OfficeHours, Traffic
profiles, catalog = profiles_of(Path(sys.argv[1])), Catalog.standard()
begin = time.perf_counter()
plan({arguments})
print(time.perf_counter() - begin)
"""
COMMAND = """
import sys
from workbench.cli import main
sys.argv = ["workbench", "cost", sys.argv[1], "--requests", "2M"]
main()
"""


def main() -> None:
    """Time everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profiles", type=Path, help="a run directory, or profiles as JSON")
    parser.add_argument("--beside", type=Path, action="append", default=[], help="a checkout")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    trees = [*options.beside, HERE]
    profiles = options.profiles.resolve()
    names = [tree.resolve().name for tree in trees[:-1]] + ["this checkout"]
    print(f"| seconds, median (fastest) of {options.rounds} | {' | '.join(names)} |")
    print(f"| --- | {' | '.join('---:' for _ in names)} |")
    for title in ("the command, even 2 M", *CASES):
        found: dict[Path, list[float]] = {tree: [] for tree in trees}
        for _ in range(options.rounds):
            for tree in trees:
                found[tree].append(seconds(tree, profiles, title))
        cells = (f"{median(found[tree]):.2f} ({min(found[tree]):.2f})" for tree in trees)
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def seconds(tree: Path, profiles: Path, title: str) -> float:
    """Of one fresh process: all of the command, or the plan alone."""
    code = CHILD.format(arguments=CASES[title]) if title in CASES else COMMAND
    begin = time.perf_counter()
    # With -c the working directory is where Python looks for the package first.
    done = subprocess.run(
        [sys.executable, "-c", code, str(profiles)],
        cwd=tree, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout) if title in CASES else time.perf_counter() - begin


if __name__ == "__main__":
    main()
