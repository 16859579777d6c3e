"""The module, against a reduced copy of the provider's schema with its sources."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy._render_cases import CASES, deployment
from tests.deploy._schema import faults
from workbench.deploy.render.terraform import Terraform, escaped, snake
from workbench.errors import InputError

SCHEMA = json.loads(Path(__file__).with_name("terraform_schema.json").read_text())
META = ("depends_on", "lifecycle")
RENDERED = sorted(set(CASES) - {"batch", "components", "components-two"})
ADDRESS = re.compile(r"(?<!\$)\$\{(\w+)\.(\w+)\.(\w+)\}")


def module(given: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Terraform().files(given)["main.tf.json"])
    return document


def problems(resources: dict[str, Any]) -> list[str]:
    return [
        fault
        for kind, labelled in resources.items()
        for label, arguments in labelled.items()
        for fault in faults(
            {name: value for name, value in arguments.items() if name not in META},
            SCHEMA["resources"][kind],
            f"{kind}.{label}",
        )
    ]


@pytest.mark.parametrize("case", RENDERED)
def test_the_provider_knows_every_argument(case: str) -> None:
    assert problems(module(CASES[case])["resource"]) == []


def test_unknown_and_missing_and_wrong_ones_would_be_found() -> None:
    resources = module(CASES["tracking"])["resource"]
    target = resources["aws_appautoscaling_target"]["target"]
    target["most"] = target.pop("max_capacity")
    target["min_capacity"] = "1"
    resources["aws_sagemaker_model"]["model"]["primary_container"] *= 2
    found = problems(resources)
    for words in ("most is unknown", "max_capacity is missing", "is no int", "more than 1"):
        assert any(words in fault for fault in found)


def test_the_schema_names_its_sources() -> None:
    assert set(SCHEMA["sources"]) == set(SCHEMA["resources"])
    assert all(re.search(r"\.go at [0-9a-f]{40}$", source) for source in SCHEMA["sources"].values())


@pytest.mark.parametrize("case", RENDERED)
def test_references_lead_to_resources(case: str) -> None:
    document = module(CASES[case])
    resources = document["resource"]
    found = ADDRESS.findall(json.dumps(document))
    assert found
    for kind, label, attribute in found:
        assert label in resources[kind]
        assert attribute == "arn" or attribute in resources[kind][label]
    for model in resources["aws_sagemaker_model"].values():
        for address in model["depends_on"]:
            kind, label = address.split(".")
            assert label in resources[kind]


@pytest.mark.parametrize(
    ("case", "why"),
    [("components", "no release of the provider"), ("batch", "transform job is no resource")],
)
def test_what_the_provider_lacks_is_refused(case: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Terraform().files(CASES[case])


def test_the_made_role_is_referred_to() -> None:
    resources = module(CASES["made-role"])["resource"]
    model = resources["aws_sagemaker_model"]["model"]
    assert model["execution_role_arn"] == "${aws_iam_role.role.arn}"
    assert model["depends_on"] == ["aws_iam_role_policy.role_policy", "aws_s3_object.archive"]
    assert resources["aws_iam_role_policy"]["role_policy"]["role"] == "${aws_iam_role.role.name}"


def test_the_alarm_calls_the_policy() -> None:
    resources = module(CASES["asynchronous"])["resource"]
    alarm = resources["aws_cloudwatch_metric_alarm"]["alarm"]
    assert alarm["alarm_actions"] == ["${aws_appautoscaling_policy.policy2.arn}"]
    step = resources["aws_appautoscaling_policy"]["policy2"]["step_scaling_policy_configuration"]
    assert step[0]["step_adjustment"][0]["metric_interval_lower_bound"] == "0"


def test_texts_are_no_templates() -> None:
    given = deployment(environment={"A": "${var.secret}%{if true}"})
    container = module(given)["resource"]["aws_sagemaker_model"]["model"]["primary_container"][0]
    assert container["environment"] == {"A": "$${var.secret}%%{if true}"}
    assert escaped("$ 5 {") == "$ 5 {"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MemorySizeInMB", "memory_size_in_mb"),
        ("S3OutputPath", "s3_output_path"),
        ("DestinationS3Uri", "destination_s3_uri"),
        ("SecurityGroupIds", "security_group_ids"),
        ("ModelDataUrl", "model_data_url"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake(name) == expected
