"""Every error of the package. Who is at fault decides the class: the test, the handler, the platform's rules, or us."""

from __future__ import annotations

from typing import Any

__all__ = [
    "CannotEndError",
    "GateNotReachedError",
    "HandlerError",
    "HarnessError",
    "ScfApiError",
    "ScfAsyncError",
    "ScfUsageError",
    "UnsupportedPlatformError",
]


class ScfAsyncError(Exception):
    """The base of all errors of this package; never raised itself."""

    def __init__(self, message: str) -> None:
        if type(self) is ScfAsyncError:
            raise TypeError("ScfAsyncError is a base class: raise one of its subclasses")
        super().__init__(message)


class ScfUsageError(ScfAsyncError):
    """The test asked for something that cannot be: the message has the value, its source and what is valid."""


class UnsupportedPlatformError(ScfUsageError):
    """Instances cannot run on this machine (they need Linux)."""


class CannotEndError(ScfAsyncError):
    """A blocking call could not end: the message says what each instance is doing and what to do about it."""


class GateNotReachedError(ScfAsyncError):
    """An event ended without reaching the gate that the test waited for; the message has the event's log."""


class HandlerError(ScfAsyncError):
    """The user's function failed, was aborted, or has not ended, so that it has no result.

    ``body`` is the platform's error body (``{"errorCode": …, "errorMessage": …, "statusCode": …}``, document 42611), or
    an empty dict while the event runs.
    """

    def __init__(self, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body: dict[str, Any] = dict(body or {})


class ScfApiError(ScfAsyncError):
    """The platform refused an operation: ``code`` is its code as on the wire (``ResourceNotFound.AsyncEvent``)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.platform_message = message


class HarnessError(ScfAsyncError):
    """The harness itself failed: a bug of ours, or the machine took a process away from us."""


class ScfAsyncWarning(UserWarning):
    """Something that the documents leave open, or that this machine cannot give, was decided for the test."""
