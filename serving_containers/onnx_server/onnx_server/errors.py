"""Everything that goes wrong while serving, as one tree; each class has its HTTP status.

::

    ServerError                    500
    ├── BadRequest                 400  the body or a value of it is wrong
    ├── Unauthorized               401
    ├── NotFound                   404
    ├── MethodNotAllowed           405
    ├── NotAcceptable              406
    ├── RequestTimeout             408  the body did not arrive in time
    ├── Conflict                   409  the model is already loaded
    ├── TooLarge                   413
    ├── UnsupportedMediaType       415
    ├── Overloaded                 429  the queue of the model is full
    ├── Unavailable                503  not ready, or shutting down
    ├── DeadlineExceeded           504  the request waited longer than it may
    ├── InsufficientMemory         507  the next model would not fit
    └── ModelError                 500  a model that does not load or run (422 on loading)
"""

from __future__ import annotations


class ServerError(Exception):
    """Base: ``message`` goes to the client, so it names no path and holds no traceback.

    ``field`` names the input that is wrong; ``retry_after_s`` becomes a ``Retry-After`` header.
    """

    status = 500

    def __init__(
        self, message: str, *, field: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class BadRequest(ServerError):
    """The body or a value of it is wrong."""

    status = 400


class Unauthorized(ServerError):
    """The bearer token is missing or wrong."""

    status = 401


class NotFound(ServerError):
    """No such model or route."""

    status = 404


class MethodNotAllowed(ServerError):
    """The route exists, but not for this method."""

    status = 405


class NotAcceptable(ServerError):
    """No format of ``Accept`` can be given."""

    status = 406


class RequestTimeout(ServerError):
    """The body did not arrive in time."""

    status = 408


class Conflict(ServerError):
    """The model is already loaded."""

    status = 409


class TooLarge(ServerError):
    """The body is larger than the limit."""

    status = 413


class UnsupportedMediaType(ServerError):
    """The content type is not known, or does not fit the model."""

    status = 415


class InvalidModel(ServerError):
    """A model that was asked for cannot be loaded: its files are wrong."""

    status = 422


class Overloaded(ServerError):
    """The queue of the model is full."""

    status = 429


class ModelError(ServerError):
    """The model failed while it ran."""

    status = 500


class Unavailable(ServerError):
    """Not ready, or shutting down."""

    status = 503


class DeadlineExceeded(ServerError):
    """The request waited longer than it may."""

    status = 504


class InsufficientMemory(ServerError):
    """The next model would not fit."""

    status = 507
