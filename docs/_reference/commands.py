"""The command line as pages: one for each command of ``workbench``, from its own parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from docs._reference.schemas import prose, table
from workbench.cli import app

_WORDS = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


def commands() -> dict[str, Any]:
    """The commands and groups of ``workbench``, by name."""
    return {n: c for n, c in typer.main.get_command(app).commands.items() if not c.hidden}


def command_page(name: str) -> str:
    """The page of a command, or of a group with all of its commands."""
    found = commands()[name]
    if not hasattr(found, "commands"):
        return f"# workbench {name}\n\n{_body(f'workbench {name}', found)}"
    parts = [f"# workbench {name}\n\n{prose(found.help)}\n"]
    for sub, command in found.commands.items():
        full = f"workbench {name} {sub}"
        parts.append(f"## {full}\n\n{_body(full, command)}")
    return "\n".join(parts)


def summary(name: str) -> str:
    """The first line of a command's help."""
    return prose(commands()[name].help).splitlines()[0]


def options_of(command: Any) -> Iterator[str]:
    """Every name that a command understands: ``--top``, ``--bytecode``, ``--no-bytecode``."""
    for part in command.params:
        if part.param_type_name == "option":
            yield from (*part.opts, *part.secondary_opts)


def _body(full: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    words = " ".join(map(_usage, arguments))
    parts = [prose(command.help), f"```text\n{full} {words} [OPTIONS]\n```".replace("  ", " ")]
    if arguments:
        rows = [(f"`{_name(p)}`", _default(p), p.help or "") for p in arguments]
        parts.append(table(("argument", "default", "meaning"), rows))
    if options:
        rows = [(_names(p), _kind(p), _default(p), _meaning(p)) for p in options]
        parts.append(table(("option", "takes", "default", "meaning"), rows))
    if examples := _examples(command.epilog or ""):
        parts.append("```bash\n" + "\n".join(examples) + "\n```")
    return "\n\n".join(parts) + "\n"


def _name(part: Any) -> str:
    return str(part.metavar or part.name.upper())


def _usage(part: Any) -> str:
    word = _name(part) + ("…" if part.nargs != 1 else "")
    return word if part.required else f"[{word}]"


def _names(part: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*part.opts, *part.secondary_opts))


def _kind(part: Any) -> str:
    annotation = part.type_descriptor.annotation
    if annotation is bool:
        return ""
    if part.metavar:
        return f"`{part.metavar}`"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    inner = get_args(annotation)[0] if get_args(annotation) else annotation
    return _WORDS.get(inner, getattr(inner, "__name__", str(inner)).upper())


def _default(part: Any) -> str:
    if isinstance(part.show_default, str):
        return part.show_default
    if part.required:
        return "**required**"
    if part.default is None or part.default is False or part.default == "":
        return ""
    return "on" if part.default is True else f"`{part.default}`"


def _meaning(part: Any) -> str:
    bounds = []
    if part.min is not None:
        bounds.append(f"≥ {part.min}")
    if part.max is not None:
        bounds.append(f"≤ {part.max}")
    return f"{part.help or ''} {'; '.join(bounds)}".strip()


def _examples(epilog: str) -> list[str]:
    """The commands that an epilog shows, one a line."""
    text = re.sub(r"^Examples?:\s*", "", epilog.strip())
    return [line.strip() for line in re.split(r" · |\n+", text) if "workbench" in line]
