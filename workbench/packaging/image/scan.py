"""What should not be in an image: leftovers, tools, and secrets.

Every layer is searched by itself, because what a later layer removes is still sent to everybody.
"""

from __future__ import annotations

import re
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

from workbench.packaging.image.contents import members
from workbench.packaging.image.parts import Image

Rule = Literal[
    "tests", "cache", "compiler", "history", "settings", "private-key", "access-key", "setuid"
]
TEXT_BYTES = 8 << 20
"""Larger files are weights and libraries: they are not searched for secrets."""
CACHES = re.compile(
    r"(^|/)(\.cache/(pip|uv|huggingface)|pip-cache)(/|$)|^(var/cache/apt|var/lib/apt/lists)/."
    r"|^usr/(local/)?lib/python3[^/]*/(dist|site)-packages/(pip|uv)/"
)
COMPILER = re.compile(
    r"^(usr/)?(local/)?s?bin/(.+-)?(gcc|cc|g\+\+|c\+\+|cpp|clang|clang\+\+|rustc|cargo|go|ld|as|make|"
    r"cmake|gdb)(-[0-9.]+)?$"
)
PRIVATE_KEY = re.compile(
    rb"-----BEGIN ((RSA|EC|DSA|OPENSSH|ENCRYPTED|PGP) )?PRIVATE KEY( BLOCK)?-----\s+"
    rb"[A-Za-z0-9+/=:\s-]{40}"
)
"""The header and some of the key: the header alone stands in every library that reads keys."""
ACCESS_KEY = re.compile(
    rb"(?<![A-Z0-9])(AKIA|ASIA)(?![A-Z2-7]{9}EXAMPLE)[A-Z2-7]{16}(?![A-Z0-9])|(?i:aws_secret_access_key)\s*[=:]\s*[\"']?"
    rb"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
)
"""AWS's identifiers of keys (IAM user guide, "Unique identifiers"), and the secrets beside them."""


@dataclass(frozen=True)
class Finding:
    """Something that should not be there, and in which layer."""

    rule: Rule
    path: str
    layer: str

    def __str__(self) -> str:
        return f"{self.path}: {MEANING[self.rule]} (layer '{self.layer}')"


MEANING: dict[Rule, str] = {
    "tests": "tests are not run in an image",
    "cache": "a cache or a tool that fetches packages",
    "compiler": "a tool for building",
    "history": "the history of a repository",
    "settings": "settings of a developer's machine, often with secrets",
    "private-key": "a private key",
    "access-key": "a key of a cloud account",
    "setuid": "a program that gives its caller other rights",
}


@dataclass(frozen=True)
class Allowance:
    """Something that a rule finds and that may be there: ``path`` as a pattern, and why."""

    rule: Rule
    path: str
    why: str


def scan(image: Image, allowed: Sequence[Allowance] = ()) -> list[Finding]:
    """What should not be in the image, layer by layer from below; empty: nothing.

    Args:
        image: the image.
        allowed: what may be there all the same. The images built here need none; a Debian image
            taken as a base has setuid programs such as ``usr/bin/su``, and in ``libgnutls`` the
            key of its self-test.

    Raises:
        CorruptError: a layer cannot be read.
    """
    return [
        finding
        for layer in image.layers
        for path, member, content in members(layer)
        for finding in (
            Finding(rule, path, layer.title)
            for rule in _broken(path, member, content.read if content else None)
        )
        if not any(a.rule == finding.rule and fnmatchcase(path, a.path) for a in allowed)
    ]


def _broken(path: str, member: tarfile.TarInfo, read: Callable[[], bytes] | None) -> Iterator[Rule]:
    if member.isdir():
        return
    parts = PurePosixPath(path).parts
    name = parts[-1] if parts else ""
    if "tests" in parts or ("__pycache__" in parts and name.startswith("test_")):
        yield "tests"
    if CACHES.search(path):
        yield "cache"
    if COMPILER.match(path):
        yield "compiler"
    if ".git" in parts:
        yield "history"
    if name == ".env" or name.startswith(".env.") or name in (".pypirc", ".netrc"):
        yield "settings"
    if member.isreg() and member.mode & (stat.S_ISUID | stat.S_ISGID):
        yield "setuid"
    if read is not None and member.size <= TEXT_BYTES:
        content = read()
        if PRIVATE_KEY.search(content):
            yield "private-key"
        if ACCESS_KEY.search(content):
            yield "access-key"
