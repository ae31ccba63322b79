"""The things that are not compared between two runs, and those that are compared by a normal form.

The test names what it does not want compared (``IgnoredByUser``), and what differs between two undisturbed runs is
learned of them (``legitimate.py``); who compares asks ``Ignored`` for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from ..errors import Given
from .effects import EffectKind
from .normal_forms import JsonRule, Tokens

Ignore: TypeAlias = "str | Callable[[str], object]"


@dataclass(frozen=True)
class IgnoredByUser:
    """The value of ``ignore=``."""

    names: tuple[str, ...] = ()
    """Names, and patterns of names as in a shell, except that ``*`` matches slashes, too."""
    functions: tuple[Callable[[str], object], ...] = ()

    def has(self, name: str) -> bool:
        """Whether something with this name is ignored."""
        if any(name == each or fnmatchcase(name, each) for each in self.names):
            return True
        return any(function(name) for function in self.functions)


def ignored_by_user(items: Ignore | Iterable[Ignore] | None) -> IgnoredByUser:
    """The value of ``ignore=``. Raises ``ScfUsageError`` for what cannot be the name of an effect."""
    given = Given("ignore", items)
    several: object = items
    if several is None:
        return IgnoredByUser()
    if isinstance(several, str) or callable(several):
        several = (several,)
    if not isinstance(several, Iterable) or isinstance(several, (bytes, Mapping)):
        given.refuse(f"it is {_VALID_IGNORE}")
    names: list[str] = []
    functions: list[Callable[[str], object]] = []
    for item in several:
        if isinstance(item, str) and item.strip():
            if item.startswith("/"):
                given.refuse(f"{item!r} is an absolute path, and files have their paths relative to run.path")
            names.append(item)
        elif callable(item):
            functions.append(item)
        else:
            given.refuse(f"{item!r} is none of these: {_VALID_IGNORE}")
    return IgnoredByUser(tuple(names), tuple(functions))


_VALID_IGNORE = (
    "names of files relative to run.path (or patterns such as '*.log'), records, observed values, tables "
    "('orders.db:orders') and columns ('orders.db:orders.created_at'), and functions that get such a name"
)


NOTHING: Literal["nothing"] = "nothing"
FileRule: TypeAlias = "JsonRule | Tokens | Literal['nothing']"
"""What differs within a file: in its JSON, in its lines, or so that nothing of its content is compared."""


@dataclass
class Ignored:
    """The things that are not compared, and those that have a normal form."""

    names: list[str] = field(default_factory=list)
    """What differs between two undisturbed runs, for the report."""
    by_user: IgnoredByUser = field(default_factory=IgnoredByUser)
    whole: set[tuple[EffectKind, str]] = field(default_factory=set)
    """Effects of which nothing is compared, as the undisturbed runs do not even have as many things in them."""
    file_names: Tokens = field(default_factory=Tokens)
    tmp_names: Tokens = field(default_factory=Tokens)
    files: dict[str, FileRule] = field(default_factory=dict)
    """By the normal form of a file's name."""
    columns: dict[str, set[str]] = field(default_factory=dict)
    """By table (``orders.db:orders``)."""
    values: dict[tuple[EffectKind, str], JsonRule] = field(default_factory=dict)
    """Of the fields of records, of observed values and of the result."""

    def has(self, effect: EffectKind, name: str) -> bool:
        """Whether nothing of this effect is compared."""
        return (effect, name) in self.whole or self.by_user.has(name)

    def leave_out(self, effect: EffectKind, name: str, named: str) -> None:
        """Compare nothing of this effect; the report names it so."""
        self.whole.add((effect, name))
        self.names.append(named)

    def ignores_column(self, table: str, column: str) -> bool:
        return column in self.columns.get(table, ()) or self.by_user.has(f"{table}.{column}")
