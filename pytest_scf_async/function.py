"""A deployed function as users see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

from .async_event import AsyncEvent, Json
from .deployment import UNCHANGED, Mounts, Unchanged
from .errors import ScfUsageError, did_you_mean, hidden_from_users, keywords_named
from .lockstep.event import FunctionVersion
from .model import INVOKE_TYPES, SYNC_CALLERS, FunctionConfiguration, Versions, api_error, payload_text
from .options import OPTIONS, Where, keywords_of, options_of

__all__ = ["Function"]

__tracebackhide__ = hidden_from_users


class Platform(Protocol):
    """What a function asks of its runtime."""

    def _accept(
        self, function: Function, payload: str, qualifier: str | None, invoke_type: str, asynchronous: bool
    ) -> AsyncEvent: ...
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
        """Its events in the order in which they were invoked, those of sync functions too."""

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

        *qualifier* is a version, an alias, or ``$LATEST``, which is the default. Beyond ``max_instances`` the event is
        queued where ``over_quota="queue"`` says so, unless *invoke_type* is ``"APIGW"``, whose caller waits. It is
        tried again each simulated minute for 6 hours, has no status until it is accepted, and is dropped after that. A
        sync function is invoked as with InvocationType=Event (document 41138): when an attempt fails, two others
        follow, a simulated minute apart, and the platform lists none of it.

        Raises ``ScfUsageError`` for a payload that is not valid, ``ScfApiError`` for an unknown *qualifier*
        (``ResourceNotFound.Qualifier``) or *invoke_type*, and where ``max_instances`` is reached
        (``LimitExceeded.Quota``).
        """
        return self._invoke(payload, qualifier, invoke_type, asynchronous=invoke_type not in SYNC_CALLERS)

    def run(self, payload: Json = None, *, qualifier: str | None = None) -> Json:
        """Invoke, wait for the end, and give the result; raises ``HandlerError`` with the platform's error body."""
        event = self._invoke(payload, qualifier, "OTHERS", asynchronous=self.configuration.async_run)
        return event.wait().result

    def _invoke(self, payload: Json, qualifier: str | None, invoke_type: str, *, asynchronous: bool) -> AsyncEvent:
        self._require()
        if invoke_type not in INVOKE_TYPES:
            raise api_error("InvalidParameterValue.InvokeType", value=invoke_type, valid=", ".join(INVOKE_TYPES))
        text = payload_text(payload, async_run=self.configuration.async_run or asynchronous)
        return self._platform._accept(self, text, qualifier, invoke_type, asynchronous)

    # -- versions ----------------------------------------------------------------------------------------------------

    @keywords_named("update(...)")
    def update(
        self,
        # [options: update] written by `make options`
        code: str | os.PathLike[str] | Callable[..., object] | None = None,
        *,
        handler: str | None = None,
        ports: Sequence[int] | Unchanged = UNCHANGED,
        timeout: float | timedelta | Unchanged | None = UNCHANGED,
        init_timeout: float | timedelta | Unchanged = UNCHANGED,
        memory: int | Unchanged | None = UNCHANGED,
        trace: bool | Unchanged = UNCHANGED,
        max_instances: int | Unchanged | None = UNCHANGED,
        over_quota: Literal["refuse", "queue"] | Unchanged = UNCHANGED,
        layers: Sequence[str | os.PathLike[str]] | Unchanged = UNCHANGED,
        mounts: Mounts | Unchanged = UNCHANGED,
        network: Literal["loopback", "all"] | Unchanged = UNCHANGED,
        environment: Mapping[str, str] | Unchanged | None = UNCHANGED,
        before_init: str | Callable[..., object] | Unchanged | None = UNCHANGED,
        before_init_args: Mapping[str, Json] | Sequence[Json] | Unchanged | None = UNCHANGED,
        children: Literal["real", "simulated"] | Unchanged = UNCHANGED,
        background: Sequence[str] | Unchanged = UNCHANGED,
        idle_ok: Sequence[str] | Unchanged = UNCHANGED,
        compute_rate: float | Unchanged = UNCHANGED,
        # [end]
        **locked: object,
    ) -> None:
        """UpdateFunctionCode and UpdateFunctionConfiguration: change ``$LATEST``; what is not given stays.

        The keywords are those of ``deploy``; *before_init_args* go with a *before_init*. *code* and *handler* are what
        ``deploy`` takes for the function's runtime, and ``ScfUsageError`` for an image, which has none. Events that
        were accepted before finish on the old code and configuration; idle instances of it are reclaimed. Published
        versions stay as they are, but *trace*, *max_instances* and *over_quota* are the function's, not a version's.
        None takes a limit away, or all variables of the function. Raises ``ScfUsageError`` for a value that is not
        valid, and for what is locked at the deployment (*async_run*, …).
        """
        given = keywords_of(Where.UPDATE, locals())
        self._require()
        options = options_of(Where.UPDATE)
        for name in locked:
            for option in OPTIONS:
                if name == option.name and option.locked:
                    raise ScfUsageError(
                        f"update({name}=...): {name} is locked when a function is made ({option.locked})"
                    )
            valid = [option.name for option in options]
            hint = did_you_mean(name, valid)
            raise ScfUsageError(f"update(...) has no keyword {name!r}{hint} (valid are {', '.join(valid)})")
        self._platform._update(self, given.pop("code"), given.pop("handler"), given)

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
