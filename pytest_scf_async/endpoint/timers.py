"""The actions that make timer triggers, turn them on and off and remove them (documents 18589, 89800 and 18588)."""

from __future__ import annotations

from typing import Any, Final

from ..function import Function
from ..model.versions import LATEST
from ..runtime import ScfRuntime
from .action import action
from .functions import known_function, shown_trigger
from .operations.error_texts import api_error
from .parameters import Parameters

_OTHERS: Final = ("apigw", "ckafka", "clb", "cls", "cmq", "cos", "eb", "http", "mps", "mqtt")
"""The types of triggers that somebody else than the clock fires."""


def _function(runtime: ScfRuntime, sent: Parameters) -> Function:
    """The function of a timer; refuses what is no timer."""
    function = known_function(runtime, sent)
    if sent["Type"] in _OTHERS:
        raise api_error("UnsupportedOperation", what=f"A trigger of the type {sent['Type']} (only of the type timer)")
    if sent["Type"] != "timer":
        raise api_error("InvalidParameterValue.Type", value=sent["Type"], valid="it must be timer")
    return function


def _is_open(sent: Parameters) -> bool:
    enable = sent.get("Enable", "OPEN")
    if enable not in ("OPEN", "CLOSE"):
        raise api_error("InvalidParameterValue.Enable", value=enable, valid="it must be OPEN or CLOSE")
    return bool(enable == "OPEN")


@action(
    "CreateTrigger",
    "FunctionName! TriggerName! Type! TriggerDesc Namespace Qualifier Enable CustomArgument Description",
    requests_per_second=100,
)
def _create_trigger(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    timer = _function(runtime, sent).add_timer(
        sent.get("TriggerDesc", ""),
        name=sent["TriggerName"],
        message=sent.get("CustomArgument", ""),
        enabled=_is_open(sent),
        qualifier=sent.get("Qualifier", LATEST),
        description=sent.get("Description", ""),
    )
    return {"TriggerInfo": shown_trigger(timer._details(), runtime)}


@action("UpdateTriggerStatus", "Enable! FunctionName! TriggerName! Type! Qualifier Namespace TriggerDesc")
def _update_trigger_status(runtime: ScfRuntime, sent: Parameters) -> None:
    timer = _function(runtime, sent)._timer(sent["TriggerName"], sent.get("Qualifier", LATEST))
    if timer.enabled is _is_open(sent):
        state = "on" if timer.enabled else "off"
        raise api_error("FailedOperation.UpdateTriggerStatus", name=timer.name, state=state)
    timer._switch(on=_is_open(sent))


@action("DeleteTrigger", "FunctionName! TriggerName! Type! Namespace TriggerDesc Qualifier", requests_per_second=100)
def _delete_trigger(runtime: ScfRuntime, sent: Parameters) -> None:
    _function(runtime, sent)._timer(sent["TriggerName"], sent.get("Qualifier", LATEST)).remove()
