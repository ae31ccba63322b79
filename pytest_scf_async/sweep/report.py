"""The report of a sweep as text: the answer first, then each class of findings, and at the end what was tried."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from ..model.statuses import Status
from ..protocol.shortening import shortened_line, shortened_list
from .compared import Compared
from .difference_texts import all_difference_lines
from .differences import Kind
from .effects import RESULT
from .explanation import Explained, ended_text
from .findings import HARMFUL, FailureClass, SweepRun, Swept, classes
from .mutants import Mutant
from .repro import repro_call
from .titles import WIDTH

CLASSES = 6
"""Classes that a report shows; others are counted."""
ROWS = 12
"""Lines of the table at most."""
DIFFERENCES = 4
NAMED = 4
ERRORS = 3
"""Ways in which restarts failed that a class names."""
MUTANTS = 5
"""Mutants that were not noticed and that a report names."""
SAME = "What it reads from outside (a file, real time) has to be the same in each run"
_BAD = (Kind.LOST, Kind.DIVERGED, Kind.NEVER_FINISHES, Kind.FAILED_CHECK)
FIRST, SECOND = "SIGTERM", "a second SIGTERM"
"""What a handler may not survive: the second one says nothing where it does not survive the first."""
_LABEL = 9
"""Columns of ``Fix:`` and ``Replay:``."""


def failure_text(swept: Swept, kinds: frozenset[Kind]) -> str:
    """The text about why a sweep fails on *kinds*; empty: it does not."""
    if not swept.points and not swept.incomplete:
        if swept.available:
            there = shortened_list(swept.available, NAMED)
            return (
                f"the sweep of {swept.function} interrupted nothing: with how={', '.join(swept.hows)}, include= "
                f"matches none of these: {there}"
            )
        why = [
            *(f"not tried: {each}" for each in swept.about_effects),
            "points=, include= and exclude= choose the points",
        ]
        return (
            f"the sweep of {swept.function} interrupted nothing: the handler has {swept.reached:,} points for "
            f"how={', '.join(swept.hows)}; {'; '.join(why)}"
        )
    wrong = swept.incomplete or swept.unlike or any(run.fails(kinds) for run in swept.runs)
    return sweep_text(swept, kinds) if wrong else ""


def sweep_text(
    swept: Swept,
    kinds: frozenset[Kind] = frozenset(Kind),
    *,
    command: bool = False,
    repros: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The whole report about what is wrong in one of *kinds*.

    With *command* it is for the command line; *repros* are scripts that were written, by the keys of classes.
    """
    found = classes(swept.runs, kinds)
    lines = [*_head(swept, found)]
    for number, alike in enumerate(found[:CLASSES]):
        repro = repros.get(alike.earliest.key, "")
        lines += ["", *_class_lines(swept, alike, whole=number == 0, command=command, repro=repro)]
    if len(found) > CLASSES:
        lines.append(f"and {_number(found[CLASSES:], 'more reason')}")
    return "\n".join([*lines, *_end(swept, kinds, command=command)])


def text_without_classes(swept: Swept, kinds: frozenset[Kind]) -> str:
    """The report without what ``class_text`` has, for who shows each class in a place of its own."""
    return "\n".join([*_head(swept, classes(swept.runs, kinds)), *_end(swept, kinds)])


def class_text(swept: Swept, alike: FailureClass, *, command: bool = False, repro: str = "") -> str:
    """All that a report says of one class.

    With *command* it is repeated on the command line; *repro* is a script that was written of it.
    """
    return "\n".join(_class_lines(swept, alike, whole=True, command=command, repro=repro))


def head_text(swept: Swept, found: Sequence[FailureClass]) -> str:
    """The verdict, how much went wrong, and what was compared, left out and not tried: four lines at most."""
    return "\n".join(_head(swept, found))


def verdict_text(swept: Swept, found: Sequence[FailureClass]) -> str:
    """The verdict, and how many interruptions say so, in one line."""
    return " ".join(line.strip() for line in _verdict(swept, found))


def tried_text(swept: Swept) -> str:
    """A line about what was tried."""
    return next(_what_was_tried(swept))


def not_reached_lines(swept: Swept) -> list[str]:
    """One line about the lines that no run reached, for beside the verdict; nothing where there are none."""
    if not swept.not_reached:
        return []
    runs = _number(range(swept.collected), "run")
    lines = ", ".join(swept.not_reached)
    return [shortened_line(f"  The main thread did not reach these lines ({runs} collected lines): {lines}", WIDTH)]


