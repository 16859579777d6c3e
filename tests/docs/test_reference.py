"""Every plug-in, command, setting and record has its page, with everything on it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model
from onnx_server.settings import Settings
from pydantic import BaseModel, Field

from docs._reference.commands import commands, options_of
from docs._reference.reference import pages
from docs._reference.schemas import fields, prose, table
from tests.docs.blocks import read
from workbench.conformance.clause import declared
from workbench.cost.catalog.limits import limits
from workbench.cost.options import options
from workbench.cost.traffic import Traffic
from workbench.datasets import datasets
from workbench.gates import NAMES
from workbench.models import model_cards
from workbench.recipe import Recipe
from workbench.records import Manifest, Run
from workbench.run_directory import load_run
from workbench.shipped import shipped
from workbench.steps import steps
from workbench.tasks import tasks

ROOT = Path(__file__).parents[2]
PLUGINS = {
    f"reference/{folder}/{name}.md": cls
    for folder, found in (("steps", steps()), ("tasks", tasks()), ("options", options()))
    for name, cls in found.items()
}
LISTS = {
    "reference/steps.md": steps(),
    "reference/tasks.md": tasks(),
    "reference/options.md": options(),
    "reference/commands.md": commands(),
    "reference/gates.md": NAMES,
    "reference/datasets.md": datasets(),
    "reference/models.md": model_cards(),
    "reference/recipes.md": [file.stem for file in shipped("recipes").glob("*.yaml")],
    "reference/clauses.md": declared(),
    "reference/options/limits.md": [name for found in limits().values() for name in found],
    "reference/recipe.md": Recipe.model_fields,
    "reference/run.md": Run.model_fields,
    "reference/manifest.md": Manifest.model_fields,
    "reference/traffic.md": Traffic.model_fields,
    "reference/server.md": [field.name.upper() for field in dataclasses.fields(Settings)],
}


@pytest.fixture(scope="module")
def made():
    return pages()


@pytest.mark.parametrize("path", PLUGINS)
def test_every_plugin_has_a_page_with_every_option_and_its_meaning(made, path):
    text = made[path].text
    for name, field in PLUGINS[path].model_fields.items():
        first = f"| `{field.alias or name}` |"
        row = next(line for line in text.splitlines() if line.startswith(first))
        assert len(row.split(" | ")) == 4
        if field.description:
            assert prose(field.description)[:40].split("|")[0] in row


@pytest.mark.parametrize("path", LISTS)
def test_every_list_is_complete(made, path):
    missing = [name for name in LISTS[path] if name not in made[path].text]
    assert missing == []


@pytest.mark.parametrize("name", commands())
def test_every_command_has_a_page_with_every_option(made, name):
    text = made[f"reference/commands/{name}.md"].text
    found = commands()[name]
    for command in getattr(found, "commands", {name: found}).values():
        missing = [option for option in options_of(command) if f"`{option}`" not in text]
        assert missing == []


def test_every_page_has_one_title_and_no_object_s_address(made):
    for page in made.values():
        titles = [line for line in page.text.splitlines() if line.startswith("# ")]
        assert page.text.startswith("# ") or page.path == "reference/server.md"
        assert titles, page.path
        assert " object at 0x" not in page.text
        assert "<class " not in page.text


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The step of docs/extending.md, installed as another package's."""
    folder = tmp_path_factory.mktemp("package")
    code = read(ROOT / "docs" / "extending.md").files["zero_step.py"]
    (folder / "zero_step.py").write_text(code)
    info = folder / "zero_step-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zero-step\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[workbench.steps]\nzero = zero_step:Zero\n")
    return folder


def python(package, *words, cwd=ROOT):
    path = os.pathsep.join([str(package), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_step_that_is_added_gets_its_page(package):
    code = "from docs._reference.reference import pages; found = pages()\n"
    code += "print(found['reference/steps/zero.md'].text, found['reference/steps.md'].text)"
    told = python(package, "-c", code)
    assert "| `share` | number | **required** | Of the weights, by their size. > 0; < 1. |" in told
    assert "| [zero](steps/zero.md) | Set the smallest weights of each matrix to zero. |" in told


def test_the_step_of_the_guide_runs_in_a_recipe(package, tmp_path):
    weight = numpy_helper.from_array(np.arange(1, 17, dtype=np.float32).reshape(4, 4), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    save_model(model, tmp_path / "tiny.onnx")
    recipe = "{name: tiny, model: tiny.onnx, task: {agreement: {}}, "
    recipe += "variants: {fp32: [], sparse: [{zero: {share: 0.25}}]}}"
    (tmp_path / "tiny.yaml").write_text(recipe)
    python(package, "-m", "workbench", "run", "tiny.yaml", "--smoke", cwd=tmp_path)
    [record] = (tmp_path / "runs").glob("*/run.json")
    variant = load_run(record).variants[1]
    assert variant.lineage[-1].account.changed == {"zeroed": 4}
    assert variant.measurement is not None
    assert variant.measurement.footprint.sparsity == 0.25


def test_types_bounds_and_defaults_are_told():
    class Inner(BaseModel):
        """Inside."""

        size: int = 1

    class Sample(BaseModel):
        """Text."""

        count: int = Field(gt=0, le=9, description="How many | of them.")
        kind: bool | None = Field(None, description="Which.")
        parts: tuple[Inner, ...] = ()
        shares: dict[str, float] = Field(default_factory=dict, description="Each.")

    assert fields(Sample) == (
        "| field | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `count` | whole number | **required** | How many \\| of them. > 0; ≤ 9. |\n"
        "| `kind` | true or false | none | Which. |\n"
        "| `parts` | list of [Inner](#inner) | `[]` |  |\n"
        "| `shares` | mapping to number | empty | Each. |\n"
    )


def test_a_table_s_cells_cannot_break_it():
    assert table(("a", "b"), [("1|2", "3\n4")]).splitlines()[2] == "| 1\\|2 | 3 4 |"
