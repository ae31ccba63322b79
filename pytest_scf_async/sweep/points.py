"""The points of a handler: where it can be interrupted, what they are called, and which of them a sweep tries."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias, TypeGuard

from ..errors import Given, hidden_from_users
from ..lockstep.places import Place
from ..model.log_lines import LogLine
from ..model.timeline import AnyEntry, Waited, Written
from ..protocol import messages
from ..protocol.disk_record import Effect, Sync
from .states import Missing, State, alike_at_first, without_numbers

__tracebackhide__ = hidden_from_users

Which: TypeAlias = Literal["lines", "waits", "log"]
WHICH: Final[tuple[Which, ...]] = ("lines", "waits", "log")

_WAITS = frozenset({"wait", "waited"})
_LINES = frozenset({"line", "both", "taken"})
_TEXT = 60
NAMED_CALLS = frozenset({"effect", "sync"})
"""The kinds of points of which a finding names the function that has made the call."""
RECORDED = frozenset({"effect", "end"})
"""Those that only a record tells, of a run that had a SIGTERM, too."""


@dataclass(frozen=True)
class Point:
    """A point at which a sweep interrupts a handler."""

    label: str
    """Its name: ``export.py:42#3``, before that line for the third time, as ``run_to`` names it; ``export.py:42+2#3``,
    within the line where Python looks for signals for the second time (after its second call, say), on its third turn;
    ``export.py:42(Stopped)+1#1``, the same in the body of a class, or of a function of one line, that begins there;
    ``wait#2``, within the second wait of the main thread; ``waited#2``, right after it; ``log#2``, behind the second
    line of the log that a library has written; ``connection#2``, at the second piece of traffic on connections, and
    ``sync#2``, at the second call that syncs, for faults; ``effect#7``, before the seventh system call that changes
    ``run.path``, and ``effect#7+4096``, where that is a write, when 4,096 bytes of the file were there;
    ``end``, when it has done all; ``effect#7-5`` and ``end-5``, the same when the power fails and what the fifth effect
    has done is missing; ``after#4`` and ``before#5``, in a library that the line has called, where Python looks for
    signals between the fourth of these system calls and the fifth: at the first such place, and at the last one."""
    kind: str
    file: str
    """Its file, relative to the code directory; empty if no user code is on the stack."""
    line: int
    """Its line; 0 if there is no file."""
    seconds: float
    """Simulated seconds after the event was accepted."""
    found: messages.Point = field(repr=False)
    """The fact that the instance has reported."""
    text: str = ""
    """The wait, or the line of the log."""
    after: Point | None = None
    """The point of the first SIGTERM, if this is one of a second termination."""
    of_program: bool = False
    """It is an effect of a program, which handles signals anywhere."""
    is_new: bool = True
    """A kill at this effect leaves what a kill at no other point leaves."""
    is_end: bool = False
    """A SIGTERM at this effect ends the process, to which nobody listens, and leaves what it leaves at no other point.
    """
    cut: int = 0
    """Of an effect that is a write: it is cut when its file has so many bytes."""
    missing: str = field(default="", compare=False)
    """The files that were not synced, where the machine is gone; empty: it is not."""
    unsynced: Missing | None = field(default=None, compare=False, repr=False)
    """The same as data."""
    function: str = field(default="", compare=False)
    """Of an effect, or a sync, in a finding: the library's function that its line has called; empty: not known."""

    @property
    def graceful(self) -> bool:
        """This Python, or the program, can run a signal handler there."""
        return self.kind in ("both", "taken", "wait", "waited", "log", "library") or self.of_program

    @property
    def forced(self) -> bool:
        """A kill there differs from one at the points around it."""
        return self.kind in ("line", "both", "wait", "waited", "log", "end") or (self.kind == "effect" and self.is_new)

    @property
    def is_ended(self) -> bool:
        """No signal handler can run there, and there is none: SIGTERM ends the process, as a kill does."""
        is_end = self.is_end or (self.kind == "line" and self.found.at_default)
        return is_end and not self.graceful and self.after is None

    @property
    def shown(self) -> str:
        """Its name, and for a second termination also that of the first point."""
        return self.label if self.after is None else f"{self.after.label}>{self.label}"

    def place(self, roots: Sequence[str]) -> Place | None:
        """Where an instance stands there; the code is in each of *roots*. None for a wait and a line of the log."""
        found = self.found
        if self.kind not in _LINES:
            return None
        return Place(
            self.label,
            (),
            found.number,
            tuple(
                messages.Instruction(os.path.join(root, self.file), found.name, found.first, found.offset)
                for root in roots
            ),
        )


def points_of(found: Iterable[messages.Point], roots: Sequence[str], start_us: int) -> list[Point]:
    """What an instance has *found*, in its order."""
    prefixes = tuple(os.path.join(root, "") for root in roots)
    return [_point(each, prefixes, start_us) for each in found]


