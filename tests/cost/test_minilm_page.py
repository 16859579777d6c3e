"""docs/cost-minilm.md says what the engine says of the profiles that are kept beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "cost"))
import minilm_page

ANEW = "make it anew: python benchmarks/cost/minilm_page.py"


@pytest.fixture(scope="module")
def figures() -> minilm_page.Figures:
    return minilm_page.Figures.kept()


def test_every_figure_of_the_page_is_the_engines(figures):
    page = minilm_page.PAGE.read_text(encoding="utf-8")
    assert minilm_page.filled(page, figures) == page, ANEW


def test_the_plot_is_the_engines(figures):
    assert minilm_page.plot(figures) == minilm_page.PLOT.read_text(encoding="utf-8"), ANEW


def test_the_page_names_what_was_measured_where_and_when(figures):
    page = minilm_page.PAGE.read_text(encoding="utf-8")
    assert figures.machine["cpu"] in page
    assert figures.profiles[0].measured[:10] in page
    assert {profile.cpu for profile in figures.profiles} == {figures.machine["cpu"]}
