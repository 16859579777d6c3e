"""The SageMaker SDK sends only what is ours to the letter; boto3 the rest, and it is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deploy.aws import ACCOUNT, REGION, Aws, aws
from tests.deploy.senders import needs_sdk, without_sdk
from tests.deploy.test_apply import HOSTINGS, deployment
from workbench.deploy.action import Action
from workbench.deploy.actions import actions
from workbench.deploy.apply import apply
from workbench.deploy.resources import Clients
from workbench.deploy.sdk import differences
from workbench.deploy.sending import send
from workbench.errors import InputError, StepError
from workbench.progress import Progress

BUCKET, AGENT = "my-bucket", "SageMakerCore"
KEYS = st.sampled_from(["A", "B", "C"])
REQUESTS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as made:
        made.use(monkeypatch)
        made.put_bucket(BUCKET)
        yield made


class Lines(Progress):
    """What is told of each call."""

    def __init__(self) -> None:
        self.details: dict[str, str] = {}

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        self.details[" ".join(label.split()[:-1])] = detail


def model(name: str = "one", **more: Any) -> Action:
    parameters = {
        "ModelName": name,
        "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/any",
        "PrimaryContainer": {"Image": "image", "Environment": {"MAX_size": "1"}},
    }
    return Action(kind="model", name=name, service="sagemaker", operation="create_model",
                  parameters=parameters | more)  # fmt: skip


@given(REQUESTS, REQUESTS)
def test_requests_differ_exactly_where_their_json_does(one: Any, other: Any) -> None:
    import json

    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (list(differences({"A": one}, {"A": other})) == []) is same


def test_a_difference_says_where_it_is() -> None:
    ours = {"A": [{"Mb": 1, "Min": 0}], "On": True, "Weight": 1, "Short": [1]}
    theirs = {"A": [{"MB": 1}], "On": 1, "Weight": 1.0, "Short": []}
    assert list(differences(ours, theirs)) == [
        "A[0].MB added", "no A[0].Mb", "no A[0].Min", "another On", "another Short",
    ]  # fmt: skip


def test_without_the_sdk_boto3_sends_and_nothing_is_said(
    cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_sdk(monkeypatch)
    clients = Clients(REGION)
    send(model(), clients)
    assert clients.why_boto3 == ""
    assert [AGENT in agent for _, agent, _ in cloud.requests] == [False]


def test_an_sdk_that_cannot_be_loaded_is_said(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("sagemaker.core.resources")
    monkeypatch.setitem(sys.modules, "sagemaker", ModuleType("sagemaker"))
    monkeypatch.setitem(sys.modules, "sagemaker.core", broken)
    monkeypatch.setitem(sys.modules, "sagemaker.core.resources", broken)
    monkeypatch.setitem(sys.modules, "sagemaker.core.utils.utils", None)
    clients = Clients(REGION)
    send(model(), clients)
    assert "the SageMaker SDK cannot be loaded" in clients.why_boto3
    assert cloud.calls == ["CreateModel"]


SENT: dict[str, dict[str, str]] = {
    "real-time": {},
    "asynchronous": {},
    "batch": {},
    "serverless": {"create endpoint config": "MemorySizeInMB"},
    "components": {"create endpoint config": "MinInstanceCount"},
}
"""What boto3 sends in place of sagemaker-core 2.27, and the difference that is told."""


@needs_sdk
@pytest.mark.parametrize("kind", SENT)
def test_both_ways_put_the_same_on_the_wire(
    cloud: Aws, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"weights")
    made, lines = deployment(archive, HOSTINGS[kind]), Lines()
    apply(made, Clients(REGION), lines, poll_s=0.01)
    told = {label: detail for label, detail in lines.details.items() if detail}
    assert told.keys() == SENT[kind].keys()
    assert all(SENT[kind][label] in detail for label, detail in told.items())
    asked = {a.operation.replace("_", ""): a.parameters for a in actions(made)}
    created = [r for r in cloud.requests if r[0].startswith("Create")]
    assert len(created) >= 2
    for operation, agent, content in created:
        assert content == asked[operation.lower()]
        label = "create endpoint config" if operation == "CreateEndpointConfig" else operation
        assert (AGENT in agent) is (label not in told)


@needs_sdk
def test_an_update_and_a_question_go_with_our_session_and_not_with_the_first_of_the_process(
    cloud: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagemaker.core.utils.utils import SageMakerClient

    SageMakerClient.reset()
    with monkeypatch.context() as other:
        other.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        SageMakerClient(region_name="eu-west-1")
    archive = tmp_path / "model.tar.gz"
    clients = Clients(REGION)
    for content in (b"weights", b"other weights"):
        archive.write_bytes(content)
        apply(deployment(archive), clients, update=True, poll_s=0.01)
    (update,) = (r for r in cloud.requests if r[0] == "UpdateEndpoint")
    assert AGENT in update[1]
    with pytest.raises(Exception, match=r"Endpoint none of account .* not found"):
        clients.send("sagemaker-runtime", "invoke_endpoint", {
            "EndpointName": "none", "Body": b"\x00\xff", "ContentType": "application/x-npy",
        })  # fmt: skip
    assert clients.why_boto3 == ""
    SageMakerClient.reset()


@needs_sdk
def test_another_region_and_other_credentials_get_clients_of_their_own(
    cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.backends import get_backend

    one, other = Clients(REGION), Clients("eu-west-1")
    for clients in (one, other, one):
        send(model(f"m{len(cloud.requests)}"), clients)
        assert clients.why_boto3 == ""
    backends = get_backend("sagemaker")[ACCOUNT]
    assert set(backends[REGION]._models) == {"m0", "m2"}
    assert set(backends["eu-west-1"]._models) == {"m1"}


@needs_sdk
def test_a_request_that_the_sdk_refuses_is_sent_by_boto3(cloud: Aws) -> None:
    clients = Clients(REGION)
    with pytest.raises(StepError, match="Unknown parameter in input"):  # botocore's own words
        send(model(Unknown={"A": 1}), clients)
    assert "it refuses the request" in clients.why_boto3
    assert cloud.calls == []


@needs_sdk
def test_what_aws_refuses_is_sent_once_and_said_as_ever(cloud: Aws) -> None:
    cloud.faults["CreateModel"] = (400, "ResourceLimitExceeded", "The quota is 0 models")
    with pytest.raises(InputError, match="AWS refuses create_model one: ResourceLimitExceeded"):
        send(model(), Clients(REGION))
    assert cloud.calls == ["CreateModel"]


@needs_sdk
def test_defaults_of_the_users_sdk_configuration_do_not_get_into_a_request(
    cloud: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagemaker.core.resources import Base

    defaults = {"vpc_config": {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"]}}
    monkeypatch.setattr(
        Base, "get_updated_kwargs_with_configured_attributes",
        staticmethod(lambda schema, name, **given: {**defaults, **given}),
    )  # fmt: skip
    clients = Clients(REGION)
    send(model(), clients)
    assert "VpcConfig added" in clients.why_boto3
    assert [(operation, content) for operation, _, content in cloud.requests] == [
        ("CreateModel", model().parameters)
    ]
