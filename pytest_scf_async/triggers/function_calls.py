"""The call of ``Function`` that does what a trigger does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from ..errors import calls_named, hidden_from_users

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..async_event import AsyncEvent
    from . import fields as of

__tracebackhide__ = hidden_from_users


class Triggered(Protocol):
    """What the call asks of the function that has it."""

    @property
    def _platform(self) -> Any: ...
    @property
    def configuration(self) -> Any: ...
    def _invoke(self, event: object, qualifier: str | None, kind: str, /, *, asynchronous: bool) -> AsyncEvent: ...


@calls_named
class TriggerCalls:
    """The call that ``Function`` has."""

    @overload
    def trigger(self, trigger: Literal["timer"], **fields: Unpack[of.TimerFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["cos"], **fields: Unpack[of.CosFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["ckafka"], **fields: Unpack[of.CkafkaFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["cmq"], **fields: Unpack[of.CmqFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["cls"], **fields: Unpack[of.ClsFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["mps"], **fields: Unpack[of.MpsFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["clb"], **fields: Unpack[of.ClbFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["eventbridge"], **fields: Unpack[of.EventBridgeFields]) -> AsyncEvent: ...
    @overload
    def trigger(self, trigger: Literal["apigw"], **fields: Unpack[of.ApigwFields]) -> AsyncEvent: ...
    def trigger(self: Triggered, trigger: str, **fields: object) -> AsyncEvent:
        """Have the *trigger* invoke ``$LATEST`` with its documented message, now: ``trigger("cos", key="a.csv")``.

        The keywords are those of ``event_of``, in ``pytest_scf_async.triggers.fields``; a time that is not given is the
        simulated one, region and AppId are the settings'. CKafka, CLB and API Gateway wait for the end of a sync
        function, as their pages say (documents 17530, 39849, 12513): over a quota they are refused, and nothing is
        tried again. The others invoke asynchronously, as ``invoke_async`` does. ``TRIGGER_SRC`` is ``timer`` for a
        timer. Raises ``ScfUsageError`` for another trigger, and for a keyword or a value that is not valid, and what
        ``invoke_async`` raises.
        """
        from .events import Origin, documented, message_of  # noqa: PLC0415

        settings, configuration = self._platform.settings, self.configuration
        function = f"{configuration.namespace}.{configuration.name}.$LATEST"
        origin = Origin(self._platform.clock.now, settings.region, settings.appid, function)
        message, kind = message_of(f"trigger({trigger!r})", trigger, fields, origin), documented()[trigger]
        return self._invoke(message, None, kind["invoke_type"], asynchronous=kind["asynchronous"])
