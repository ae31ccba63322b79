"""The five actions about aliases (documents 44164, 44163, 44162, 44161, 44165)."""

from __future__ import annotations

from typing import Any, Final

from ..runtime import ScfRuntime
from .action import Action
from .functions import known_function
from .operations.error_texts import api_error
from .operations.routing import RoutingConfig, VersionMatch, VersionWeight
from .parameters import Parameters
from .values import answered, keywords


def _routing(sent: Parameters) -> RoutingConfig | None:
    if "RoutingConfig" not in sent:
        return None
    routing = sent["RoutingConfig"]
    return RoutingConfig(
        tuple(VersionWeight(each["Version"], each["Weight"]) for each in routing.get("AdditionalVersionWeights", [])),
        tuple(
            VersionMatch(each["Version"], each["Key"], each["Method"], each["Expression"])
            for each in routing.get("AddtionVersionMatchs", [])
        ),
    )


def _create_alias(runtime: ScfRuntime, sent: Parameters) -> None:
    known_function(runtime, sent).create_alias(
        sent["Name"],
        sent["FunctionVersion"],
        description=sent.get("Description", ""),
        routing_config=_routing(sent),
    )


def _update_alias(runtime: ScfRuntime, sent: Parameters) -> None:
    known_function(runtime, sent).update_alias(
        sent["Name"],
        sent["FunctionVersion"],
        description=sent.get("Description"),
        routing_config=_routing(sent),
    )


def _get_alias(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    return answered(known_function(runtime, sent).get_alias(sent["Name"]), runtime.settings.time_zone)


def _list_aliases(runtime: ScfRuntime, sent: Parameters) -> dict[str, Any]:
    numbers = {name: _number(sent[name], name) for name in ("Offset", "Limit") if name in sent}
    page = known_function(runtime, sent).list_aliases(
        version=sent.get("FunctionVersion"), **keywords(numbers, "Offset", "Limit")
    )
    return answered(page, runtime.settings.time_zone)


def _number(text: str, name: str) -> int:
    """The number that *text* writes: Offset and Limit of this one action are texts."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise api_error(f"InvalidParameterValue.{name}", value=text, valid="it must be a whole number, 0 or more")
    return int(text)


def _delete_alias(runtime: ScfRuntime, sent: Parameters) -> None:
    known_function(runtime, sent).delete_alias(sent["Name"])


ALIAS_ACTIONS: Final = (
    Action("CreateAlias", _create_alias),
    Action("GetAlias", _get_alias),
    Action("ListAliases", _list_aliases),
    Action("UpdateAlias", _update_alias),
    Action("DeleteAlias", _delete_alias),
)
