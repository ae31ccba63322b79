"""The aliases of a function (documents 36149, 44164): each points to a version, and may have an additional one.

``$DEFAULT`` is always there. It points to ``$LATEST`` until it is updated, and cannot be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from ...clock import to_datetime
from ...errors import hidden_from_users
from ...model.versions import DEFAULT_ALIAS, LATEST, Versions
from .checks import check_description
from .error_texts import api_error
from .routing import NO_ROUTING, RoutingConfig, check_routing, routed

__tracebackhide__ = hidden_from_users

_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_ALIAS_RULE: Final = "it must have 1 to 64 letters, digits, hyphens and underscores, and start with a letter"


@dataclass(frozen=True)
class AliasDetails:
    """An alias: the answer of GetAlias, and one row of ListAliases."""

    name: str
    function_version: str
    description: str
    routing_config: RoutingConfig
    add_time: datetime
    mod_time: datetime


@dataclass(frozen=True)
class AliasPage:
    """The answer of ``list_aliases``: ``total_count`` aliases pass the filter, and this is one page of them."""

    total_count: int
    aliases: list[AliasDetails]


@dataclass(frozen=True)
class Alias:
    """A name of a version. Times are µs of simulated time."""

    name: str
    version: str
    description: str = ""
    routing: RoutingConfig = NO_ROUTING
    added_us: int = 0
    modified_us: int = 0

    @property
    def details(self) -> AliasDetails:
        """What GetAlias says of it."""
        return AliasDetails(
            name=self.name,
            function_version=self.version,
            description=self.description,
            routing_config=self.routing,
            add_time=to_datetime(self.added_us),
            mod_time=to_datetime(self.modified_us),
        )


class Aliases:
    """The aliases of the function that has *versions*, which go by them from here on.

    ``$DEFAULT`` was made at *made_us* µs of simulated time. *draw* gives a number from 0 to 1, 1 excluded, for each
    invocation by an alias whose additional version has a weight.
    """

    def __init__(self, versions: Versions[Any], made_us: int, draw: Callable[[], float]) -> None:
        self._versions = versions
        self._draw = draw
        self._by_name = {DEFAULT_ALIAS: Alias(DEFAULT_ALIAS, LATEST, added_us=made_us, modified_us=made_us)}
        versions.follow(self)

    @property
    def versions(self) -> dict[str, str]:
        """The version that each alias points to."""
        return {name: alias.version for name, alias in self._by_name.items()}

    def version_of(self, qualifier: object) -> object:
        """The version that an alias points to; anything else is given back."""
        alias = self._by_name.get(qualifier) if isinstance(qualifier, str) else None
        return qualifier if alias is None else alias.version

    def route(self, qualifier: object, routing_key: Mapping[str, str] | None) -> Callable[[], object]:
        """What gives the version that one invocation runs: the number that its weight is compared with is drawn once.

        Nothing is drawn for an alias without a weight: what other invocations draw does not depend on it.
        """
        alias = self._by_name.get(qualifier) if isinstance(qualifier, str) else None
        has_weight = alias is not None and bool(alias.routing.additional_version_weights)
        return partial(self._routed, qualifier, self._draw() if has_weight else 1.0, routing_key)

    def _routed(self, qualifier: object, draw: float, routing_key: Mapping[str, str] | None) -> object:
        alias = self._by_name.get(qualifier) if isinstance(qualifier, str) else None
        return qualifier if alias is None else routed(alias.version, alias.routing, draw, routing_key)

    def names_of(self, number: object) -> list[str]:
        """The aliases that stand for the version *number*."""
        return [alias.name for alias in self.all(number)]

    def all(self, number: object = None) -> list[Alias]:
        """The aliases in the order in which they were made; those of the version *number*, where one is given."""
        return [
            alias
            for alias in self._by_name.values()
            if number is None or number == alias.version or number in alias.routing.versions
        ]

    def get(self, name: object) -> Alias:
        """The alias of that name. Raises ScfApiError ``ResourceNotFound.Alias``."""
        if not isinstance(name, str) or name not in self._by_name:
            raise api_error("ResourceNotFound.Alias", function_name=self._versions.function_name, alias=name)
        return self._by_name[name]

    def create(
        self,
        name: object,
        number: object,
        *,
        description: str = "",
        routing: RoutingConfig | None = None,
        now_us: int = 0,
    ) -> None:
        """CreateAlias. Raises ScfApiError ``InvalidParameterValue.Name``, ``ResourceInUse.Alias``,
        ``ResourceNotFound.FunctionVersion``, ``InvalidParameterValue.Description`` and what `check_routing` raises."""
        if not isinstance(name, str) or (name != DEFAULT_ALIAS and _ALIAS.fullmatch(name) is None):
            raise api_error("InvalidParameterValue.Name", value=name, valid=_ALIAS_RULE)
        if name in self._by_name:
            raise api_error("ResourceInUse.Alias", function_name=self._versions.function_name, alias=name)
        self._point(Alias(name, str(number), description, _given(routing), now_us, now_us), number)

    def update(
        self,
        name: object,
        number: object,
        *,
        description: str | None = None,
        routing: RoutingConfig | None = None,
        now_us: int = 0,
    ) -> None:
        """UpdateAlias: a *description* that is not given stays, an additional version does not.

        Raises ScfApiError ``ResourceNotFound.Alias``, ``ResourceNotFound.FunctionVersion``,
        ``InvalidParameterValue.Description`` and what `check_routing` raises.
        """
        before = self.get(name)
        changed = replace(before, version=str(number), routing=_given(routing), modified_us=now_us)
        self._point(changed if description is None else replace(changed, description=description), number)

    def delete(self, name: object) -> None:
        """DeleteAlias. Raises ScfApiError ``ResourceNotFound.Alias``, and ``FailedOperation.DeleteAlias`` for
        ``$DEFAULT``."""
        known = self.get(name).name
        if known == DEFAULT_ALIAS:
            raise api_error("FailedOperation.DeleteAlias", alias=name, reason="it is the function's default alias")
        del self._by_name[known]

    def _point(self, alias: Alias, number: object) -> None:
        self._versions.require(number)
        check_description(alias.description)
        check_routing(alias.routing, alias.version, self._versions.require)
        self._by_name[alias.name] = alias


def _given(routing: RoutingConfig | None) -> RoutingConfig:
    return NO_ROUTING if routing is None else routing
