"""The report of a sweep as text: what was found, where, what was tried, and what was not."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from ..model.statuses import Status
from ..protocol.shortening import shortened_line, shortened_list
from .compared import Compared
from .difference_texts import difference_text
from .differences import Difference, Kind
from .effects import RESULT, EffectKind
from .findings import FailureClass, SweepRun, Swept, classes, missing_pattern
from .mutants import Mutant
from .points import Point

WIDTH = 120
CLASSES = 6
"""Classes that a report shows with their points; of others it says how many there are."""
ROWS = 12
"""Lines of the table."""
DIFFERENCES = 4
CHECK = 8
"""Lines of what ``check=`` says: pytest explains an assertion in several."""
TIMELINE = 12
NAMED = 4
MUTANTS = 5
"""Mutants that were not noticed and that a report names."""
SAME = "What it reads from outside (a file, real time) has to be the same in each run"
_SHOWN_WITH_TEXT = ("wait", "waited", "log", "effect", "sync", "power")
"""Kinds of points that are not lines."""
_PASSES = ("first", "second", "third")


def failure_text(swept: Swept, kinds: frozenset[Kind]) -> str:
    """Why a sweep fails on *kinds*; empty where it does not."""
    if not swept.points and not swept.incomplete:
        why = [*swept.about_effects, "points=, include= and exclude= say which points are tried"]
        return (
            f"the sweep of {swept.function} interrupted nothing: the handler has {swept.reached:,} points for "
            f"how={', '.join(swept.hows)}; {'; '.join(why)}"
        )
    found = classes(swept.runs, kinds)
    if not found and not swept.incomplete and not swept.unlike:
        return ""
    return "\n".join(_lines(swept, found, kinds))


def sweep_text(swept: Swept) -> str:
    """The whole report."""
    return "\n".join(_lines(swept, classes(swept.runs, frozenset(Kind)), frozenset(Kind)))


def text_without_classes(swept: Swept, kinds: frozenset[Kind]) -> str:
    """The report without what ``class_text`` has, for who shows each class in a place of its own."""
    return "\n".join([*_head(swept, classes(swept.runs, kinds)), *_end(swept, kinds)])


def class_title(alike: FailureClass) -> str:
    """What one class has in common, and where its runs begin: ``lost (graceful, 8 interruptions), first at …``."""
    run = alike.earliest
    late = sum(Kind.LATE in each.kinds for each in alike.runs)
    also = run.kinds - {Kind.LATE} or run.kinds
    words = " and ".join(kind.value for kind in Kind if kind in also)
    times = _number(alike.runs, "interruption")
    if late and Kind.LATE not in also:
        times = f"{times}, {late:,} of them late"
    only_cold = all(each.cold for each in alike.runs)
    point = replace(run.point, text=run.point.text.removesuffix(f"; {run.point.missing}"))
    title = f"{words} ({_how(run, only_cold)}, {times}), first at {_place(point)}"
    return shortened_line(title, WIDTH + len(_function(run.point)))


def _how(run: SweepRun, cold: bool) -> str:
    """How *run* was interrupted, and what came then."""
    return f"{run.how}, then a cold start" if cold else run.how


def class_text(swept: Swept, alike: FailureClass) -> str:
    """All that a report says of one class."""
    return "\n".join(_class_lines(swept, alike, whole=True))


def finding_text(run: SweepRun) -> str:
    """What is wrong with *run* first of all, and where it was interrupted, in one line."""
    first = min(run.differences, key=lambda difference: [*Kind].index(difference.kind))
    where = f"when the handler is interrupted ({_how(run, run.cold)}) at {_pass(run.point)}"
    return shortened_line(f"{run_difference_lines(first)[0]}, {where}", 2 * WIDTH)


def exits_too_well(swept: Swept, run: SweepRun) -> str:
    """What to do about a job that SIGTERM has ended with exit code 0 before its work was done; empty: it is none."""
    (first, *others) = run.outcome.attempts
    is_missed = bool(run.kinds & {Kind.LOST, Kind.DIVERGED}) and not others and first.status == Status.FINISHED
    if not (swept.is_job and is_missed and run.outcome.plan.is_graceful):
        return ""
    return (
        "after SIGTERM it has exited with 0, which says that its work is done, so nobody starts it again: have it exit "
        "with another code where that is not so, as with 143"
    )


def tried_text(swept: Swept) -> str:
    """What was tried, in one line."""
    return next(_what_was_tried(swept))


def mutants_lines(swept: Swept) -> list[str]:
    """Which mutants the sweep noticed, and what else there is to say of it."""
    return [*_notes(swept), *_mutants(swept)]


def _lines(swept: Swept, found: Sequence[FailureClass], kinds: frozenset[Kind]) -> Iterator[str]:
    yield from _head(swept, found)
    for number, alike in enumerate(found[:CLASSES]):
        yield ""
        yield from _class_lines(swept, alike, whole=number == 0)
    if len(found) > CLASSES:
        yield f"and {_number(found[CLASSES:], 'more class', 'es')}"
    yield from _end(swept, kinds)


def head_text(swept: Swept, found: Sequence[FailureClass]) -> str:
    """How much went wrong, and what was compared, left out and not tried: four lines at most."""
    return "\n".join(_head(swept, found))


def _head(swept: Swept, found: Sequence[FailureClass]) -> Iterator[str]:
    yield _headline(swept, found)
    yield f"compared: {_compared(swept.compared)}"
    if swept.ignored:
        yield shortened_line(f"not compared, as it differs from run to run: {'; '.join(swept.ignored)}", 3 * WIDTH)
    beyond = f"{swept.left_out:,} point{'s' * (swept.left_out != 1)} beyond limit="
    not_tried = [beyond] if swept.left_out else []
    if swept.incomplete:
        made = f"{len(swept.runs):,} of {swept.planned:,} interruptions"
        not_tried.insert(0, f"the sweep ended after {made}, as {swept.incomplete}")
    not_tried += swept.about_effects
    is_due = not (found or swept.incomplete) and "forced" in swept.hows
    is_due &= bool(swept.compared.files or swept.compared.tables)
    if is_due and not any(how.startswith("power") for how in swept.hows):
        not_tried.append("power failures (how='power')")
    if not_tried:
        yield f"{'incomplete' if swept.incomplete else 'not tried'}: {'; '.join(not_tried)}"
    for first, again in swept.unlike:
        yield f"{first.key} came to something else when it was made again:"
        for run in (first, again):
            wrong = "; ".join(line for each in run.differences for line in run_difference_lines(each)) or "nothing lost"
            yield shortened_line(f"  {wrong}; {', then '.join(_attempts(run))}", 2 * WIDTH)
        if swept.several_writers:
            yield "  it depends on the order of the writers"
        else:
            yield f"  {SAME}. Where it is, this is a defect of pytest-scf-async: please report it"


def _end(swept: Swept, kinds: frozenset[Kind]) -> Iterator[str]:
    table = list(_table(swept, kinds))
    if table:
        yield ""
        yield "by line of the handler:"
        yield from table
    yield ""
    yield from _what_was_tried(swept)


def _compared(compared: Compared) -> str:
    stored = [_number(of, name) for of, name in ((compared.files, "file"), (compared.tables, "table")) if of]
    named = [*(f"record {each}" for each in compared.records), *compared.observed]
    parts = RESULT * compared.result, f"{', '.join(stored)} of run.path" * bool(stored), shortened_list(named, NAMED)
    return "; ".join(filter(None, parts)) or "nothing"


def _headline(swept: Swept, found: Sequence[FailureClass]) -> str:
    """How much was tried, and how much of it went wrong."""
    failed = sum(len(alike.runs) for alike in found)
    what = f"sweep of {swept.function}: {_number(swept.points, 'point')}, {_number(swept.runs, 'interruption')}"
    if not swept.runs:
        return f"{what}: nothing was tried"
    if not found:
        return f"{what}, nothing lost"
    return f"{what}, {failed:,} of them went wrong in {_number(found, 'way')}"


def _number(of: Sequence[object], name: str, plural: str = "s") -> str:
    return f"{len(of):,} {name}{plural * (len(of) != 1)}"


def _class_lines(swept: Swept, alike: FailureClass, *, whole: bool) -> Iterator[str]:
    run = alike.earliest
    yield class_title(alike)
    if run.point.missing:
        yield shortened_line(f"  {missing_pattern(run.point)}", WIDTH)
    for difference in run.differences[:DIFFERENCES]:
        yield from (shortened_line(f"  {line}", WIDTH) for line in run_difference_lines(difference))
    if len(run.differences) > DIFFERENCES:
        yield f"  and {_number(run.differences[DIFFERENCES:], 'more difference')}"
    neighbours = _neighbours(swept, run)
    if neighbours:
        yield shortened_line(f"  {neighbours}", WIDTH)
    yield shortened_line(f"  events: {', then '.join(_attempts(run))}", WIDTH)
    if too_well := exits_too_well(swept, run):
        yield f"  {too_well}"
    yield f"  repeat it: --scf-async-replay='{run.key}'"
    if not whole:
        return
    source = source_lines(run.point)
    if source:
        yield "  source:"
        yield from (f"    {line}" for line in source)
    written = shortened_list(run.outcome.written, NAMED) or "nothing"
    yield shortened_line(f"  files in run.path at the interruption: {written}", WIDTH)
    if run.outcome.failed:
        yield shortened_line(f"  calls that failed: {shortened_list(run.outcome.failed, NAMED)}", WIDTH)
    timeline = run.outcome.timeline.splitlines()
    if timeline:
        yield "  timeline of the interrupted event:"
        left_out = len(timeline) - TIMELINE
        yield from (shortened_line(f"    {line}", WIDTH) for line in timeline[-TIMELINE:] if left_out <= 0)
        if left_out > 0:
            yield f"    ({left_out:,} {'entry' if left_out == 1 else 'entries'} before these)"
            yield from (shortened_line(f"    {line}", WIDTH) for line in timeline[-TIMELINE:])


def run_difference_lines(difference: Difference) -> list[str]:
    """One difference of a run: one line, or several for what ``check=`` says."""
    part = difference.extra[0] if difference.extra else None
    if difference.effect is EffectKind.EVENTS and part is not None:
        return [f"never finishes: after {part.where} the work is not done; the last event: {part.value}"]
    if difference.effect is EffectKind.STOP and part is not None:
        return [f"late: the event ended {part.value} after SIGTERM, and not {part.where}"]
    if difference.effect is EffectKind.CHECK and part is not None:
        lines = f"check failed: {part.value}".splitlines()
        more = _number(lines[CHECK:], "more line")
        return [*lines[:CHECK], *([f"  and {more}"] if len(lines) > CHECK else [])]
    return [difference_text(difference)]


def _place(point: Point) -> str:
    return f"{place_text(point)}, {point.seconds:g} s after the event's start"


def place_text(point: Point) -> str:
    """Where an interruption is, and what is done there."""
    text = point.shown
    if point.kind in _SHOWN_WITH_TEXT:
        place = f"{point.file}:{point.line}"
        where = f", {place}" if point.line and not point.text.endswith(f" {place}") else ""
        text = f"{text} ({point.text}{where}{_function(point)})"
    return text


def _function(point: Point) -> str:
    return f", in {point.function}" if point.function else ""


def _pass(point: Point) -> str:
    """A line and which pass of it, in words."""
    if point.kind in _SHOWN_WITH_TEXT:
        return _place(point)
    number = point.found.number if point.kind == "taken" else point.found.turn
    which = f"{_PASSES[number - 1]} pass" if number <= len(_PASSES) else f"pass {number:,}"
    first = "" if point.after is None else f"{point.after.shown}, and again at "
    return f"{first}{point.file}:{point.line}, {which}"


def _neighbours(swept: Swept, run: SweepRun) -> str:
    """Between which points it fails: the nearest ones on both sides at which it survives the same interruption."""
    if run.point.missing:
        return ""
    same = [other for other in swept.runs if _alike(other) == _alike(run)]
    if len(same) == 1:
        return ""
    at = same.index(run)
    before = next((other for other in reversed(same[:at]) if not other.fails(frozenset(Kind))), None)
    after = next((other for other in same[at + 1 :] if not other.fails(frozenset(Kind))), None)
    if before is None and after is None:
        return "the handler fails at every point that was tried"
    if before is None:
        assert after is not None
        return f"the handler fails from the first point on, and survives at {after.point.shown}"
    if after is None:
        return f"the handler survives at {before.point.shown}, and fails at every later point that was tried"
    return f"the handler fails between {before.point.shown} and {after.point.shown}, and survives at both"


def _alike(run: SweepRun) -> tuple[object, ...]:
    """What is the same for interruptions of which one is the next after another."""
    return run.how, run.cold, run.point.after if run.point.kind == "effect" else None, run.point.kind == "sync"


def _attempts(run: SweepRun) -> Iterator[str]:
    texts = []
    for number, attempt in enumerate(run.outcome.attempts):
        code = "" if attempt.status_code in (0, 200) else f" ({attempt.status_code})"
        start = "" if not number else " (cold start)" if attempt.cold else " (warm start)"
        texts.append(f"{attempt.status}{code} after {attempt.seconds:g} s{start}")
    for text, alike in groupby(texts):
        times = len(list(alike))
        yield text if times == 1 else f"{times} times {text}"


def source_lines(point: Point) -> list[str]:
    """The lines of the source around it."""
    if not point.line:
        return []
    path = point.found.file
    lines = []
    for number in range(max(point.line - 2, 1), point.line + 3):
        text = linecache.getline(path, number).rstrip()
        if text or number == point.line:
            lines.append(shortened_line(f"{'>' if number == point.line else ' '} {number:4} {text}", WIDTH - 4))
    return lines


def _table(swept: Swept, kinds: frozenset[Kind]) -> Iterator[str]:
    """The outcomes by line: the handler's windows of vulnerability."""
    lines: dict[tuple[str, int], Counter[str]] = {}
    for run in swept.runs:
        if run.point.line:
            counts = lines.setdefault((run.point.file, run.point.line), Counter())
            counts["runs"] += 1
            for kind in run.kinds & kinds:
                counts[kind.value] += 1
    bad = {line: counts for line, counts in lines.items() if len(counts) > 1}
    for (file, number), counts in sorted(bad.items())[:ROWS]:
        wrong = ", ".join(f"{kind.value} {counts[kind.value]}" for kind in Kind if counts[kind.value])
        yield f"  {file}:{number:<5} {counts['runs']:5,} interruption{'s' * (counts['runs'] != 1)}: {wrong}"
    if len(bad) > ROWS:
        yield f"  and {_number(list(bad)[ROWS:], 'more line')}"


