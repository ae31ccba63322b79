"""``ISSUE.md`` of a repro: a finding for a maintainer who knows the program, and nothing of this project."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from ..protocol.shortening import shortened_line, shortened_list
from .difference_texts import LONGEST, difference_text
from .differences import Difference, Kind
from .effects import EffectKind
from .findings import SweepRun
from .interruptions import Interruption
from .points import Point
from .titles import source_lines, waited_text

_NAMED: Final = 30
"""Files that the text names."""
_ENDED: Final = re.compile(r"start \d+ (?:ended with exit code (?P<code>\d+)|has not ended after (?P<seconds>\d+) s)")
"""What the script of a repro says of a start whose work is not done."""
_IN_FILES: Final = (EffectKind.FILE, EffectKind.ROW, EffectKind.RESULT)
"""What a start on the directory can show, beside that it does not end well."""
_HOW: Final = {
    "forced": "killed (SIGKILL)",
    "graceful": "stopped (SIGTERM)",
    "timeout": "killed (SIGKILL), as its time was over,",
    "power": "ended by a power failure",
}
_TEXT: Final = """# {title}

{what} was {how}. It was then started again until it had {ended}, {starts} times at most. What is wrong in the end:

{wrong}

Its command, in which DIRECTORY is the directory that it works on:

    {command}
{source}
## To see it

    sh repro.sh

This starts it on a copy of `state/` until it has {ended}, {starts} times at most. `state/` is the directory as it was
after the interruption: {files}. What is there then is compared with `expected/`, which is what it leaves where nothing
interrupts it, and the exit code is 1, as that is not the same. `sh repro.sh undisturbed` starts it on what was there in
the beginning, and ends with 0. A start that has not ended after {limit} s is killed, and counts as one that never ends
(`REPRO_LIMIT=600 sh repro.sh` gives each 600 s). {project}{ignored} {tried}

## Versions

{versions}
"""


@dataclass(frozen=True)
class Issue:
    """What the text is made of, beside the run."""

    run: SweepRun
    what: str
    """What was interrupted, as the beginning of a sentence."""
    command: str
    starts: int
    codes: Sequence[int]
    """The exit codes that say that the work is done; empty: the function has returned what it returns undisturbed."""
    failing: str
    """How the starts on what the interruption has left fail, as a clause."""
    project: str
    """Where the program is, in sentences."""
    patterns: Sequence[str]
    """Of the files that are not compared."""
    limit: int
    """Real seconds that a start may take."""
    is_ended: bool
    """Whether the script was run to its end on what the interruption has left."""
    versions: Sequence[str] = field(default=())

    def text(self) -> str:
        """The text of the file."""
        run = self.run
        wrong = [*_wrong_lines(run.differences, self.failing)]
        *before, last = steps = run.outcome.plan.steps
        places = [*((step.point, step.by) for step in before), (run.point, last.by)]  # that of the run knows more
        how = ", and then ".join(chain.from_iterable(_interrupted(point, by) for point, by in places))
        by = ", and then ".join(_how(step.by) for step in steps)
        never = any(each.effect is EffectKind.EVENTS for each in run.differences)
        source = "\n".join(source_lines(run.point))
        codes = " or ".join(map(str, self.codes))
        both = "Both have been run before this was written, and ended so."
        one = "The second has been run before this was written, and ended so; the first was not run to its end."
        return _TEXT.format(
            title=f"it does not end well any more after it was {by}" if never else f"{wrong[0]}, after it was {by}",
            what=self.what,
            how=how,
            ended=f"exited with {codes}" if codes else "returned what it returns where nothing interrupts it",
            starts=self.starts,
            wrong="\n".join(f"    {line}" for line in wrong),
            command=self.command,
            source=f"\n```\n{source}\n```\n" if source else "",
            files=shortened_list(run.outcome.written, _NAMED) if run.outcome.written else "no files",
            limit=self.limit,
            project=self.project,
            ignored=f" Not compared: {', '.join(self.patterns)}." if self.patterns else "",
            tried=both if self.is_ended else one,
            versions=", ".join(self.versions),
        )


def how_it_fails(printed: str, starts: int) -> str:
    """How the starts of a repro fail, as a clause, of what its script has *printed*: with the last words of the program
    itself."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    ends = [at for at, line in enumerate(lines) if _ENDED.match(line)]
    if not ends:
        return "a start computes and does not end"
    last = _ENDED.match(lines[ends[-1]])
    assert last is not None
    of_program = lines[ends[-2] + 1 if len(ends) > 1 else 0 : ends[-1]]
    if last["seconds"]:
        if of_program and "Killed" in of_program[-1]:  # the shell says so
            of_program.pop()
        said = f"its last line is: {of_program[-1]}" if of_program else "it prints nothing"
        return f"start {len(ends)} has not ended after {last['seconds']} s; {said}"
    said = f"the last line of the last one is: {of_program[-1]}" if of_program else "the last one prints nothing"
    each = f"each of {starts} starts" if starts > 1 else "the start"
    return f"{each} fails, the last one with exit code {last['code']}; {said}"


