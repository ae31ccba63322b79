"""The five actions about aliases (documents 44164, 44163, 44162, 44161, 44165)."""

from __future__ import annotations

from ..runtime import ScfRuntime
from .action import action
from .functions import known_function
from .operations.aliases import AliasDetails, AliasPage
from .operations.error_texts import api_error
from .operations.routing import RoutingConfig, VersionMatch, VersionWeight
from .parameters import Parameters
from .values import called


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


@action("CreateAlias", "Name! FunctionName! FunctionVersion! Namespace Description RoutingConfig=RoutingConfig")
def _create_alias(runtime: ScfRuntime, sent: Parameters) -> None:
    function = known_function(runtime, sent)
    called(function.create_alias, sent, version=sent["FunctionVersion"], routing_config=_routing(sent))


@action("UpdateAlias", "Name! FunctionName! FunctionVersion! Namespace Description RoutingConfig=RoutingConfig")
def _update_alias(runtime: ScfRuntime, sent: Parameters) -> None:
    function = known_function(runtime, sent)
    called(function.update_alias, sent, version=sent["FunctionVersion"], routing_config=_routing(sent))


@action("GetAlias", "FunctionName! Name! Namespace")
def _get_alias(runtime: ScfRuntime, sent: Parameters) -> AliasDetails:
    return known_function(runtime, sent).get_alias(sent["Name"])


@action("ListAliases", "FunctionName! Namespace FunctionVersion Offset Limit")
def _list_aliases(runtime: ScfRuntime, sent: Parameters) -> AliasPage:
    numbers = {name: _number(sent[name], name) for name in ("Offset", "Limit") if name in sent}
    return called(known_function(runtime, sent).list_aliases, numbers, version=sent.get("FunctionVersion"))


def _number(text: str, name: str) -> int:
    """The number that *text* writes: Offset and Limit of this one action are texts."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise api_error(f"InvalidParameterValue.{name}", value=text, valid="it must be a whole number, 0 or more")
    return int(text)


@action("DeleteAlias", "FunctionName! Name! Namespace")
def _delete_alias(runtime: ScfRuntime, sent: Parameters) -> None:
    known_function(runtime, sent).delete_alias(sent["Name"])
