"""A deployed function as users see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

from .async_event import AsyncEvent, Json
from .deployment import UNCHANGED, Mounts, Unchanged
from .errors import ScfUsageError, calls_named, did_you_mean, hidden_from_users, keywords_named
from .instances.function_version import FunctionVersion
from .model.codes import api_error
from .model.configuration import FunctionConfiguration
from .model.event_invoke import DEFAULT_EVENT_INVOKE, EventInvokeConfig
from .model.payload import payload_text
from .model.records import INVOKE_TYPES, SYNC_CALLERS
from .model.versions import Versions
from .options import OPTIONS, Where, keywords_of, options_of
from .wings.function_calls import FunctionCalls

__tracebackhide__ = hidden_from_users


@dataclass(frozen=True)
class Invocation:
    """What the platform is asked to run."""

    payload: str
    """JSON."""
    qualifier: str | None
    invoke_type: str
    asynchronous: bool
    """Nobody waits for its end."""
    by_operation: bool = False
    """Invoke or InvokeFunction, and not the test's own call."""
    by_trigger: bool = False
    """A trigger of the platform's: over the quota it is queued, as nobody would hear that it was refused."""
    routing_key: Mapping[str, str] | None = None


class Platform(Protocol):
    """What a function asks of its runtime."""

    def _accept(self, function: Function, invocation: Invocation) -> AsyncEvent: ...
    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None: ...
    def _delete(self, function: Function, qualifier: str | None) -> None: ...
    def _now_us(self) -> int: ...


@calls_named
class Function(FunctionCalls):
    """A deployed function."""

    def __init__(self, platform: Platform, latest: FunctionVersion, function_id: str) -> None:
        self._platform = platform
        self._versions = Versions(latest.configuration.name, latest)
        self._function_id = function_id
        self._deleted = False
        self._event_invoke = DEFAULT_EVENT_INVOKE
        self._state = "Creating", latest.active_us
        """What it is until that time (µs of simulated time); after that it is Active."""
        self.events: Final[list[AsyncEvent]] = []
        """Its events in the order in which they were invoked, those of sync functions too."""

    def _becomes(self, state: str, until_us: int) -> None:
        """The platform has it in *state* until *until_us*; after that it is Active."""
        self._state = state, until_us

    def _use_event_invoke(self, config: EventInvokeConfig) -> None:
        """Have invocations from now on be tried again as *config* says."""
        self._event_invoke = config

    def _was_deleted(self) -> None:
        self._deleted = True

    @property
    def _version(self) -> FunctionVersion:
        return self._versions.latest

    @property
    def configuration(self) -> FunctionConfiguration:
        """The configuration of ``$LATEST``."""
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
    def function_id(self) -> str:
        """The platform's id of it, ``lam-`` and 8 letters and digits; the same in each run of a test."""
        return self._function_id

    @property
    def status(self) -> str:
        """``Active``: it can be invoked and changed (document 115197).

        Where the setting ``function_states`` is ``"timed"`` it is ``Creating``, ``Updating``, ``Publishing`` or
        ``Deleting`` first, and what needs an Active one is refused: ``ScfApiError``
        ``FailedOperation.FunctionStatusError``, ``FailedOperation.PublishVersion``, ``FailedOperation.DeleteFunction``.
        """
        state, until_us = self._state
        return state if self._platform._now_us() < until_us else "Active"

    # -- events ------------------------------------------------------------------------------------------------------

    def invoke_async(
        self, payload: Json = None, *, qualifier: str | None = None, invoke_type: str = "OTHERS"
    ) -> AsyncEvent:
        """Have the platform accept an event with *payload* (JSON, 128 KB at most); none of its code runs yet.

        *qualifier* is a version, an alias, or ``$LATEST``, which is the default. Beyond ``max_instances`` the event is
        queued where ``over_quota="queue"`` says so, unless *invoke_type* is ``"APIGW"``, whose caller waits. It is
        tried again each simulated minute for 6 hours, has no status until it is accepted, and is dropped after that. A
        sync function is invoked as with InvocationType=Event (document 41138): when an attempt fails, two others
        follow, a simulated minute apart, and the platform lists none of it. ``update_event_invoke_config`` changes
        both.

        Raises ``ScfUsageError`` for a payload that is not valid, ``ScfApiError`` for an unknown *qualifier*
        (``ResourceNotFound.Qualifier``) or *invoke_type*, and where ``max_instances`` is reached
        (``LimitExceeded.Quota``).
        """
        return self._invoke(payload, qualifier, invoke_type, asynchronous=invoke_type not in SYNC_CALLERS)

    def run(self, payload: Json = None, *, qualifier: str | None = None) -> Json:
        """Invoke, wait for the end, and give the result; raises ``HandlerError`` with the platform's error body."""
        event = self._invoke(payload, qualifier, "OTHERS", asynchronous=self.configuration.async_run)
        return event.wait().result

    def _invoke(self, payload: Json, qualifier: str | None, invoke_type: str, **how: Any) -> AsyncEvent:
        """*how* are ``asynchronous`` and other fields of `Invocation`."""
        self._require()
        if invoke_type not in INVOKE_TYPES:
            raise api_error("InvalidParameterValue.InvokeType", value=invoke_type, valid=", ".join(INVOKE_TYPES))
        text = payload_text(payload, async_run=self.configuration.async_run or how["asynchronous"])
        return self._platform._accept(self, Invocation(text, qualifier, invoke_type, **how))

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
        description: str | Unchanged = UNCHANGED,
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
                        f"update({name}=...): {name} is fixed once a function is deployed ({option.locked})"
                    )
            valid = [option.name for option in options]
            hint = did_you_mean(name, valid)
            raise ScfUsageError(f"update(...) has no keyword {name!r}{hint} (valid keywords: {', '.join(valid)})")
        self._platform._update(self, given.pop("code"), given.pop("handler"), given)

    def delete(self, qualifier: str | None = None) -> None:
        """DeleteFunction (document 18585): the function with all its versions, or the published version *qualifier*.

        Running events of what is deleted are ABORTED (499), its instances reclaimed. Raises ``ScfApiError``
        ``ResourceNotFound.Function``, ``ResourceNotFound.Qualifier``, ``UnsupportedOperation.AliasBind`` for a version
        that an alias points to, ``InvalidParameterValue.Qualifier`` for ``$LATEST``.
        """
        self._platform._delete(self, qualifier)

    def _status_of(self, version: FunctionVersion) -> str:
        if version is self._version:
            return self.status
        return "Publishing" if self._platform._now_us() < version.active_us else "Active"

    def _require_active(self, code: str = "FailedOperation.FunctionStatusError") -> None:
        """Raise ``ScfApiError`` *code* while it is not Active."""
        if self.status != "Active":
            raise api_error(code, function_name=self.name, status=self.status)

    def _require_callable(self, version: FunctionVersion) -> None:
        """Raise ``ScfApiError`` where *version* cannot be invoked now."""
        deleting = self.status == "Deleting"
        if deleting or self._platform._now_us() < version.active_us:
            status = self.status if deleting else self._status_of(version)
            raise api_error("FailedOperation.FunctionStatusError", function_name=self.name, status=status)

    def _require(self) -> None:
        if self._deleted:
            raise api_error("ResourceNotFound.Function", function_name=self.name, namespace=self.namespace)

    def __repr__(self) -> str:
        return f"<Function {self.namespace}/{self.name} {self.configuration.handler}>"
