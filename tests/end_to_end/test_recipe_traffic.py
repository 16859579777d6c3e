"""A recipe may name the traffic that is to be priced: then nobody has to give it again."""

import json

import pytest

from tests.end_to_end.conftest import RECIPE
from workbench.run_directory import load_run


@pytest.mark.parametrize("form", ["keys", "file"])
def test_a_recipes_traffic_is_what_cost_prices(cli, project, tmp_path, form):
    keys = "requests: 3M, shape: office-hours, p99: 100ms"
    written = f"{{{keys}}}"
    if form == "file":
        written = "traffic.yaml"
        (project / written).write_text("\n".join(keys.split(", ")))
    (project / "recipe.yaml").write_text(f"{RECIPE}traffic: {written}\n")
    assert cli("run", project / "recipe.yaml").code == 0
    (project / "traffic.yaml").unlink(missing_ok=True)  # the run holds what it said
    assert load_run(tmp_path / "runs" / "small").traffic["requests"] == 3e6
    told = json.loads(cli("cost", "runs/small", "--option", "real-time", "--json").out)
    asked = ("--traffic", str(tmp_path / "same.yaml"))
    (tmp_path / "same.yaml").write_text("\n".join(keys.split(", ")))
    assert told == json.loads(
        cli("cost", "runs/small", "--option", "real-time", "--json", *asked).out
    )
    other = cli("cost", "runs/small", "--option", "real-time", "--json", "--requests", "1M")
    assert json.loads(other.out)["requests"] == 1e6


def test_cost_without_any_traffic_says_where_to_write_it(cli, project):
    cli("run", project / "recipe.yaml")
    result = cli("cost", "runs/small")
    assert result.code == 2
    assert "how much traffic" in result.err
    assert "traffic:" in result.err


@pytest.mark.parametrize(
    ("written", "line", "message"),
    [
        ("traffic: {request: 3M}", 14, "requests"),
        ("traffic:\n  requests: 3M\n  p99: fast", 16, "p99"),
        ("traffic: none.yaml", 14, "none.yaml"),
    ],
)
def test_a_wrong_traffic_is_told_before_anything_runs(cli, project, written, line, message):
    (project / "recipe.yaml").write_text(f"{RECIPE}{written}\n")
    assert len(RECIPE.splitlines()) == 13
    for command in (("run",), ("recipes", "validate")):
        result = cli(*command, project / "recipe.yaml")
        assert result.code == 2, result.err
        assert message in result.err
        assert f"recipe.yaml:{line}" in result.err or f"line {line}" in result.err
