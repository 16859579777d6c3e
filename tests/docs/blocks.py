"""Pages of the documentation as programs: their blocks are run in order, their outputs compared.

A ``bash`` or ``python`` block is run; any block with a title that is a file's name is written to
that file first. A ``text`` block is what the last block that ran printed: each of its lines must be
among the printed lines, in order. White space counts once, a tilde (a noisy cell's mark) not at
all, and ``…`` stands for anything. Under the title ``figures vary`` a number stands for any.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

VARIES, EXAMPLE = "figures vary", "an example"
_FENCE = re.compile(r"^```(\w*)[ ]?(?:title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_MARK = "\x1e"


@dataclass
class Block:
    """One block that is run, with the outputs that the page shows for it."""

    line: int
    language: str
    text: str
    shown: list[tuple[int, bool, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Program:
    """A page's blocks, and the files that it has one write."""

    blocks: list[Block]
    files: dict[str, str]


def read(page: Path) -> Program:
    """The blocks of a page."""
    markdown = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    files: dict[str, str] = {}
    for found in _FENCE.finditer(markdown):
        language, title, text = found.groups()
        line = markdown.count("\n", 0, found.start()) + 1
        if language == "text":
            assert blocks, f"{page}:{line}: an output, and nothing was run"
            assert title in (None, VARIES, EXAMPLE), f"{page}:{line}: no such title, '{title}'"
            if title != EXAMPLE:
                blocks[-1].shown.append((line, title == VARIES, text))
        elif title:
            files[title] = text
        elif language in ("bash", "python"):
            blocks.append(Block(line, language, text))
    return Program(blocks, files)


def run(page: Path, folder: Path, *, seconds: float) -> None:
    """Run a page's blocks in one shell, and compare what they print with what the page shows."""
    program = read(page)
    for name, text in program.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    outputs = _run(program.blocks, folder, seconds, page)
    for block, output in zip(program.blocks, outputs, strict=True):
        for line, varies, shown in block.shown:
            compare(shown, output, varies=varies, where=f"{page.name}:{line}")


def compare(shown: str, printed: str, *, varies: bool, where: str) -> None:
    """Fail where a shown line is not among the printed ones, in order."""
    lines = iter([_squeezed(line) for line in printed.splitlines()])
    for line in filter(None, map(_squeezed, shown.splitlines())):
        pattern = _pattern(line, varies)
        assert any(pattern.fullmatch(one) for one in lines), (
            f"{where}: not printed, or not in this place:\n  {line}\n--- printed:\n{printed}"
        )


def _squeezed(line: str) -> str:
    return " ".join(line.replace("~", " ").split())


def _pattern(line: str, varies: bool) -> re.Pattern[str]:
    parts = []
    for piece in line.split("…"):
        texts = _NUMBER.split(piece) if varies else [piece]
        parts.append(_NUMBER.pattern.join(map(re.escape, texts)))
    return re.compile(".*".join(parts))


def _run(blocks: list[Block], folder: Path, seconds: float, page: Path) -> list[str]:
    script = folder.parent / f"{page.stem}.sh"
    output = folder.parent / f"{page.stem}.out"
    script.write_text("".join(map(_command, blocks)), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "165",
    }
    with output.open("w") as sink:
        shell = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            shell.wait(timeout=seconds)
        finally:
            _end(shell)
    printed = output.read_text(encoding="utf-8", errors="replace")
    pieces = re.findall(rf"(.*?){_MARK}(\d+)\n", printed, re.DOTALL)
    for block, (text, code) in zip(blocks, pieces, strict=False):
        assert code == "0", f"{page.name}:{block.line}: exit code {code}\n{text}"
    assert len(pieces) == len(blocks), f"{page.name}: the shell ended early\n{printed}"
    return [text for text, _ in pieces]


def _command(block: Block) -> str:
    text = block.text
    if block.language == "python":
        text = f"python - << 'END_OF_BLOCK'\n{text}END_OF_BLOCK\n"
    return f"{text}printf '{_MARK}%s\\n' $?\n"


def _end(shell: subprocess.Popen[bytes]) -> None:
    """Nothing that a page started outlives its test."""
    try:
        os.killpg(shell.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    shell.wait(timeout=300)
