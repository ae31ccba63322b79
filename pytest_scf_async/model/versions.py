"""The versions of a function and the aliases that point to them (documents 15371, 34415, 36149, 44164).

``$LATEST`` can be changed; a published version is a copy of it that never changes, numbered from 1. Every function has
the alias ``$DEFAULT``, which points to ``$LATEST`` until it is updated, and cannot be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from ..errors import hidden_from_users
from .codes import api_error

__all__ = ["DEFAULT_ALIAS", "LATEST", "Versions"]

__tracebackhide__ = hidden_from_users

LATEST: Final = "$LATEST"
DEFAULT_ALIAS: Final = "$DEFAULT"

_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_ALIAS_RULE: Final = "it has 1 to 64 letters, digits, hyphens and underscores, and starts with a letter"

T = TypeVar("T")


class Versions(Generic[T]):
    """What the versions of the function *function_name* are, by number; *latest* is what ``$LATEST`` is at first."""

    def __init__(self, function_name: str, latest: T) -> None:
        self.function_name = function_name
        self.latest = latest
        self._published: dict[str, T] = {}
        self._count = 0
        self._aliases: dict[str, str] = {DEFAULT_ALIAS: LATEST}

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
        return dict(self._aliases)

    @property
    def published(self) -> list[T]:
        """The published versions, oldest first."""
        return list(self._published.values())

    @property
    def all(self) -> list[T]:
        """``$LATEST``, and the published versions."""
        return [self.latest, *self._published.values()]

    def resolve(self, qualifier: object, unknown: str = "ResourceNotFound.Qualifier") -> T:
        """The version of a number, an alias or ``$LATEST``, which None stands for too.

        Raises ScfApiError with the code *unknown* for anything else.
        """
        if qualifier is None:
            return self.latest
        number = self._aliases.get(qualifier, qualifier) if isinstance(qualifier, str) else None
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
        bound = [alias for alias, target in self._aliases.items() if target == number]
        if bound:
            raise api_error(
                "UnsupportedOperation.AliasBind",
                function_name=self.function_name,
                qualifier=number,
                aliases=", ".join(bound),
            )
        del self._published[str(number)]
        return version

    def create_alias(self, name: object, number: object) -> None:
        """CreateAlias. Raises ScfApiError ``InvalidParameterValue.Name``, ``ResourceInUse.Alias`` or
        ``ResourceNotFound.FunctionVersion``."""
        if not isinstance(name, str) or (name != DEFAULT_ALIAS and _ALIAS.fullmatch(name) is None):
            raise api_error("InvalidParameterValue.Name", value=name, valid=_ALIAS_RULE)
        if name in self._aliases:
            raise api_error("ResourceInUse.Alias", function_name=self.function_name, alias=name)
        self._point(name, number)

    def update_alias(self, name: object, number: object) -> None:
        """UpdateAlias. Raises ScfApiError ``ResourceNotFound.Alias`` or ``ResourceNotFound.FunctionVersion``."""
        self._point(self._known(name), number)

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

    def _point(self, name: str, number: object) -> None:
        self._version(number, "ResourceNotFound.FunctionVersion", number)
        self._aliases[name] = str(number)
