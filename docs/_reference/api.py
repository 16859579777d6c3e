"""The Python interface as a page: signatures and docstrings of what is public."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

from docs._reference.schemas import prose

PUBLIC: dict[str, tuple[str, ...]] = {
    "workbench": ("load_recipe", "run", "load_run"),
    "workbench.testing": (),
    "workbench.cost.traffic": ("read_traffic", "Traffic"),
    "workbench.cost.planner": ("plan", "cheapest"),
    "workbench.conformance": ("check", "failed", "Subject", "Sample"),
    "workbench.packaging.image.registry": ("push", "pull"),
}
"""What users may rely on, by module; none named: all of the module's ``__all__``."""

_SECTION = re.compile(r"^(Args|Returns|Yields|Raises):\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_ITEM = re.compile(r"^(\*{0,2}[\w.]+): ", re.MULTILINE)


def api_page() -> str:
    """The page of the Python interface."""
    parts = [
        "# Python\n\nImporting `workbench` pulls in neither torch nor onnx; what is heavy is "
        "imported when it is used. Errors are one tree, `workbench.errors`: see "
        "[exit codes](../troubleshooting.md#exit-codes).\n"
    ]
    for module, names in PUBLIC.items():
        found = importlib.import_module(module)
        parts.append(f"## {module}\n\n{_paragraph(found.__doc__)}\n")
        parts.extend(_entry(name, getattr(found, name)) for name in names or found.__all__)
    return "\n".join(parts)


def _paragraph(docstring: str | None) -> str:
    return prose(docstring).split("\n\n")[0]


def _entry(name: str, item: Any) -> str:
    shown = f"{name}{_signature(item)}" if inspect.isfunction(item) else f"class {name}"
    return f"### {name}\n\n```python\n{shown}\n```\n\n{_docstring(item.__doc__)}\n"


def _signature(function: Any) -> str:
    """On one line, or where that is long with a line for each parameter."""
    signature = inspect.signature(function)
    parts, keyword = [], False
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not keyword:
            parts.append("*")
            keyword = True
        kind = "" if one.annotation is one.empty else f": {_named(one.annotation)}"
        parts.append(one.name + kind + ("" if one.default is one.empty else f" = {one.default!r}"))
    returned = signature.return_annotation
    arrow = "" if returned is signature.empty else f" -> {_named(returned)}"
    short = f"({', '.join(parts)}){arrow}"
    if len(short) < 70:
        return short
    return "\n".join(["(", *(f"    {part}," for part in parts), f"){arrow}"])


def _named(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _docstring(docstring: str | None) -> str:
    """Google's sections become a heading in bold with a list."""

    def section(match: re.Match[str]) -> str:
        lines = inspect.cleandoc("\n" + match[2])
        if not _ITEM.match(lines):
            return f"**{match[1]}**: {lines}\n\n"
        items = _ITEM.sub(r"- `\1`: ", lines)
        return f"**{match[1]}**\n\n{items}\n\n"

    text = inspect.cleandoc(docstring or "") + "\n"
    return prose(_SECTION.sub(section, text))
