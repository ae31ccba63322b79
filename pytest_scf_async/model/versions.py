"""The versions of a function and the aliases that point to them (documents 15371, 34415, 36149, 44164).

``$LATEST`` can be changed; a published version is a copy of it that never changes, numbered from 1. Every function has
the alias ``$DEFAULT``, which points to ``$LATEST`` until it is updated, and cannot be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from ..errors import hidden_from_users
from .codes import api_error
from .configuration import DESCRIPTION_RULE, MAX_DESCRIPTION
from .routing import NO_ROUTING, RoutingConfig, check_routing, routed

__tracebackhide__ = hidden_from_users

LATEST: Final = "$LATEST"
DEFAULT_ALIAS: Final = "$DEFAULT"

_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_ALIAS_RULE: Final = "it must have 1 to 64 letters, digits, hyphens and underscores, and start with a letter"

T = TypeVar("T")


@dataclass(frozen=True)
class Alias:
    """A name of a version. Times are µs of simulated time."""

    name: str
    version: str
    description: str = ""
    routing: RoutingConfig = NO_ROUTING
    added_us: int = 0
    modified_us: int = 0


def check_description(text: object) -> None:
    """Raise ScfApiError ``InvalidParameterValue.Description`` for what can be no description."""
    if not isinstance(text, str) or len(text) > MAX_DESCRIPTION:
        shown = text[:100] if isinstance(text, str) else text
        raise api_error("InvalidParameterValue.Description", value=shown, valid=DESCRIPTION_RULE)


class Versions(Generic[T]):
    """What the versions of the function *function_name* are, by number; *latest* is what ``$LATEST`` is at first.

    It was made at *now_us* µs of simulated time, and the alias ``$DEFAULT`` with it.
    """

    def __init__(self, function_name: str, latest: T, now_us: int = 0) -> None:
        self.function_name = function_name
        self.latest = latest
        self._published: dict[str, T] = {}
        self._count = 0
        self._aliases = {DEFAULT_ALIAS: Alias(DEFAULT_ALIAS, LATEST, added_us=now_us, modified_us=now_us)}

    def replace_latest(self, latest: T) -> None:
        """*latest* is what ``$LATEST`` is from here on."""
        self.latest = latest

    def publish(self, make: Callable[[str], T]) -> str:
        """Keep what *make* makes of the next version number, and give the number; a number is never used again."""
        number = str(self._count + 1)
        self._published[number] = make(number)
        self._count += 1
        return number

    @property
    def numbers(self) -> list[str]:
        """``$LATEST`` and the published versions, newest first, as ListVersionByFunction gives them."""
        return [LATEST, *reversed(self._published)]

    @property
    def aliases(self) -> dict[str, str]:
        """The version that each alias points to."""
        return {name: alias.version for name, alias in self._aliases.items()}

    def list_aliases(self, number: object = None) -> list[Alias]:
        """The aliases in the order in which they were made; those of the version *number*, where one is given."""
        return [
            alias
            for alias in self._aliases.values()
            if number is None or number == alias.version or number in alias.routing.versions
        ]

    def alias(self, name: object) -> Alias:
        """The alias of that name. Raises ScfApiError ``ResourceNotFound.Alias``."""
        return self._aliases[self._known(name)]

    @property
    def published(self) -> list[T]:
        """The published versions, oldest first."""
        return list(self._published.values())

    @property
    def all(self) -> list[T]:
        """``$LATEST``, and the published versions."""
        return [self.latest, *self._published.values()]

    def draws(self, qualifier: object) -> bool:
        """Whether it is drawn which version *qualifier* means."""
        alias = self._aliases.get(qualifier) if isinstance(qualifier, str) else None
        return alias is not None and bool(alias.routing.additional_version_weights)

    def resolve(
        self,
        qualifier: object,
        unknown: str = "ResourceNotFound.Qualifier",
        *,
        draw: float = 1.0,
        routing_key: Mapping[str, str] | None = None,
    ) -> T:
        """The version of a number, an alias or ``$LATEST``, which None stands for too.

        An alias with an additional version goes by *draw*, a number below 1, or by *routing_key*; without either it is
        its own version. Raises ScfApiError with the code *unknown* for anything else.
        """
        if qualifier is None:
            return self.latest
        alias = self._aliases.get(qualifier) if isinstance(qualifier, str) else None
        number = qualifier if alias is None else routed(alias.version, alias.routing, draw, routing_key)
        return self._version(number, unknown, qualifier)

    def _version(self, number: object, unknown: str, shown: object) -> T:
        if number == LATEST:
            return self.latest
        if not isinstance(number, str) or number not in self._published:
            raise api_error(unknown, function_name=self.function_name, qualifier=shown)
        return self._published[number]

    def remove(self, number: object) -> T:
        """Delete a published version, and give what it was (DeleteFunction with a Qualifier).

        Raises ScfApiError ``InvalidParameterValue.Qualifier`` for ``$LATEST``, ``UnsupportedOperation.AliasBind``
        for a version that an alias points to, and ``ResourceNotFound.Qualifier`` for what is no version.
        """
        if number == LATEST:
            raise api_error("InvalidParameterValue.Qualifier", value=number, valid="it cannot be deleted by itself")
        version = self._version(number, "ResourceNotFound.Qualifier", number)
        bound = [alias.name for alias in self.list_aliases(number)]
        if bound:
            raise api_error(
                "UnsupportedOperation.AliasBind",
                function_name=self.function_name,
                qualifier=number,
                aliases=", ".join(bound),
            )
        del self._published[str(number)]
        return version

    def create_alias(
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
        if name in self._aliases:
            raise api_error("ResourceInUse.Alias", function_name=self.function_name, alias=name)
        self._point(
            Alias(name, str(number), description, NO_ROUTING if routing is None else routing, now_us, now_us), number
        )

    def update_alias(
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
        before = self.alias(name)
        routing = NO_ROUTING if routing is None else routing
        changed = replace(before, version=str(number), routing=routing, modified_us=now_us)
        self._point(changed if description is None else replace(changed, description=description), number)

    def delete_alias(self, name: object) -> None:
        """DeleteAlias. Raises ScfApiError ``ResourceNotFound.Alias``, and ``FailedOperation.DeleteAlias`` for
        ``$DEFAULT``."""
        known = self._known(name)
        if known == DEFAULT_ALIAS:
            raise api_error("FailedOperation.DeleteAlias", alias=name, reason="it is the function's default alias")
        del self._aliases[known]

    def _known(self, name: object) -> str:
        if not isinstance(name, str) or name not in self._aliases:
            raise api_error("ResourceNotFound.Alias", function_name=self.function_name, alias=name)
        return name

    def _point(self, alias: Alias, number: object) -> None:
        def check_version(version: object) -> None:
            self._version(version, "ResourceNotFound.FunctionVersion", version)

        check_version(number)
        check_description(alias.description)
        check_routing(alias.routing, alias.version, check_version)
        self._aliases[alias.name] = alias