def mutants_lines(swept: Swept) -> list[str]:
    """The notes of a sweep, and which mutants it noticed."""
    return [*_notes(swept), *_mutants(swept)]


# -- the head ----------------------------------------------------------------------------------------------------------


def _head(swept: Swept, found: Sequence[FailureClass]) -> Iterator[str]:
    yield from _verdict(swept, found)
    about = [f"Compared: {_compared(swept.compared)}."]
    if swept.ignored:
        about.append(
            shortened_line(f"Not compared, as it differs from run to run: {'; '.join(swept.ignored)}.", 3 * WIDTH)
        )
    not_tried = [f"{swept.left_out:,} point{'s' * (swept.left_out != 1)} beyond limit="] if swept.left_out else []
    not_tried += swept.about_effects
    has_files = bool(swept.compared.files or swept.compared.tables)
    if has_files and "forced" in swept.hows and not any(how.startswith("power") for how in swept.hows):
        about.append("Power loss not tried.")
    yield f"  {' '.join(about)}"
    if swept.incomplete:
        made = f"{len(swept.runs):,} of {swept.planned:,} interruptions"
        not_tried.insert(0, f"the sweep ended after {made}, because {swept.incomplete}")
    if not_tried:
        yield f"  {'Incomplete' if swept.incomplete else 'Not tried'}: {'; '.join(not_tried)}."
    for first, again in swept.unlike:
        yield f"{first.key} came to something else when it was made again:"
        for run in (first, again):
            wrong = "; ".join(all_difference_lines(run.differences)) or "nothing lost"
            ended = ", then ".join(ended_text(each) for each in run.outcome.attempts)
            yield shortened_line(f"  {wrong}; {ended}", 2 * WIDTH)
        if swept.several_writers:
            yield "  It depends on the order of the writers."
        else:
            yield f"  {SAME}. Where it is, this is a defect of pytest-scf-async: please report it."


def _verdict(swept: Swept, found: Sequence[FailureClass]) -> Iterator[str]:
    """What the sweep says, in a sentence, and how many of its interruptions say so."""
    name, runs = swept.function, len(swept.runs)
    if not runs:
        yield f"{name} was not interrupted: nothing was tried"
        return
    if not found:
        at = _number(swept.points, "point")
        yield (
            f"{name} survives {_all(runs, 'interruption')}, at {at}"
            if not swept.incomplete
            else (f"{name} has survived {_number(swept.runs, 'interruption')} so far, at {at}")
        )
        return
    failed = sum(len(alike.runs) for alike in found)
    yield f"{name} {_what_it_does(found)}:"
    reasons = ", all for one reason" if len(found) == 1 else f", for {len(found):,} reasons"
    if any(run.wrong > alike.earliest.wrong for alike in found for run in alike.runs):
        reasons = f", for {'one reason' if len(found) == 1 else _number(found, 'reason')} or more"
    reasons *= failed > 1
    yield f"  {failed:,} of {_number(swept.runs, 'interruption')} fail{'s' * (failed == 1)}{reasons}"


def _what_it_does(found: Sequence[FailureClass]) -> str:
    """What is wrong with it in the worst of its classes."""
    for kinds, text in (
        (frozenset(_BAD), "does not survive {}"),
        (frozenset({Kind.LATE}), "takes too long to end after {}"),
        (frozenset({Kind.DOUBLED}), "does work twice after {}"),
        (frozenset({Kind.LEFT_BEHIND}), "leaves something behind after {}"),
    ):
        of = [alike for alike in found if alike.kinds & kinds]
        if of:
            ways = list(dict.fromkeys(_way(alike.earliest) for alike in of))
            ways = [way for way in ways if way != SECOND or FIRST not in ways]
            return text.format(" or ".join([", ".join(ways[:-1]), ways[-1]] if ways[:-1] else ways))
    raise AssertionError


def _way(run: SweepRun) -> str:
    """What it does not survive."""
    *before, last = run.outcome.plan.steps
    by = last.by
    if by.failure is not None:
        return {"enospc": "a full disk", "eio": "an I/O error", "reset": "a reset connection"}[by.failure]
    if by.kind == "graceful":
        return SECOND if before or by.again_us is not None else FIRST
    text = {"forced": "being killed", "timeout": "its timeout", "power": "a power failure"}[by.kind]
    return f"{text} after SIGTERM" if before else text


