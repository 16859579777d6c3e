"""YAML with the line of every key, so that an error can name its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from workbench.errors import RecipeError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlSource:
    """Plain data and the 1-based line of each key and item, by path from the top."""

    file: Path
    data: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int | None:
        """The line of a place, or of the nearest enclosing one that has a line."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None

    def part(self, key: str, data: Any) -> YamlSource:
        """What stands under a top-level key as a source of its own, ``data`` its value."""
        lines = {place[1:]: line for place, line in self.lines.items() if place[:1] == (key,)}
        return YamlSource(self.file, data, lines)


def read_yaml(file: Path) -> YamlSource:
    """Parse a YAML 1.2 file.

    Raises:
        RecipeError: it is missing, no text, no valid YAML, or has a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"There is no file {file}.") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{file} cannot be read as text, so it is no YAML file.") from None
    except OSError as error:
        raise RecipeError(f"{file} cannot be read as text: {error.strerror}.") from error
    try:
        tree = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        name = str(error.problem).split('"')[1] if '"' in str(error.problem) else "?"
        raise RecipeError(
            f"the key '{name}' stands here twice.",
            file=file,
            line=_line(error),
            hint="Remove one of the two.",
        ) from error
    except YAMLError as error:
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        hint = "YAML is indented with spaces." if "\\t" in problem or "\t" in problem else None
        raise RecipeError(
            f"this is no valid YAML: {problem}.", file=file, line=_line(error), hint=hint
        ) from error
    lines: dict[Place, int] = {}
    return YamlSource(file, _plain(tree, (), lines), lines)


def dump_yaml(data: Any) -> str:
    """Data as YAML text, keys in their order."""
    from io import StringIO

    yaml = YAML()
    yaml.width = 100
    text = StringIO()
    yaml.dump(data, text)
    return text.getvalue()


def parse_value(text: str) -> Any:
    """A YAML value given on the command line, such as ``[1, 8]`` or ``true``.

    Raises:
        RecipeError: it is no valid YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise RecipeError(f"'{text}' is no valid YAML value.") from error


def _line(error: YAMLError) -> int | None:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return mark.line + 1 if mark is not None else None


def _plain(node: Any, place: Place, lines: dict[Place, int]) -> Any:
    if isinstance(node, CommentedMap):
        plain = {}
        for key, value in node.items():
            at = (node.lc.data or {}).get(key)  # a merged key has no place of its own
            lines[(*place, key)] = (at[0] if at else node.lc.line) + 1
            plain[key] = _plain(value, (*place, key), lines)
        return plain
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*place, index)] = node.lc.item(index)[0] + 1
        return [_plain(value, (*place, index), lines) for index, value in enumerate(node)]
    if isinstance(node, str):
        return str(node)
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    return node
