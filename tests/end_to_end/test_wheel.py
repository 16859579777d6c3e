"""The wheel: built, installed where no checkout is, and run from there."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_installed_wheel_brings_recipes_models_and_containers(project, tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(list(map(str, build)), check=True, capture_output=True, timeout=300)
    [wheel] = tmp_path.glob("workbench-*.whl")
    clean = tmp_path / "clean"
    venv.create(clean, with_pip=True)
    python = clean / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(list(map(str, install)), check=True, capture_output=True, timeout=300)
    # The requirements are taken from this environment (a gigabyte that is here already). A path
    # in a .pth file does not bring the .pth files in it, so the checkout itself stays out.
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (Path(packages) / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {**os.environ, "WORKBENCH_HOME": str(tmp_path / "store")}

    def workbench(*arguments):
        done = subprocess.run(
            [str(clean / "bin" / "workbench"), *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [python, "-c", "import workbench; print(workbench.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert Path(found.strip()).is_relative_to(clean)
    assert "minilm-int8" in workbench("recipes", "list")
    assert "digits-cnn" in workbench("models", "list")
    assert "quantize" in workbench("steps", "list")
    assert "valid" in workbench("recipes", "validate", "minilm-int8")
    workbench("run", project / "recipe.yaml")
    assert (tmp_path / "runs" / "small" / "run.json").is_file()