def _wrong_lines(differences: Sequence[Difference], failing: str) -> Iterator[str]:
    """What is wrong in the end, a line each; nothing of what only a test of the user's can see."""
    for each in differences:
        if each.effect is EffectKind.EVENTS:
            yield shortened_line(f"it does not end well any more: {failing}", LONGEST)
        elif each.effect is EffectKind.STOP:
            within, took = each.extra[0].where, each.extra[0].value
            is_ended = within.startswith("before")
            late = f"only a limit of {took} ended it" if is_ended else f"it took {took}, and not less than {within[7:]}"
            yield f"late: after the SIGTERM {late}"
        elif each.effect in _IN_FILES:
            word = "different" if each.kind is Kind.DIVERGED else ""
            yield difference_text(each, word, "which is not there where nothing interrupts it")


def _how(by: Interruption) -> str:
    if by.error:
        return f"refused a system call ({errno.errorcode[by.error]})"
    return _HOW.get(by.kind, f"interrupted ({by.name})")


def _interrupted(point: Point, by: Interruption) -> Iterator[str]:
    """How and where it was interrupted."""
    if by.error:
        yield f"{_how(by)}: `{point.text}`{_made_by(point)}"
        return
    yield f"{_how(by)} {_moment(point)}"
    if by.again_us is not None:
        yield f"stopped (SIGTERM) once more {by.again_us / 1e6:g} s later"
    if by.forced_us is not None:
        yield f"killed (SIGKILL) {by.forced_us / 1e6:g} s later"


def _moment(point: Point) -> str:
    place = f"line {point.line} of {point.file}" if point.line else ""
    call = point.found.text
    unsynced = point.unsynced
    if unsynced is not None:
        at = "at its end" if point.label.startswith("end") else f"just before the system call `{call}`"
        what = f"the change `{unsynced.what}`" if unsynced.is_name else f"the content of {unsynced.what}"
        synced = "it is never synced" if unsynced.is_never_synced else "it was not synced by then"
        return f"{at}, when {what} was not on the disk: {synced}"
    if point.kind in ("effect", "sync"):
        cut = f", when {point.cut:,} bytes of its file were written" if point.cut else ""
        kind = "call" if point.found.name == "record" else "system call"
        return f"{'within' if cut else 'just before'} the {kind} `{call}`{_made_by(point)}{cut}"
    if point.kind == "end":
        return "when all was done"
    if point.kind in ("wait", "waited"):
        where = waited_text(point, place or "it")
        return f"{'while' if point.kind == 'wait' else 'right after'} {where}"
    if point.kind == "log":
        return f"right after it had printed {point.text!r}"
    if point.kind == "library":
        return f"while {place or 'it'} called a library{f' ({point.text})' if point.text else ''}"
    if point.kind == "taken":
        return f"within {place}{_turn(point)}"
    return f"just before {place}{_turn(point)}" if place else f"at {point.label}"


def _turn(point: Point) -> str:
    """Which time it was there, where that is not the first time."""
    number = point.label.rpartition("#")[2]
    return "" if number in ("", "1") else f", when it came there {number} times"


def _made_by(point: Point) -> str:
    if not point.line:
        return ""
    return f", which line {point.line} of {point.file} makes{f' in {point.function}' if point.function else ''}"
