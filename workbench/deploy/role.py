"""The execution role: as whom SageMaker reads archives, pulls the image and writes logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.deployment import Deployment

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

    As AWS's page on execution roles for CreateModel lists them, for this bucket alone.
    """
    bucket = f"arn:aws:s3:::{deployment.bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": f"{bucket}/{deployment.prefix}/*",
            },
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
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
