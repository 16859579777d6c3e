"""The execution role: as whom SageMaker reads archives, pulls the image and writes logs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.deployment import Deployment
from workbench.deploy.hosting import Asynchronous, BatchTransform, Hosting

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def role_arn(deployment: Deployment) -> str:
    """The execution role's ARN."""
    if deployment.makes_role:
        return f"arn:aws:iam::{deployment.account}:role/{deployment.role}"
    return deployment.role


def permissions(deployment: Deployment) -> dict[str, Any]:
    """What the role may: read the archives, write answers, pull the image, write logs.

    As AWS's page on execution roles for CreateModel lists them, for these folders alone.
    """
    return folder_permissions(
        {f"{deployment.bucket}/{deployment.prefix}/*", *_folders(deployment.hosting)}
    )


def folder_permissions(folders: Collection[str]) -> dict[str, Any]:
    """The same for folders (bucket and prefix, with a star) of anything that SageMaker runs."""
    buckets = {folder.partition("/")[0] for folder in folders}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": [f"arn:aws:s3:::{folder}" for folder in sorted(folders)],
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": [f"arn:aws:s3:::{name}" for name in sorted(buckets)],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "cloudwatch:PutMetricData",
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                    "ecr:GetAuthorizationToken",
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:BatchGetImage",
                ],
                "Resource": "*",
            },
        ],
    }


def role_actions(deployment: Deployment) -> Iterator[Action]:
    """The calls that make the role, where it is to be made."""
    if not deployment.makes_role:
        return
    name = deployment.role
    yield Action(
        kind="role", name=name, service="iam", operation="create_role",
        parameters={
            "RoleName": name,
            "AssumeRolePolicyDocument": json.dumps(TRUST, sort_keys=True),
            "Description": f"Execution role of the endpoint {deployment.name}",
            "Tags": deployment.all_tags(),
        },
    )  # fmt: skip
    yield Action(
        kind="role", name=name, service="iam", operation="put_role_policy",
        parameters={
            "RoleName": name,
            "PolicyName": "workbench",
            "PolicyDocument": json.dumps(permissions(deployment), sort_keys=True),
        },
    )  # fmt: skip


def _folders(hosting: Hosting) -> list[str]:
    """Where a hosting itself reads and writes: bucket and prefix, with a star (S3's prefixes)."""
    urls = []
    if isinstance(hosting, Asynchronous):
        urls = [hosting.output]
    elif isinstance(hosting, BatchTransform):
        urls = [hosting.input, hosting.output]
    return [f"{url.removeprefix('s3://')}*" for url in urls]
