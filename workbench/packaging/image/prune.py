"""What is left out of the image: one list, ``single_model/prune.txt``, for both ways to build."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate

from workbench.shipped import shipped

RULES = "single_model/prune.txt"


def rules() -> tuple[str, ...]:
    """The patterns of the list."""
    text = (shipped("serving_containers") / RULES).read_text(encoding="utf-8")
    return tuple(line for line in map(str.strip, text.splitlines()) if line and line[0] != "#")


def pruner(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path from the image's root is left out.

    A pattern is a shell's (``*`` stands for any characters, slashes too) for a whole path, or for
    the path of a folder that goes with all that is in it.
    """
    whole = [form for pattern in patterns for form in (pattern, f"{pattern}/*")]
    compiled = re.compile("|".join(map(translate, whole))) if whole else None
    return lambda path: compiled is not None and compiled.match(path) is not None
