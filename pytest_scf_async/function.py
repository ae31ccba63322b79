"""A deployed function as users see it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

from .async_event import AsyncEvent, Json
from .deployment import UNCHANGED, Unchanged
from .errors import ScfUsageError, did_you_mean, hidden_from_users
from .lockstep.event import FunctionVersion
from .model import INVOKE_TYPES, FunctionConfiguration, Versions, api_error, payload_text

__all__ = ["Function"]

__tracebackhide__ = hidden_from_users

LOCKED: Final[Mapping[str, str]] = {
    "async_run": "document 51519: sync and async execution cannot be switched",
    "runtime": "UpdateFunctionConfiguration has no such field",
    "name": "UpdateFunctionConfiguration has no such field",
    "namespace": "UpdateFunctionConfiguration has no such field",
}
"""What a function keeps for life, and why."""


Mounts = Sequence[str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]]


class Platform(Protocol):
    """What a function asks of its runtime."""

    def _accept(self, function: Function, payload: str, qualifier: str | None, invoke_type: str) -> AsyncEvent: ...
    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None: ...
    def _publish(self, function: Function, description: str) -> str: ...
    def _delete(self, function: Function, qualifier: str | None) -> None: ...


class Function:
    """A deployed function."""

    def __init__(self, platform: Platform, latest: FunctionVersion) -> None:
        self._platform = platform
        self._versions = Versions(latest.configuration.name, latest)
        self._deleted = False
        self.events: Final[list[AsyncEvent]] = []
        """Its events in order of acceptance, those of sync functions too."""

    @property
    def _version(self) -> FunctionVersion:
        return self._versions.latest

    @property
    def configuration(self) -> FunctionConfiguration:
        """What ``$LATEST`` is configured with."""
        return self._version.configuration

    @property
    def name(self) -> str:
        """Its name in the namespace."""
        return self._version.configuration.name

    @property
    def namespace(self) -> str:
        """The namespace that it is deployed in."""
        return self._version.configuration.namespace

    @property
    def versions(self) -> list[str]:
        """``$LATEST`` and the published versions, newest first."""
        return self._versions.numbers

    @property
    def aliases(self) -> dict[str, str]:
        """The version that each alias points to; every function has the alias ``$DEFAULT``."""
        return self._versions.aliases

    # -- events ------------------------------------------------------------------------------------------------------

    def invoke_async(
        self, payload: Json = None, *, qualifier: str | None = None, invoke_type: str = "OTHERS"
    ) -> AsyncEvent:
        """Have the platform accept an event with *payload* (JSON, 128 KB at most); none of its code runs yet.

        *qualifier* is a version, an alias, or ``$LATEST``, which is the default. Raises ``ScfUsageError`` for a
        function that is not async and for a payload that is not valid, ``ScfApiError`` for an unknown *qualifier*
        (``ResourceNotFound.Qualifier``) or *invoke_type*, and where ``max_instances`` is reached.
        """
        if not self.configuration.async_run:
            raise ScfUsageError(
                f"invoke_async: function {self.name!r} is deployed with async_run=False "
                f"({self.configuration.sources.get('async_run', 'default')}), so it has no async events; "
                "use run(payload), or deploy it with async_run=True"
            )
        return self._invoke(payload, qualifier, invoke_type)

    def run(self, payload: Json = None, *, qualifier: str | None = None) -> Json:
        """Invoke, wait for the end, and give the result; raises ``HandlerError`` with the platform's error body."""
        event = self._invoke(payload, qualifier, "OTHERS")
        return event.wait().result

    def _invoke(self, payload: Json, qualifier: str | None, invoke_type: str) -> AsyncEvent:
        self._require()
        if invoke_type not in INVOKE_TYPES:
            raise api_error("InvalidParameterValue.InvokeType", value=invoke_type, valid=", ".join(INVOKE_TYPES))
        text = payload_text(payload, async_run=self.configuration.async_run)
        return self._platform._accept(self, text, qualifier, invoke_type)

    # -- versions ----------------------------------------------------------------------------------------------------

    def update(
        self,
        code: str | os.PathLike[str] | Callable[..., object] | None = None,
        *,
        handler: str | None = None,
        timeout: float | timedelta | Unchanged | None = UNCHANGED,
        init_timeout: float | timedelta | Unchanged = UNCHANGED,
        memory: int | Unchanged | None = UNCHANGED,
        environment: Mapping[str, str] | Unchanged | None = UNCHANGED,
        trace: bool | Unchanged = UNCHANGED,
        max_instances: int | Unchanged | None = UNCHANGED,
        layers: Sequence[str | os.PathLike[str]] | Unchanged = UNCHANGED,
        mounts: Mounts | Unchanged = UNCHANGED,
        network: Literal["loopback", "all"] | Unchanged = UNCHANGED,
        before_init: str | Callable[..., object] | Unchanged | None = UNCHANGED,
        before_init_args: Mapping[str, Json] | Sequence[Json] | Unchanged | None = UNCHANGED,
        background: Sequence[str] | Unchanged = UNCHANGED,
        idle_ok: Sequence[str] | Unchanged = UNCHANGED,
        **locked: object,
    ) -> None:
        """UpdateFunctionCode and UpdateFunctionConfiguration: change ``$LATEST``; what is not given stays.

        The keywords are those of ``deploy``; *before_init_args* go with a *before_init*. Events that were accepted
        before finish on the old code and configuration; idle instances of it are reclaimed. Published versions stay as
        they are, but *trace* and *max_instances* are the function's, not a version's. None takes a limit away, or all
        variables of the function. Raises ``ScfUsageError`` for a value that is not valid, and for what is locked at
        the deployment (*async_run*, …).
        """
        self._require()
        for name in locked:
            if name in LOCKED:
                raise ScfUsageError(f"update({name}=...): {name} is locked when a function is made ({LOCKED[name]})")
            valid = [each for each in inspect.signature(Function.update).parameters if each not in ("self", "locked")]
            hint = did_you_mean(name, valid)
            raise ScfUsageError(f"update(...) has no keyword {name!r}{hint} (valid are {', '.join(valid)})")
        given = {
            "timeout": timeout,
            "init_timeout": init_timeout,
            "memory": memory,
            "environment": environment,
            "trace": trace,
            "max_instances": max_instances,
            "layers": layers,
            "mounts": mounts,
            "network": network,
            "before_init": before_init,
            "before_init_args": before_init_args,
            "background": background,
            "idle_ok": idle_ok,
        }
        self._platform._update(self, code, handler, given)

    def publish_version(self, description: str = "") -> str:
        """PublishVersion (document 34415): keep ``$LATEST`` as it is now, and give its number: "1", "2", …"""
        self._require()
        return self._platform._publish(self, description)

    def create_alias(self, name: str, version: str) -> None:
        """CreateAlias (document 44164): *name* stands for *version* in a qualifier.

        Raises ``ScfApiError``: ``InvalidParameterValue.Name``, ``ResourceInUse.Alias``,
        ``ResourceNotFound.FunctionVersion``.
        """
        self._require()
        self._versions.create_alias(name, version)

    def update_alias(self, name: str, version: str) -> None:
        """UpdateAlias (document 44161); ``$DEFAULT`` too. Events that were accepted before stay on their version.

        Raises ``ScfApiError``: ``ResourceNotFound.Alias``, ``ResourceNotFound.FunctionVersion``.
        """
        self._require()
        self._versions.update_alias(name, version)

    def delete_alias(self, name: str) -> None:
        """DeleteAlias: the version that it points to stays.

        Raises ``ScfApiError``: ``ResourceNotFound.Alias``, and ``FailedOperation.DeleteAlias`` for ``$DEFAULT``.
        """
        self._require()
        self._versions.delete_alias(name)

    def delete(self, qualifier: str | None = None) -> None:
        """DeleteFunction (document 18585): the function with all its versions, or the published version *qualifier*.

        Running events of what is deleted are ABORTED (499), its instances reclaimed. Raises ``ScfApiError``
        ``ResourceNotFound.Function``, ``ResourceNotFound.Qualifier``, ``UnsupportedOperation.AliasBind`` for a version
        that an alias points to, ``InvalidParameterValue.Qualifier`` for ``$LATEST``.
        """
        self._require()
        self._platform._delete(self, qualifier)
        self._deleted = qualifier is None

    def _require(self) -> None:
        if self._deleted:
            raise api_error("ResourceNotFound.Function", function_name=self.name, namespace=self.namespace)

    def __repr__(self) -> str:
        return f"<Function {self.namespace}/{self.name} {self._version.code.handler}>"
