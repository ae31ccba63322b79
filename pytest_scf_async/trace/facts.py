"""The data of a trace, version 1: what the events of a test keep, in the form that docs/trace.md describes.

Times are µs after the first thing that happened. Texts that occur often (waits, places, sources) are in tables, and
rows name them by number, so that a file with 10,000 waits has less than a megabyte.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..clock import shown_time
from ..model import timeline as entries
from ..model.tracebacks import last_place
from ..protocol.messages import ProcessWait
from ..protocol.shortening import shortened
from ..protocol.wait_texts import Wait, waits_of
from ..report.cause import likely_cause
from ..report.failure import cause_lines, why_lines
from ..report.limits import Shown
from ..report.timeline import REAL_SHOWN, distances, entry_kind, entry_text, seconds_text, stretch_text
from .sources import Source, Sources

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..instances.instance import Instance
    from ..lockstep.event import Event
    from ..wing_hooks import Traced

FORMAT: Final = "pytest-scf-async trace"
VERSION: Final = 1
MOST_WAITS: Final = 200_000
"""Waits of one file: more take a browser more than five seconds."""
MOST_LINES: Final = 200_000
"""Lines of the logs of all events of one file."""
MOST_EVENTS: Final = 2_000
LONGEST_TEXT: Final = 10_000
"""Characters of a line of the log, and of a record."""
MOST_TEXT: Final = 12_000_000
"""Characters of the lines of the log and records of one file."""
MOST_FILES: Final = 1_000
"""Files of an instance's ``/tmp``."""
NAMED: Final = 3
"""Events that the headline of a passed test has."""

Facts = dict[str, Any]
"""What JSON has."""
Row = list[Any]
_Timed = tuple[int, "entries.AnyEntry | ProcessWait | str", "int | None"]
"""An entry, what processes wait in, or a text of real time, with its simulated time, and how many µs of real time had
passed then."""


class OfTest(NamedTuple):
    """What is known of the test that a trace is of."""

    nodeid: str
    outcome: str
    """``"failed"``, ``"passed"``, ``"error"`` (in its setup or teardown) or ``"skipped"``."""
    root: str
    """pytest's root directory: paths are shown from there."""
    failure: str | None = None
    """The text of its failure."""
    said: Shown | None = None
    """What this text says of an event."""
    real_seconds: float | None = None
    """How long its call has taken."""
    directory: str = ""
    """Where the trace is written: paths of repros are relative to that."""


def trace_facts(tested: OfTest, events: Sequence[AsyncEvent], sweeps: Sequence[Traced]) -> Facts:
    """The data of the trace of one test; each of *sweeps* gives that of one."""
    every = [event._event for event in events]
    inner = _kept_events(every)
    origin = min((event.invoked_us for event in inner), default=0)
    tables = _Tables(origin, tested.root, inner)
    if len(inner) < len(every):
        tables.cut.append(f"{len(every) - len(inner):,} of {len(every):,} events are left out")
    of_events = [tables.event(event, number, _why(event, tested.said)) for number, event in enumerate(inner)]
    of_sweeps = [traced(tables.place_at, tables.file_of, tested.directory or os.curdir) for traced in sweeps]
    zone, minutes = _zone(inner)
    return {
        "format": FORMAT,
        "version": VERSION,
        "package": _package_version(),
        "test": tested.nodeid,
        "outcome": tested.outcome,
        "headline": headline(tested, inner, of_sweeps),
        "failure": None if tested.failure is None else shortened(tested.failure, LONGEST_TEXT, LONGEST_TEXT),
        "origin_us": origin,
        "zone_minutes": minutes,
        "zone": zone,
        "real_seconds": None if tested.real_seconds is None else round(tested.real_seconds, 3),
        "files": tables.sources.files(),
        "texts": list(tables.texts),
        "places": tables.place_rows,
        "lanes": tables.lane_rows,
        "instances": tables.instance_rows,
        "events": of_events,
        "sweeps": of_sweeps,
        "cut": tables.cut,
    }


def headline(tested: OfTest, events: Sequence[Event], sweeps: Sequence[Facts]) -> str:
    """The answer in one line: what was expected and found, and why; of a test that passed what happened."""
    if tested.failure is not None:
        first, *others = tested.failure.strip().split("\n")
        if first.endswith(":") and others:
            first = f"{first} {others[0].strip()}"
        wrong = next((event for event in events if event.ended and event.record.status_code != 200), None)
        cause = likely_cause(wrong) if tested.said is None and wrong is not None else None
        cause = cause if tested.said is None else tested.said.cause
        return shortened(f"{first}: {cause}" if cause and cause not in first else first, LONGEST_TEXT)
    texts = [str(each["headline"]) for each in sweeps] or [_what_happened(event) for event in events]
    more = f" and {len(texts) - NAMED:,} more" if len(texts) > NAMED else ""
    return f"{'; '.join(texts[:NAMED])}{more}"


