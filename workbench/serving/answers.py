"""What the platform answers when it does not pass on the container's answer."""

from __future__ import annotations

from typing import Any

MAX_MESSAGE = 2048
"""Characters of ``OriginalMessage`` at most (C16)."""


class ApiError(Exception):
    """An error of the runtime API: HTTP status, the type that botocore reads, and its members.

    ``counted`` is the status under which the metrics count it.
    """

    def __init__(
        self, status: int, kind: str, message: str, *, counted: int | None = None, **members: Any
    ) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind
        self.counted = status if counted is None else counted
        self.body = {"Message": message, **members}


def validation_error(message: str, status: int = 400) -> ApiError:
    """The request itself is wrong."""
    return ApiError(status, "ValidationError", message)


def model_error(status: int, original: str) -> ApiError:
    """The container answered 4xx or 5xx; status 0 says that it gave no answer at all."""
    original = original[:MAX_MESSAGE]
    kind = "client" if 400 <= status < 500 else "server"
    return ApiError(
        424,
        "ModelError",
        f'Received {kind} error ({status}) from primary with message "{original}".',
        counted=status or 500,
        OriginalStatusCode=status,
        OriginalMessage=original,
        LogStreamArn="",
    )


def timed_out() -> ApiError:
    """The container did not answer within the limit; the platform reports this as status 0."""
    return model_error(
        0, "Your invocation timed out while waiting for a response from container primary."
    )


def not_ready(target: str) -> ApiError:
    """The model still loads after the limit of one invocation; loading goes on (C23)."""
    return ApiError(429, "ModelNotReadyException", f"The model '{target}' is still loading.")


def unavailable(message: str) -> ApiError:
    """The endpoint cannot serve now."""
    return ApiError(503, "ServiceUnavailable", message)