def _point(found: messages.Point, prefixes: tuple[str, ...], start_us: int) -> Point:
    prefix = next((prefix for prefix in prefixes if found.file.startswith(prefix)), "")
    file = found.file[len(prefix) :]
    if found.kind == "library":
        label = f"after#{found.effects}" if found.nth == 1 else f"before#{found.effects + 1}"
    elif found.kind not in _LINES:
        label = f"{found.kind}#{found.number}"
    else:
        shares_line = found.name.startswith("<") or (found.kind == "taken" and found.line == found.first)
        inside = f"({found.name.strip('<>')})" if shares_line and found.name != "<module>" else ""
        if found.kind == "taken":
            label = f"{file}:{found.line}{inside}+{found.nth}#{found.number}"
        else:
            label = f"{file}:{found.line}{inside}#{found.turn}"
    seconds = (found.time_us - start_us) / 1e6
    return Point(label, found.kind, file, found.line, seconds, found, found.text[:_TEXT])


def effect_point(state: State, last: Point | None, start_us: int) -> Point:
    """The point before an effect of *state*, or within it, which follows on *last*."""
    effect = state.effect
    assert effect is not None
    file, path, line = ("", "", 0) if last is None else (last.file, last.found.file, last.line)
    found = messages.Point("effect", effect.time_us, state.number, path, line, name=effect.call, text=effect.text)
    found = found._replace(at_default=effect.at_default)
    seconds = (effect.time_us - start_us) / 1e6
    return Point(state.name, "effect", file, line, seconds, found, state.text, cut=state.cut or 0)


def end_point(state: State, last: Point | None, time_us: int, start_us: int) -> Point:
    """The point right before the end of an event that has done its work, of which *state* is left, after *last*."""
    file, path, line = ("", "", 0) if last is None else (last.file, last.found.file, last.line)
    found = messages.Point("end", time_us, 1, path, line, effects=state.number - 1, in_event=True)
    return Point("end", "end", file, line, (time_us - start_us) / 1e6, found)


def power_point(state: State, at: Effect, last: Point | None, start_us: int) -> Point:
    """The point at which the machine is gone and leaves *state*: when the effect *at* begins, or right after it."""
    assert state.missing is not None
    made = effect_point(state._replace(effect=at), last, start_us)
    missing = state.missing
    return replace(made, label=state.name, kind="power", text=state.text, missing=missing.text, unsynced=missing)


def sync_point(sync: Sync, start_us: int) -> Point:
    """The point at a call that syncs, for faults; at which line that is, no run but one that names functions knows."""
    found = messages.Point("sync", sync.time_us, sync.number, "", 0, text=sync.text)
    return Point(f"sync#{sync.number}", "sync", "", 0, (sync.time_us - start_us) / 1e6, found, sync.text)


def recorded_point(label: str, after: Point) -> Point:
    """The point at an effect, or at the end, of which only the name is known, after a first termination."""
    kind = "end" if label == "end" else "effect"
    return Point(label, kind, "", 0, 0.0, messages.Point(kind, 0, 0, "", 0), after=after)


def points_of_program(timeline: Iterable[AnyEntry], lines: Sequence[LogLine], start_us: int) -> list[Point]:
    """The points of a program that no Python tells: each line of its log, and each of its waits, in their order."""
    found: list[messages.Point] = []
    written = waited = at = 0
    for entry in timeline:
        if isinstance(entry, Written) and at < len(lines):
            line, at = lines[at], at + 1
            if line.source == "Custom" and line.text:
                written += 1
                found.append(messages.Point("log", line.time_us, written, "", 0, text=line.text))
        elif isinstance(entry, Waited):
            for number in range(entry.times):
                waited += 1
                time_us = entry.last_us if number + 1 == entry.times else entry.time_us
                found.append(messages.Point("wait", time_us, waited, "", 0, text=entry.description))
    return points_of(found, (), start_us)


@dataclass(frozen=True)
class Choice:
    """The points of a handler that are tried."""

    which: Which = "lines"
    include: tuple[str, ...] = ()
    """Patterns of files, or of points; all where there is none."""
    exclude: tuple[str, ...] = ()
    limit: int = 1000

    @property
    def excluded_files(self) -> tuple[str, ...]:
        """Those of *exclude* that are patterns of files: what they have is not even looked at."""
        return tuple(pattern for pattern in self.exclude if not {":", "#"} & set(pattern))

    def candidates(self, points: Iterable[Point]) -> list[Point]:
        """Those of *points* that are of the kinds and files that are wanted."""
        return [point for point in points if self._is_wanted(point)]

    def _is_wanted(self, point: Point) -> bool:
        if self.which == "waits" and point.kind not in _WAITS:
            return False
        if self.which == "log" and point.kind != "log":
            return False
        if self.which == "lines" and point.kind in ("waited", "log") and point.found.nth:
            return False  # where the call of user code ends is a point already
        names = (point.file, os.path.basename(point.file), point.label, f"{point.file}:{point.line}")
        if self.include and not _any_fits(names, self.include):
            return False
        return not _any_fits(names, self.exclude)


