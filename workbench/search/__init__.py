"""Search: the chains that a recipe's ``search:`` block leaves open, explored for the best ones.

Optuna proposes; a trial makes the chain's artifact and measures it beside the baseline, what costs
little first; what no other beats is measured again, side by side, in one normal run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.search.explore import Where, search
    from workbench.search.records import Point, SearchResult, Trial

__all__ = ["Point", "SearchResult", "Trial", "Where", "search"]

_HOMES = {
    "Point": "records",
    "SearchResult": "records",
    "Trial": "records",
    "Where": "explore",
    "search": "explore",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
