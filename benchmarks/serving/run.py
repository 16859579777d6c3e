"""Compare onnx_server with other model servers on this machine.

    python benchmarks/serving/run.py setup   [--servers a,b]
    python benchmarks/serving/run.py measure [--figures cpu,tail] [--servers a,b] [--minilm DIR]
                                             [--rounds 5] [--seconds 5] [--json FILE] [--quick]
    python benchmarks/serving/run.py report FILE...

What each figure means is in the README of this folder.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from environments import check_tools, setup
from peers import PEERS
from peers.base import ENVIRONMENTS, Peer
from plan import FIGURES, Plan
from report import markdown
from rounds import Rounds

QUICK = {"rounds": 1, "seconds": 1.0, "wait_s": 0.0}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = made.add_subparsers(dest="command", required=True)
    setting = commands.add_parser("setup", help=f"make the environments in {ENVIRONMENTS.name}/")
    measure = commands.add_parser("measure", help="interleaved rounds; prints Markdown tables")
    for command in (setting, measure):
        command.add_argument("--servers", help=f"comma-separated, of {', '.join(PEERS)}")
    measure.add_argument("--figures", help=f"comma-separated, of {', '.join(FIGURES)}")
    measure.add_argument(
        "--minilm", type=Path, default=Path("runs/minilm-int8/variants/int8"),
        help="folder of the MiniLM int8 artifact (default %(default)s)",
    )  # fmt: skip
    measure.add_argument("--rounds", type=int, default=5)
    measure.add_argument("--seconds", type=float, default=5.0, help="of each load; whole seconds")
    measure.add_argument(
        "--rate", type=float, action="append", default=[],
        help="requests/s of the open loop; else 70 %% of the best peer's capacity, and of ours",
    )  # fmt: skip
    measure.add_argument(
        "--wait", dest="wait_s", type=float, default=60.0,
        help="seconds to wait at most until the machine is quiet, before each server",
    )  # fmt: skip
    measure.add_argument("--json", type=Path, default=Path("runs/serving.json"))
    measure.add_argument("--quick", action="store_true", help="one short round, to try it")
    reporting = commands.add_parser("report", help="the tables of results that were kept")
    reporting.add_argument("files", type=Path, nargs="+")
    return made


def main() -> None:
    """Read the command line."""
    options = parser().parse_args()
    if options.command == "report":
        print(markdown([json.loads(file.read_bytes()) for file in options.files]))
        return
    peers = tuple(PEERS[name] for name in _chosen(options.servers, tuple(PEERS)))
    if options.command == "setup":
        setup(peers)
        return
    check_tools()
    print(markdown([_measure(options, peers)]))


def _measure(options: argparse.Namespace, peers: tuple[Peer, ...]) -> dict[str, Any]:
    if options.quick:
        vars(options).update(QUICK)
    plan = Plan(
        figures=_chosen(options.figures, FIGURES),
        peers=peers,
        minilm=options.minilm,
        rounds=options.rounds,
        seconds=options.seconds,
        wait_s=options.wait_s,
        rates=tuple(options.rate),
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)

    def save(result: dict[str, Any]) -> None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")

    return Rounds(plan, _command(), save).run()


def _chosen(names: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a comma-separated list, all without one."""
    chosen = tuple(name for name in (names or "").split(",") if name)
    for name in chosen:
        if name not in known:
            raise SystemExit(f"There is no '{name}'; there are {', '.join(known)}.")
    return chosen or known


def _command() -> str:
    """What was typed, without the folders of this machine."""
    words = ["benchmarks/serving/run.py", *sys.argv[1:]]
    for option in ("--minilm", "--json"):
        if option in words:
            words[words.index(option) + 1] = "DIR" if option == "--minilm" else "FILE"
    return shlex.join(["python", *words])


if __name__ == "__main__":
    main()