def choice(which: object, include: object, exclude: object, limit: object) -> Choice:
    """The choice that these keywords of ``sweep`` make. Raises ``ScfUsageError`` for invalid values."""
    if which not in WHICH:
        Given("points", which).has_to_be(" or ".join(map(repr, WHICH)))
    if not is_count(limit):
        Given("limit", limit).has_to_be("a whole number of runs and resumes, 1 or more")
    return Choice(which, _patterns("include", include), _patterns("exclude", exclude), limit)


def is_count(value: object) -> TypeGuard[int]:
    """Whether *value* is a whole number, 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _patterns(name: str, value: object) -> tuple[str, ...]:
    several = (value,) if isinstance(value, str) else () if value is None else value
    patterns = tuple(several) if isinstance(several, Iterable) else (several,)
    if all(isinstance(each, str) for each in patterns):
        return patterns
    valid = "a pattern of files ('export.py', 'jobs/*.py') or lines ('export.py:42'), or several"
    return Given(name, value).has_to_be(valid)


def _any_fits(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def chosen(points: Sequence[Point], limit: int, needs: Callable[[Point], Collection[object]]) -> list[Point]:
    """Those of *points*, in their order, that *limit* runs and resumes are enough for.

    *needs* names the runs and resumes that a point needs; what several points need counts once. No line is left out for
    another turn of one that is tried: the first turn of each line comes first, then all that a handler does only after
    SIGTERM, then the last and the second turn of each line, and the rest evenly. A thing that is changed, or missing,
    counts as a line does, as one line may call a library that does all there is to do: a single file that is never
    synced may be one among hundreds of effects. Of more lines and things than runs those are tried that lie at equal
    distances. A handler that goes on after SIGTERM comes to most of its lines again after each of the first stops:
    these points are many more than all others, and would leave no room for them.
    """
    if len(set().union(*map(needs, points))) <= limit:
        return list(points)
    by_line: dict[tuple[str, str, int, int, str], list[int]] = {}
    for at, point in enumerate(points):
        if point.after is None:
            changed = point.missing or (point.text if point.kind in NAMED_CALLS else "")
            key = point.kind, point.file, point.line, point.found.nth, without_numbers(changed)
            by_line.setdefault(key, []).append(at)
    undisturbed = {(file, line) for _, file, line, _, _ in by_line}
    turns = [*by_line.values()]
    first = [turns[at][0] for at in _spread(len(turns))]
    first += [at for at, point in enumerate(points) if (point.file, point.line) not in undisturbed]
    for turn in (-1, 1):
        first += [found[turn] for found in turns if len(found) > 1]
    picked, needed = set[int](), set[object]()
    for at in dict.fromkeys([*first, *_spread(len(points))]):
        more = needed.union(needs(points[at]))
        if len(more) <= limit:
            needed = more
            picked.add(at)
    return [points[at] for at in sorted(picked)]


def _spread(count: int) -> list[int]:
    """The numbers below *count*, so that the first of them, however many, are at about equal distances."""
    bits = count.bit_length()
    return sorted(range(count), key=lambda number: f"{number:0{bits}b}"[::-1])


def available(points: Iterable[Point], patterns: Sequence[str]) -> tuple[str, ...]:
    """What *points* there are, those first that are most like one of the *patterns*, which fit none of them.

    Lines are ``export.py:3-9 (save)``, all others ``wait#1-4``.
    """
    import difflib  # noqa: PLC0415  (only where include= has matched nothing)

    lines: dict[tuple[str, str], set[int]] = {}
    numbers: dict[str, set[int]] = {}
    for point in points:
        if point.kind in _LINES:
            name = "" if point.found.name.startswith("<") else f" ({point.found.name})"
            lines.setdefault((point.file, name), set()).add(point.line)
        else:
            numbers.setdefault(point.kind, set()).add(point.found.number)
    found = [
        f"{file}:{_range(of)}{name}" for (file, name), of in sorted(lines.items(), key=lambda each: -len(each[0][1]))
    ]
    found += [f"{kind}#{_range(of)}" for kind, of in numbers.items()]

    def likeness(name: str) -> float:
        file = name.partition(":")[0]
        return max(difflib.SequenceMatcher(None, file, pattern.partition(":")[0]).ratio() for pattern in patterns)

    return tuple(sorted(found, key=likeness, reverse=True))


def _range(numbers: Collection[int]) -> str:
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first}-{last}"


def first_turns(points: Sequence[Point], limit: int) -> list[Point]:
    """Of each line the first two of *points*, *limit* at most: at equal distances where there are more."""
    by_line: dict[tuple[str, int], list[Point]] = {}
    for point in points:
        by_line.setdefault((point.file, point.line), []).append(point)
    turns = sorted((point for found in by_line.values() for point in found[:2]), key=points.index)
    count = min(len(turns), limit)
    return [turns[number * len(turns) // count] for number in range(count)]


def first_difference(one: Sequence[Point], other: Sequence[Point]) -> int | None:
    """The first point at which two runs differ; None: they are the same."""
    names, others = ([(point.label, point.kind) for point in points] for points in (one, other))
    return None if names == others else alike_at_first(names, others)
