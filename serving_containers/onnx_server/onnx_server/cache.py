"""Answers to requests that were asked before, byte for byte the same, within a memory bound."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from sys import getsizeof
from typing import NamedTuple

Answer = tuple[int, tuple[tuple[str, str], ...], bytes]
"""Status, headers and body."""

ENTRY_BYTES = 450
"""What an entry costs in the tables of this class, beside its key and its answer."""


class Key(NamedTuple):
    """What was asked: ``digest`` stands for the whole request, the rest is for forgetting."""

    digest: bytes
    model: str
    generation: int


class Cache:
    """The answers asked for last, as many as fit into ``max_bytes``.

    The bound holds for all that an entry takes: key, headers, body and tables. All methods take
    constant time, apart from hashing the request and ``drop_model``, which takes as long as the
    model has entries. Threads may share it.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 1:
            raise ValueError(f"A cache of {max_bytes} bytes holds nothing.")
        self.max_bytes = max_bytes
        self.bytes = 0
        self._generation = 0
        self._entries: OrderedDict[bytes, tuple[str, int, Answer]] = OrderedDict()
        self._models: dict[str, set[bytes]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, model: str, content_type: str | None, accept: str | None, body: bytes) -> Key:
        """The key of a request; make it before the model is asked, so that ``put`` can tell."""
        digest = hashlib.blake2b(digest_size=24)
        for part in (model, content_type, accept):
            # The length before each part, so that no two requests read the same when joined.
            data = b"" if part is None else part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % (-1 if part is None else len(data)))
            digest.update(data)
        digest.update(body)
        return Key(digest.digest(), model, self._generation)

    def get(self, key: Key) -> Answer | None:
        """The answer to the same request, if it is still here."""
        with self._lock:
            found = self._entries.get(key.digest)
            if found is None:
                return None
            self._entries.move_to_end(key.digest)
            return found[2]

    def put(self, key: Key, answer: Answer) -> None:
        """Keep an answer; forget those that were asked for longest ago when they no longer fit.

        An answer larger than the cache is not kept, nor is one whose key was made before a model
        was dropped: it may come from the model that is gone.
        """
        size = _size(key, answer)
        with self._lock:
            if size > self.max_bytes or key.generation != self._generation:
                return
            self._remove(key.digest)
            self._entries[key.digest] = (key.model, size, answer)
            self._models.setdefault(key.model, set()).add(key.digest)
            self.bytes += size
            while self.bytes > self.max_bytes:
                self._remove(next(iter(self._entries)))

    def drop_model(self, model: str) -> None:
        """Forget all answers of a model, also those that are still being computed."""
        with self._lock:
            self._generation += 1
            for digest in tuple(self._models.get(model, ())):
                self._remove(digest)

    def _remove(self, digest: bytes) -> None:
        found = self._entries.pop(digest, None)
        if found is None:
            return
        model, size, _ = found
        self.bytes -= size
        digests = self._models[model]
        digests.discard(digest)
        if not digests:
            del self._models[model]


def _size(key: Key, answer: Answer) -> int:
    _, headers, body = answer
    size = ENTRY_BYTES + getsizeof(key.digest) + getsizeof(headers) + getsizeof(body)
    for name, value in headers:
        size += getsizeof((name, value)) + getsizeof(name) + getsizeof(value)
    return size
