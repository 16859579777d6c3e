"""What makes a result's key: the code that makes it, and no other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.plugins import module_sources
from workbench.steps import distill, quantize


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


def test_training_is_not_repeated_because_the_code_of_quantization_changed() -> None:
    learned = {path.name for path in module_sources(distill)}
    assert {"_training.py", "_imitation.py", "_student.py", "distill.py"} <= learned
    assert not learned & {"_static.py", "_weight_only.py", "quantize.py"}
    assert {"_static.py", "_dynamic.py"} <= {path.name for path in module_sources(quantize)}