def _why(event: Event, said: Shown | None) -> list[str]:
    """What the failure says of its cause, where that is about *event*; else what is known of it."""
    lines = cause_lines(said.cause, said.advice) if said is not None and said.event is event else []
    return lines or why_lines(event)


def _what_happened(event: Event) -> str:
    end = event.record.end_us
    code = f" ({event.record.status_code})" if event.ended and event.record.status_code not in (0, 200) else ""
    after = "" if end is None else f" after {seconds_text(end - event.record.start_us)}"
    return f"{event.function.configuration.name} {event.shown_status}{code}{after}"


def _package_version() -> str:
    try:
        return version("pytest-scf-async")
    except PackageNotFoundError:  # a copy of the sources that nobody has installed
        return "unknown"


def _zone(events: Sequence[Event]) -> tuple[str, int]:
    """The zone in which the start of the first runtime was given, as ``+08:00`` and in minutes."""
    if not events:
        return "+00:00", 0
    shown = shown_time(events[0].clock, events[0].invoked_us)
    sign, hours, minutes = shown[-6], shown[-5:-3], shown[-2:]
    return shown[-6:], (-1 if sign == "-" else 1) * (int(hours) * 60 + int(minutes))


def _kept_events(events: Sequence[Event]) -> Sequence[Event]:
    """Those that are in the file: of too many the ones that FAILED or have not ended, and then the last ones."""
    if len(events) <= MOST_EVENTS:
        return events
    numbers = sorted(range(len(events)), key=lambda number: (_went_well(events[number]), -number))
    return [events[number] for number in sorted(numbers[:MOST_EVENTS])]


def _went_well(event: Event) -> bool:
    return event.ended and not event.ended_by_close and event.record.status_code == 200


def _is_wait(entry: object) -> bool:
    return isinstance(entry, (entries.Waited, entries.WaitedForOthers))


