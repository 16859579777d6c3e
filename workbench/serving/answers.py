"""What the platform answers when it does not pass on the container's answer."""

from __future__ import annotations

from typing import Any

MAX_MESSAGE = 2048
"""Characters of ``OriginalMessage`` at most (C16)."""
NO_STATUS = 0
"""``OriginalStatusCode`` where the container gave no answer, as users' reports show it."""


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

    @property
    def original_status(self) -> int | None:
        """The container's status where the error passes one on."""
        return self.body.get("OriginalStatusCode")


def validation_error(message: str, status: int = 400) -> ApiError:
    """The request itself is wrong."""
    return ApiError(status, "ValidationError", message)


def model_error(status: int, original: str) -> ApiError:
    """The container answered 4xx or 5xx, or not at all (``NO_STATUS``)."""
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
    """The container did not answer within the limit of a call."""
    return model_error(
        NO_STATUS,
        "Your invocation timed out while waiting for a response from container primary.",
    )


def no_answer(error: Exception) -> ApiError:
    """The container cannot be reached, or closed the connection before it answered."""
    return model_error(
        NO_STATUS, f"Could not get a response from container primary: {error or type(error)}."
    )


def not_ready(target: str) -> ApiError:
    """The model still loads after the limit of one invocation; loading goes on (C23)."""
    return ApiError(429, "ModelNotReadyException", f"The model '{target}' is still loading.")


def unavailable(message: str) -> ApiError:
    """The endpoint cannot serve now."""
    return ApiError(503, "ServiceUnavailable", message)


def internal_failure(message: str) -> ApiError:
    """The platform itself failed: here the emulator, or the disk under it."""
    return ApiError(500, "InternalFailure", message)
