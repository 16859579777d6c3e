"""The request for a Processing job, as botocore's service model of SageMaker has it."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.deploy.action import Action
from workbench.deploy.deployment import TAG

INPUT_FOLDER = "/opt/ml/processing/input"
OUTPUT_FOLDER = "/opt/ml/processing/output"
"""Where the platform puts what a job is given, and takes what it makes; any would do."""
MESSAGE = "/opt/ml/output/message"
"""What is written here is the ``ExitMessage`` of the job, failed or not (AWS's developer guide,
"Save and Access Metadata Information About Your Processing Job")."""
ANY_ROLE = "arn:aws:iam::000000000000:role/workbench-profile"
"""In the place of one that is yet to be made, in requests that are only checked."""


@dataclass(frozen=True)
class Place:
    """Where jobs run: ``image`` in ECR, ``bucket`` for what goes in and out.

    ``role`` is the ARN of the job's execution role; none: one is made for as long as it runs.
    ``keep``: what was uploaded and what came back stays.
    """

    instance_type: str
    image: str
    bucket: str
    role: str | None = None
    prefix: str = "workbench"
    keep: bool = False
    poll_s: float = 10.0


def job_action(
    place: Place,
    name: str,
    source: str,
    target: str,
    *,
    role: str,
    limit_s: int,
    gb: int,
) -> Action:
    """The call that starts a job on one instance; the image's entry point is the program.

    Args:
        place: where.
        name: of the job; unique in the account and region.
        source: key of the folder that it is given.
        target: key of the folder for what it makes.
        role: ARN of its execution role.
        limit_s: seconds after which AWS stops it.
        gb: size of its volume.
    """
    return Action(
        kind="job", name=name, service="sagemaker", operation="create_processing_job",
        parameters={
            "ProcessingJobName": name,
            "RoleArn": role,
            "AppSpecification": {
                "ImageUri": place.image,
                "ContainerArguments": [INPUT_FOLDER, OUTPUT_FOLDER, MESSAGE],
            },
            "ProcessingInputs": [{
                "InputName": "input",
                "S3Input": {
                    "S3Uri": f"s3://{place.bucket}/{source}/",
                    "LocalPath": INPUT_FOLDER,
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }],
            "ProcessingOutputConfig": {"Outputs": [{
                "OutputName": "output",
                "S3Output": {
                    "S3Uri": f"s3://{place.bucket}/{target}",
                    "LocalPath": OUTPUT_FOLDER,
                    "S3UploadMode": "EndOfJob",
                },
            }]},
            "ProcessingResources": {"ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": place.instance_type,
                "VolumeSizeInGB": gb,
            }},
            "StoppingCondition": {"MaxRuntimeInSeconds": limit_s},
            "Tags": [{"Key": TAG, "Value": name}],
        },
    )  # fmt: skip
