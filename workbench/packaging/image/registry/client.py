"""Speaks to one repository of one registry: who asks, redirects, and tries again."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from workbench.errors import InputError, StepError, WorkbenchError
from workbench.packaging.image.registry.auth import Authorizer
from workbench.packaging.image.registry.credentials import (
    Credentials,
    Search,
    find_credentials,
)
from workbench.packaging.image.registry.patience import ask
from workbench.packaging.image.registry.references import Reference
from workbench.packaging.image.registry.refusals import refusal
from workbench.packaging.image.registry.transport import (
    Answer,
    Body,
    BrokenError,
    Transport,
    host_of,
)

REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}


class Client:
    """Requests below ``/v2/REPOSITORY/``.

    Credentials go to the registry's own origin (scheme, host and port) and to the token service
    that it names, nowhere else: not to where it redirects, not to where it wants uploads sent.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        push: bool,
        credentials: Credentials | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.reference = reference
        self._transport = transport or Transport()
        self._base = f"{self._transport.scheme(reference.host)}://{reference.host}"

        def search() -> Search:
            if credentials is not None:
                return Search(credentials, (credentials.source,))
            return find_credentials(reference, push=push)

        actions = "pull,push" if push else "pull"
        self._authorizer = Authorizer(reference, actions, search, self._transport)

    def url(self, path: str) -> str:
        """The address of something of the repository, such as ``blobs/sha256:…``."""
        return f"{self._base}/v2/{self.reference.repository}/{path}"

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Answer:
        """The answer to a request that may be repeated; a busy registry is asked again.

        Raises:
            WorkbenchError: there is no answer, or not without credentials.
        """
        return ask(lambda: self.once(method, url, headers, body))

    def once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Answer:
        """One try: says who asks when that is asked for, and follows redirects.

        Raises:
            BrokenError: the connection broke.
            WorkbenchError: there is no answer, or not without credentials.
        """
        for _ in range(REDIRECTS + 1):
            answer = self._send(method, url, headers or {}, body)
            where = answer.header("Location")
            kept = answer.status in (307, 308)
            read = answer.status in (301, 302, 303) and method in ("GET", "HEAD")
            if not where or not (kept or read):
                return answer
            answer.close()
            url = self.resolve(url, where)
        raise StepError(f"{host_of(url)} redirects more than {REDIRECTS} times.")

    def resolve(self, base: str, where: str) -> str:
        """The address that a header Location means.

        Raises:
            InputError: a registry elsewhere names an address of this machine.
        """
        url = urljoin(base, where)
        host = host_of(url)
        if not self.reference.may_send_to(host):
            raise InputError(f"{self.reference.registry} sends us on to {host}, on this machine.")
        return url

    def refuse(self, answer: Answer, doing: str, body: bytes | None = None) -> WorkbenchError:
        """The error for an answer that is not what was asked for, its body read or not."""
        if body is None:
            try:
                body = answer.read()
            except BrokenError:
                body = b""
        if not self._is_own(answer.url):
            return StepError(
                f"{host_of(answer.url)}, where {self.reference.registry} sends us to {doing}, "
                f"answers {answer.status}."
            )
        if answer.status == 401 and self._authorizer.searched.found is None:
            return self._authorizer.nobody()
        found = self._authorizer.searched.found if self._authorizer.header else None
        who = str(found) if found else "somebody unknown"
        return refusal(answer.status, body, self.reference, doing, who)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        if not self._is_own(url):
            return self._transport.send(method, url, headers, body)
        answer = self._transport.send(method, url, self._signed(headers), body)
        challenges = answer.headers.get_all("WWW-Authenticate") or []
        if answer.status != 401 or not challenges or not self._authorizer.meet(challenges):
            return answer
        answer.close()
        return self._transport.send(method, url, self._signed(headers), body)

    def _signed(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        if not self._authorizer.header:
            return headers
        return {**headers, "Authorization": self._authorizer.header}

    def _is_own(self, url: str) -> bool:
        return _origin(url) == _origin(self._base)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
