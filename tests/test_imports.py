"""Importing the workbench and asking for help must be fast: nothing heavy may come along."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "numpy", "optimum", "PIL", "tokenizers")


@pytest.mark.parametrize(
    "code",
    [
        "import workbench",
        "import workbench; workbench.load_recipe",
        "import workbench.cli",
        "import workbench.resolve, workbench.runner, workbench.report.terminal",
        "import workbench.steps; workbench.steps.steps()",
        "import workbench.tasks; workbench.tasks.tasks()",
    ],
)
def test_nothing_heavy_is_imported(code):
    check = f"{code}; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_every_error_has_a_place_in_the_tree_and_an_exit_code():
    from workbench import errors

    found = [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, Exception)
    ]
    assert len(found) > 5
    for error in found:
        assert issubclass(error, errors.WorkbenchError)
        assert error.__name__ in (errors.__doc__ or "")
        assert int(error.exit_code) in (1, 2, 3, 4, 5)