class _Tables:
    """The tables of a trace while it is made: what rows name by number."""

    def __init__(self, origin: int, root: str, events: Sequence[Event]) -> None:
        self.origin = origin
        self.real_origin = min((min(event.recorded_at.values()) for event in events if event.recorded_at), default=0.0)
        """The real time of the first thing that happened, as ``REAL.monotonic`` has it."""
        self.sources = Sources(root)
        self.texts: dict[str, int] = {}
        self.place_rows: list[Row] = []
        self._places: dict[tuple[str, str, int], int] = {}
        self.lane_rows: list[Facts] = []
        self._lanes: dict[tuple[object, ...], int] = {}
        self.instance_rows: list[Facts] = []
        self._instances: dict[Instance, int] = {}
        self._read: dict[str, tuple[Wait, ...]] = {}
        self.cut: list[str] = []
        waits = sum(_is_wait(entry) for event in events for entry in event.timeline)
        lines = sum(isinstance(entry, entries.Written) for event in events for entry in event.timeline)
        self.share_of_waits = MOST_WAITS / max(waits, MOST_WAITS)
        """Which part of the waits of each event is kept, ..."""
        self.share_of_lines = MOST_LINES / max(lines, MOST_LINES)
        """... and of the lines of its log."""
        self._text_left = MOST_TEXT

    # -- what rows name ------------------------------------------------------------------------------------------------

    def _text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def place(self, directory: str, file: str, line: int) -> int:
        """The place at *line* of the *file* below *directory* that is known by its base name."""
        return self._place((directory, file, line), lambda: self.sources.find(directory, file, line))

    def place_at(self, path: str, line: int) -> int:
        """The place at *line* of the file at *path*."""
        return self._place(("", path, line), lambda: self.sources.of_path(path, line))

    def _place(self, key: tuple[str, str, int], source: Callable[[], Source]) -> int:
        number = self._places.get(key)
        if number is None:
            number = self._places[key] = len(self.place_rows)
            _, file, line = key
            self.place_rows.append([os.path.basename(file), line, *source()])
        return number

    def file_of(self, place: int) -> int | None:
        """The file of a place, where it was found."""
        file: int | None = self.place_rows[place][2]
        return file

    def _lane(self, kind: str, name: str, instance: int | None, of_event: int, parent: int | None = None) -> int:
        key = _lane_key(kind, name, parent, instance, of_event)
        number = self._lanes.get(key)
        if number is None:
            number = self._lanes[key] = len(self.lane_rows)
            self.lane_rows.append({"name": name, "kind": kind, "instance": instance, "parent": parent})
        return number

    def lane_of_thread(self, name: str, instance: int | None, number: int) -> int | None:
        """The lane of the thread *name*, if it has waited."""
        main = self._lane("main", "main", instance, number)
        return self._lanes.get(_lane_key("thread", name, main, instance, number))

    def _thread(self, wait: Wait, event: Event, instance: int | None, number: int) -> int:
        """The lane of the thread, or of the program, that has begun *wait*."""
        if not wait.file and event.function.runtime.traces_user_code:
            first = self._lane("process", event.function.configuration.name, instance, number)
            return self._lane("child", "child processes", instance, number, first) if wait.in_child else first
        main = self._lane("main", "main", instance, number)
        return main if not wait.thread else self._lane("thread", wait.thread, instance, number, main)

    def _instance(self, event: Event) -> int | None:
        instance = event.instance
        if instance is None:
            return None
        number = self._instances.get(instance)
        if number is None:
            number = self._instances[instance] = len(self.instance_rows)
            pid = instance.user_process.pid or instance.pid
            self.instance_rows.append(
                {
                    "name": f"instance {number + 1} (pid {pid})",
                    "function": event.function.configuration.name,
                    "cold": bool(event.cold),
                    "begin": self._begin(event),
                    "end": None,
                    "reclaimed": event.reclaimed_because,
                    "lost_files": list(instance.sandbox.lost_files[:MOST_FILES]),
                    "tmp": _files_of(instance),
                }
            )
        for entry in event.timeline:
            if isinstance(entry, entries.Reclaimed):
                self.instance_rows[number]["end"] = entry.time_us - self.origin
        return number

    def _begin(self, event: Event) -> int:
        times = [entry.time_us for entry in event.timeline if isinstance(entry, entries.Started)]
        return (times[-1] if times else event.invoked_us) - self.origin

    # -- one event -----------------------------------------------------------------------------------------------------

    def event(self, event: Event, number: int, why: list[str]) -> Facts:
        """All of one event; *why* are the lines with its cause and what to do."""
        instance = self._instance(event)
        record, end = event.record, event.record.end_us
        of_event = _OfEvent(self, event, number, instance)
        waits, rows = of_event.waits, of_event.entries
        return {
            "id": event.request_id,
            "function": event.function.configuration.name,
            "qualifier": record.qualifier,
            "invoke_type": record.invoke_type,
            "status": event.shown_status,
            "code": record.status_code,
            "begin": event.invoked_us - self.origin,
            "end": None if end is None else end - self.origin,
            "ended_by_harness": event.ended_by_close,
            "checked": event.checked or event.looked_at,
            "instance": instance,
            "retry_num": event.retry_num,
            "statuses": of_event.statuses,
            "signals": of_event.signals,
            "waits": waits,
            "entries": rows,
            "fold": _folded(of_event.routine),
            "why": why,
            "holders": of_event.holders,
        }

    def read(self, text: str) -> tuple[Wait, ...]:
        """What the text of a wait says; each is read once."""
        found = self._read.get(text)
        if found is None:
            found = self._read[text] = waits_of(text)
        return found

    def bounded(self, text: str) -> str:
        """*text* in as many characters as there is room for."""
        found = shortened(text, LONGEST_TEXT)
        if len(found) > self._text_left:
            found = "…"
        self._text_left -= len(found)
        return found


def _lane_key(kind: str, name: str, parent: int | None, instance: int | None, of_event: int) -> tuple[object, ...]:
    """What makes a lane another one than all others; one without an instance is of its event alone."""
    whose = ("event", of_event) if instance is None else ("instance", instance)
    return (kind, name, parent, *whose)


