"""The heading of a finding: what is wrong, and how and where the handler was interrupted, in the user's words."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..protocol.shortening import shortened_line
from ..protocol.wait_texts import waits_of
from ..report.waits import who_waits
from .differences import Kind
from .findings import SweepRun
from .interruptions import Interruption
from .neighbours import Around
from .points import Point
from .surroundings import NearEffect

WIDTH = 120
"""Characters of a line of a report."""
_WITH_TEXT: Final = ("wait", "waited", "log", "effect", "sync", "power", "library")
"""Kinds of points that are not lines."""


class _Verb(NamedTuple):
    past: str
    doing: str
    passive: str
    writes: bool = False
    """It fills a file."""
    makes: bool = False
    """Something has a name after it."""


_CALLS: Final = {
    ("open", "creat"): _Verb("opened", "opening", "opened", makes=True),
    ("write", "sendfile", "copy_file_range", "splice"): _Verb("wrote", "writing", "written", writes=True),
    ("truncate",): _Verb("truncated", "truncating", "truncated"),
    ("rename",): _Verb("renamed", "renaming", "renamed", makes=True),
    ("link", "symlink"): _Verb("linked", "linking", "linked", makes=True),
    ("unlink", "rmdir"): _Verb("removed", "removing", "removed"),
    ("mkdir", "mknod"): _Verb("made", "making", "made", makes=True),
    ("chmod",): _Verb("changed the mode of", "changing the mode of", "given another mode"),
    ("chown",): _Verb("changed the owner of", "changing the owner of", "given another owner"),
    ("utime",): _Verb("set the times of", "setting the times of", "given other times"),
    ("mmap",): _Verb("mapped", "mapping", "mapped"),
    ("record",): _Verb("recorded", "recording", "recorded"),
}
"""By the names of effects: what is said of them, and what follows from them."""
_VERBS: Final = {call: verb for calls, verb in _CALLS.items() for call in calls}
WRITES: Final = frozenset(call for call, verb in _VERBS.items() if verb.writes)
MAKES: Final = frozenset(call for call, verb in _VERBS.items() if verb.makes)


def class_title(around: Around) -> str:
    """The heading of a class: ``LOST: killed before convert.py:31``."""
    run = around.run
    words = " and ".join(kind.value.upper() for kind in Kind if kind in wrong_kinds(run))
    return shortened_line(f"{words}: {_happened(around)}", WIDTH)


def wrong_kinds(run: SweepRun) -> frozenset[Kind]:
    """The kinds that a text names: that it is late only if no more is wrong with it."""
    return run.kinds - {Kind.LATE} or run.kinds


def _happened(around: Around) -> str:
    """How and where it was interrupted, as a clause: ``killed while train.py:11 was writing ckpt.json``."""
    run = around.run
    *before, last = run.outcome.plan.steps
    text = f"{happened(last.by)} {_where(around)}"
    for step in before:
        text += f", after SIGTERM at {_short_place(step.point)}"
    if last.by.again_us is not None:
        text += f", with a second SIGTERM {last.by.again_us / 1e6:g} s later"
    if last.by.forced_us is not None:
        text += f", and killed {last.by.forced_us / 1e6:g} s later"
    return f"{text}, then a new instance" if run.cold else text


def happened(by: Interruption) -> str:
    """What an interruption is called in a heading."""
    if by.failure is not None:
        return _FAILS[by.failure]
    return _INTERRUPTED[by.kind]


_INTERRUPTED: Final = {
    "forced": "killed",
    "graceful": "SIGTERM",
    "timeout": "timed out",
    "power": "power lost",
}
_FAILS: Final = {"enospc": "disk full", "eio": "I/O error", "reset": "connection reset"}


def _where(around: Around) -> str:
    point = around.run.point
    place = f"{point.file}:{point.line}" if point.line else ""
    if point.kind in ("effect", "power", "sync"):
        return _at_effect(around, place)
    if point.kind == "end":
        return f"when all was done, after {place}" if place else "when all was done"
    if point.kind == "log":
        return f"right after it logged {point.text!r}"
    if point.kind in ("wait", "waited"):
        return f"{'while' if point.kind == 'wait' else 'right after'} {waited_text(point, place or 'it')}"
    if point.kind == "connection":
        return f"at {place or point.shown}"
    if point.kind == "library":
        return f"within {place or 'it'}{f', in {point.text}' if point.text else ''}"
    return f"within {place}" if point.kind == "taken" else f"before {place}"


def _at_effect(around: Around, place: str) -> str:
    point, effect = around.run.point, None if around.near is None else around.near.next
    if effect is None or point.kind == "sync":
        if point.kind == "power":
            return "at the end"
        text = point.text
        when = "before" if around.by.failure is None else "when"
        return f"{when} {place or 'it'} did {text}" if point.kind == "sync" or place else f"{when} {text}"
    if effect.other:
        return _did(around, effect, effect.other) + (f", the main thread at {place}" if place else "")
    return _did(around, effect, place if point.kind == "effect" else effect.place or place)


def _did(around: Around, effect: NearEffect, where: str) -> str:
    point, verb, what = around.run.point, _VERBS.get(effect.call), _object(effect)
    if point.cut:
        what += f", of which {point.cut:,} bytes were there"
    if around.by.failure is not None:
        return f"when {where or 'it'} {verb.past if verb else f'did {effect.call} of'} {what}"
    if not where:
        return f"before {_passive(effect, verb)}"
    if around.is_in_middle or point.cut:
        return f"while {where} was {verb.doing if verb else f'at {effect.call} of'} {what}"
    return f"before {where} {verb.past if verb else f'did {effect.call} of'} {what}"


def waited_text(point: Point, place: str) -> str:
    """Who waited, and in what: ``job.py:9 waited in sleep(1)``, ``Task-1 was at the `await` on job.py:9``."""
    if any(wait.task or wait.thread or wait.in_child for wait in waits_of(point.text)):
        return who_waits(point.text, place, "")
    suffix = f"{point.file}:{point.line}"
    call = point.text[: -len(suffix)].rstrip().rpartition(" ")[0] if point.text.endswith(suffix) else point.text
    return f"{place} waited in {call}"


def _object(effect: NearEffect) -> str:
    if effect.said:
        return effect.text.partition(" ")[2] if effect.call != "connect" else f"to {effect.path}"
    return " to ".join(effect.paths)


def _passive(effect: NearEffect, verb: _Verb | None) -> str:
    if effect.said or verb is None:
        return f"it did {effect.text}"
    first, *others = effect.paths
    return " to ".join([f"{first} was {verb.passive}", *others])


def _short_place(point: Point) -> str:
    return f"{point.file}:{point.line}" if point.line and point.kind not in ("effect", "sync") else point.label


def source_lines(point: Point) -> Iterator[str]:
    """The lines of the source around it."""
    for number in range(max(point.line - 2, 1), point.line + 3) if point.line else ():
        text = linecache.getline(point.found.file, number).rstrip()
        if text or number == point.line:
            yield shortened_line(f"{'>' if number == point.line else ' '} {number:4} {text}", WIDTH - 4)
