"""The small classifier of the end-to-end tests, with a block to search."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import RECIPE, cli, project
from workbench.recipe import load_recipe
from workbench.search.evaluate import Evaluator, Spec
from workbench.search.records import Ended, Question, SearchResult

__all__ = ["cli", "project"]

SEARCH = """\
search:
  steps:
    - export
    - choice:
        - []
        - quantize: {scheme: weight-only, bits: {choice: [8, 4]}, block: {choice: [16, 32]}}
        - quantize: dynamic-int8
  objectives: [size, quality]
  trials: 10
"""


@pytest.fixture
def searched(project):
    """Write the recipe with this block; its path."""

    def write(block: str = SEARCH, **changes: str):
        text = RECIPE.replace("  int8: [export, {quantize: dynamic-int8}]\n", "")
        text = text.replace("seconds: 0.2", "seconds: 0.2, processes: 1")
        text = text.partition("gates:")[0] + block
        for old, new in changes.items():
            text = text.replace(old, new)
        path = project / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def judged_alike(result: SearchResult, recipe: Path, root: Path) -> int:
    """How many trials were measured; this process finds of each the same artifact and figures.

    Latencies are no figures to be found twice.
    """
    judge = Evaluator(Spec(load_recipe(recipe), root))
    measured = [trial for trial in result.trials if trial.ended is Ended.MEASURED]
    for trial in measured:
        question = Question(number=trial.number, steps=trial.steps, knobs=trial.knobs)
        here = judge.judge(question)
        assert trial.digest == here.digest
        assert all(trial.figures[text] == here.figures[text] for text in ("size", "quality"))
    return len(measured)
