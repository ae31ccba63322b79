"""``python -m pytest_scf_async trace FILE``: a trace in a terminal, as a summary or one of its lists."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..clock import to_datetime
from ..errors import ScfUsageError
from ..report.timeline import seconds_text
from .page import facts_in

if TYPE_CHECKING:
    from .facts import Facts, Row

MOST_WAITS: Final = 200
"""Waits of an event that are listed one by one; of more, equal ones are one line each."""
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal would obey, or turn around: a line of a log may have anything."""


def add_trace(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command line of ``trace``."""
    parser = commands.add_parser(
        "trace",
        help="print a trace that --scf-async-trace has written",
        description="Print a trace that --scf-async-trace has written: a summary, or one of its lists.",
    )
    parser.add_argument("file", metavar="FILE", help="a trace.html; the last line of a failure names it")
    parser.add_argument(
        "list", nargs="?", choices=tuple(_LISTS), default="summary", help="what is printed (default: summary)"
    )


def run_trace(given: argparse.Namespace) -> int:
    """Print what is asked for; ``ScfUsageError`` for a file that is no trace."""
    path = Path(given.file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ScfUsageError(f"{given.file} cannot be read: {why}") from None
    trace = _Trace(facts_in(text, given.file))
    nothing = "nothing is known to be wrong with its events"  # what `why` has not found
    if not trace.facts["events"]:
        nothing = "it has no event: a sweep is in the summary, and in why"
    lines = [*_LISTS[given.list](trace)] or [nothing]
    sys.stdout.writelines(f"{_plain(line)}\n" for line in lines)
    return 0


def _plain(line: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


class _Trace(NamedTuple):
    """The data of a trace, with what its numbers stand for."""

    facts: Facts

    def events(self) -> Iterator[tuple[str, Facts]]:
        """Each event with its title."""
        for event in self.facts["events"]:
            code = f" ({event['code']})" if event["code"] else ""
            end = f" to {_at(event['end'])}" if event["end"] is not None else ", runs"
            harness = ", ended by the harness" if event["ended_by_harness"] else ""
            title = f"event {event['id']} of {event['function']}: {event['status']}{code}"
            yield f"{title}, {_at(event['begin'])}{end}{harness}", event

    def lane(self, number: int) -> str:
        name: str = self.facts["lanes"][number]["name"]
        return name

    def wait(self, row: Row) -> str:
        """The call of a wait and its place."""
        _, _, _, text, place, *_ = row
        where = "" if place is None else f" at {self.place(place)}"
        return f"{self.facts['texts'][text]}{where}"

    def place(self, number: int) -> str:
        file, line, *_ = self.facts["places"][number]
        return f"{file}:{line}"


def _at(time: int) -> str:
    return f"+{seconds_text(time)}"


def _summary(trace: _Trace) -> Iterator[str]:
    facts = trace.facts
    yield f"{facts['outcome'].upper()} {facts['test']}"
    yield facts["headline"]
    yield from _times(facts)
    yield from facts["cut"]
    if facts["events"]:
        yield ""
    yield from _events(trace)
    for event in facts["events"]:
        if event["why"]:
            yield from ("", *event["why"])
    for sweep in facts["sweeps"]:
        yield from ("", *sweep["report"].split("\n"))


def _times(facts: Facts) -> Iterator[str]:
    if not facts["events"]:
        return
    zone = timezone(timedelta(minutes=facts["zone_minutes"]))
    real = "" if facts["real_seconds"] is None else f", in {facts['real_seconds']:.3g} real seconds"
    last = max(event["end"] or event["begin"] for event in facts["events"])
    yield f"simulated time from {to_datetime(facts['origin_us']).astimezone(zone).isoformat()} to {_at(last)}{real}"


def _events(trace: _Trace) -> Iterator[str]:
    for title, event in trace.events():
        yield title
        for time, status, code, why in event["statuses"]:
            yield f"  {_at(time)}  {status}{f' ({code})' if code else ''}: {why}"


def _why(trace: _Trace) -> Iterator[str]:
    for title, event in trace.events():
        if event["why"] or event["holders"]:
            yield title
            yield from (f"  {line}" for line in event["why"])
            yield from (f"  {lock} is held by {who}" for lock, who in event["holders"])
    for sweep in trace.facts["sweeps"]:
        yield sweep["headline"]
        for each in sweep["classes"]:
            yield f"  {each['title']}"
            yield from (f"    {line}" for line in [each["explanation"], each["fix"]] if line)
            yield f"    {each['replay']}"
            repro = each["repro_call"] if each["repro"] is None else f"sh {each['repro']}"
            yield from [f"    {repro}"] * (repro is not None)
        yield from (f"  {each['key']}: {each['difference']}" for each in sweep["pairs"] if each["difference"])


def _signals(trace: _Trace) -> Iterator[str]:
    for title, event in trace.events():
        yield title
        if not event["signals"]:
            yield "  no SIGTERM was sent"
        for signal in event["signals"]:
            yield f"  {_at(signal['sent'])}  {signal['text']}"
            for name in ("entered", "left"):
                if signal[name] is not None:
                    yield f"    its handler was {name} at {_at(signal[name])}"
            if signal["raised"]:
                yield f"    its handler raised {signal['raised']}"
            for lane, row in signal["waits"]:
                yield f"    {trace.lane(lane)} was in {trace.wait(event['waits'][row])}"


def _waits(trace: _Trace) -> Iterator[str]:
    for title, event in trace.events():
        rows = event["waits"]
        yield title
        if not rows:
            yield "  it has waited for nothing"
        yield from _each_wait(trace, rows) if len(rows) <= MOST_WAITS else _alike(trace, rows)


def _each_wait(trace: _Trace, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        begin, end, lane, _, _, times, last, awaits, _ = row
        for_long = "until now" if end is None else f"for {seconds_text(end - begin)}"
        often = f", {times:,} times, the last at {_at(last)}" if (times or 1) > 1 else ""
        ended_by = f", which only {_ENDS[awaits]} can end" if awaits else ""
        yield f"  {_at(begin)}  {trace.lane(lane)}: {trace.wait(row)} {for_long}{often}{ended_by}"


_ENDS: Final = {
    "something": "something else",
    "lock": "the release of a lock",
    "own lock": "its own release of a lock",
    "notice": "another thread or task",
    "thread": "the end of a thread",
    "answer": "an answer",
}


def _alike(trace: _Trace, rows: Sequence[Row]) -> Iterator[str]:
    groups: dict[tuple[int, int, int | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row[2], row[3], row[4]), []).append(row)
    for alike in groups.values():
        first, last = alike[0], alike[-1]
        times = sum(1 if row[5] is None else row[5] for row in alike)
        spent = sum((row[6] if row[1] is None else row[1]) - row[0] for row in alike)
        often = f"{times:,} times, {_at(first[0])} to {_at(last[6])}" if times > 1 else f"once at {_at(first[0])}"
        yield f"  {trace.lane(first[2])}: {trace.wait(first)}, {often}, {seconds_text(spent)} in all"


def _log(trace: _Trace) -> Iterator[str]:
    for title, event in trace.events():
        yield title
        for time, kind, text, _, place, _ in event["entries"]:
            where = "" if place is None else f" ({trace.place(place)})"
            lines = text.split("\n")
            yield f"  {_at(time)}  {kind:<8}  {lines[0]}{where}"
            yield from (f"      {line}" for line in lines[1:])


_LISTS: Final[dict[str, Callable[[_Trace], Iterator[str]]]] = {
    "summary": _summary,
    "events": _events,
    "signals": _signals,
    "waits": _waits,
    "log": _log,
    "why": _why,
}
