"""What makes a result's key: the code that makes it, and no other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench import runner
from workbench.plugins import module_sources
from workbench.recipe import load_recipe
from workbench.resolve import resolve
from workbench.runner import Runner
from workbench.steps import distill, quantize
from workbench.store import Store


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "somesteps"
    folder.mkdir()
    files = {
        "__init__.py": "",
        "one.py": "from somesteps._shared import x\ndef late():\n    import somesteps._late\n",
        "two.py": "from somesteps._other import x\n",
        "_shared.py": "from somesteps._deep import x\n",
        "_deep.py": "from somesteps._shared import y\nx = 1\n",
        "_late.py": "",
        "_other.py": "x = 1\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.startswith("somesteps")]:
        del sys.modules[name]


def test_a_plugins_sources_are_all_that_it_uses_of_its_package(package: Path) -> None:
    module = type(sys)("somesteps.one")
    module.__file__ = str(package / "one.py")
    names = [path.name for path in module_sources(module)]
    assert names == ["_deep.py", "_late.py", "_shared.py", "one.py"]


def test_a_change_of_a_steps_code_makes_its_artifacts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text("import torch\ndef build(): return torch.nn.Linear(4, 2)\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: keys\nmodel: {factory: net.py:build, inputs: [{name: x, shape: [batch, 4]}]}\n"
        "task: agreement\nvariants: {fp32: [export]}\n"
    )
    resolved = resolve(load_recipe(tmp_path / "recipe.yaml"))

    def key() -> str:
        return Runner(resolved, Store(tmp_path / "store")).leaves["fp32"].key

    before = key()
    assert key() == before
    monkeypatch.setattr(runner, "code_digest", lambda step: "of other code")
    assert key() != before


def test_training_is_not_repeated_because_the_code_of_quantization_changed() -> None:
    learned = {path.name for path in module_sources(distill)}
    assert {"_training.py", "_imitation.py", "_student.py", "distill.py"} <= learned
    assert not learned & {"_static.py", "_weight_only.py", "quantize.py"}
    assert {"_static.py", "_dynamic.py"} <= {path.name for path in module_sources(quantize)}
