"""What ``docker login`` and ``podman login`` left behind, and the programs that keep passwords.

Sources: docker's ``config.json`` (auths, credsStore, credHelpers) and its credential helpers'
protocol: ``docker-credential-NAME get`` reads a server from standard input and writes JSON with
ServerURL, Username and Secret; and containers-auth.json(5), where keys may name a repository.
"""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InputError, MissingError
from workbench.packaging.image.registry.references import HUB, Reference

HUB_KEY = "https://index.docker.io/v1/"
HELPER_S = 30.0
"""A helper may have to ask the user or a server."""
NOT_FOUND = "credentials not found"
TOKEN_USER = "<token>"
"""The user under which a helper gives an identity token."""

Found = tuple[str, str, str]
"""User, password and source; no user means an identity token."""


def config_files(env: Mapping[str, str]) -> list[Path]:
    """The files that may hold credentials, the first asked first."""
    home = Path(env.get("HOME") or Path.home())
    docker = Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else home / ".docker"
    files = [docker / "config.json"]
    if runtime := env.get("XDG_RUNTIME_DIR"):
        files.append(Path(runtime) / "containers" / "auth.json")
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    return [*files, config / "containers" / "auth.json"]


def from_config(path: Path, reference: Reference, env: Mapping[str, str]) -> Found | None:
    """The credentials of one file, or of the helper that it names.

    Raises:
        InputError: the file is not valid.
        MissingError: the helper is missing or fails.
    """
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_bytes())
        auths = dict(config.get("auths") or {})
        helpers = dict(config.get("credHelpers") or {})
        store = config.get("credsStore")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", hint="Log in anew.") from None
    if key := _best(helpers, reference):
        return _ask(str(helpers[key]), key, path, env)
    if (key := _best(auths, reference)) and (found := _entry(path, key, auths[key])):
        return found
    if store:
        return _ask(str(store), key or _server(reference), path, env)
    return None


def _server(reference: Reference) -> str:
    return HUB_KEY if reference.registry == HUB else reference.registry


def _best(table: Mapping[str, Any], reference: Reference) -> str:
    """The key that names most of the reference; empty if none names its registry."""
    names = {key: _plain(key) for key in table}
    fit = [key for key, name in names.items() if f"{reference.name}/".startswith(f"{name}/")]
    return max(fit, key=lambda key: len(names[key]), default="")


def _plain(key: str) -> str:
    """``https://HOST/v1/`` as ``HOST``; docker wrote such keys, and still does for its Hub."""
    name = key.partition("://")[2] or key
    name = name.rstrip("/")
    for version in ("/v1", "/v2"):
        name = name.removesuffix(version)
    return HUB if name == f"index.{HUB}" else name


def _entry(path: Path, key: str, entry: Any) -> Found | None:
    try:
        if token := entry.get("identitytoken"):
            return "", str(token), str(path)
        if entry.get("auth"):
            text = base64.b64decode(entry["auth"]).decode()
            user, colon, password = text.rstrip("\0").partition(":")
            if not colon:
                raise ValueError("no colon between user and password")
            return user, password, str(path)
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise InputError(
            f"The entry '{key}' of {path} cannot be read: {error}.", hint="Log in anew."
        ) from None
    return None


def _ask(helper: str, server: str, path: Path, env: Mapping[str, str]) -> Found | None:
    name = f"docker-credential-{helper}"
    program = shutil.which(name, path=env.get("PATH")) if "/" not in helper else None
    if program is None:
        raise MissingError(
            f"{path} says that '{name}' keeps the password of {server}, but there is no such "
            "program.",
            hint="Install it, or log in anew after taking credsStore or credHelpers out of the "
            "file.",
        )
    try:
        done = subprocess.run(
            [program, "get"],
            input=server,
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=HELPER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"'{name}' does not answer: {error}.") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        if NOT_FOUND in said:
            return None
        raise MissingError(
            f"'{name}' fails for {server}: {said.splitlines()[-1] if said else 'no message'}.",
            hint=f"Try it: echo {server} | {name} get",
        )
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise MissingError(f"'{name}' gives no Username and Secret for {server}.") from None
    return ("" if user == TOKEN_USER else user), secret, f"{name}, of {path}"
