"""Where credentials are found: the environment, login files, and helpers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import InputError, MissingError
from workbench.packaging.image.registry import Credentials, parse_reference
from workbench.packaging.image.registry.credentials import find_credentials

GHCR = parse_reference("ghcr.io/me/app:1")
HUB = parse_reference("me/app:1")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


def write_config(env: dict[str, str], config: Any, path: str = ".docker/config.json") -> Path:
    file = Path(env["HOME"]) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return file


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write_helper(env: dict[str, str], name: str, script: str) -> None:
    program = Path(env["PATH"]) / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def found(env: dict[str, str], reference: Any = GHCR, *, push: bool = True) -> Any:
    pair = find_credentials(reference, push=push, environment=env).found
    return pair and (pair.user, pair.password)


def test_a_password_is_never_shown() -> None:
    pair = Credentials("me", "hidden", "a test")
    assert "hidden" not in f"{pair} {pair!r}"
    assert pair.basic == "Basic bWU6aGlkZGVu"


def test_nothing_is_found_where_nothing_is(env: dict[str, str]) -> None:
    search = find_credentials(GHCR, push=True, environment=env)
    assert search.found is None
    assert search.places[0] == "WORKBENCH_REGISTRY_USER"
    assert search.places[1].endswith(".docker/config.json")


def test_the_environment_is_for_the_registry_that_is_pushed_to(env: dict[str, str]) -> None:
    env |= {"WORKBENCH_REGISTRY_USER": "me", "WORKBENCH_REGISTRY_PASSWORD": "pw"}
    assert found(env) == ("me", "pw")
    assert found(env, push=False) is None
    env["WORKBENCH_REGISTRY_HOST"] = "ghcr.io"
    assert found(env, push=False) == ("me", "pw")
    assert found(env, HUB) is None


def test_half_of_the_environment_is_an_error(env: dict[str, str]) -> None:
    env["WORKBENCH_REGISTRY_USER"] = "me"
    with pytest.raises(InputError, match="WORKBENCH_REGISTRY_PASSWORD is not"):
        found(env)


def test_login_files_are_asked_in_order(env: dict[str, str], tmp_path: Path) -> None:
    write_config(env, {"auths": {"ghcr.io": auth("c", "3")}}, ".config/containers/auth.json")
    assert found(env) == ("c", "3")
    env["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    write_config(env, {"auths": {"ghcr.io": auth("b", "2")}}, "run/containers/auth.json")
    assert found(env) == ("b", "2")
    write_config(env, {"auths": {"ghcr.io": auth("a", "1:x")}})
    assert found(env) == ("a", "1:x")
    env["DOCKER_CONFIG"] = str(tmp_path / "elsewhere")
    assert found(env) == ("b", "2")


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("ghcr.io", True),
        ("https://ghcr.io", True),
        ("https://ghcr.io/v2/", True),
        ("ghcr.io/me", True),
        ("ghcr.io/me/app", True),
        ("ghcr.io/m", False),
        ("ghcr.io.example", False),
        ("hcr.io", False),
        ("ghcr.io:443", False),
    ],
)
def test_a_key_names_a_registry_or_a_part_of_it(env: dict[str, str], key: str, fits: bool) -> None:
    write_config(env, {"auths": {key: auth("me", "pw")}})
    assert (found(env) is not None) is fits


def test_the_key_that_names_most_is_taken(env: dict[str, str]) -> None:
    auths = {"ghcr.io": auth("all", "1"), "ghcr.io/me": auth("mine", "2")}
    write_config(env, {"auths": auths})
    assert found(env) == ("mine", "2")


def test_the_hub_has_a_key_of_its_own(env: dict[str, str]) -> None:
    write_config(env, {"auths": {"https://index.docker.io/v1/": auth("me", "pw")}})
    assert found(env, HUB) == ("me", "pw")
    assert found(env) is None


def test_an_identity_token_has_no_user(env: dict[str, str]) -> None:
    write_config(env, {"auths": {"ghcr.io": {"identitytoken": "tok", **auth("me", "")}}})
    assert found(env) == ("", "tok")


@pytest.mark.parametrize(
    "config",
    ["{", "[]", '{"auths": 3}', '{"auths": {"ghcr.io": {"auth": "@@@"}}}',
     '{"auths": {"ghcr.io": 3}}', '{"auths": {"ghcr.io": {"auth": "bm9jb2xvbg=="}}}'],
)  # fmt: skip
def test_a_broken_file_is_named(env: dict[str, str], config: str) -> None:
    write_config(env, config)
    with pytest.raises(InputError, match=r"config\.json cannot be read") as caught:
        found(env)
    assert "Log in anew" in str(caught.value)


def test_a_helper_is_asked_by_its_protocol(env: dict[str, str]) -> None:
    write_config(env, {"credHelpers": {"ghcr.io": "one"}, "credsStore": "all"})
    answer = '{"ServerURL":"%s","Username":"%s","Secret":"s3"}'
    script = f'read -r server; test "$1" = get && printf \'{answer}\' "$server" '
    write_helper(env, "one", script + '"one-$server"')
    write_helper(env, "all", script + '"all-$server"')
    assert found(env) == ("one-ghcr.io", "s3")
    assert found(env, HUB) == ("all-https://index.docker.io/v1/", "s3")
    source = find_credentials(GHCR, push=True, environment=env).found
    assert "docker-credential-one" in str(source)


def test_a_helper_may_know_nothing(env: dict[str, str]) -> None:
    write_config(env, {"credsStore": "all"})
    write_helper(env, "all", "echo credentials not found in native keychain; exit 1")
    assert found(env) is None


def test_a_helper_gives_an_identity_token(env: dict[str, str]) -> None:
    write_config(env, {"credsStore": "all"})
    write_helper(env, "all", """echo '{"Username":"<token>","Secret":"tok"}'""")
    assert found(env) == ("", "tok")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo locked >&2; exit 2", "fails for ghcr.io: locked"),
        ("echo hello", "gives no Username and Secret"),
        ("exit 1", "no message"),
    ],
)
def test_a_helper_that_fails_is_named(env: dict[str, str], script: str, message: str) -> None:
    write_config(env, {"credsStore": "all"})
    write_helper(env, "all", script)
    with pytest.raises(MissingError, match=message):
        found(env)


@pytest.mark.parametrize("name", ["desktop.exe", "../../bin/sh"])
def test_a_helper_that_is_missing_is_named(env: dict[str, str], name: str) -> None:
    write_config(env, {"credsStore": name})
    with pytest.raises(MissingError, match="there is no such program"):
        found(env)
