"""ECR: a token of AWS is the password, and repositories are made first."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from workbench.errors import InputError, MissingError
from workbench.packaging.image.registry import Credentials, ecr, parse_reference
from workbench.packaging.image.registry.credentials import find_credentials

ACCOUNT = "123456789012"
ECR = parse_reference(f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/team/app:1")


def look(home: Path) -> Credentials | None:
    return find_credentials(ECR, push=True, environment={"HOME": str(home)}).found


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with mock_aws():
        yield


@pytest.mark.parametrize(
    ("registry", "known"),
    [
        (ECR.registry, True),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", True),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", True),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", True),
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.evil.example", False),
        ("public.ecr.aws", False),
        ("evil.example", False),
    ],
)
def test_only_aws_is_ecr(registry: str, known: bool) -> None:
    assert ecr.is_ecr(registry) is known


@pytest.mark.usefixtures("aws")
def test_ecr_gives_a_token_for_its_registry(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert found is not None
    assert (found.user, found.password) == ("AWS", f"{ACCOUNT}-auth-token")
    assert "boto3" in str(found)


@pytest.mark.usefixtures("aws")
def test_a_repository_is_made_once() -> None:
    assert ecr.create_repository(ECR) is True
    assert ecr.create_repository(ECR) is False


def test_without_aws_credentials_a_docker_login_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(MissingError, match="gives no token") as caught:
        look(tmp_path)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    auth = base64.b64encode(b"AWS:logged-in").decode()
    (tmp_path / ".docker").mkdir()
    config = {"auths": {ECR.registry: {"auth": auth}}}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
    found = look(tmp_path)
    assert found is not None
    assert found.password == "logged-in"


def test_without_boto3_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingError, match=r"pip install 'workbench\[sagemaker\]'"):
        look(tmp_path)
    with pytest.raises(MissingError, match="ECR needs boto3"):
        ecr.create_repository(ECR)


def test_what_aws_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    class Refusing:
        def get_authorization_token(self) -> None:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not you"}}
            raise ClientError(error, "GetAuthorizationToken")

    monkeypatch.setattr(ecr, "_client", lambda registry: Refusing())
    with pytest.raises(InputError, match="not you") as caught:
        look(tmp_path)
    assert "ecr:GetAuthorizationToken" in str(caught.value)
