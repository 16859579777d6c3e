"""Sends one blob, and goes on where a broken connection stopped.

Source: OCI distribution-spec 1.1, "Pushing a blob monolithically" and "in chunks".

A blob goes in one PATCH as docker sends it, a small one with the closing PUT. Not in many chunks:
Google's registry takes none, and ECR miscounts them. What is cut off is asked for with GET and sent
on from there. A registry that then does not know the upload (distribution up to 2.8 gives it up)
gets the blob anew. Chunks are for a registry or proxy that finds the whole too large (413).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workbench.errors import CorruptError, StepError
from workbench.packaging.image.registry.client import Client
from workbench.packaging.image.registry.patience import BUSY, Patience, gave_up
from workbench.packaging.image.registry.refusals import errors_in
from workbench.packaging.image.registry.transport import Answer, Body, BrokenError

SMALL = 4 << 20
CHUNK, LEAST_CHUNK = 16 << 20, 1 << 20
DOING = "push a layer"
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]+)")


@dataclass(frozen=True)
class Content:
    """A blob to send: ``read(offset, length)`` gives a part of it, ``title`` is for messages."""

    title: str
    digest: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]

    def check(self) -> None:
        """Raises CorruptError if the blob is not what its digest says any more."""
        found = hashlib.sha256()
        for block in self.read(0, self.size):
            found.update(block)
        if f"sha256:{found.hexdigest()}" != self.digest:
            raise CorruptError(
                f"The blob of {self.title} is not {self.digest} any more.", hint="Build it again."
            )


def is_there(client: Client, digest: str) -> bool:
    """Whether the repository has a blob."""
    answer = client.ask("HEAD", client.url(f"blobs/{digest}"))
    if answer.status not in (200, 404):
        raise client.refuse(answer, "see its layers")
    answer.close()
    return answer.status == 200


class Upload:
    """One blob on its way; ``told`` is called with the bytes that are sent, again after a break."""

    def __init__(self, client: Client, content: Content, told: Callable[[int], None]) -> None:
        self._client, self._content, self._told = client, content, told
        self._patience = Patience()
        self._location = ""
        """Where to send; empty as long as the upload has not begun, or has to begin anew."""
        self._offset = self._furthest = 0
        self._chunk = content.size
        self._unsure = False
        """Whether the registry must be asked how much it has."""

    def run(self) -> None:
        """Send it.

        Raises:
            CorruptError: the blob has changed, or the registry stored something else.
            StepError: the registry or the connection to it fails again and again.
            WorkbenchError: the registry refuses.
        """
        while True:
            try:
                if self._unsure and self._find_place():
                    return
                if not self._location:
                    self._begin()
                if self._send_most() and self._close():
                    return
            except BrokenError as error:
                self._unsure = True
                if not self._patience.again():
                    raise gave_up(error) from error

    def _begin(self) -> None:
        answer = self._client.ask("POST", self._client.url("blobs/uploads/"), body=Body.of(b""))
        if answer.status != 202:
            raise self._client.refuse(answer, DOING)
        least = answer.header("OCI-Chunk-Min-Length")
        if least.isdigit() and self._chunk < self._content.size:
            self._chunk = max(self._chunk, int(least))
        self._go_on(answer, 0)

    def _send_most(self) -> bool:
        """What goes by PATCH; false when there was an answer that something must be done about."""
        if self._chunk == self._content.size <= SMALL:
            return True
        while self._offset < self._content.size:
            length = min(self._chunk, self._content.size - self._offset)
            headers = {}
            if length < self._content.size:  # docker sends none for a whole blob
                headers["Content-Range"] = f"{self._offset}-{self._offset + length - 1}"
            answer = self._client.once("PATCH", self._location, headers, self._body(length))
            if answer.status not in (201, 202, 204):
                self._recover(answer)
                return False
            self._go_on(answer, self._offset + length)
        return True

    def _close(self) -> bool:
        """The closing PUT, with what is left; false as in ``_send_most``."""
        mark = "&" if "?" in self._location else "?"
        url = f"{self._location}{mark}digest={self._content.digest}"
        answer = self._client.once("PUT", url, {}, self._body(self._content.size - self._offset))
        if answer.status not in (201, 204):
            self._recover(answer)
            return False
        answer.close()
        stored = answer.header("Docker-Content-Digest")
        if stored and stored != self._content.digest:
            raise CorruptError(
                f"{self._client.reference.registry} stored {self._content.title} as {stored}, not "
                f"as {self._content.digest}.",
                hint="Something on the way changes what is sent; try another network.",
            )
        return True

    def _recover(self, answer: Answer) -> None:
        """Prepare another way after an answer that is no success, if there is one."""
        body = answer.read()
        codes = {code for code, _ in errors_in(body)}
        if answer.status == 413 and self._chunk > LEAST_CHUNK:
            self._chunk = min(CHUNK, max(LEAST_CHUNK, self._chunk // 4))
            self._location = ""
        elif answer.status == 404 and "NAME_UNKNOWN" not in codes:
            self._anew("it does not know the upload any more")
        elif "DIGEST_INVALID" in codes:
            self._content.check()
            self._anew("it reads another digest")
        elif (answer.status == 416 or answer.status in BUSY) and self._patience.again(answer):
            self._unsure = True
        else:
            raise self._client.refuse(answer, DOING, body)

    def _find_place(self) -> bool:
        """Ask how much the registry has; true when that is the whole blob, stored."""
        if not self._location:
            return False
        answer = self._client.once("GET", self._location)
        answer.close()
        if answer.status in BUSY:
            raise BrokenError(f"it answers {answer.status}")
        self._unsure = False
        held = _RANGE.fullmatch(answer.header("Range"))
        # An empty upload is "0-0", which means one byte elsewhere: that byte is then sent again,
        # refused with 416 or a wrong digest, and the upload begins anew.
        size = 0 if held is None or held[1] == "0" else int(held[1]) + 1
        if answer.status in (200, 202, 204) and held and size <= self._content.size:
            self._go_on(answer, size)
            return False
        self._location = ""
        return is_there(self._client, self._content.digest)

    def _go_on(self, answer: Answer, offset: int) -> None:
        """The next request goes where this answer says."""
        answer.close()
        where = answer.header("Location")
        if not where and not self._location:
            raise StepError(f"{self._client.reference.registry} does not say where to upload.")
        if where:
            self._location = self._client.resolve(answer.url, where)
        self._offset = offset
        if offset > self._furthest:
            self._furthest = offset
            self._patience.renew()

    def _anew(self, why: str) -> None:
        self._location = ""
        if not self._patience.again():
            registry = self._client.reference.registry
            raise StepError(f"{registry} does not take {self._content.title}: {why}.")

    def _body(self, length: int) -> Body:
        offset = self._offset

        def blocks() -> Iterator[bytes]:
            sent = offset
            for block in self._content.read(offset, length):
                yield block
                sent += len(block)
                self._told(sent)

        return Body(length, blocks)
