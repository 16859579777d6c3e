"""Trackers: a file here that holds a tracker hands runs over to one kind of server, and is found by
being there; ``spans`` is OpenTelemetry's, which follows a run while it goes on.

A tracker is a frozen pydantic class: its fields are its options. It reads a run directory, which is
whole before a tracker is asked: what a tracker cannot do loses nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from workbench.plugins import Plugin, make_plugin, plugins
from workbench.records import Run

FILES = ("run.json", "recipe.yaml", "report.md", "report.html", "junit.xml")
"""What of a run directory is handed over, where it is there; artifacts only when asked for."""


class Tracker(Plugin):
    """Base of all trackers."""

    name: ClassVar[str]

    @abstractmethod
    def check(self) -> None:
        """See, before long work, whether the run can be handed over afterwards.

        Raises:
            InputError: an option is wrong, or no server is named.
            MissingError: the package is missing, or the server cannot be reached.
        """

    @abstractmethod
    def log(self, run: Run, folder: Path) -> str:
        """Hand over a run; once more of an unchanged one changes nothing.

        Args:
            run: the record.
            folder: its run directory.

        Returns:
            Where it is now, for people: an address or an identity.

        Raises:
            MissingError: the server refused it or cannot be reached.
        """


def trackers() -> dict[str, type[Tracker]]:
    """All trackers by name."""
    return plugins("workbench.tracking", Tracker)


def make_tracker(text: str, **options: Any) -> Tracker:
    """The tracker of ``NAME`` or ``NAME:EXPERIMENT``, with options; those that are none are left.

    Raises:
        InputError: no such tracker or option; the message names the nearest right one.
    """
    name, _, experiment = text.partition(":")
    given = {key: value for key, value in options.items() if value is not None}
    if experiment:
        given["experiment"] = experiment
    made: Tracker = make_plugin(trackers(), name, given, "tracker")
    return made
