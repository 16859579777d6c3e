"""``workbench deploy`` and ``predict`` as commands of their own, against moto and a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.aws import ACCOUNT, Aws, aws
from tests.server.models import write_linear
from workbench.artifact import Artifact, open_artifact
from workbench.machine import free_port
from workbench.serving import ServerProcess

IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/server@sha256:{'a' * 64}"
BUCKET = "my-bucket"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = write_linear(tmp_path_factory.mktemp("models") / "linear", factor=3.0)
    return open_artifact(folder, verify=False)


@pytest.fixture
def cloud(artifact: Artifact) -> Iterator[Aws]:
    port = free_port()
    with aws() as made, ServerProcess(["--model", str(artifact.path)], port=port) as server:
        server.wait_ready()
        made.container = server.url
        made.put_bucket(BUCKET)
        yield made


@pytest.fixture
def workbench(cloud: Aws, tmp_path: Path) -> Command:
    environment = {
        **os.environ,
        **cloud.environment,
        "WORKBENCH_HOME": str(tmp_path / "home"),
    }

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workbench", *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    return run


def deployed(workbench: Command, artifact: Artifact, *more: object) -> list[object]:
    return [
        "deploy", artifact.path, "--name", "linear", "--option", "real-time", "--instance-type",
        "ml.c5.large", "--image", IMAGE, "--bucket", BUCKET, *more,
    ]  # fmt: skip


def test_an_endpoint_from_its_making_to_its_deletion(
    workbench: Command, artifact: Artifact, cloud: Aws, tmp_path: Path
) -> None:
    made = workbench(*deployed(workbench, artifact, "--apply"))
    assert made.returncode == 0, made.stderr
    assert "Made linear: 6 made, 0 kept." in made.stdout
    assert "its answer is the artifact's" in made.stderr
    assert "InvokeEndpoint" in cloud.calls

    again = workbench(*deployed(workbench, artifact, "--apply", "--json"))
    assert json.loads(again.stdout)["made"] == []

    asked = tmp_path / "rows.json"
    asked.write_text(json.dumps({"instances": [[1, 2, 3, 4]]}))
    answers = [
        workbench("predict", where, asked) for where in ("linear", cloud.container, artifact.path)
    ]
    assert [json.loads(a.stdout) for a in answers] == [{"predictions": [[3.0, 6.0, 9.0, 12.0]]}] * 3

    found = json.loads(workbench("deploy", "--status", "linear", "--json").stdout)
    assert {thing["kind"] for thing in found} == {
        "role", "archive", "model", "configuration", "endpoint",
    }  # fmt: skip
    assert workbench("deploy", "--delete", "linear").returncode == 0
    gone = workbench("deploy", "--status", "linear")
    assert gone.returncode == 2
    assert "There is nothing of an endpoint linear" in gone.stderr


def test_without_apply_nothing_is_sent(workbench: Command, artifact: Artifact, cloud: Aws) -> None:
    shown = workbench(*deployed(workbench, artifact, "--account", ACCOUNT))
    assert shown.returncode == 0, shown.stderr
    assert "create_endpoint_config" in shown.stdout
    assert cloud.calls == []


@pytest.mark.parametrize("kind", ["sagemaker", "cloudformation", "terraform", "kubernetes"])
def test_files_are_rendered(
    workbench: Command, artifact: Artifact, cloud: Aws, tmp_path: Path, kind: str
) -> None:
    words = ("--account", ACCOUNT, "--render", kind, "--output", tmp_path / "files")
    shown = workbench(*deployed(workbench, artifact, *words))
    assert shown.returncode == 0, shown.stderr
    assert sorted((tmp_path / "files").iterdir())
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--option", "serverless", "--memory", "1000"], "memory_mb: Input should be a multiple"),
        (["--option", "real-time"], "--option real-time needs figures"),
        (["--instance-type", "c5.large", "--option", "real-time"], "instance_type: String should"),
        (["--option", "serverless", "--subnet", "s-1"], "A VPC needs --subnet and"),
        (["--option", "serverless", "--tag", "team"], "--tag team is not KEY=VALUE"),
        (["--option", "serverless", "--name", "a_b"], "name: String should match"),
        (["--option", "serverless", "--render", "pulumi"], "pulumi"),
        (["--requests", "2M"], "belongs to no run"),
    ],
)
def test_wrong_words_are_one_sentence_and_exit_code_2(
    workbench: Command, artifact: Artifact, words: list[str], why: str
) -> None:
    places = ["--image", IMAGE, "--bucket", BUCKET, "--account", ACCOUNT]
    found = workbench("deploy", artifact.path, *places, *words)
    assert found.returncode == 2
    assert why in found.stderr
    assert "Traceback" not in found.stderr


def test_what_the_model_refuses_is_the_askers_mistake(
    workbench: Command, artifact: Artifact, tmp_path: Path
) -> None:
    asked = tmp_path / "rows.json"
    asked.write_text(json.dumps({"instances": [[1, 2]]}))
    found = workbench("predict", artifact.path, asked)
    assert found.returncode == 2
    assert "answers 400" in found.stderr
    absent = workbench("predict", "no-such-endpoint", asked)
    assert absent.returncode == 2
    assert "no-such-endpoint" in absent.stderr


@pytest.mark.parametrize(
    "words", [["deploy", "--status", "linear"], ["predict", "linear", "--text", "a"]]
)
def test_without_credentials_it_says_so(words: list[str], tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "workbench", *words]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 4
    assert "There are no AWS credentials that can be used" in found.stderr
