"""Real runs of a small classifier, made once: two recipes that differ in one option of a step."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import workbench
from tests.end_to_end.conftest import cli  # noqa: F401 - a fixture
from tests.real_models import PACKAGES
from workbench.recipe import load_recipe

RECIPE = """\
name: digits
model: digits-cnn
task: {classification: {data: mnist-5k, batch: 64, limit: 300}}
variants:
  fp32: [export]
  int8: [export, fuse, {quantize: STEP}]
  w8: [export, fuse, {quantize: weight-only}]
profile: {batch: [1], threads: [1], seconds: 0.1, processes: 2, max_rounds: 24}
"""
STEPS = {
    "first": "static-int8",
    "second": "{scheme: static-int8, per_channel: false}",
    "again": "static-int8",
}


@pytest.fixture(scope="session")
def real(tmp_path_factory) -> Path:
    """A folder with three run directories: ``first``, ``second`` (per_channel), ``again``.

    ``again`` is the recipe of ``first``, measured anew: the same files at another time.
    """
    for package in PACKAGES["digits-cnn"]:
        try:
            distribution(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed (models/requirements.txt)")
    folder = tmp_path_factory.mktemp("real")
    for name, step in STEPS.items():
        recipe = folder / f"{name}.yaml"
        recipe.write_text(RECIPE.replace("STEP", step))
        workbench.run(load_recipe(recipe), runs=folder / name, remeasure=name != "second")
    return folder
