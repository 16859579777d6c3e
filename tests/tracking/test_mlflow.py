"""MLflow: a real run in its file store; a server that is not there; twice is once."""

import shutil

import pytest

from tests.end_to_end.conftest import cli
from tests.ui.runs import project
from workbench.records import Setting
from workbench.tracking import make_tracker, trackers
from workbench.tracking._figures import cell_name

__all__ = ["cli"]

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    import workbench
    from workbench.recipe import load_recipe
    from workbench.store import Store

    base = tmp_path_factory.mktemp("made")
    recipe = load_recipe(project(base / "project"))
    run, folder = workbench.run(recipe, runs=base / "runs", store=Store(base / "store"))
    return run, folder


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    from mlflow.tracking import MlflowClient

    return MlflowClient((tmp_path / "mlflow").as_uri())


def _runs(client, experiment="workbench"):
    known = client.get_experiment_by_name(experiment).experiment_id
    return {run.info.run_name: run for run in client.search_runs([known])}


def test_a_run_is_one_run_with_one_below_it_for_each_variant(client, made):
    run, folder = made
    tracker = make_tracker("mlflow")
    tracker.check()
    tracker.log(run, folder)
    found = _runs(client)
    assert set(found) == {"tiny", "tiny/fp32", "tiny/int8"}
    parent, child = found["tiny"], found["tiny/int8"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.status == child.info.status == "FINISHED"
    assert parent.data.params["profile.batch"] == "[1]"
    assert parent.data.tags["workbench.gates"] == str(run.verdicts[0].outcome)
    assert parent.data.tags["machine.cpu"] == run.machine.cpu
    assert child.data.params["step.1.quantize.scheme"] == "dynamic-int8"
    measured = run.variants[1].measurement
    assert child.data.metrics["size_bytes"] == measured.footprint.size_bytes
    cell = measured.latency[0]
    assert child.data.metrics["latency.b1.t1.p50_ms"] == cell.p50_ms.value
    assert child.data.metrics["latency.b1.t1.p50_ms.high"] == cell.p50_ms.high
    assert child.data.metrics["latency.b1.t1.speedup"] == cell.speedup.value
    assert child.data.metrics["quality.difference.low"] == measured.quality.difference.low
    assert child.data.tags["workbench.gate.1"].startswith(str(run.verdicts[0].outcome))
    files = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert files == {"run.json", "recipe.yaml", "report.md", "report.html"}
    assert client.list_artifacts(child.info.run_id) == []


def test_twice_is_once_and_what_was_left_half_done_is_completed(client, made):
    run, folder = made
    tracker = make_tracker("mlflow:again")
    tracker.log(run, folder)
    later = run.model_copy(update={"created": "2030-01-01T00:00:00+00:00", "reused": 9})
    child = _runs(client, "again")["tiny/int8"].info.run_id
    client.delete_tag(child, "workbench.gates")
    tracker.log(later, folder)
    found = _runs(client, "again")
    assert set(found) == {"tiny", "tiny/fp32", "tiny/int8"}
    assert found["tiny"].data.tags["workbench.created"] == later.created
    assert "workbench.gates" in found["tiny/int8"].data.tags
    assert len(client.get_metric_history(child, "size_bytes")) == 1
    measured = run.model_copy(update={"measured": "2030-01-01T00:00:00+00:00"})
    tracker.log(measured, folder)
    known = client.get_experiment_by_name("again").experiment_id
    assert len(client.search_runs([known])) == 6


def test_the_artifacts_go_there_when_asked_for(client, made, tmp_path):
    run, folder = made
    make_tracker("mlflow:models", models=True).log(run, folder)
    child = _runs(client, "models")["tiny/int8"].info.run_id
    names = {item.path for item in client.list_artifacts(child, "model")}
    assert names == {"model/manifest.json", "model/model.onnx"}
    got = client.download_artifacts(child, "model/model.onnx", str(tmp_path))
    with open(got, "rb") as file:
        assert file.read() == (folder / "variants" / "int8" / "model.onnx").read_bytes()


def test_the_command_line_tracks_a_run_and_an_earlier_one(client, cli, tmp_path):
    recipe = project(tmp_path / "project")
    done = cli("run", recipe, "--track", "mlflow:team", "--json")
    assert done.code == 0, done.err
    assert done.out.lstrip().startswith("{")
    assert "tracked: file:" in done.err
    done = cli("track", "runs/tiny", "--to", "mlflow:team")
    assert done.code == 0, done.err
    assert len(_runs(client, "team")) == 3


def test_a_server_that_goes_away_loses_nothing(client, cli, tmp_path, monkeypatch):
    from workbench.tracking.mlflow import Mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    recipe = project(tmp_path / "project")
    gone = cli("run", recipe, "--track", "mlflow", "--tracking-uri", "http://127.0.0.1:9")
    assert gone.code == 4
    assert "cannot be reached" in gone.err
    assert not (tmp_path / "runs").exists()  # nothing long was started
    monkeypatch.setattr(Mlflow, "check", lambda self: None)  # there before, gone after
    gone = cli("run", recipe, "--track", "mlflow:x", "--tracking-uri", "http://127.0.0.1:9")
    assert gone.code == 4
    assert "workbench track runs/tiny --to mlflow:x" in gone.err
    assert (tmp_path / "runs" / "tiny" / "run.json").is_file()
    assert "What each step did" in gone.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--track", "mlfow"], "Did you mean 'mlflow'?"),
        (["--track", "mlflow"], "No MLflow server is named"),
        (["--track-models"], "for --track"),
        (["--track", "mlflow", "--tracking-uri", "nonsense://x"], "MLflow at nonsense://x"),
    ],
)
def test_what_cannot_be_tracked_is_refused_before_it_runs(
    cli, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = cli("run", project(tmp_path / "project"), *arguments)
    assert done.code == 2, done.err
    assert said in done.err
    assert not (tmp_path / "runs").exists()


def test_a_run_without_its_artifacts_is_tracked_without_them_only(client, made, tmp_path):
    run, folder = made
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(folder / "run.json", bare)
    make_tracker("mlflow:bare").log(run, bare)
    from workbench.errors import InputError

    with pytest.raises(InputError, match="no artifact of 'fp32'"):
        make_tracker("mlflow:bare", models=True).log(run, bare)


def test_every_tracker_in_the_folder_is_found_by_its_name():
    assert set(trackers()) == {"mlflow"}


def test_a_cell_of_the_grid_has_a_name_that_stays():
    assert cell_name(Setting(batch=8, sequence=128, threads=2)) == "b8.s128.t2"
    assert cell_name(Setting(batch=1, threads=1, device="cuda")) == "b1.t1.cuda"


def test_a_store_of_artifacts_that_refuses_is_one_sentence(client):
    from workbench.errors import MissingError
    from workbench.tracking.mlflow import Mlflow

    error = type("NoCredentialsError", (Exception,), {"__module__": "botocore.exceptions"})
    with (
        pytest.raises(MissingError, match="MLflow at http://host: Unable to locate credentials"),
        Mlflow(uri="http://host")._errors(),
    ):
        raise error("Unable to locate credentials")
