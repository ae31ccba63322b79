"""What one class of findings is, as data: what happened, the effects around it, what the restarts did, what repairs it.

The report prints it, and the page of a trace shows it.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..model.statuses import Status
from ..protocol.shortening import shortened_list
from .causes import cause_of
from .difference_texts import all_difference_lines, run_difference_lines
from .differences import Kind
from .findings import FailureClass, SweepRun, Swept, what_is_wrong
from .interruptions import Interruption
from .neighbours import Around
from .points import RECORDED
from .run import Attempt
from .surroundings import NearEffect
from .titles import class_title, happened, wrong_kinds

_SIDE = 4
"""Effects that are shown on each side of an interruption at most."""
_NAMED = 3
"""Other interruptions of a class that a sentence names."""
_HARM: Final = {
    Kind.LOST: "loses data",
    Kind.DIVERGED: "changes what comes out",
    Kind.NEVER_FINISHES: "keeps it from finishing",
    Kind.FAILED_CHECK: "makes a check fail",
    Kind.LATE: "makes it end too late",
    Kind.DOUBLED: "has work done twice",
    Kind.LEFT_BEHIND: "leaves something behind",
}


@dataclass(frozen=True)
class EffectLine:
    """One effect near an interruption, as it is shown."""

    name: str
    """``effect#2``."""
    call: str
    what: str
    """The file, files or address that it is about."""
    result: str
    """The size of its file afterwards: ``11 bytes``; empty: it has none."""
    place: str
    """The line that makes it: ``train.py:11``; empty: not known."""


@dataclass(frozen=True)
class Source:
    """One line of the user's code."""

    file: str
    """As reports name it."""
    line: int
    path: str
    """Where the file is."""
    text: str


class Explained:
    """One class of findings. An empty text or tuple means that there is nothing of the kind."""

    def __init__(self, swept: Swept, alike: FailureClass, *, repro: str = "") -> None:
        """Of one of the classes of *swept*; *repro* is a script that was written of it."""
        around, run = Around(swept, alike), alike.earliest
        self.title = class_title(around)
        """``NEVER FINISHES: killed while train.py:11 was writing ckpt.json``."""
        self.kinds = tuple(kind.value for kind in Kind if kind in alike.kinds)
        self.how = run.how
        self.runs = len(alike.runs)
        self.key = run.key
        """Of the earliest run: what ``--scf-async-replay`` takes."""
        self.explanation, self.fix = cause_of(around)
        """Why it fails, where the facts say so: ``Path.write_text empties the file before filling it``; and what
        repairs it."""
        self.differences = tuple(all_difference_lines(run.differences))
        """The differences in the end, a line each."""
        self.effects, at = _effect_lines(around)
        self.interrupted_after = at if self.effects else None
        """The number of *effects* before the interruption; None: there are no effects."""
        self.interruption = _interruption_text(around)
        """``killed here``."""
        self.source = _source(around)
        self.attempts = run.outcome.attempts
        """The interrupted event and those that followed."""
        self.restarts = _restarts(run)
        """The ends of these, in a sentence."""
        self.errors = tuple(_errors(run.outcome.attempts, swept))
        """Their exceptions, each once: ``train.py:8  JSONDecodeError: Expecting value``."""
        self.survival = _survival(around)
        """The nearest points at which the same interruption does no harm, in a sentence."""
        self.alike = _alike_text(around)
        """The other interruptions that fail in the same way, in a sentence."""
        self.replay = " ".join(["pytest", *([swept.test] if swept.test else []), f"--scf-async-replay='{run.key}'"])
        """The command that repeats it in a test."""
        self.repro = repro
        """The path of a script that shows it without this package, where one was written."""
        self.files = run.outcome.written
        """The files in the directory at the interruption, with their sizes."""
        self.failed = run.outcome.failed
        """The calls that a fault of the disk made fail."""
        self.timeline = run.outcome.timeline
        """The timeline of the interrupted event."""
        self.others = tuple(each.key for each in alike.runs[1:])
        """The keys of the other runs."""


# -- the effects -------------------------------------------------------------------------------------------------------