class _OfEvent:
    """The lists of one event while they are made."""

    def __init__(self, tables: _Tables, event: Event, number: int, instance: int | None) -> None:
        self._tables, self._event, self._number, self._instance = tables, event, number, instance
        self._directory = event.function.code.directory
        self.statuses: list[Row] = []
        self.signals: list[Facts] = []
        self.waits: list[Row] = []
        self.entries: list[Row] = []
        self.routine: list[str] = []
        """What each of them is one of, where it says nothing of how the event went; else empty."""
        self.holders: list[list[str]] = []
        self._now: dict[int, list[int]] = {}
        """By the lane of a thread: the rows of the wait in which it is, one for each of its tasks that are named."""
        self._latest: dict[int, str] = {}
        """By the lane of a thread: the text of its latest wait."""
        self._goes_on: dict[int, tuple[str, int]] = {}
        """By the lane of a thread: the wait that a SIGTERM has met, and when its handler returned."""
        self._lane_of: dict[int, int] = {}
        """The lanes of its program's processes, the first one first, while they are several."""
        self._by_process = _by_process(event, tables.origin)
        self._after_processes: list[entries.Waited] = []
        """Folded waits that go on when there is one process again."""
        self._joined: dict[int, str] = {}
        """By the row of a wait for the end of a thread: the name of that."""
        in_order = self._in_order()
        kept = self._kept(in_order)
        for at, (time_us, entry, real) in enumerate(in_order):
            if at in kept:
                self._add(time_us - tables.origin, entry, real)
        self._end()

    def _in_order(self) -> list[_Timed]:
        """The entries by their times, and the texts of real time that was spent between them.

        Waits under a lease come late, with the next message of the instance: they are put where they began.
        """
        found: list[tuple[int, float, entries.AnyEntry | ProcessWait | str]] = [
            (entry.time_us, number, entry) for number, entry in enumerate(self._event.timeline)
        ]
        found += [
            (each.time_us, each.entries - 0.5, stretch_text(each.kind, each.seconds))
            for each in self._event.real_stretches
            if each.seconds >= REAL_SHOWN
        ]
        found += [(each.at_us, after - 0.25, each) for after, each in _process_waits(self._event)]
        found.sort(key=lambda each: each[:2])
        real, origin = self._event.recorded_at or {}, self._tables.real_origin
        return [
            (time_us, entry, round((real[int(number)] - origin) * 1_000_000) if number in real else None)
            for time_us, number, entry in found
        ]

    def _kept(self, in_order: Sequence[_Timed]) -> Collection[int]:
        """The numbers of what is in the file: of too many waits, and lines, those nearest to all that is neither."""
        waits = [at for at, (_, entry, _) in enumerate(in_order) if _is_wait(entry)]
        lines = [at for at, (_, entry, _) in enumerate(in_order) if isinstance(entry, entries.Written)]
        lost: set[int] = set()
        beside = [at for at, (_, entry, _) in enumerate(in_order) if isinstance(entry, ProcessWait)]
        vital = set(range(len(in_order))).difference(waits, lines, beside) | {len(in_order) - 1}
        whose = f"event {self._event.request_id} of {self._event.function.configuration.name}"
        for name, numbers, most in (
            ("waits", waits, int(len(waits) * self._tables.share_of_waits)),
            ("lines of the log", lines, int(len(lines) * self._tables.share_of_lines)),
        ):
            if len(numbers) > most:
                far = distances(len(in_order), vital)
                lost.update(sorted(numbers, key=far.__getitem__)[most:])
                self._tables.cut.append(f"{len(numbers) - most:,} of {len(numbers):,} {name} of {whose} are left out")
        return set(range(len(in_order))) - lost if lost else range(len(in_order))

    def _add(self, time: int, entry: entries.AnyEntry | ProcessWait | str, real: int | None) -> None:
        if isinstance(entry, str):
            self.entries.append([time, "real", entry, None, None, real])
            self.routine.append("")
        elif isinstance(entry, ProcessWait):
            self._process_waits(time, entry)
        elif isinstance(entry, (entries.Waited, entries.WaitedForOthers)) and self._is_of_process(time, entry):
            # The lane of its process has it, but for what comes once there is one process again.
            until = next((until for since, until in self._by_process if since <= time < until), math.inf)
            if isinstance(entry, entries.Waited) and entry.last_us - self._tables.origin >= until:
                self._after_processes.append(entry)
        elif isinstance(entry, entries.Waited):
            last = entry.last_us - self._tables.origin
            begins = [since for since, _ in self._by_process if time < since <= last]
            times = None if begins else entry.times
            self._wait(time, entry.description, times, min([last, *begins]), entry.awaits)
        elif isinstance(entry, entries.WaitedForOthers):
            self._wait(time, entry.description, 1, time, None)
        else:
            lane = place = None
            if isinstance(entry, entries.StatusChanged):
                self.statuses.append([time, str(entry.status), entry.status_code, entry.fact.value])
                place = self._place_of_error() if entry.status_code in (430, 443) else None
            elif isinstance(entry, entries.SignalSent):
                self._signal(time, entry)
            elif isinstance(entry, (entries.GateReached, entries.StoppedBehind)):
                self._has_come_to_gate(time)
            elif isinstance(entry, entries.ListenerRefused):
                lane, place = self._lane_and_place(self._tables.read(entry.call)[0])
            self.entries.append([time, _kind(entry), self._tables.bounded(entry_text(entry)), lane, place, real])
            self.routine.append(_routine(entry))

    def _lane_and_place(self, wait: Wait) -> tuple[int, int | None]:
        lane = self._tables._thread(wait, self._event, self._instance, self._number)
        return lane, self._tables.place(self._directory, wait.file, wait.line) if wait.file else None

    def _place_of_error(self) -> int | None:
        """The innermost line of the code directory that the traceback of the error has."""
        found = last_place(str(self._event.error.get("stackTrace") or self._event.error.get("errorMessage") or ""))
        return None if found is None else self._tables.place(self._directory, os.path.basename(found[0]), found[1])

    def _is_of_process(self, time: int, entry: entries.Waited | entries.WaitedForOthers) -> bool:
        """Whether it is known of each process what that waits in, at that time."""
        if not self._by_process:
            return False
        in_child = self._tables.read(entry.description)[0].in_child  # it may end where that is known no more
        return any(since <= time < until or (in_child and time == until) for since, until in self._by_process)

    def _wait(self, time: int, description: str, times: int | None, last: int, awaits: str | None) -> None:
        parts = self._tables.read(description)
        thread = self._tables._thread(parts[0], self._event, self._instance, self._number)
        # A program reports which of all its waits ends first, so that is over when the next one is reported.
        whose = self._tables.lane_rows[thread]["parent"] if parts[0].in_child else thread
        self._close(whose, time)
        if whose in self._goes_on and time >= self._goes_on[whose][1]:
            goes_on = self._goes_on.pop(whose) == (description, time)
            times = None if times is None else times - goes_on
        self._latest[whose] = description
        for part in parts:
            lane, place = thread, None
            if part.task:
                lane = self._tables._lane("task", part.task, self._instance, self._number, thread)
            if part.file:
                place = self._tables.place(self._directory, part.file, part.line)
            self._now.setdefault(whose, []).append(len(self.waits))
            if part.joins:
                self._joined[len(self.waits)] = part.joins
            end = None if part.seconds is None else last + round(part.seconds * 1_000_000)
            self.waits.append(
                [time, end, lane, self._tables._text(part.call), place, times, last, awaits, len(self.entries)]
            )
            self.holders = [] if part is parts[0] else self.holders
            for holder in () if part.is_up_to_holders else part.holders:
                who = part.task if holder.task == "itself" else holder.task
                lock = f"{part.call} at {part.file}:{part.line} in {part.task}"
                self.holders.append([lock, f"{who} at {os.path.basename(holder.file)}:{holder.line}"])

    def _process_waits(self, time: int, now: ProcessWait) -> None:
        """A process of its program waits in another call from *time* on."""
        tables, before = self._tables, self._lane_of
        first = tables._lane("process", self._event.function.configuration.name, self._instance, self._number)
        if not now.pid or not before:
            for lane, rows in [*self._now.items()]:
                if now.pid or any(self.waits[row][0] < time for row in rows):  # else it is of the timeline already
                    self._close(lane, time)
        if not now.pid:
            before.clear()
            for each in self._after_processes:
                self._wait(time, each.description, None, each.last_us - tables.origin, each.awaits)
            self._after_processes.clear()
            return
        lane = first
        if before and now.pid != next(iter(before)):
            lane = tables._lane("child", f"{now.name} ({now.pid})", self._instance, self._number, first)
        self._close(before.get(now.pid, lane), time)
        before[now.pid] = lane
        if now.call:
            self._now[lane] = [len(self.waits)]
            text = tables._text(now.call)
            self.waits.append([time, None, lane, text, None, None, time, None, len(self.entries)])

    def _close(self, thread: int, time: int | None) -> None:
        """The wait of a thread is over at *time*, unless it has ended before.

        Where that was a ``join`` without a timeout, the thread that it waited for has ended, and its wait as well. The
        handler of a signal may have ended the ``join`` by an exception.
        """
        for row in self._now.pop(thread, ()):
            end = self.waits[row][1]
            self.waits[row][1] = time if end is None else end if time is None else min(end, time)
            joined = self._joined.pop(row, "")
            if joined and not any(signal["sent"] >= self.waits[row][0] for signal in self.signals):
                lane = self._tables.lane_of_thread(joined, self._instance, self._number)
                if lane is not None:
                    self._close(lane, time)

    def _has_come_to_gate(self, time: int) -> None:
        """What stands at a gate waits no more, as far as it is known which thread, or task, that is.

        It is the one whose wait has ended by this time; or, if there is none, the only one whose wait may have ended.
        """
        ends = {row: self.waits[row][1] for rows in self._now.values() for row in rows}
        ended = [row for row, end in ends.items() if end is not None and end <= time]
        found = ended or [row for row, end in ends.items() if end is None]
        if len(found) == 1:
            self.waits[found[0]][1] = ends[found[0]] or time
            self._now = {lane: [row for row in rows if row not in found] for lane, rows in self._now.items()}

    def _end(self) -> None:
        end = self._event.record.end_us
        for thread in [*self._now]:
            self._close(thread, None if end is None else max(end - self._tables.origin, 0))
        if end is not None:
            for row in self.waits:
                row[1] = max(row[1], row[6])  # one that was folded spans all of its times

    def _signal(self, time: int, entry: entries.SignalSent) -> None:
        delivery = self._event.signals[len(self.signals)] if len(self.signals) < len(self._event.signals) else None
        origin = self._tables.origin

        def after(us: int | None) -> int | None:
            return None if us is None else us - origin

        waits = [
            [self.waits[row][2], row] for rows in self._now.values() for row in rows if not self._is_over(row, time)
        ]
        if delivery is not None and delivery.left_us is not None and delivery.raised is None:
            met = {whose for whose, rows in self._now.items() if any(not self._is_over(row, time) for row in rows)}
            left = delivery.left_us - origin
            self._goes_on = {whose: (self._latest[whose], left) for whose in met if whose in self._latest}
        self.signals.append(
            {
                "sent": time,
                "disposition": entry.disposition,
                "text": entry_text(entry),
                "entered": None if delivery is None else after(delivery.entered_us),
                "left": None if delivery is None else after(delivery.left_us),
                "raised": None if delivery is None or delivery.raised is None else str(delivery.raised),
                "waits": waits,
            }
        )

    def _is_over(self, row: int, time: int) -> bool:
        end = self.waits[row][1]
        return end is not None and end < time