def _all(number: int, name: str) -> str:
    return f"the one {name}" if number == 1 else f"all {number:,} {name}s"


def _compared(compared: Compared) -> str:
    stored = [_number(of, name) for of, name in ((compared.files, "file"), (compared.tables, "table")) if of]
    named = [*(f"record {each}" for each in compared.records), *compared.observed]
    parts = RESULT * compared.result, ", ".join(stored), shortened_list(named, NAMED)
    return "; ".join(filter(None, parts)) or "nothing"


def _number(of: Sequence[object], name: str, plural: str = "s") -> str:
    return f"{len(of):,} {name}{plural * (len(of) != 1)}"


# -- a class -----------------------------------------------------------------------------------------------------------


def _class_lines(
    swept: Swept, alike: FailureClass, *, whole: bool, command: bool = False, repro: str = ""
) -> Iterator[str]:
    facts = Explained(swept, alike, repro=repro)
    yield facts.title
    yield from _indented(alike, facts, whole=whole)
    yield from _labels(swept, alike, facts, command=command)
    if whole:
        yield from _timeline(swept, alike.earliest, facts)


def _indented(alike: FailureClass, facts: Explained, *, whole: bool) -> Iterator[str]:
    yield from (shortened_line(f"  {line}", WIDTH) for line in _difference_lines(alike.earliest))
    table = list(_effects(facts)) if whole else []
    if facts.explanation:
        yield from _wrapped(f"{facts.explanation}{':' if table else '.'}")
    yield from (shortened_line(f"    {line}", WIDTH) for line in table)
    if facts.source is not None:
        yield shortened_line(f"  >{facts.source.line:>4}    {facts.source.text}", WIDTH)
    if whole and not table and facts.files:
        yield f"  Files then: {shortened_list(facts.files, NAMED)}."
    if facts.failed:
        yield f"  Calls that failed: {shortened_list(facts.failed, NAMED)}."
    yield from _wrapped(f"{facts.restarts}{':' if facts.errors else '.'}")
    yield from (shortened_line(f"    {line}", WIDTH) for line in facts.errors[:ERRORS])
    if len(facts.errors) > ERRORS:
        yield f"    and in {_number(facts.errors[ERRORS:], 'more way')}"
    sentences = [f"{text}." for text in (facts.survival, facts.alike) if text]
    together = " ".join(sentences)
    for text in [together] if len(together) <= WIDTH - 2 else sentences:
        yield from _wrapped(text)


