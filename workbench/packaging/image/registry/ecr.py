"""Amazon ECR: a token instead of a password, and repositories that must be made first.

Source: the ECR API reference (GetAuthorizationToken, CreateRepository). A token is good for 12
hours. boto3 takes its credentials from where it always does.
"""

from __future__ import annotations

import base64
import importlib
import re
from typing import Any

from workbench.errors import InputError, MissingError
from workbench.packaging.image.registry.references import Reference

_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(?:amazonaws\.(?:com|com\.cn|eu)|on\.(?:aws|amazonwebservices\.com\.cn))"
)
_EXTRA = "pip install 'workbench[sagemaker]'"


def is_ecr(registry: str) -> bool:
    """Whether it is the private registry of an AWS account."""
    return _HOST.fullmatch(registry) is not None


def authorization(registry: str) -> tuple[str, str]:
    """User and password for the registry of an account.

    Raises:
        InputError: AWS refuses.
        MissingError: boto3 or AWS credentials are missing.
    """
    client = _client(registry)
    with _aws_errors(f"AWS gives no token for {registry}"):
        data = client.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return user, password


def create_repository(reference: Reference) -> bool:
    """Make the repository if it is not there; says whether it was made.

    Raises:
        InputError: AWS refuses.
        MissingError: boto3 or AWS credentials are missing.
    """
    client = _client(reference.registry)
    account = _parts(reference.registry)[0]
    with _aws_errors(f"AWS does not make the repository {reference.repository}"):
        try:
            client.create_repository(repositoryName=reference.repository, registryId=account)
        except client.exceptions.RepositoryAlreadyExistsException:
            return False
    return True


def _parts(registry: str) -> tuple[str, str]:
    match = _HOST.fullmatch(registry)
    if match is None:
        raise InputError(f"{registry} is no registry of ECR.")
    return match["account"], match["region"]


def _client(registry: str) -> Any:
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise MissingError("ECR needs boto3.", hint=f"{_EXTRA}, or log in with docker.") from None
    with _aws_errors("AWS cannot be asked"):
        return boto3.client("ecr", region_name=_parts(registry)[1])


class _aws_errors:  # noqa: N801 - a context manager reads as a verb phrase
    """Turns botocore's errors into ours."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            return
        exceptions = importlib.import_module("botocore.exceptions")
        if isinstance(error, exceptions.ClientError):
            raise InputError(
                f"{self._what}: {error}.",
                hint="The user or role needs ecr:GetAuthorizationToken and the rights to push.",
            ) from error
        if isinstance(error, exceptions.BotoCoreError):
            raise MissingError(
                f"{self._what}: {error}.",
                hint="Give AWS credentials as for the aws command: a profile, or AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY.",
            ) from error
