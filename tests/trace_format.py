"""The form of a trace's data as docs/trace.md has it, and whether some data has that form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trace_internals import facts_in

PAGE = Path(__file__).resolve().parents[1] / "docs" / "trace.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+) \|$")
SCALARS = {"text": str, "number": (int, float), "boolean": bool}


def tables() -> dict[str, dict[str, str]]:
    """By heading: the type of each key."""
    text = PAGE.read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for part in text[text.index("## The data") :].split("\n### ")[1:]:
        rows = (ROW.match(line) for line in part.splitlines())
        found[part.partition("\n")[0]] = {row[1]: row[2] for row in rows if row is not None}
    return found


FORM = tables()


def problems(value: Any, kind: str, where: str = "trace") -> Iterator[str]:
    """What of *value* is not as the page says that *kind* is."""
    for one in kind.split(" or "):
        if one == "null":
            if value is None:
                return
        elif one.startswith("list of "):
            if isinstance(value, list):
                for number, each in enumerate(value):
                    yield from problems(each, one.removeprefix("list of "), f"{where}[{number}]")
                return
        elif one == "list":
            if isinstance(value, list):
                return
        elif one == "Place":
            yield from _of_place(value, where)
            return
        elif one in FORM:
            if isinstance(value, dict):
                yield from (f"{where} has no {name!r}" for name in FORM[one].keys() - value.keys())
                yield from (
                    f"{where} has {name!r}, which the page does not" for name in value.keys() - FORM[one].keys()
                )
                for name in FORM[one].keys() & value.keys():
                    yield from problems(value[name], FORM[one][name], f"{where}.{name}")
                return
        elif isinstance(value, SCALARS[one]) and isinstance(value, bool) is (one == "boolean"):
            return
    yield f"{where} is {value!r:.80}, and the page says {kind}"


def _of_place(value: Any, where: str) -> Iterator[str]:
    file, line, number, why_not = value
    yield from problems(file, "text", f"{where}[0]")
    yield from problems(line, "number", f"{where}[1]")
    if (number is None) is (why_not is None):
        yield f"{where} has both a file and a reason that there is none, or neither"


def dangling(facts: dict[str, Any]) -> Iterator[str]:
    """Numbers that name nothing, and times that are out of order."""
    sizes = {name: len(facts[name]) for name in ("files", "texts", "places", "lanes", "instances")}

    def wrong(number: int | None, of: str) -> bool:
        return number is not None and not 0 <= number < sizes[of]

    for lane in facts["lanes"]:
        if wrong(lane["instance"], "instances") or wrong(lane["parent"], "lanes"):
            yield f"lane {lane}"
    yield from (f"place {place}" for place in facts["places"] if wrong(place[2], "files"))
    for event in facts["events"]:
        yield from _dangling_in(event, wrong)


def _dangling_in(event: dict[str, Any], wrong: Callable[[int | None, str], bool]) -> Iterator[str]:
    if wrong(event["instance"], "instances"):
        yield f"instance of {event['id']}"
    for row in event["waits"]:
        begin, end, lane, text, place, times, last, _, after = row
        fewest = 0 if event["signals"] else 1  # of a wait that goes on after a signal's handler none has begun
        few = times is not None and times < fewest
        if wrong(lane, "lanes") or wrong(text, "texts") or wrong(place, "places") or few:
            yield f"wait {row}"
        if not 0 <= after <= len(event["entries"]):
            yield f"place of wait {row}"
        if last < begin or (end is not None and end < last):
            yield f"times of wait {row}"
    for row in event["entries"]:
        if len(row) != 6 or wrong(row[3], "lanes") or wrong(row[4], "places"):
            yield f"entry {row}"
        if row[5] is not None and not isinstance(row[5], int):
            yield f"real time of entry {row}"
    if [row[0] for row in event["entries"]] != sorted(row[0] for row in event["entries"]):
        yield f"entries of {event['id']} are out of order"
    for signal in event["signals"]:
        for lane, row in signal["waits"]:
            if event["waits"][row][2] != lane:
                yield f"signal {signal}"
    for first, last, _ in event["fold"]:
        if not 0 <= first < last < len(event["entries"]):
            yield f"fold {first} to {last}"


def trace_at(path: Path) -> dict[str, Any]:
    """The data of a trace that was written, which has the documented form."""
    facts = facts_in(path.read_text(encoding="utf-8"), path.name)
    assert [*problems(facts, "Trace"), *dangling(facts)] == []
    return facts