def _process_waits(event: Event) -> Sequence[tuple[int, ProcessWait]]:
    return () if event.instance is None else event.instance.process_waits.get(event.request_id, ())


def _by_process(event: Event, origin: int) -> list[tuple[int, float]]:
    """When it is known of each process of its program what that waits in: from a time on, until another one."""
    found: list[tuple[int, float]] = []
    for _, each in _process_waits(event):
        if not each.pid:
            found[-1:] = [(since, each.at_us - origin) for since, _ in found[-1:]]
        elif not found or found[-1][1] < math.inf:
            found.append((each.at_us - origin, math.inf))
    return found


def _kind(entry: entries.AnyEntry) -> str:
    match entry:
        case entries.Written(of_platform=True):
            return "platform"
        case entries.GateReached() | entries.GatePassed() | entries.StoppedBehind():
            return "gate"
        case entries.Remark():
            return "remark"
    return entry_kind(entry)


def _folded(routine: Sequence[str]) -> list[Row]:
    """The runs of entries that are folded at first, by what each of them is one of.

    A single line is not folded, as what stands for it takes as much room.
    """
    found: list[Row] = []
    at = 0
    for kind, run in groupby(routine):
        count = len(list(run))
        if kind and count > 1:
            found.append([at, at + count - 1, f"{count:,} {kind}"])
        at += count
    return found


def _routine(entry: entries.AnyEntry) -> str:
    if not isinstance(entry, entries.Written):
        return ""
    return "lines of the platform" if entry.of_platform else "DEBUG lines of libraries" * entry.routine


def _files_of(instance: Instance) -> list[Row] | None:
    """The files of the ``/tmp`` of an instance that lives, each with its size; None: it is not there any more."""
    if instance.gone:
        return None
    try:
        names, tmp = instance.sandbox.files(), instance.sandbox.tmp
    except OSError:
        return None
    return [[name, _size(os.path.join(tmp, name))] for name in names[:MOST_FILES]]


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except OSError:
        return None
