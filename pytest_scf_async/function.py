"""A deployed function as users see it."""

from __future__ import annotations

from typing import Final, Protocol

from .async_event import AsyncEvent, Json
from .errors import ScfApiError, ScfUsageError
from .instances.event import FunctionVersion
from .model import INVOKE_TYPES, FunctionConfiguration, api_error, payload_text

__all__ = ["LATEST", "Function"]

LATEST: Final = "$LATEST"
_LATEST_NAMES: Final = (None, LATEST, "$DEFAULT")


class Platform(Protocol):
    """What a function asks of its runtime."""

    def _accept(self, function: Function, payload: str, invoke_type: str) -> AsyncEvent: ...
    def _delete(self, function: Function) -> None: ...


class Function:
    """A deployed function."""

    def __init__(self, platform: Platform, version: FunctionVersion) -> None:
        self._platform = platform
        self._version = version
        self._deleted = False
        self.events: Final[list[AsyncEvent]] = []
        """Its events in order of acceptance, those of sync functions too."""

    @property
    def configuration(self) -> FunctionConfiguration:
        """What it is configured with."""
        return self._version.configuration

    @property
    def name(self) -> str:
        return self._version.configuration.name

    @property
    def namespace(self) -> str:
        return self._version.configuration.namespace

    def invoke_async(
        self, payload: Json = None, *, qualifier: str | None = None, invoke_type: str = "OTHERS"
    ) -> AsyncEvent:
        """Have the platform accept an event with *payload* (JSON, 128 KB at most); none of its code runs yet.

        Raises ``ScfUsageError`` for a function that is not async and for a payload that is not valid,
        ``ScfApiError`` for an unknown *qualifier* or *invoke_type* and where ``max_instances`` is reached.
        """
        if not self.configuration.async_run:
            raise ScfUsageError(
                f"invoke_async: function {self.name!r} is deployed with async_run=False "
                f"({self.configuration.sources.get('async_run', 'default')}), so it has no async events; "
                "use run(payload), or deploy it with async_run=True"
            )
        return self._invoke(payload, qualifier, invoke_type)

    def run(self, payload: Json = None) -> Json:
        """Invoke, wait for the end, and give the result; raises ``HandlerError`` with the platform's error body."""
        event = self._invoke(payload, None, "OTHERS")
        return event.wait().result

    def delete(self) -> None:
        """DeleteFunction: running events are ABORTED (499), their instances reclaimed."""
        if self._deleted:
            raise api_error("ResourceNotFound.Function", function_name=self.name, namespace=self.namespace)
        self._platform._delete(self)
        self._deleted = True

    def _invoke(self, payload: Json, qualifier: str | None, invoke_type: str) -> AsyncEvent:
        if self._deleted:
            raise api_error("ResourceNotFound.Function", function_name=self.name, namespace=self.namespace)
        if qualifier not in _LATEST_NAMES:
            raise ScfApiError("ResourceNotFound.Qualifier", f"function {self.name} has no qualifier {qualifier!r}")
        if invoke_type not in INVOKE_TYPES:
            raise api_error("InvalidParameterValue.InvokeType", value=invoke_type, valid=", ".join(INVOKE_TYPES))
        text = payload_text(payload, async_run=self.configuration.async_run)
        return self._platform._accept(self, text, invoke_type)

    def __repr__(self) -> str:
        return f"<Function {self.namespace}/{self.name} {self._version.code.handler}>"