def _what_was_tried(swept: Swept) -> Iterator[str]:
    yield f"tried: {len(swept.points):,} of {swept.reached:,} points, with how={', '.join(swept.hows)}"
    if swept.forced_only and any(how.startswith("graceful") for how in swept.hows):
        yield f"  at {swept.forced_only:,} of them this Python does not look for signals: no SIGTERM arrives there"
    cold = sum(run.cold for run in swept.runs)
    if cold:
        yield f"  {cold:,} of the interruptions are graceful ones once more, with a cold start after them"
    yield from _notes(swept)
    if swept.not_reached:
        runs = f"any of {swept.collected:,} runs that collected lines"
        lines = ", ".join(swept.not_reached)
        yield shortened_line(f"the main thread did not reach these lines in {runs}: {lines}", 2 * WIDTH)
    yield from _mutants(swept)
    each = swept.seconds / max(len(swept.runs), 1)
    yield f"the sweep took {swept.seconds:.1f} real s, {each * 1000:.1f} ms for each interruption with its resumes"


def _notes(swept: Swept) -> Iterator[str]:
    for note in swept.notes:
        yield f"note: {note}"


def _mutants(swept: Swept) -> Iterator[str]:
    if not swept.mutants:
        return
    missed = [outcome.mutant for outcome in swept.mutants if not outcome.noticed]
    count = len(swept.mutants)
    noticed = f"{count - len(missed):,} of {_number(swept.mutants, 'mutant')}"
    yield f"the sweep noticed {noticed} of the handler's shutdown code"
    for mutant in missed[:MUTANTS]:
        yield shortened_line(f"  not noticed: {mutant_text(mutant)}", WIDTH)
    if len(missed) > MUTANTS:
        yield f"  and {len(missed) - MUTANTS:,} more"


def mutant_text(mutant: Mutant) -> str:
    """One line for one mutant: where the break is, and what it is."""
    where, function = f"{mutant.file}:{mutant.line}", f"{mutant.function}()"
    if mutant.kind == "exit instead of return":
        return f"{where} {function} ends with {mutant.text}"
    if mutant.kind == "registered late":
        return f"{where} {mutant.text} moved to the end of {function}"
    return f"{where} {mutant.text} left out{f' of {function}' if mutant.function else ''}"