def _effect_lines(around: Around) -> tuple[tuple[EffectLine, ...], int]:
    """The effects around the interruption, and how many of them stand before it."""
    near, point = around.near, around.run.point
    if near is None:
        return (), 0
    begun = near.begun
    first = begun - 2 if around.begun_before is None else min(around.begun_before, begun - 1)
    last = begun + 2 if around.begun_after is None else max(around.begun_after, begun + 1)
    if near.resumes:
        first, last = begun - 2, begun + _SIDE
    if around.by.failure is not None:
        last = begun = begun + 1
    elif point.cut:
        begun += 1
    lost = 0 if point.unsynced is None else point.unsynced.number
    shown = [
        each
        for each in near.effects
        if max(first, begun - _SIDE) < each.number <= min(last, begun + _SIDE) or each.number == lost
    ]
    at = sum(each.number <= begun for each in shown)
    failing = begun if around.by.failure is not None else 0
    return tuple(_effect_line(each, lost=lost, failing=failing) for each in shown), at


def _effect_line(effect: NearEffect, *, lost: int, failing: int) -> EffectLine:
    """How *effect* is shown; that with the number *lost* is not on the disk, the one with *failing* was not made."""
    what = effect.path if effect.said else " to ".join(effect.paths)
    if effect.call == "send":
        what = f"{effect.size:,} byte{'s' * (effect.size != 1)} to {effect.path}"
    size = effect.after.size if effect.after is not None and effect.after.kind == "file" else None
    result = "" if size is None or effect.number == failing else f"{size:,} byte{'s' * (size != 1)}"
    if effect.number == lost:
        result += f"{', ' * bool(result)}not on the disk"
    return EffectLine(f"effect#{effect.number}", effect.call, what, result, effect.place)


def _interruption_text(around: Around) -> str:
    """What the mark says that stands where the interruption is."""
    if around.by.failure is not None:
        return f"fails here ({around.by.failure.upper()})"
    cut = around.run.point.cut
    return f"{happened(around.by)} here" + (f", at byte {cut:,} of the file" if cut else "")


def _source(around: Around) -> Source | None:
    point, evidence = around.run.point, around.swept.evidence
    if not point.line:
        return None
    path = point.found.file
    if evidence is not None and not (path.endswith(point.file) and os.path.isfile(path)):
        paths = (os.path.join(root, point.file) for root in evidence.question.roots)
        path = next(filter(os.path.isfile, paths), path)
    text = linecache.getline(path, point.line).strip()
    return Source(point.file, point.line, path, text) if text else None


# -- where it survives, and what fails alike ---------------------------------------------------------------------------


def _survival(around: Around) -> str:
    """Between which points it fails: the nearest ones on both sides at which the same interruption does no harm."""
    run, before, after = around.run, around.before, around.after
    if run.point.missing or around.is_alone:
        return ""
    if before is None and after is None:
        # After a SIGTERM only those kills are tried that leave something new.
        is_after_stop = run.point.kind in RECORDED and run.point.after is not None
        return "" if is_after_stop else "It fails at every point that was tried"
    if before is None:
        assert after is not None
        return f"It fails from the first point on, and survives at {after.point.shown}"
    if after is None:
        return f"It survives at {before.point.shown}, and fails at every later point that was tried"
    if run.point.kind == "effect" and (names := _effects_around(around)):
        return f"{_did(around.by)} before {names[0]} or after {names[1]}, it survives"
    harm = next(text for kind, text in _HARM.items() if kind in wrong_kinds(run))
    does = "it does no harm" if not (before.differences or after.differences) else "the handler survives"
    what = "An interruption" if around.by.failure is None else "The same error"
    return f"{what} between {before.point.shown} and {after.point.shown} {harm}; at these two {does}"


def _effects_around(around: Around) -> tuple[str, str] | None:
    """The first effect before which, and the last one after which, the same interruption does no harm."""
    near, begun, until = around.near, around.begun_before, around.begun_after
    if near is None or near.resumes or begun is None or until is None or around.by.failure is not None:
        return None
    first, last = near.numbered(begun + 1), near.numbered(until)
    if first is None or last is None:
        return None
    if first.call == last.call or first.path != last.path:
        return f"effect#{first.number}", f"effect#{last.number}"
    return first.call, last.call


