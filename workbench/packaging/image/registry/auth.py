"""Answers a registry's WWW-Authenticate: with a password, or with a token got for it.

Sources: RFC 9110 (challenges), Docker registry token authentication ("Token authentication
specification" and its OAuth2 variant for identity tokens).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from workbench.errors import InputError, MissingError, StepError
from workbench.packaging.image.registry.credentials import Credentials, Search
from workbench.packaging.image.registry.patience import ask
from workbench.packaging.image.registry.references import Reference
from workbench.packaging.image.registry.refusals import said
from workbench.packaging.image.registry.transport import Body, Transport, host_of

CLIENT_ID = "workbench"
_PART = re.compile(r'\s*,?\s*([A-Za-z][\w-]*)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+))?')


class Authorizer:
    """Holds what a registry is told about who asks; ``actions`` as ``pull`` or ``pull,push``."""

    def __init__(
        self,
        reference: Reference,
        actions: str,
        search: Callable[[], Search],
        transport: Transport,
    ) -> None:
        self._reference, self._transport = reference, transport
        self._scope = f"repository:{reference.repository}:{actions}"
        self._search = search
        self._searched: Search | None = None
        self.header = ""
        """The value of Authorization; empty as long as nobody asked for it."""

    @property
    def searched(self) -> Search:
        """The credentials, looked for at the first use."""
        if self._searched is None:
            self._searched = self._search()
        return self._searched

    def meet(self, challenges: Sequence[str]) -> bool:
        """Do what a 401 asks for; false when all that is known has been tried.

        Raises:
            InputError: the credentials are refused.
            MissingError: there are none.
            StepError: the registry asks for what is not known, or gives no token.
        """
        asked = parse_challenges(challenges)
        if bearer := asked.get("bearer"):
            self.header = f"Bearer {self._token(bearer)}"
            return True
        if "basic" not in asked:
            known = ", ".join(asked) or "nothing"
            raise StepError(f"{self._reference.host} asks for '{known}', not for Basic or Bearer.")
        found = self.searched.found
        if found is None:
            raise self.nobody()
        before, self.header = self.header, found.basic
        return self.header != before

    def nobody(self) -> MissingError:
        """The error for a registry that wants to know who asks, when nobody is known."""
        registry = self._reference.registry
        return MissingError(
            f"{registry} asks for credentials and none were found in "
            f"{', '.join(self.searched.places)}.",
            hint=f"'docker login {registry}' or 'podman login {registry}' writes them, or set "
            "WORKBENCH_REGISTRY_USER and WORKBENCH_REGISTRY_PASSWORD.",
        )

    def _token(self, asked: dict[str, str]) -> str:
        realm = asked.get("realm", "")
        if not host_of(realm) or not self._reference.may_send_to(host_of(realm)):
            raise StepError(
                f"{self._reference.registry} names no place to get a token from: '{realm}'."
            )
        found = self.searched.found
        query = {"service": asked.get("service", ""), "scope": self._scope}
        headers = {"Accept": "application/json"}
        if found and not found.user:
            query |= {"grant_type": "refresh_token", "client_id": CLIENT_ID}
            form = Body.of(urlencode(query | {"refresh_token": found.password}).encode())
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            answer = ask(lambda: self._transport.send("POST", realm, headers, form))
        else:
            if found:
                headers["Authorization"] = found.basic
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            answer = ask(lambda: self._transport.send("GET", url, headers))
        body = answer.read()
        if answer.status in (401, 403):
            raise self._refused(found, realm, said(body))
        try:
            read = json.loads(body) if answer.status == 200 else {}
            token = read.get("token") or read["access_token"]
        except (ValueError, KeyError, AttributeError):
            raise StepError(
                f"{host_of(realm)} gives no token for {self._scope}: {answer.status} {said(body)}"
            ) from None
        return str(token)

    def _refused(self, found: Credentials | None, realm: str, message: str) -> Exception:
        if found is None:
            return self.nobody()
        return InputError(
            f"{host_of(realm)} refuses the credentials of {found}: {message}",
            hint=f"Log in anew: docker login {self._reference.registry}",
        )


def parse_challenges(headers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Parameters by scheme, both in lower case, of one or more WWW-Authenticate headers."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        scheme = ""
        for name, value in _PART.findall(header):
            if not value:
                scheme = name.lower()
                found.setdefault(scheme, {})
            elif scheme:
                plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
                found[scheme].setdefault(name.lower(), plain)
    return found
