"""The differences of a run as text, a line each: what was lost, doubled, changed or left behind, and where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import get_args

from ..protocol.shortening import shortened_line
from .differences import Difference, Part
from .effects import EffectKind, FileKind

SHOWN = 80
"""Characters of a line, a value or a name."""
LONGEST = 300
"""Characters of the whole text."""
ONLY_FOUND = "which the undisturbed run does not have"
CHECK = 8
"""Lines of what ``check=`` says: pytest explains an assertion in several."""


def all_difference_lines(differences: Iterable[Difference]) -> list[str]:
    """Several differences of a run, in their order."""
    return [line for each in differences for line in run_difference_lines(each)]


def run_difference_lines(difference: Difference) -> list[str]:
    """One difference of a run: one line, or several for what ``check=`` says."""
    part = difference.extra[0] if difference.extra else None
    if difference.effect is EffectKind.EVENTS and part is not None:
        return [f"never finishes: after {part.where} the work is not done; the last event: {part.value}"]
    if difference.effect is EffectKind.STOP and part is not None:
        return [f"late: the event ended {part.value} after SIGTERM, and not {part.where}"]
    if difference.effect is EffectKind.CHECK and part is not None:
        lines = f"check failed: {part.value}".splitlines()
        more = len(lines) - CHECK
        return [*lines[:CHECK], *([f"  and {more:,} more line{'s' * (more != 1)}"] if more > 0 else [])]
    return [difference_text(difference)]


def difference_text(difference: Difference, word: str = "", only: str = ONLY_FOUND) -> str:
    """``lost: row id=7 of orders.db:orders``; with another *word* for its kind, and *only* for what is extra."""
    missing, extra = difference.missing, difference.extra
    if missing and extra:
        said = _changed(difference, missing[0], extra[0]) + _more(len(missing) - 1)
    elif missing or extra:
        said = _things(difference, missing or extra, only)
    else:
        said = _name(difference)
    return shortened_line(f"{word or difference.kind.value}: {said}", LONGEST)


def _name(difference: Difference) -> str:
    """The effect as a whole."""
    of = {"OBSERVED": "observed ", "RECORD": "record "}.get(difference.effect.name, "")
    return f"{of}{_bounded(difference.name)}"


def _things(difference: Difference, parts: Sequence[Part], only: str) -> str:
    """Things that only one of the runs has, or has more often."""
    first, others = parts[0], _more(len(parts) - 1)
    if difference.kind.name == "DIVERGED":
        return f"{_thing(difference, first)}{_times(first)}{others}, {only}"
    if first.unit in _COUNTED and len(parts) > 1:
        number = f"{sum(abs(part.undisturbed - part.found) for part in parts):,}"
        name, of = _bounded(difference.name), _of(difference, first.where)
        return f"{_COUNTED[first.unit].format(number=number, name=name, of=of)}, the first {_value(difference, first)}"
    return f"{_thing(difference, first)}{_times(first)}{others}"


_COUNTED = {
    "line": "{number} lines of {name}",
    "row": "{number} rows of {name}",
    "record": "{number} records {name}",
    "item": "{number} items of {of}",
}
"""How several of them are called together."""


def _thing(difference: Difference, part: Part) -> str:
    name = _bounded(difference.name)
    if part.unit in _ENTRIES:
        return f"{part.unit} {'/tmp/' if difference.effect.name == 'TMP' else ''}{name}"
    if part.unit == "bytes":
        return f"the last {part.undisturbed - part.found:,} of {part.undisturbed:,} bytes of {name}"
    if part.unit in ("key", "value"):
        which = "undisturbed" if part.undisturbed else "found"
        return f"{_of(difference, part.where)} ({which}: {_bounded(part.value)})"
    value = _value(difference, part)
    if part.unit == "record":
        return f"record {value}"
    if part.unit == "table":
        return f"table {name}"
    return f"{part.unit} {value} of {_of(difference, part.where) if part.unit == 'item' else name}"


_ENTRIES = frozenset(get_args(FileKind))


def _value(difference: Difference, part: Part) -> str:
    if part.unit == "record":
        return f"{_bounded(difference.name)}({_bounded(_fields(part.value))})"
    if part.unit == "row":
        return _bounded(_fields(part.where))
    return _bounded(_quoted(part.value) if part.unit == "line" else part.value)


def _fields(text: str, among: str = "{}") -> str:
    """``id=7, name="a"`` for an object of JSON; what only the other one has is said not to be there."""
    fields, others = json.loads(text), json.loads(among)
    shown = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return ", ".join((*shown, *(f"no {name}" for name in others if name not in fields)))


_CHANGED = {
    "line": "line {where} of {name} is {now} instead of {was}",
    "lines in order": "the order of the lines of {name}: line {where} is {now} instead of {was}",
    "items in order": "the order of items: {of} is {now} instead of {was}",
    "columns": "row {where} of {name} has {now} instead of {was}",
    "bytes": "file {name} has {now} other bytes instead of {was}",
    "target": "symbolic link {name} leads to {now} instead of {was}",
    "value": "{of} is {now} instead of {was}",
}
_OTHER_ENTRY = "{name} is a {now} instead of a {was}"


def _changed(difference: Difference, before: Part, after: Part) -> str:
    was, now, where = before.value, after.value, before.where
    if before.unit in ("line", "lines in order"):
        was, now = _quoted(was), _quoted(now)
    elif before.unit == "columns":
        was, now, where = _fields(was, among=now), _fields(now, among=was), _fields(where)
    return _CHANGED.get(before.unit, _OTHER_ENTRY).format(
        was=_bounded(was),
        now=_bounded(now),
        where=_bounded(where),
        name=_bounded(difference.name),
        of=_of(difference, before.where),
    )


def _of(difference: Difference, path: str) -> str:
    """A place within a value: ``result ['rows'][0]``."""
    return f"{_name(difference)}{path and ' '}{_bounded(path)}"


def _times(part: Part) -> str:
    """How often it is there, where that is not said by its being there or not."""
    if part.unit == "bytes" or {part.undisturbed, part.found} <= {0, 1}:
        return ""
    return f", {part.found:,} time{'s' if part.found != 1 else ''} instead of {part.undisturbed:,}"


def _more(number: int) -> str:
    return f", and {number:,} more" if number else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _bounded(text: str) -> str:
    """In one line, of which each character can be printed."""
    shown = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    return shortened_line(shown, SHOWN)
