"""An event's timeline as text: transitions, signals, waits and log lines on one axis of simulated time."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model import timeline as facts
from ..model.tracebacks import place_at_fault
from ..protocol.own_code import OWN_CODE
from ..protocol.shortening import real_seconds, shortened_line, shortened_list
from .limits import NONE, limits

if TYPE_CHECKING:
    from ..lockstep.real_stretches import RealStretch

REAL_SHOWN = 0.05
"""Real seconds from which a stretch of them has a line of its own in a timeline."""
LINE_LIMIT = 200
"""Characters of a log line that a timeline shows."""
FILES_SHOWN = 3
"""Files that a line of a timeline names."""
MB = 1 << 20
_AFTER_COMPUTING: Final[Mapping[facts.AfterComputing, str]] = {
    "SIGTERM": "SIGTERM arrives while it computes",
    "returns": "the call that sent SIGTERM returns while it computes",
    "timeout": "time moves on to its timeout",
    "passes": "time passes while it computes",
    "flows": "time flows while it computes",
}


def seconds_text(microseconds: int) -> str:
    """A span of simulated time in seconds: ``12.5 s``."""
    return f"{microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"


def stretch_text(kind: str, seconds: float) -> str:
    """Real time that was spent on one thing: ``computed 2.7 real s``."""
    spent = f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}" if seconds >= 0.01 else f"{seconds:.1g}"
    verb, for_what = {
        "computing": ("computed", ""),
        "children": ("waited", " for child processes"),
        "waiting": ("waited", " for an answer, or something else that is real"),
    }[kind]
    return f"{verb} {spent} real s{for_what}"


def exit_text(how: facts.Exit) -> str:
    """How a process ended, in words."""
    if how.signum is not None:
        known = how.signum in signal.Signals.__members__.values()
        named = f"{signal.Signals(how.signum).name} (signal {how.signum})" if known else f"signal {how.signum}"
        return f"killed by {named}"
    return "how is unknown" if how.code is None else f"exit code {how.code}"


def excess_text(excess: facts.MemoryExcess) -> str:
    """What an instance used above the memory of its function."""
    number = excess.children
    children = f" together with {number} child process{'es' if number > 1 else ''}" if number else ""
    return (
        f"the instance{children} used more memory (MemUsage:{excess.used / MB:.2f}MB) "
        f"than the function's {excess.limit} MB: memory={excess.limit}"
        f"{f' ({excess.source})' if excess.source else ''}"
    )


_MET = {
    "handler": "user code has a handler for it",
    "default": "no handler is installed, so it ends the process",
    "ignored": "the process ignores it",
    "blocked": "the process has blocked it",
    "no process": "there is no process yet",
    "native": "code outside Python catches it, and no Python handler is called",
    "by language": "the runtime of the program's language catches it, with or without a handler in the program",
    "unknown": "the program, or its language's runtime, catches it",
    "scripted": "its script decides what happens",
}
_LISTENERS = {
    "handler": "user code installed a SIGTERM handler",
    "ignored": "user code ignores SIGTERM (SIG_IGN)",
    "native": "the runtime of the program's language catches SIGTERM",
    "replaced": "code outside Python replaced user code's SIGTERM handler",
    "default": "user code reset SIGTERM to its default action",
}


def entry_text(entry: facts.AnyEntry) -> str:  # noqa: PLR0911, PLR0912  (one line an entry)
    """What happened, in words; how many times equal waits were is not in it."""
    match entry:
        case facts.Waited(description=text) | facts.WaitedForOthers(description=text):
            return text
        case facts.Written(text=text) | facts.Remark(text=text):
            return text
        case facts.StatusChanged():
            code = f" ({entry.status_code})" if entry.status_code else ""
            return f"{entry.status}{code}: {entry.fact.value}"
        case facts.SignalSent():
            return f"SIGTERM sent: {_MET['by language' if entry.by_language else entry.disposition]}"
        case facts.HandlerEntered():
            return "SIGTERM handler entered"
        case facts.HandlerLeft(raised=None):
            return "SIGTERM handler returned"
        case facts.HandlerLeft():
            return f"SIGTERM handler raised {entry.raised}"
        case facts.HandlerDeferred():
            return "SIGTERM handler deferred until the main thread's wait is over"
        case facts.ListenerChanged():
            return _LISTENERS[entry.listener]
        case facts.ListenerRefused():
            return f"{entry.call} was refused: only the main thread may call it"
        case facts.Recorded():
            fields = (f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in entry.fields.items())
            return entry.name + "".join(fields)
        case facts.Queued():
            return "queued: all instances that its function may have are busy"
        case facts.RetryPlanned():
            return "the platform retries in 60 s"
        case facts.RetryBegan():
            return f"attempt {entry.retry_num + 1} (RetryNum {entry.retry_num})"
        case facts.Dropped():
            return f"dropped: {entry.fact.value}"
        case facts.Started():
            lost = shortened_list(entry.lost_files, FILES_SHOWN)
            before = f"; the previous instance's /tmp was deleted, with {lost}" if lost else ""
            return f"cold start{before}" if entry.cold else "warm start"
        case facts.GateReached():
            return f"stopped at {entry.gate}"
        case facts.GatePassed():
            return f"stopped later than {entry.gate}: the line was not written by print() or os.write()"
        case facts.StoppedBehind():
            return f"stopped after {entry.gate}"
        case facts.ProcessEnded():
            return f"the process ended: {exit_text(entry.exit)}"
        case facts.MemoryExceeded():
            return excess_text(entry.excess)
        case facts.ZygoteDied():
            return "the zygote was killed, and the instance with it"
        case facts.Reclaimed():
            return f"reclaimed: {entry.because}"
        case facts.ComputesInTime():
            return f"compute_rate={entry.rate:g}: computing takes simulated time: not repeatable"
        case facts.Preempted():
            does = "computes" if entry.computes else "sleeps and wakes up in real time"
            return f"{does} for more than {entry.grace:g} s without a wait: not repeatable"
        case facts.Outwaited():
            limit = f"{real_seconds(entry.limit)} ({'half of ' * (entry.then == 'flows')}real_timeout)"
            return f"has not settled within {limit}: {_AFTER_COMPUTING[entry.then]}: not repeatable"
        case facts.StoppedForMemory():
            return "stopped while computing, because of its memory: not repeatable"
        case facts.GivenUp():
            return f"{entry.call} gave up on it: it is stopped until a call waits for this event"


def entry_kind(entry: facts.AnyEntry) -> str:
    """The word for its kind, by which a reader finds the lines of one kind."""
    match entry:
        case facts.Waited() | facts.WaitedForOthers():
            return "wait"
        case facts.Written():
            return "log"
        case facts.Recorded():
            return "record"
        case facts.StatusChanged():
            return "status"
        case facts.SignalSent() | facts.HandlerEntered() | facts.HandlerLeft() | facts.HandlerDeferred():
            return "signal"
        case facts.ListenerChanged() | facts.ListenerRefused():
            return "signal"
    return "instance"


class _Row(NamedTuple):
    """A line of a timeline."""

    time: str
    kind: str
    text: str
    vital: bool = False
    """It is never left out, although it is a line of the log."""


def timeline_text(
    entries: Sequence[facts.AnyEntry],
    start_us: int,
    stretches: Sequence[RealStretch] = (),
    noise: float = 0.0,
    most: int | None = None,
) -> str:
    """One line an entry, times in seconds from *start_us*.

    Waits that follow each other are shown once each, with how often they were: threads wait by turns, and so does a
    server with its connections. Real time that was spent in *stretches* is shown between the entries, unless all of it
    is less than *noise* seconds. Of more than *most* lines those of the log and waits are left out first, and those of
    records next. Routine lines (`Written.routine`)
    are one row, unless *most* is None or the limits are lifted.
    """
    rows: list[_Row] = []
    turns: dict[str, facts.Waited] = {}
    """The waits that have followed each other until now, by what they are."""
    counted = sum(stretch.seconds for stretch in stretches) >= noise
    ours, vital = _own_frames(entries), _vital_lines(entries)
    folded = _routine_lines(entries) if most is not None and limits.timeline < NONE else []
    # Waits under a lease come late, with the next message of the instance: they are put where they began.
    in_order: list[tuple[int, float, facts.AnyEntry | _Row]] = [
        *(
            (each.time_us, number, _folded(entries, folded) if [number] == folded[:1] else each)
            for number, each in enumerate(entries)
            if number not in ours and number not in folded[1:]
        ),
        *(
            (each.time_us, each.entries - 0.5, _Row("", "real", stretch_text(each.kind, each.seconds)))
            for each in stretches
            if counted and each.seconds >= REAL_SHOWN
        ),
    ]
    in_order.sort(key=lambda each: each[:2])

    def end_turns() -> None:
        for wait in turns.values():
            often = f", {wait.times:,} times, the last at +{seconds_text(wait.last_us - start_us)}"
            text = shortened_line(wait.description, LINE_LIMIT) + (often if wait.times > 1 else "")
            rows.append(_Row(f"+{seconds_text(wait.time_us - start_us)}", "wait", text))
        turns.clear()

    for time_us, number, each in in_order:
        if isinstance(each, facts.WaitedForOthers):
            each = facts.Waited(time_us, each.description, time_us, 1, None)  # noqa: PLW2901
        if isinstance(each, facts.Waited):
            known = turns.get(each.description, each._replace(times=0))
            turns[each.description] = known._replace(last_us=each.last_us, times=known.times + each.times)
            continue
        end_turns()
        if not isinstance(each, _Row):
            text = shortened_line(entry_text(each), LINE_LIMIT)
            each = _Row("", entry_kind(each), text, number in vital)  # noqa: PLW2901
        rows.append(each._replace(time=f"+{seconds_text(time_us - start_us)}"))
    end_turns()
    if most is not None:
        rows = _shortened(rows, most)
    width = max((len(row.time) for row in rows), default=0)
    return "\n".join(f"{row.time:>{width}}  {row.kind:<8}  {row.text}" for row in rows)


def _own_frames(entries: Sequence[facts.AnyEntry]) -> set[int]:
    """The numbers of the lines with which ``faulthandler`` names frames of ours, and below those of the zygote."""
    found: set[int] = set()
    for number, entry in enumerate(entries):
        if isinstance(entry, facts.Written) and (place := place_at_fault(entry.text)) is not None:
            of_zygote = place[0] == "<string>" and number - 1 in found
            if of_zygote or place[0].startswith(OWN_CODE):
                found.add(number)
    return found


_TROUBLE = re.compile(r"\b(Traceback|ERROR|CRITICAL)\b")
"""What programs write where something is wrong."""


def _vital_lines(entries: Sequence[facts.AnyEntry]) -> set[int]:
    """The numbers of lines in which a program says what is wrong: the first and last that do, and the last of all.

    Those with which ``faulthandler`` names frames do, too: from Python 3.14 on those of C code follow them.
    """
    written = [
        number
        for number, each in enumerate(entries)
        if isinstance(each, facts.Written) and not each.of_platform and not each.routine
    ]
    texts = {number: entry_text(entries[number]) for number in written}
    trouble = [at for at, text in texts.items() if _TROUBLE.search(text) or place_at_fault(text) is not None]
    return {*trouble[:3], *trouble[-3:], *[*texts][-5:]}


def _routine_lines(entries: Sequence[facts.AnyEntry]) -> list[int]:
    """The numbers of the lines that say nothing of how the event went."""
    return [number for number, each in enumerate(entries) if isinstance(each, facts.Written) and each.routine]


def _folded(entries: Sequence[facts.AnyEntry], folded: Sequence[int]) -> _Row:
    """The row in place of the lines with the numbers *folded*."""
    of_libraries = sum(1 for number in folded if not getattr(entries[number], "of_platform", False))
    what = ["Init Report"] if of_libraries < len(folded) else []
    if of_libraries:
        what.append(f"{of_libraries:,} DEBUG line{'s' if of_libraries > 1 else ''} of libraries")
    return _Row("", "…", f"{' and '.join(what)} left out")


_NAMES = {"log": ("log line", "log lines"), "wait": ("wait", "waits"), "record": ("record", "records")}


def _shortened(rows: list[_Row], most: int) -> list[_Row]:
    """*rows* in *most* lines: one in place of those that are left out says what they are.

    Those of the log and waits that are nearest to other lines, and to the last one, stay; only where the others alone
    are too many, records are left out, too. Statuses, signals, gates and the end never are.
    """
    if len(rows) <= most:
        return rows
    kept: set[int] = set()
    for kinds in ({"log", "wait", "real"}, {"log", "wait", "real", "record"}):
        kept = {number for number, row in enumerate(rows) if row.kind not in kinds or row.vital} | {len(rows) - 1}
        size = len(kept) + len(_gaps(len(rows), kept))
        if size <= most:
            break
    for number in sorted(set(range(len(rows))) - kept, key=distances(len(rows), kept).__getitem__):
        more = 1 - (number - 1 in kept or number == 0) + 1 - (number + 1 in kept or number == len(rows) - 1)
        if not more or size + more <= most:  # what stands for a single row takes as much room
            kept.add(number)
            size += more
    shown = {number: rows[number] for number in kept}
    for gap in _gaps(len(rows), kept):
        counted = Counter(row.kind for row in rows[gap.start : gap.stop])
        what = [f"{count:,} {_NAMES[kind][count > 1]}" for kind, count in counted.items() if kind in _NAMES]
        shown[gap.start] = _Row(rows[gap.start].time, "…", f"{' and '.join(what) or 'real time'} left out")
    return [shown[number] for number in sorted(shown)]


def _gaps(count: int, kept: Collection[int]) -> list[range]:
    """The numbers up to *count* that are not *kept*: those that follow each other together."""
    edges = [-1, *sorted(kept), count]
    return [range(low + 1, high) for low, high in pairwise(edges) if high - low > 1]


def distances(count: int, kept: Collection[int]) -> list[int]:
    """How far each number is from the next one that is *kept*, before or behind it; *count* where none is."""
    found = [count] * count
    for numbers in (range(count), range(count - 1, -1, -1)):
        far = count
        for number in numbers:
            far = 0 if number in kept else far + 1
            found[number] = min(found[number], far)
    return found
