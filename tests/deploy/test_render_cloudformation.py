"""The template, by cfn-lint, which knows the resources' schemas of every region."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cfnlint.api import lint

from tests.deploy._render_cases import CASES, deployment
from workbench.deploy.actions import actions
from workbench.deploy.render.cloudformation import TYPES, CloudFormation
from workbench.errors import InputError

ENDPOINTS = sorted(set(CASES) - {"batch"})


def template(case: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(CloudFormation().files(CASES[case])["template.json"])
    return document


@pytest.mark.parametrize("case", ENDPOINTS)
def test_cfn_lint_finds_nothing(case: str) -> None:
    text = CloudFormation().files(CASES[case])["template.json"]
    assert [f"{m.rule.id} {m.message} {m.path}" for m in lint(text, regions=["eu-west-1"])] == []


def test_cfn_lint_would_find_a_wrong_property() -> None:
    document = template("tracking")
    document["Resources"]["Target"]["Properties"]["Most"] = 1
    assert lint(json.dumps(document), regions=["eu-west-1"])


@pytest.mark.parametrize("case", ENDPOINTS)
def test_every_call_is_a_resource(case: str) -> None:
    kinds = [TYPES[a.operation] for a in actions(CASES[case]) if a.operation in TYPES]
    assert [item["Type"] for item in template(case)["Resources"].values()] == kinds


def test_a_transform_job_is_refused() -> None:
    with pytest.raises(InputError, match="transform job is no resource"):
        CloudFormation().files(CASES["batch"])


def test_the_role_has_its_policy_and_is_referred_to() -> None:
    resources = template("made-role")["Resources"]
    role = resources["Role"]["Properties"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Action"] == "sts:AssumeRole"
    assert role["Policies"][0]["PolicyDocument"]["Statement"]
    assert resources["Model"]["Properties"]["ExecutionRoleArn"] == {"Fn::GetAtt": ["Role", "Arn"]}
    readme = CloudFormation().files(CASES["made-role"])["README.md"]
    assert "CAPABILITY_NAMED_IAM" in readme
    assert "CAPABILITY" not in CloudFormation().files(CASES["real-time"])["README.md"]


def test_what_comes_later_refers_to_what_comes_earlier() -> None:
    resources = template("two-variants")["Resources"]
    variants = resources["Configuration"]["Properties"]["ProductionVariants"]
    assert [variant["ModelName"]["Fn::GetAtt"][0] for variant in variants] == ["Model", "Model2"]
    endpoint = resources["Endpoint"]["Properties"]
    assert endpoint["EndpointConfigName"]["Fn::GetAtt"][0] == "Configuration"
    assert resources["Target2"]["Properties"]["ResourceId"] == {
        "Fn::Sub": "endpoint/${Endpoint.EndpointName}/variant/next"
    }
    assert resources["Policy2"]["Properties"]["ScalingTargetId"] == {"Ref": "Target2"}


def test_components_scale_once_they_are_there() -> None:
    resources = template("components-two")["Resources"]
    assert resources["Target2"]["DependsOn"] == "Component2"
    ids = [resources[name]["Properties"]["ResourceId"] for name in ("Target", "Target2")]
    assert ids == ["inference-component/demo-left", "inference-component/demo-right"]


def test_the_alarm_calls_the_policy() -> None:
    resources = template("asynchronous")["Resources"]
    assert resources["Alarm"]["Properties"]["AlarmActions"] == [{"Ref": "Policy2"}]
    step = resources["Policy2"]["Properties"]
    assert step["PolicyType"] == "StepScaling"


def test_the_timetable_is_the_targets() -> None:
    schedules = template("timetable")["Resources"]["Target"]["Properties"]["ScheduledActions"]
    assert len(schedules) == 14
    assert schedules[0]["ScalableTargetAction"] == {"MinCapacity": 4, "MaxCapacity": 4}


def test_equal_words_elsewhere_are_not_taken_for_references() -> None:
    shares = (CASES["real-time"].shares[0].model_copy(update={"name": "demo"}),)
    given = deployment(shares=shares, tags={"demo": "demo"}, environment={"ModelName": "demo"})
    resources = json.loads(CloudFormation().files(given)["template.json"])["Resources"]
    variant = resources["Configuration"]["Properties"]["ProductionVariants"][0]
    assert variant["VariantName"] == "demo"
    assert resources["Endpoint"]["Properties"]["EndpointName"] == "demo"
    assert {"Key": "demo", "Value": "demo"} in resources["Endpoint"]["Properties"]["Tags"]
