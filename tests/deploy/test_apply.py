"""Deployments against moto over HTTP: made once, rolled back when a call fails, found, deleted."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.aws import ACCOUNT, REGION, Aws, aws
from tests.deploy.senders import needs_sdk, without_sdk
from workbench.deploy.actions import configuration_name
from workbench.deploy.apply import apply
from workbench.deploy.deployment import Deployment, HostedModel, Share
from workbench.deploy.hosting import (
    Asynchronous,
    BatchTransform,
    Components,
    Hosting,
    RealTime,
    Serverless,
    TargetTracking,
    Timetable,
)
from workbench.deploy.inventory import default_role, delete, inventory
from workbench.deploy.resources import Clients
from workbench.errors import InputError, StepError

NAME, BUCKET = "minilm", "my-bucket"
TRACKING = TargetTracking(least=1, most=4, per_instance=900)
REAL_TIME = RealTime(instance_type="ml.c5.large", scaling=TRACKING)
HOSTINGS: dict[str, Hosting] = {
    "real-time": REAL_TIME,
    "serverless": Serverless(memory_mb=1024, max_concurrency=5),
    "asynchronous": Asynchronous(instance_type="ml.c5.large", output=f"s3://{BUCKET}/out/"),
    "components": Components(instance_type="ml.c5.large", per_copy=60, memory_mb=512),
    "batch": BatchTransform(
        instance_type="ml.c5.xlarge", input=f"s3://{BUCKET}/in/", output=f"s3://{BUCKET}/out/"
    ),
}


@lru_cache
def clients() -> Clients:
    return Clients(REGION)


@pytest.fixture(params=["boto3", pytest.param("sdk", marks=needs_sdk)])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    if request.param == "boto3":
        without_sdk(monkeypatch)
    with aws() as made:
        made.use(monkeypatch)
        clients.cache_clear()
        clients()("s3").create_bucket(Bucket=BUCKET)
        made.calls.clear()
        yield made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"weights")
    return path


def deployment(archive: Path, hosting: Hosting = REAL_TIME, **more: Any) -> Deployment:
    content = archive.read_bytes()
    model = HostedModel(
        name="minilm", archive=archive, sha256=hashlib.sha256(content).hexdigest(),
        digest="d" * 64, run="minilm-int8", variant="int8",
    )  # fmt: skip
    settings: dict[str, Any] = {
        "name": NAME,
        "region": REGION,
        "account": ACCOUNT,
        "role": default_role(NAME),
        "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/server@sha256:{'a' * 64}",
        "bucket": BUCKET,
        "shares": (Share(endpoint="single", models=(model,)),),
        "hosting": hosting,
    }
    return Deployment(**settings | more)


def run(made: Deployment, **more: Any) -> Any:
    return apply(made, clients(), poll_s=0.01, **{"update": True, **more})


def things() -> set[str]:
    return {thing.kind for thing in inventory(NAME, clients(), bucket=BUCKET, prefix="workbench")}


@pytest.mark.parametrize("kind", HOSTINGS)
def test_everything_is_made_found_and_deleted(cloud: Aws, archive: Path, kind: str) -> None:
    outcome = run(deployment(archive, HOSTINGS[kind]))
    assert outcome.made
    assert not outcome.kept
    found = inventory(NAME, clients())
    kinds = {thing.kind for thing in found}
    expected = {"role", "archive", "model"}
    expected |= {"batch": set()}.get(kind, {"configuration", "endpoint"})
    expected |= {"scaling"} if kind in ("real-time", "asynchronous", "components") else set()
    expected |= {"component"} if kind == "components" else set()
    assert expected <= kinds
    assert delete(found, clients(), lambda _: None) == []
    assert things() <= {"job"}  # moto's jobs are over at once, and over jobs cost nothing


@pytest.mark.parametrize("kind", HOSTINGS)
def test_twice_is_once(cloud: Aws, archive: Path, kind: str) -> None:
    run(deployment(archive, HOSTINGS[kind]))
    before = inventory(NAME, clients())
    cloud.calls.clear()
    outcome = run(deployment(archive, HOSTINGS[kind]))
    assert not [call for call in cloud.calls if call.startswith(("Create", "Update"))]
    assert not outcome.updated
    assert inventory(NAME, clients()) == before


def test_another_model_updates_the_endpoint_and_keeps_the_old_configuration(
    cloud: Aws, archive: Path
) -> None:
    first = deployment(archive)
    run(first)
    archive.write_bytes(b"other weights")
    second = deployment(archive)
    assert run(second).updated
    names = {t.name for t in inventory(NAME, clients()) if t.kind == "configuration"}
    assert names == {configuration_name(first), configuration_name(second)}
    told = clients()("sagemaker").describe_endpoint(EndpointName=NAME)
    assert told["EndpointConfigName"] == configuration_name(second)


FAULTS = {
    "CreateModel": REAL_TIME,
    "CreateEndpointConfig": REAL_TIME,
    "CreateEndpoint": REAL_TIME,
    "RegisterScalableTarget": REAL_TIME,
    "PutScalingPolicy": REAL_TIME,
    "CreateInferenceComponent": HOSTINGS["components"],
    "CreateTransformJob": HOSTINGS["batch"],
}


@pytest.mark.parametrize("operation", FAULTS)
def test_a_call_that_fails_leaves_nothing_behind(cloud: Aws, archive: Path, operation: str) -> None:
    cloud.faults[operation] = (400, "ResourceLimitExceeded", "The quota is 0 instances")
    with pytest.raises(InputError, match="ResourceLimitExceeded: The quota is 0") as caught:
        run(deployment(archive, FAULTS[operation]))
    assert "Service Quotas" in str(caught.value.hint)
    assert "Not taken away" not in str(caught.value.hint)
    assert things() == set()


def test_a_bucket_that_is_not_ours_is_refused_and_nothing_is_left(
    cloud: Aws, archive: Path
) -> None:
    with pytest.raises(InputError, match="NoSuchBucket"):
        run(deployment(archive, bucket="another-bucket"))
    assert things() == set()


def test_an_endpoint_that_fails_says_why_and_is_taken_away(cloud: Aws, archive: Path) -> None:
    cloud.starts, cloud.reason = "Failed", "The container did not pass the ping health check."
    with pytest.raises(StepError, match="ping health check"):
        run(deployment(archive))
    assert things() == set()


def test_an_endpoint_that_never_starts_is_taken_away(cloud: Aws, archive: Path) -> None:
    cloud.starts = "Creating"
    with pytest.raises(StepError, match=r"still Creating after .* s"):
        run(deployment(archive, wait_s=1))
    assert things() == set()


def test_a_wrong_answer_takes_the_new_configuration_back(cloud: Aws, archive: Path) -> None:
    first = deployment(archive)
    run(first)
    before = things()
    archive.write_bytes(b"other weights")

    def wrong() -> str:
        raise StepError("The endpoint's answer differs from the artifact's by 0.3.")

    with pytest.raises(StepError, match="differs"):
        run(deployment(archive), prove=wrong)
    told = clients()("sagemaker").describe_endpoint(EndpointName=NAME)
    assert told["EndpointConfigName"] == configuration_name(first)
    assert things() == before
    models = [t for t in inventory(NAME, clients()) if t.kind == "model"]
    assert len(models) == 1


def test_what_cannot_be_taken_back_is_named(cloud: Aws, archive: Path) -> None:
    cloud.faults["CreateEndpoint"] = (400, "ValidationException", "No.")
    cloud.faults["DeleteModel"] = (400, "AccessDeniedException", "You may not.")
    with pytest.raises(InputError) as caught:
        run(deployment(archive))
    assert "Not taken away: delete_model minilm-" in str(caught.value.hint)


class Killed(BaseException):
    """What no handler expects: as if the process were gone."""


@pytest.mark.parametrize("kind", HOSTINGS)
def test_a_deployment_that_is_killed_anywhere_leaves_nothing_that_is_not_found(
    cloud: Aws, archive: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import workbench.deploy.apply as module

    monkeypatch.setattr(module, "_roll_back", lambda *_: [])
    send, count = module._send, 0
    made = deployment(archive, HOSTINGS[kind])
    for stop in range(1, 12):
        count = 0

        def cut(*arguments: Any, stop: int = stop) -> Any:
            nonlocal count
            answer = send(*arguments)
            count += 1
            if count == stop:
                raise Killed
            return answer

        monkeypatch.setattr(module, "_send", cut)
        try:
            run(made)
        except Killed:
            pass
        else:
            break
        found = inventory(NAME, clients(), bucket=BUCKET, prefix="workbench")
        assert found
        assert delete(found, clients(), lambda _: None) == []
        assert things() <= {"job"}
        assert _left() == []


def _left() -> list[str]:
    """What there is at all, found without the inventory."""
    sagemaker = clients()("sagemaker")
    left = [m["ModelName"] for m in sagemaker.list_models()["Models"]]
    left += [c["EndpointConfigName"] for c in sagemaker.list_endpoint_configs()["EndpointConfigs"]]
    left += [e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]]
    left += [r["RoleName"] for r in clients()("iam").list_roles()["Roles"]]
    left += [o["Key"] for o in clients()("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())]
    targets = clients()("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )
    left += [t["ResourceId"] for t in targets["ScalableTargets"]]
    return left + [
        a["AlarmName"] for a in clients()("cloudwatch").describe_alarms()["MetricAlarms"]
    ]


def test_others_endpoints_are_not_found(cloud: Aws, archive: Path) -> None:
    run(deployment(archive, name="minilm-2", role="arn:aws:iam::123456789012:role/other"))
    assert things() == set()


def test_an_endpoint_that_changes_is_not_touched(cloud: Aws, archive: Path) -> None:
    run(deployment(archive))
    cloud.starts = "Updating"
    with pytest.raises(InputError, match="is Updating"):
        run(deployment(archive))


def test_what_scaled_an_endpoint_before_goes_with_its_update(cloud: Aws, archive: Path) -> None:
    week = Timetable(hours=tuple([1] * 8 + [3] * 10 + [1] * 6) * 7)
    run(deployment(archive, RealTime(instance_type="ml.c5.large", scaling=week)))
    scaling = clients()("application-autoscaling")
    assert (
        len(scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"])
        == 14
    )
    run(deployment(archive))
    assert (
        scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"] == []
    )
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert [policy["PolicyName"] for policy in policies] == ["workbench"]
    run(deployment(archive, RealTime(instance_type="ml.c5.large", instances=2)))
    assert "scaling" not in things()


def test_an_endpoint_that_exists_is_changed_only_on_demand(cloud: Aws, archive: Path) -> None:
    run(deployment(archive))
    run(deployment(archive), update=False)  # the same again is no change
    archive.write_bytes(b"other weights")
    with pytest.raises(InputError, match="exists with another configuration"):
        run(deployment(archive), update=False)


def test_what_is_busy_is_taken_away_a_while_later(cloud: Aws, archive: Path) -> None:
    run(deployment(archive, HOSTINGS["components"]))
    busy = (400, "ValidationException", "Cannot delete endpoint while it has inference components")
    cloud.faults["DeleteEndpoint"] = busy
    found = inventory(NAME, clients())
    timer = threading.Timer(0.5, cloud.faults.clear)
    timer.start()
    assert delete(found, clients(), lambda _: None, poll_s=0.05) == []
    timer.join()
    assert things() == set()
