"""Bounds on a model's figures in a team's own tests; the pytest plugin is :mod:`.plugin`.

::

    from workbench.testing import assert_within, measure

    def test_small_and_fast(artifact, baseline):
        measured = measure(artifact, against=baseline, batch=8)
        assert measured.p95 <= measured.baseline.p95 * 1.1
        assert_within(measured, "size <= 0.3 * baseline", "latency.p50 <= baseline")

pytest loads this package in every run of anybody who installed the workbench, so what it exports
is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.testing.deciding import BoundError, UndecidedError
    from workbench.testing.figures import Figure
    from workbench.testing.profiles import Profile, assert_within, measure

__all__ = ["BoundError", "Figure", "Profile", "UndecidedError", "assert_within", "measure"]

_HOMES = {
    "BoundError": "deciding",
    "Figure": "figures",
    "Profile": "profiles",
    "UndecidedError": "deciding",
    "assert_within": "profiles",
    "measure": "profiles",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
