"""The versions of a function (documents 15371, 34415).

``$LATEST`` can be changed; a published version is a copy of it that never changes, numbered from 1. Every function has
the alias ``$DEFAULT``, which stands for ``$LATEST`` until an operation changes it; others come by operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from ..errors import hidden_from_users
from .codes import api_error

__tracebackhide__ = hidden_from_users

LATEST: Final = "$LATEST"
DEFAULT_ALIAS: Final = "$DEFAULT"

T = TypeVar("T")


class Pointing(Protocol):
    """The aliases of a function: which version each stands for."""

    def version_of(self, qualifier: object) -> object:
        """The version that an alias points to; anything else is given back."""

    def route(self, qualifier: object, routing_key: Mapping[str, str] | None) -> Callable[[], object]:
        """What gives the same for one invocation, now and later: it may be drawn, or follow from *routing_key*."""

    def names_of(self, number: object) -> list[str]:
        """The aliases that stand for the version *number*."""


class _DefaultAlias:
    """The only alias of a function of which no operation has changed one."""

    def version_of(self, qualifier: object) -> object:
        return LATEST if qualifier == DEFAULT_ALIAS else qualifier

    def route(self, qualifier: object, routing_key: Mapping[str, str] | None) -> Callable[[], object]:  # noqa: ARG002
        return partial(self.version_of, qualifier)

    def names_of(self, number: object) -> list[str]:
        return [DEFAULT_ALIAS] if number == LATEST else []


class Versions(Generic[T]):
    """What the versions of the function *function_name* are, by number; *latest* is what ``$LATEST`` is at first."""

    def __init__(self, function_name: str, latest: T) -> None:
        self.function_name = function_name
        self.latest = latest
        self._published: dict[str, T] = {}
        self._count = 0
        self._aliases: Pointing = _DefaultAlias()

    def follow(self, aliases: Pointing) -> None:
        """Go by *aliases* from here on."""
        self._aliases = aliases

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
        qualifier = LATEST if qualifier is None else qualifier
        return self._version(self._aliases.version_of(qualifier), unknown, qualifier)

    def route(self, qualifier: object, routing_key: Mapping[str, str] | None = None) -> Callable[[], T]:
        """What gives the version that an invocation runs, each time by what the aliases are then.

        It raises ScfApiError ``ResourceNotFound.Qualifier``.
        """
        qualifier = LATEST if qualifier is None else qualifier
        number = self._aliases.route(qualifier, routing_key)
        return lambda: self._version(number(), "ResourceNotFound.Qualifier", qualifier)

    def require(self, number: object) -> None:
        """Raise ScfApiError ``ResourceNotFound.FunctionVersion`` for what is neither ``$LATEST`` nor a number."""
        self._version(number, "ResourceNotFound.FunctionVersion", number)

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
        bound = self._aliases.names_of(number)
        if bound:
            raise api_error(
                "UnsupportedOperation.AliasBind",
                function_name=self.function_name,
                qualifier=number,
                aliases=", ".join(bound),
            )
        del self._published[str(number)]
        return version
