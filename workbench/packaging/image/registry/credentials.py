"""Who asks a registry: a user and a password, and where they were found.

They are looked for when a registry asks for them, never before: in the environment, for ECR through
boto3, and in the files that docker, podman and their like write at ``login``.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.errors import InputError, MissingError
from workbench.packaging.image.registry.docker_config import config_files, from_config
from workbench.packaging.image.registry.ecr import authorization, is_ecr
from workbench.packaging.image.registry.references import Reference

HOST, USER, PASSWORD = (f"WORKBENCH_REGISTRY_{name}" for name in ("HOST", "USER", "PASSWORD"))


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token with no user; ``source`` is for messages."""

    user: str
    password: str = field(repr=False)
    source: str = "the caller"

    @property
    def basic(self) -> str:
        """The header Authorization of HTTP Basic (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def __str__(self) -> str:
        return f"{self.user or 'an identity token'} (from {self.source})"


@dataclass(frozen=True)
class Search:
    """What was found for a registry, and all places that were looked into."""

    found: Credentials | None
    places: tuple[str, ...]


def find_credentials(
    reference: Reference, *, push: bool, environment: Mapping[str, str] | None = None
) -> Search:
    """Look for the credentials of the registry that a reference names.

    Those of the environment are for the registry that WORKBENCH_REGISTRY_HOST names; without it,
    only for the one that is pushed to: a base image often comes from another.

    Raises:
        InputError: only one of user and password is in the environment, or a file is not valid.
        MissingError: a credential helper or AWS does not give what is asked for.
    """
    env = os.environ if environment is None else environment
    places = []
    if found := _from_environment(reference, env, push=push):
        return Search(found, (USER,))
    scope = f" (for {env[HOST]})" if env.get(HOST) else "" if push else f" (needs {HOST})"
    places.append(f"{USER}{scope}")
    lacking: MissingError | None = None
    if is_ecr(reference.registry):
        try:
            user, password = authorization(reference.registry)
            return Search(Credentials(user, password, "AWS, through boto3"), ("AWS",))
        except MissingError as error:  # boto3 or its credentials; there may be a docker login
            lacking = error
    for path in config_files(env):
        places.append(str(path))
        if pair := from_config(path, reference, env):
            user, password, source = pair
            return Search(Credentials(user, password, source), tuple(places))
    if lacking is not None:
        raise lacking
    return Search(None, tuple(places))


def _from_environment(
    reference: Reference, env: Mapping[str, str], *, push: bool
) -> Credentials | None:
    user, password, host = (env.get(name, "") for name in (USER, PASSWORD, HOST))
    if bool(user) != bool(password):
        given, absent = (USER, PASSWORD) if user else (PASSWORD, USER)
        raise InputError(f"{given} is set, but {absent} is not.", hint="Set both or none.")
    meant = host in (reference.registry, reference.host) if host else push
    return Credentials(user, password, USER) if user and meant else None
