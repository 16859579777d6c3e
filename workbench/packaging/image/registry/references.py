"""Names of images: ``REGISTRY/NAME:TAG`` and ``REGISTRY/NAME@sha256:…``.

Sources: the grammar of names, tags and digests is that of the OCI distribution-spec 1.1 ("Pulling
manifests"); that a name without a registry means Docker Hub, and one without a tag ``latest``, is
the docker client's custom.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from workbench.errors import InputError

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"
"""Where Docker Hub's registry answers."""
LATEST = "latest"
NAME_LENGTH = 255
"""Characters of registry and repository together."""

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """An image in a registry; has a tag, a digest, or both, and then the digest decides."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What the manifest is asked for by: the digest, else the tag."""
        return self.digest or self.tag or LATEST

    @property
    def host(self) -> str:
        """Host and port of the registry's API."""
        return HUB_HOST if self.registry == HUB else self.registry

    def may_send_to(self, host: str) -> bool:
        """A registry elsewhere has no business with what listens on this machine."""
        return self.local or not is_loopback(host)

    @property
    def local(self) -> bool:
        """Whether the registry is on this machine; only then is plain HTTP spoken unasked."""
        return is_loopback(self.host)


def parse_reference(text: str) -> Reference:
    """Read a reference as docker does.

    Raises:
        InputError: it is no valid name; the hint says which part and how to mend it.
    """
    if "://" in text:
        raise _wrong(text, "is a URL", f"Leave out '{text.split('://', 1)[0]}://'.")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _wrong(text, "has a bad digest", "A digest is 'sha256:' and 64 digits of 0-9 a-f.")
    registry, rest = _split_registry(rest)
    path, colon, tag = rest.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(
            text, "has a bad tag", "A tag is 1 to 128 of letters, digits, '_', '.' and '-'."
        )
    if not _REGISTRY.fullmatch(registry) or not _port_is_valid(registry):
        raise _wrong(text, "has a bad registry", "A registry is HOST or HOST:PORT.")
    if not path:
        raise _wrong(text, "names no repository", "Give REGISTRY/NAME:TAG.")
    if not _REPOSITORY.fullmatch(path):
        lower = path.lower()
        mend = f"Try '{lower}'." if _REPOSITORY.fullmatch(lower) else _GRAMMAR
        raise _wrong(text, f"has a bad repository '{path}'", mend)
    registry = registry.lower()
    if registry in (f"index.{HUB}", HUB_HOST):
        registry = HUB
    if registry == HUB and "/" not in path:
        path = f"library/{path}"
    if len(registry) + 1 + len(path) > NAME_LENGTH:
        raise _wrong(text, "is too long", f"A name has at most {NAME_LENGTH} characters.")
    return Reference(registry, path, tag or (None if at else LATEST), digest or None)


def is_digest(text: str) -> bool:
    """Whether it is ``sha256:`` and 64 hexadecimal digits, and so safe as a file's name."""
    return _DIGEST.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, with or without a port, can only be this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


_GRAMMAR = (
    "A repository is of lower-case letters, digits and '/', with single '.', '_', '__' or any "
    "number of '-' between them."
)


def _split_registry(text: str) -> tuple[str, str]:
    """The first part is a registry if it looks like a host: has a dot, a port, or is localhost."""
    first, slash, rest = text.partition("/")
    if slash and (first == "localhost" or any(c in first for c in ".:[")):
        return first, rest
    return HUB, text


def _port_is_valid(registry: str) -> bool:
    port = re.search(r":([0-9]+)$", registry.rpartition("]")[2])
    return port is None or 0 < int(port[1]) < 65536


def _wrong(text: str, what: str, mend: str) -> InputError:
    shown = text if len(text) <= 80 else f"{text[:77]}…"
    return InputError(f"'{shown}' {what}.", hint=mend)