def _alike_text(around: Around) -> str:
    """Which other interruptions of the class there are."""
    runs, passes, text = around.alike.runs, around.passes, ""
    late = sum(Kind.LATE in each.kinds for each in runs)
    if len(passes) > 1:
        text = f"Passes {_listed(passes)} fail alike"
    elif len(runs) > 1:
        names = shortened_list([each.point.shown + " (new instance)" * each.cold for each in runs[1:]], _NAMED)
        text = f"{len(runs) - 1:,} more fail{'s' * (len(runs) == 2)} alike: {names}"
    more = [each for each in runs if each.wrong > around.run.wrong]
    if more:
        also = next(each for each in more[0].differences if what_is_wrong(each) not in around.run.wrong)
        names = "; ".join(run_difference_lines(also))
        text += f"{'; ' * bool(text)}in {len(more):,} of them more goes wrong ({names}, at {more[0].point.shown})"
    if late and around.run.kinds - {Kind.LATE}:
        them = f"{late:,} of the {len(runs):,}" if late < len(runs) else "both" if late == 2 else "all"
        verb = "are" if late > 1 else "is"
        text += f"; {them} {verb} late as well" if text else "It is late as well"
    return text


def _did(by: Interruption) -> str:
    return {"forced": "Killed", "graceful": "Stopped", "timeout": "Timed out", "fault": "With the error"}.get(
        by.kind, "Interrupted"
    )


def _listed(numbers: Sequence[int]) -> str:
    *first, last = [f"{each:,}" for each in numbers]
    if len(first) > 5:
        return (
            f"{first[0]} to {last}"
            if numbers == [*range(numbers[0], numbers[-1] + 1)]
            else f"{', '.join(first)} and {last}"
        )
    return f"{', '.join(first)} and {last}"


# -- restarts ----------------------------------------------------------------------------------------------------------


def ended_text(attempt: Attempt) -> str:
    """``FAILED (430) after 2 s``."""
    code = "" if attempt.status_code in (0, 200) else f" ({attempt.status_code})"
    return f"{attempt.status}{code} after {attempt.seconds:g} s"


def _restarts(run: SweepRun) -> str:
    first, *others = run.outcome.attempts
    is_kill = run.outcome.plan.steps[-1].by.kind in ("forced", "power") and first.status == Status.ABORTED
    ended = "" if is_kill else f"Ended {ended_text(first)}"
    if run.outcome.stuck:
        return f"{f'{ended}; it' if others and ended else 'It'} could not end: {run.outcome.stuck}"
    if not others:
        return f"{ended or f'Ended {ended_text(first)}'}, and was not restarted"
    failed = [each for each in others if each.status != Status.FINISHED]
    warm = "" if others[0].cold else " in the same instance"
    codes = ", ".join(dict.fromkeys(str(each.status_code) for each in failed if each.status_code))
    times = _times(len(others))
    if failed and len(failed) == len(others):
        text = f"restarted {times}{warm}, failed {_times(len(failed))} ({codes})"
    elif failed:
        end = others[-1]
        rest = f", then {ended_text(end)}" if end.status == Status.FINISHED else ""
        text = f"restarted {times}{warm}, failed {_times(len(failed))} ({codes}){rest}"
    else:
        results = " and ".join(dict.fromkeys(ended_text(each) for each in others))
        text = f"restarted {times}{warm}: {results}"
    return f"{ended}; {text}" if ended else f"{text[0].upper()}{text[1:]}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _errors(attempts: Sequence[Attempt], swept: Swept) -> Iterator[str]:
    """How the restarts failed, each way once."""
    failed = (each for each in attempts[1:] if each.status != Status.FINISHED and each.message)
    yield from dict.fromkeys(_error_text(each, swept) for each in failed)


def _error_text(attempt: Attempt, swept: Swept) -> str:
    """``train.py:8  JSONDecodeError: Expecting value``: without the exception's module, and the path of the run."""
    name, colon, rest = attempt.message.partition(":")
    if name.replace(".", "").isidentifier():
        name = name.rpartition(".")[2]
    if swept.evidence is not None:
        rest = rest.replace(f"{swept.evidence.path}/", "")
    return f"{attempt.place}{'  ' * bool(attempt.place)}{name}{colon}{rest}"
