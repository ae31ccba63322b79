"""The messages with which triggers invoke functions, as the documents of each service have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from . import fields as of
    from . import messages


@overload
def event_of(trigger: Literal["timer"], **fields: Unpack[of.TimerFields]) -> messages.TimerEvent: ...
@overload
def event_of(trigger: Literal["cos"], **fields: Unpack[of.CosFields]) -> messages.CosEvent: ...
@overload
def event_of(trigger: Literal["ckafka"], **fields: Unpack[of.CkafkaFields]) -> messages.CkafkaEvent: ...
@overload
def event_of(trigger: Literal["cmq"], **fields: Unpack[of.CmqFields]) -> messages.CmqEvent: ...
@overload
def event_of(trigger: Literal["cls"], **fields: Unpack[of.ClsFields]) -> messages.ClsEvent: ...
@overload
def event_of(trigger: Literal["mps"], **fields: Unpack[of.MpsFields]) -> messages.MpsEvent: ...
@overload
def event_of(trigger: Literal["clb"], **fields: Unpack[of.ClbFields]) -> messages.ClbEvent: ...
@overload
def event_of(trigger: Literal["eventbridge"], **fields: Unpack[of.EventBridgeFields]) -> messages.EventBridgeEvent: ...
@overload
def event_of(trigger: Literal["apigw"], **fields: Unpack[of.ApigwFields]) -> messages.ApigwEvent: ...
def event_of(trigger: str, **fields: object) -> object:
    """The message with which the *trigger* invokes a function (document 31927), a new dict each time.

    The keywords of each trigger, with what they are unless given, are in ``pytest_scf_async.triggers.fields``. There is
    no runtime here: a time that is not given is the beginning of 2026 (UTC), region and AppId are those of
    ``ScfSettings()``. ``function.trigger(…)`` has the function's. Raises ``ScfUsageError`` for another trigger, and for
    a keyword or a value that is not valid.
    """
    __tracebackhide__ = True
    from .events import EXAMPLE, message_of  # noqa: PLC0415

    return message_of(f"event_of({trigger!r})", trigger, fields, EXAMPLE)
