"""Cron expressions of timer triggers, in the grammar of the platform (documents 9708 and 96828).

The package has a parser of its own: no library has this grammar. Those that know seconds and years read the fields in
another order and take what the platform does not have, as weekday 7 and ``@daily``; and it would be a dependency.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple, TypeAlias

Item: TypeAlias = "range | str"
"""One of the parts of a field between commas: numbers, or a text whose days depend on the month."""


class _Field(NamedTuple):
    """What one field may have: numbers, *names* of them from *least* on, and texts of the pattern *special*."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    special: str = ""
    examples: str = ""

    def items(self, text: str) -> tuple[Item, ...]:
        """The parts of *text*. Raises ``ValueError`` with what is wrong, for a message."""
        return tuple(map(self._item, ("*" if self.special and text == "?" else text).split(",")))

    def _item(self, text: str) -> Item:
        if self.special and re.fullmatch(self.special, text):
            return text
        found = _NUMBERS.fullmatch(text)
        if found is not None:
            first, last, step = found.groups()
            low = self.least if first == "*" else self._number(first)
            high = self._number(last) if last else self.most if step or first == "*" else low
            if self.least <= low <= high <= self.most:
                return range(low, high + 1, int(step or 1))
        numbers = f"{self.least} to {self.most}{f' or {self.names[0]} to {self.names[-1]}' if self.names else ''}"
        raise ValueError(
            f"its {self.name} has {text!r}, and may have {numbers}, alone or as in 1,2 1-2 */2 1/2{self.examples}"
        )

    def _number(self, text: str) -> int:
        """The number that *text* is or names, or -1."""
        return int(text) if text.isdigit() else self.least + self.names.index(text) if text in self.names else -1


_NUMBERS: Final = re.compile(r"(\*(?!-)|\w{1,4})(?:-(\w{1,4}))?(?:/([1-9]\d{0,3}))?", re.ASCII)
_FIELDS: Final = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31, special=r"L|LW|([1-9]|[12]\d|3[01])W", examples=", or ? L 10W LW"),
    _Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    _Field("week", 0, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), r"[0-6](L|#[1-5])", ", or ? 5L 5#2"),
    _Field("year", 1970, 2099),
)
_ANY: Final = ("*", "?")
"""A day or a week that is not specified: the other one alone decides."""


class Cron:
    """An expression: seven fields, or five as older ones have, without second and year.

    Raises ``ValueError`` with what is wrong with *text*, for a message.
    """

    def __init__(self, text: str) -> None:
        words = text.split()
        if len(words) not in (5, 7):
            raise ValueError(
                f"it has {len(words)} field{'s' * (len(words) != 1)}, and must have 7 (second minute hour day month "
                "week year, as in '0 0 2 * * * *'), or 5 (minute hour day month week)"
            )
        words = words if len(words) == 7 else ["0", *words, "*"]
        items = [field.items(word) for field, word in zip(_FIELDS, words, strict=True)]
        self._days = () if words[3] in _ANY and words[5] not in _ANY else items[3]
        self._weeks = () if words[5] in _ANY else items[5]
        numbers = [sorted({n for item in each if isinstance(item, range) for n in item}) for each in items]
        seconds, minutes, hours, _, self._months, _, self._years = numbers
        self._times = [second + 60 * minute + 3600 * hour for hour, minute, second in product(hours, minutes, seconds)]
        """Of a day, in seconds since midnight."""

    def after(self, when: datetime) -> datetime | None:
        """The first time after *when* that it names, both without a zone; None where there is none any more."""
        start = when.replace(microsecond=0) + timedelta(seconds=1)
        for year, month in product(self._years[bisect_left(self._years, start.year) :], self._months):
            if (year, month) < (start.year, start.month):
                continue
            for day in _days_of(self._days, self._weeks, year, month):
                midnight = start.replace(year, month, day, 0, 0, 0)
                at = bisect_left(self._times, (start - midnight).total_seconds())
                if at < len(self._times):
                    return midnight + timedelta(seconds=self._times[at])
        return None


@lru_cache(maxsize=64)
def _days_of(days: tuple[Item, ...], weeks: tuple[Item, ...], year: int, month: int) -> list[int]:
    """The days of a month that one of *days* or one of *weeks* names."""
    first, length = monthrange(year, month)
    of_week = [[day for day in range(1, length + 1) if (first + day) % 7 == number] for number in range(7)]
    workdays = sorted(day for number in range(1, 6) for day in of_week[number])
    found: set[int] = set()
    for item in days:
        if isinstance(item, range):
            found.update(item)
        elif item in ("L", "LW"):
            found.add(length if item == "L" else workdays[-1])
        elif (day := int(item[:-1])) <= length:
            found.add(min(workdays, key=lambda each: abs(each - day)))
    for item in weeks:
        if isinstance(item, range):
            found.update(day for number in item for day in of_week[number])
        else:
            named = of_week[int(item[0])]
            found.update(named[-1:] if item[1] == "L" else named[int(item[2]) - 1 : int(item[2])])
    return sorted(day for day in found if day <= length)
