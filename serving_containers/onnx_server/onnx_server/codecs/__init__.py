"""Bodies in and out: each module of this folder is a format, found by being there.

A format states ``MEDIA`` (its media types, the first is the one it answers with) and has
``decode(body, manifest, preprocessor) -> Decoded``, ``encode(outputs, form, manifest) -> bytes``,
or both.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module

from onnx_server.codecs import json_lines
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import NotAcceptable, UnsupportedMediaType
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

__all__ = ["DECODERS", "ENCODERS", "Decoded", "decode", "encode", "negotiate"]

DEFAULT = "application/json"
LINES = json_lines.MEDIA


def _find(verb: str) -> dict[str, Callable[..., object]]:
    found: dict[str, Callable[..., object]] = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            format_ = import_module(f"{__name__}.{module.name}")
            if hasattr(format_, "MEDIA") and hasattr(format_, verb):
                for media in format_.MEDIA:
                    assert media not in found, f"two formats {verb} {media}"
                    found[media] = getattr(format_, verb)
    return found


DECODERS: Mapping[str, Callable[..., Decoded]] = _find("decode")  # type: ignore[assignment]
ENCODERS: Mapping[str, Callable[..., bytes]] = _find("encode")  # type: ignore[assignment]


def decode(
    body: bytes,
    content_type: str | None,
    manifest: Manifest,
    preprocessor: Preprocessor | None,
    *,
    default: str = DEFAULT,
) -> Decoded:
    """The feed in a body; it is not checked against the signature yet.

    Raises:
        UnsupportedMediaType: a content type that is unknown or does not fit the model.
        BadRequest: a malformed body.
    """
    media = _media(content_type or default)
    decoder = DECODERS.get(media)
    if decoder is None:
        raise UnsupportedMediaType(
            f"Content type '{media[:80]}' is not known; there is {', '.join(sorted(DECODERS))}."
        )
    return decoder(body, manifest, preprocessor)


def encode(outputs: Feed, media_type: str, form: str, manifest: Manifest) -> bytes:
    """The body of an answer in a media type that ``negotiate`` chose.

    Raises:
        NotAcceptable: the format cannot hold these outputs.
    """
    return ENCODERS[media_type](outputs, form, manifest)


@lru_cache(maxsize=256)
def negotiate(accept: str | None, decoded_from: str | None, default: str | None) -> str:
    """The media type of the answer, by the client's ``Accept`` with its q-values.

    ``*/*`` or no ``Accept`` gives ``default``; without one JSON Lines for JSON Lines, else JSON.

    Raises:
        NotAcceptable: nothing that is accepted can be given.
    """
    usual = default or (LINES[0] if is_lines(decoded_from) else DEFAULT)
    if usual not in ENCODERS:
        raise NotAcceptable(f"The default answer '{usual[:80]}' is no format of this server.")
    if not accept or not accept.strip():
        return usual
    wanted = sorted(
        (_quality(item) for item in accept.split(",")), key=lambda pair: pair[1], reverse=True
    )
    for media, quality in wanted:
        if quality <= 0:
            continue
        if media == "*/*":
            return usual
        if media.endswith("/*"):
            match = next((m for m in (usual, *ENCODERS) if m.startswith(media[:-1])), None)
            if match:
                return match
        elif media in ENCODERS:
            return media
    raise NotAcceptable(f"Answers can be {', '.join(sorted(ENCODERS))}.")


def is_lines(content_type: str | None) -> bool:
    """Whether it is one of JSON Lines' media types."""
    return content_type is not None and _media(content_type) in LINES


def _media(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _quality(item: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in item.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media, float(parameter[2:])
            except ValueError:
                return media, 0.0
    return media, 1.0
