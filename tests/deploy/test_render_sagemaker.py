"""The calls as files, and the script: run against a command ``aws`` that only writes down."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import botocore.session
import pytest

from tests.deploy._render_cases import CASES, deployment
from workbench.deploy.actions import actions
from workbench.deploy.render.sagemaker import SageMaker
from workbench.deploy.validation import UPLOAD, check

AWS = """\
#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word"; done >> "$LOG"
printf '\\n' >> "$LOG"
case "$*" in
    *put-scaling-policy*from-zero* | *put-scaling-policy*07-*) echo arn:zero ;;
    *put-scaling-policy*) echo arn:policy ;;
    *describe-inference-component*) cat "$STATE" ;;
esac
"""


def run(folder: Path, case: str, state: str = "InService") -> tuple[int, list[list[str]]]:
    """The exit code of ``apply.sh`` and what it called, of a case's files in ``folder``."""
    for name, text in SageMaker().files(CASES[case]).items():
        (folder / name).write_text(text)
    programs = folder / "bin"
    programs.mkdir()
    for name, text in {"aws": AWS, "sleep": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    log, stated = folder / "log", folder / "state"
    stated.write_text(state)
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(folder / "apply.sh")], cwd="/", check=False, timeout=60,
        env={**os.environ, "PATH": path, "LOG": str(log), "STATE": str(stated)},
    )  # fmt: skip
    called = [line.split("\0")[:-1] for line in log.read_text().splitlines()]
    return done.returncode, called


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_the_calls_in_their_order(case: str) -> None:
    files = SageMaker().files(CASES[case])
    calls = [name for name in files if name.endswith(".json")]
    assert calls == sorted(calls)
    assert [json.loads(files[name]) for name in calls] == [
        action.parameters for action in actions(CASES[case])
    ]
    check(actions(CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_the_script_makes_each_call_once(case: str, tmp_path: Path) -> None:
    code, called = run(tmp_path, case)
    assert code == 0
    given = {"create", "put", "register"}
    made = [words for words in called if words[1].split("-")[0] in given]
    expected = [action for action in actions(CASES[case]) if action.operation != UPLOAD]
    assert [words[:2] for words in made] == [
        [action.service, action.operation.replace("_", "-")] for action in expected
    ]
    for words, action in zip(made, expected, strict=True):
        assert words[2] == "--cli-input-json"
        path = words[3].removeprefix("file://")
        assert json.loads(Path(path).read_text()) == action.parameters


@pytest.mark.parametrize("case", CASES)
def test_all_commands_are_ones_that_aws_has(case: str, tmp_path: Path) -> None:
    session = botocore.session.get_session()
    _, called = run(tmp_path, case)
    for service, verb, *words in called:
        if service == "s3":
            assert verb == "cp"
            continue
        client = session.create_client(
            service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        names = client.waiter_names if verb == "wait" else client.meta.method_to_api_mapping
        assert (words[0] if verb == "wait" else verb).replace("-", "_") in names


def test_archives_are_uploaded_before_the_model(tmp_path: Path) -> None:
    _, called = run(tmp_path, "multi")
    kinds = [words[:2] for words in called]
    assert kinds[:3] == [["s3", "cp"], ["s3", "cp"], ["sagemaker", "create-model"]]
    assert called[0][2:] == ["models/minilm.tar.gz", actions(CASES["multi"])[0].name]


def test_it_waits_for_the_endpoint_before_it_scales(tmp_path: Path) -> None:
    _, called = run(tmp_path, "tracking")
    words = ["sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "demo"]
    assert called.index(words) == len(called) - 3


def test_the_alarm_calls_the_policy_by_the_arn_that_was_returned(tmp_path: Path) -> None:
    _, called = run(tmp_path, "asynchronous")
    assert called[-1][:2] == ["cloudwatch", "put-metric-alarm"]
    assert called[-1][-2:] == ["--alarm-actions", "arn:zero"]


def test_a_component_that_fails_stops_it(tmp_path: Path) -> None:
    code, called = run(tmp_path, "components", "Failed")
    assert code == 1
    assert called[-1][1] == "describe-inference-component"


def test_words_are_quoted_for_the_shell(tmp_path: Path) -> None:
    model = CASES["real-time"].shares[0].models[0]
    odd = model.model_copy(update={"archive": Path("my models/$(touch x).tar.gz")})
    share = CASES["real-time"].shares[0].model_copy(update={"models": (odd,)})
    script = SageMaker().files(deployment(shares=(share,)))["apply.sh"]
    assert "aws s3 cp 'my models/$(touch x).tar.gz' s3://" in script