def _wrapped(text: str) -> list[str]:
    """A sentence, in as many lines as it needs."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _difference_lines(run: SweepRun) -> Iterator[str]:
    """What is wrong in the end, but for what the restarts say."""
    finished = [each for each in run.outcome.attempts[1:] if each.status == Status.FINISHED]
    said = not finished and (len(run.outcome.attempts) > 1 or bool(run.outcome.stuck))
    shown = [each for each in run.differences if not (said and each.kind is Kind.NEVER_FINISHES)]
    yield from all_difference_lines(shown[:DIFFERENCES])
    if len(shown) > DIFFERENCES:
        yield f"and {_number(shown[DIFFERENCES:], 'more difference')}"


def _effects(facts: Explained) -> Iterator[str]:
    """The effects around the interruption, with a mark where that is."""
    if not facts.effects:
        return
    columns = [(each.name, each.call, each.what) for each in facts.effects]
    widths = [max(len(row[column]) for row in columns) for column in range(3)]
    sizes = max(len(each.result) for each in facts.effects)
    places = len({each.place for each in facts.effects}) > 1
    rows = [
        f"{name:<{widths[0]}}  {call:<{widths[1]}}  {what:<{widths[2]}}  {each.result:>{sizes}}"
        + (f"  {each.place}" if places and each.place else "")
        for (name, call, what), each in zip(columns, facts.effects, strict=True)
    ]
    mark = f"{'':<{min(max(map(len, rows)), WIDTH - 40)}}  <- {facts.interruption}"
    at = facts.interrupted_after or 0
    yield from (row.rstrip() for row in (*rows[:at], mark, *rows[at:]))


def _labels(swept: Swept, alike: FailureClass, facts: Explained, *, command: bool) -> Iterator[str]:
    if facts.fix:
        yield f"  {'Fix:':<{_LABEL}}{facts.fix}"
    yield f"  {'Replay:':<{_LABEL}}" + (f"--replay '{facts.key}'" if command else facts.replay)
    if facts.repro:
        yield f"  Without this plugin:  sh {facts.repro}"
    elif not command and (call := repro_call(swept, alike)):
        yield f"  {'Repro:':<{_LABEL}}{call}"


def _timeline(swept: Swept, run: SweepRun, facts: Explained) -> Iterator[str]:
    """That of the interrupted event; not where it was killed and its effects say enough, unless this is a replay."""
    is_kill = all(step.by.kind in ("forced", "power") for step in run.outcome.plan.steps)
    if not facts.timeline or (is_kill and facts.effects and len(swept.runs) > 1):
        return
    yield "  Timeline of the interrupted event:"
    yield from (shortened_line(f"    {line}", WIDTH) for line in run.outcome.shown_timeline.splitlines())


# -- the end -----------------------------------------------------------------------------------------------------------


def _end(swept: Swept, kinds: frozenset[Kind], *, command: bool = False) -> Iterator[str]:
    found = any(run.fails(kinds & HARMFUL) for run in swept.runs)
    if found and swept.repairs and not command:
        is_once = kinds == HARMFUL or not any(run.fails() for run in swept.runs)
        yield ""
        yield f"Search for a repair:  {swept.repairs[is_once]}"
    table = list(_table(swept, kinds))
    if table:
        yield ""
        yield "By line:"
        yield from table
    yield ""
    yield from _what_was_tried(swept)


def _table(swept: Swept, kinds: frozenset[Kind]) -> Iterator[str]:
    """The outcomes by line: the windows of vulnerability."""
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
    yield f"Tried: {len(swept.points):,} of {swept.reached:,} points, with how={', '.join(swept.hows)}."
    stopped = any(step.by.kind == "graceful" for run in swept.runs for step in run.outcome.plan.steps)
    if swept.forced_only and stopped:
        number = f"{swept.forced_only:,}"
        yield f"  CPython does not check for signals at {number} of these, so SIGTERM cannot be delivered there."
    cold = sum(run.cold for run in swept.runs)
    if cold:
        stops, them = ("stops were", "them") if cold > 1 else ("stop was", "it")
        yield f"  {cold:,} graceful {stops} tried again with a cold start after {them}."
    yield from _notes(swept)
    if swept.not_reached:
        runs = f"any of {swept.collected:,} runs that collected lines"
        lines = ", ".join(swept.not_reached)
        yield shortened_line(f"The main thread did not reach these lines in {runs}: {lines}", 2 * WIDTH)
    yield from _mutants(swept)
    each = swept.seconds / max(len(swept.runs), 1)
    yield f"The sweep took {swept.seconds:.1f} real s: {each * 1000:.1f} ms for each interruption and its restarts."


def _notes(swept: Swept) -> Iterator[str]:
    for note in swept.notes:
        yield f"note: {note}"


def _mutants(swept: Swept) -> Iterator[str]:
    if not swept.mutants:
        return
    missed = [outcome.mutant for outcome in swept.mutants if not outcome.noticed]
    count = len(swept.mutants)
    noticed = f"{count - len(missed):,} of {_number(swept.mutants, 'mutant')}"
    yield f"The sweep noticed {noticed} of the handler's shutdown code"
    for mutant in missed[:MUTANTS]:
        yield shortened_line(f"  not noticed: {mutant_text(mutant)}", WIDTH)
    if len(missed) > MUTANTS:
        yield f"  and {len(missed) - MUTANTS:,} more"
    if any(mutant.kind == "listener removed" for mutant in missed):
        yield "  Without its SIGTERM handler it loses no more than with it: event.stop() in a test shows that it stops."


def mutant_text(mutant: Mutant) -> str:
    """One line for one mutant: where the break is, and what it is."""
    where, function = f"{mutant.file}:{mutant.line}", f"{mutant.function}()"
    if mutant.kind == "exit instead of return":
        return f"{where} {function} ends with {mutant.text}"
    if mutant.kind == "registered late":
        return f"{where} {mutant.text} moved to the end of {function}"
    return f"{where} {mutant.text} left out{f' of {function}' if mutant.function else ''}"
