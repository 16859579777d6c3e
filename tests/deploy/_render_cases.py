"""Deployments of every kind of hosting, for the tests of all formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.deploy.deployment import Deployment, HostedModel, Network, Share
from workbench.deploy.hosting import (
    Asynchronous,
    BatchTransform,
    Components,
    RealTime,
    Serverless,
    TargetTracking,
    Timetable,
)

ACCOUNT = "123456789012"
IMAGE = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/onnx-server@sha256:{'0' * 64}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
TYPE = "ml.c6i.xlarge"


def model(name: str = "minilm") -> HostedModel:
    return HostedModel(
        name=name, archive=Path(f"models/{name}.tar.gz"), sha256=name.encode().hex().ljust(64, "0"),
        digest="d" * 64, run="minilm-int8", variant="int8",
    )  # fmt: skip


def share(**changes: Any) -> Share:
    return Share(**{"endpoint": "single", "models": (model(),), **changes})


def deployment(hosting: Any = None, **changes: Any) -> Deployment:
    given = {
        "name": "demo", "region": "eu-west-1", "account": ACCOUNT, "role": ROLE, "image": IMAGE,
        "bucket": "a-bucket", "shares": (share(),), "tags": {"team": "search"},
        "environment": {"ONNX_SERVER_MAX_DELAY_MS": "1"},
        "hosting": hosting or RealTime(instance_type=TYPE, instances=2),
    }  # fmt: skip
    return Deployment(**{**given, **changes})


TRACKING = RealTime(
    instance_type=TYPE, scaling=TargetTracking(least=1, most=7, per_instance=1234, in_cooldown_s=99)
)
TABLE = RealTime(
    instance_type=TYPE,
    scaling=Timetable(hours=tuple(1 + 3 * (9 <= h % 24 < 17) for h in range(168))),
)
ASYNC = Asynchronous(instance_type=TYPE, output="s3://a-bucket/answers/", most=5)
COMPONENTS = Components(
    instance_type="ml.m5.2xlarge", most_instances=3, least_copies=1, most_copies=6, per_copy=300,
    cores=1.5, memory_mb=2048,
)  # fmt: skip
ZERO = COMPONENTS.model_copy(update={"least_copies": 0})
BATCH = BatchTransform(
    instance_type=TYPE, instances=2, input="s3://a-bucket/in/", output="s3://a-bucket/out/"
)
NETWORK = Network(subnets=("subnet-0a1b2c3d",), security_groups=("sg-0a1b2c3d",))
CASES = {
    "real-time": deployment(),
    "made-role": deployment(role="demo-execution"),
    "tracking": deployment(TRACKING),
    "timetable": deployment(TABLE, role="demo-execution"),
    "serverless": deployment(Serverless(memory_mb=2048, max_concurrency=20)),
    "provisioned": deployment(Serverless(memory_mb=3072, max_concurrency=20, provisioned=2)),
    "asynchronous": deployment(ASYNC),
    "asynchronous-warm": deployment(ASYNC.model_copy(update={"least": 1}), role="demo-execution"),
    "components": deployment(COMPONENTS),
    "components-two": deployment(
        ZERO, shares=(share(name="left"), share(name="right", models=(model("bert"),)))
    ),
    "batch": deployment(BATCH),
    "multi": deployment(shares=(share(endpoint="multi", models=(model(), model("bert"))),)),
    "pipeline": deployment(shares=(share(endpoint="pipeline", models=(model(), model("bert"))),)),
    "two-variants": deployment(
        TRACKING,
        shares=(share(weight=0.9), share(name="next", models=(model("bert"),), weight=0.1)),
    ),
    "shadow": deployment(
        shares=(share(), share(name="next", models=(model("bert"),), shadow=True)),
        capture_percent=20,
    ),
    "network": deployment(network=NETWORK),
}  # fmt: skip
