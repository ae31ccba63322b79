"""Try changes of the code that a sweep has found something wrong with, each in a copy and with the whole sweep.

It is ``mutate=True`` the other way round. A change survives if the sweep that was asked for finds nothing any more, and
if nothing else can be why: the undisturbed run is as it was, all is compared that was, a SIGTERM still ends the work,
and the breaks of the shutdown code that the sweep has noticed still show, unless they are no more than a kill there,
which the code then survives.
"""

from __future__ import annotations

import linecache
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from ...errors import ScfAsyncError, ScfUsageError
from ...instances.code import copied
from ...instances.function_version import FunctionVersion
from ...linux.linux import remove_tree
from ...protocol.real_time import REAL
from ...protocol.shortening import shortened_line, shortened_list
from ..comparison import compare
from ..difference_texts import all_difference_lines
from ..differences import Kind
from ..findings import FAILURES, HARMFUL, STOPPED, FailureClass, SweepRun, Swept, classes
from ..guide import Guide
from ..interruptions import FORCED
from ..mutants import mutants
from ..neighbours import Around
from ..request import Bench, Request, roots_of, scratch_of
from ..run import Attempt, Outcome
from ..titles import WIDTH, class_title
from .found import BUDGET, Repair, Repairs
from .sources import Source, sources_of
from .templates import Change, changes

ROUNDS: Final = 3
"""Changes that are made together at most, where each alone repairs one of several findings."""
_SHOWN: Final = 2
"""Repairs that are given at most, each of another kind."""
_MORE: Final = 5
"""Times the budget, as the next one that is proposed."""
_LEFT_FOR_REPORT: Final = 2.0
"""Real seconds before its limit at which a sweep ends."""

SweepOf: TypeAlias = "Callable[[Request, Bench], Swept]"
MutantsOf: TypeAlias = "Callable[[Request, Bench, Swept], Swept]"


class _RefusedError(Exception):
    """A change does something else than the code, or hides what the sweep has found."""


class _TimeIsOverError(Exception):
    """The sweep of a change has ended early."""


@dataclass(frozen=True)
class _Base:
    """Code to be changed: that of the user, or with changes that have repaired some of the findings."""

    swept: Swept
    texts: Mapping[str, str] = field(default_factory=dict)
    """The files that are changed so far, by name."""
    made: tuple[Change, ...] = ()


class _Proposal(NamedTuple):
    base: _Base
    change: Change
    size: int

    @property
    def texts(self) -> dict[str, str]:
        return {**self.base.texts, self.change.file: self.change.source}

    @property
    def made(self) -> tuple[Change, ...]:
        return (*self.base.made, self.change)


def search(
    request: Request,
    bench: Bench,
    swept: Swept,
    budget: float,
    *,
    exactly_once: bool,
    by: tuple[SweepOf, MutantsOf],
) -> Repairs:
    """Search for repairs of what *swept* has found, for *budget* real seconds; ``KeyboardInterrupt`` ends it, too."""
    kinds = HARMFUL if exactly_once else FAILURES
    why = why_none(request, bench.guide, swept, kinds)
    if why:
        return Repairs(why_none=why)
    return _Search(request, bench, swept, kinds, by=by, budget=budget).repairs()


def why_none(request: Request, guide: Guide, swept: Swept, kinds: frozenset[Kind]) -> str:
    """Why no change can be tried; empty: some can, if there are any."""
    return next(_reasons(request, guide, swept, kinds), "")


def _reasons(request: Request, guide: Guide, swept: Swept, kinds: frozenset[Kind]) -> Iterator[str]:
    function, found = request.function, classes(swept.runs, kinds)
    if guide.replay or guide.shard is not None:
        what = "a replay makes one run" if guide.replay else "a shard makes a part of the runs"
        yield f"{what}, and a change has to survive all of them: run the whole sweep"
    if swept.incomplete:
        yield f"the sweep is not complete ({swept.incomplete}), and a change has to survive all of it"
    if not found:
        is_twice = any(Kind.DOUBLED in run.kinds for run in swept.runs)
        but = "; work is done twice, and --exactly-once (exactly_once=True) searches for a repair of that" * is_twice
        yield f"the sweep has found nothing to repair in {swept.function}{but}"
    for first, _ in swept.unlike:
        yield f"{first.key} came to something else when it was made again: no run says whether a change helps"
    if not function.runtime.has_places:
        yield (
            f"there are templates for Python alone, and {swept.function} is {function.runtime.name}; a program in "
            "Python is repaired where the instance itself runs it (in_process=True, and no --traced)"
        )
    code = function.code_to_run()
    if code.archive:
        yield f"the code is in a zip ({code.archive}): deploy the directory that it is made of"
    if not _blamed(found):
        yield "no line of the code is blamed for what the sweep has found"
    if not sources_of(code.directory, iter(_blamed(found))):
        yield f"what is blamed is no Python file in {code.directory}: {shortened_list(_blamed(found), 3)}"


def _blamed(found: Sequence[FailureClass]) -> list[str]:
    """The files with lines that are blamed: where the runs were interrupted, and where the effects around were made."""
    runs = [alike.earliest for alike in found]
    near = [effect.file for run in runs if run.nearby is not None for effect in run.nearby.effects]
    before = [step.point.file for run in runs for step in run.outcome.plan.steps]
    return [file for file in dict.fromkeys((*before, *near)) if file]


class _Search:
    """One search for repairs."""

    def __init__(
        self,
        request: Request,
        bench: Bench,
        swept: Swept,
        kinds: frozenset[Kind],
        *,
        by: tuple[SweepOf, MutantsOf],
        budget: float,
    ) -> None:
        self._request, self._bench, self._swept, self._kinds = request, bench, swept, kinds
        self._sweep_of, self._mutants_of = by
        self._budget = budget
        self._began = REAL.monotonic()
        code = request.function.code_to_run()
        names = dict.fromkeys((code.entry_name, *_blamed(classes(swept.runs, kinds))))
        self._sources = sources_of(code.directory, iter(names))
        self._seen: set[tuple[tuple[str, str], ...]] = set()
        self._tried = self._number = 0
        self._found: list[Repair] = []
        self._best: tuple[int, _Proposal, Swept] | None = None
        """Of the changes that do not survive all: how many interruptions fail with the best one, and its sweep."""
        self._refused: dict[str, None] = {}
        self._noticed: Counter[str] | None = None
        """How many mutants of each kind the sweep notices of the code as it is, once that is asked."""

    def repairs(self) -> Repairs:
        """Search until there is no more to find, or the time is over."""
        ended, guide = "", self._bench.guide
        code = self._request.function.code_to_run()
        try:
            self._code = copied(code, self._bench.scratch, "repair-", "a search for repairs would copy")
        except ScfUsageError as error:
            return Repairs(why_none=str(error))
        stopped = is_over = False
        try:
            why = self._rounds()
            if why:
                return Repairs(why_none=why)
        except _TimeIsOverError:
            is_over = True
            ended = f"the {self._budget:g} s of its budget were over"
            if not self._found:
                more = max(_MORE * self._budget, BUDGET)
                ended += f"; --budget {more:g} (budget={more:g}) gives it more"
        except KeyboardInterrupt:
            ended, stopped = STOPPED, True
        finally:
            remove_tree(self._code.directory)
        found = tuple(sorted(self._found, key=lambda each: (each.doubled, each.size))[:_SHOWN])
        best = "" if self._best is None or found else self._best_text(*self._best)
        seconds = REAL.monotonic() - self._began
        made = Repairs(found, self._tried, self._number, "", ended, best, tuple(self._refused), seconds, is_over)
        guide.repaired(made)
        if stopped:
            raise KeyboardInterrupt
        return made

    def _rounds(self) -> str:
        """Try changes, and more changes of the best of them; why none can be tried."""
        base: _Base | None = _Base(self._swept)
        for at in range(ROUNDS):
            proposals = [] if base is None or self._found else _in_turn(self._proposed(base))
            if base is None or not proposals:
                break
            self._number += len(proposals)
            why = "" if at else self._why_unlike()
            if why:
                return why
            base = self._round(base, proposals)
        return ""

    def _round(self, base: _Base, proposals: Sequence[_Proposal]) -> _Base | None:
        """Try the changes of *base*; that with the best of them, where it repairs one of several findings."""
        before = self._best
        for proposal in proposals:
            if not self._is_needed(proposal):
                continue
            self._require_time()
            self._bench.guide.tries(f"repair {self._tried + 1:,} of {self._number:,}: {proposal.change.kind}")
            try:
                swept = self._try(proposal)
                if swept is not None:
                    self._found.append(self._repair(proposal, swept))
            except _RefusedError as error:
                change = proposal.change
                self._refused[f"{change.kind}, at {change.file}:{change.line}: {error}"] = None
            self._tried += 1
        if self._found or self._best is None or self._best is before:
            return None
        _, proposal, _ = self._best
        whole = self._swept_with(proposal, None)
        if len(classes(whole.runs, self._kinds)) >= len(classes(base.swept.runs, self._kinds)):
            return None
        return _Base(whole, proposal.texts, proposal.made)

    def _is_needed(self, proposal: _Proposal) -> bool:
        """Whether it is of another kind than what was found, and could be among the smallest that are given."""
        if proposal.change.kind in {each.kind for each in self._found}:
            return False
        return len(self._found) < _SHOWN or any(proposal.size < each.size for each in self._found)

    def _proposed(self, base: _Base) -> Iterator[_Proposal]:
        """The changes of *base*, each once."""
        found = classes(base.swept.runs, self._kinds)
        for name, source in self._sources.items():
            text = base.texts.get(name, source.text)
            for change in changes(text, name, found):
                texts = {**base.texts, name: change.source}
                key = tuple(sorted(texts.items()))
                if key in self._seen or change.source == text or not _is_python(change.source):
                    continue
                self._seen.add(key)
                yield _Proposal(base, change, sum(self._sources[each].size(text) for each, text in texts.items()))

    # -- one change ----------------------------------------------------------------------------------------------------

    def _try(self, proposal: _Proposal) -> Swept | None:
        """Its whole sweep, if it survives that; else that is ended once as much fails as with the best one so far.

        Raises ``_RefusedError`` where it survives, and is no repair.
        """
        most = _failing(self._swept, self._kinds) if self._best is None else self._best[0]
        failed = 0

        def is_no_better(run: SweepRun) -> bool:
            nonlocal failed
            failed += run.fails(self._kinds)
            return failed >= most

        swept = self._swept_with(proposal, is_no_better)
        if failed >= most:
            return None
        self._require_compared(swept)
        if failed:
            self._best = failed, proposal, swept
            return None
        self._require_stops(swept)
        self._require_mutants(proposal, swept)
        return swept

    def _swept_with(self, proposal: _Proposal, until: Callable[[SweepRun], bool] | None) -> Swept:
        """Sweep the code with that change."""
        first = self._first(proposal.texts)
        with _Written(self._code.directory, self._sources, proposal.texts), self._a_bench(first) as bench:
            try:
                swept = self._sweep_of(self._asked(until), bench)
            except (ScfAsyncError, AssertionError) as error:  # an AssertionError is of check=
                raise _RefusedError(str(error).partition("\n")[0]) from None
        if swept.incomplete:
            raise _TimeIsOverError
        return swept

    def _asked(self, until: Callable[[SweepRun], bool] | None) -> Request:
        """The sweep that was asked for, of the copy."""
        whole = self._request
        function = self._function
        question = replace(whole.question, function=function, roots=roots_of(function))
        return replace(whole, question=question, mutate=False, until=until, accepts=self._require_as_before)

    @property
    def _function(self) -> FunctionVersion:
        before = self._request.function
        runtime = before.runtime.moved(before.code, self._code)
        return replace(before, code=self._code, runtime=runtime, copy=None)

    @contextmanager
    def _a_bench(self, first: tuple[str, ...] = ()) -> Iterator[Bench]:
        """What a sweep is made on: with a directory that nothing is in."""
        guide, directory = self._bench.guide, scratch_of(os.fspath(self._bench.directory.parent))
        own = Guide(first=first, seconds_left=self._seconds_left, progress=guide.progress)
        try:
            yield replace(self._bench, directory=directory, guide=own)
        finally:
            remove_tree(os.fspath(directory))

    def _first(self, texts: Mapping[str, str]) -> tuple[str, ...]:
        """The keys of the runs that failed, as they are in *texts*, where lines have other numbers."""
        moved = {
            f"{name}:{line}": f"{name}:{then}"
            for name, text in texts.items()
            for line, then in self._sources[name].moved(text).items()
        }
        failed = [run for run in self._swept.runs if run.fails(self._kinds)]
        earliest = [alike.earliest for alike in classes(failed, self._kinds)]
        keys = (run.key for run in (*earliest, *failed))
        return tuple(dict.fromkeys(_renumbered(key, moved) for key in keys))

    def _seconds_left(self) -> float | None:
        of_test = self._bench.guide.seconds_left()
        left = self._began + self._budget - REAL.monotonic() + _LEFT_FOR_REPORT
        return left if of_test is None else min(of_test, left)

    def _require_time(self) -> None:
        left = self._seconds_left()
        if left is not None and left <= _LEFT_FOR_REPORT:
            raise _TimeIsOverError

    # -- what is no repair ---------------------------------------------------------------------------------------------

    def _why_unlike(self) -> str:
        """Why the code does not do the same in a copy."""
        self._require_time()
        try:
            with self._a_bench() as bench:
                self._sweep_of(self._asked(lambda _: True), bench)
        except (ScfAsyncError, AssertionError, _RefusedError) as error:
            shown = str(error).partition("\n")[0]
            return f"in a copy of {self._request.function.code.directory} the code does something else ({shown})"
        return ""

    def _require_as_before(self, outcome: Outcome) -> None:
        """Refuse a change whose undisturbed run is not that of the code."""
        before, evidence = self._swept.undisturbed, self._swept.evidence
        assert evidence is not None
        if outcome.done != before.done or outcome.attempts[0].status != before.attempts[0].status:
            raise _RefusedError(f"undisturbed it ends {_end_text(outcome.attempts[0])}")
        differences = compare(before.effects, outcome.effects, evidence.ignored)
        if differences:
            raise _RefusedError(f"undisturbed, {all_difference_lines(differences)[0]}")
        if [round(each.seconds, 2) for each in before.attempts] != [
            round(each.seconds, 2) for each in outcome.attempts
        ]:
            took = [f"{each.attempts[0].seconds:g} s" for each in (before, outcome)]
            raise _RefusedError(f"undisturbed it takes {took[1]} in place of {took[0]}")
        ours, theirs = Counter(before.log), Counter(outcome.log)
        for what, lines in (("does not log", ours - theirs), ("also logs", theirs - ours)):
            if lines:
                raise _RefusedError(f"undisturbed it {what} {next(iter(lines))!r}")

    def _require_compared(self, swept: Swept) -> None:
        before, after = self._swept.compared, swept.compared
        lost = [name for name in before.effects if name not in after.effects]
        lost += [name for name in swept.ignored if name not in self._swept.ignored]
        if lost or (before.result and not after.result):
            raise _RefusedError(f"the sweep no longer compares {shortened_list(lost or ['the result'], 3)}")

    def _require_stops(self, swept: Swept) -> None:
        """Refuse a change with which nobody listens to SIGTERM any more, or all of the work is done after one."""
        before, after = _stops(self._swept), _stops(swept)
        if before and not after:
            raise _RefusedError("no listener is called for SIGTERM any more")
        longer, whole = self._longer_stops(swept), swept.undisturbed.attempts[0].seconds
        if longer and self._request.within_us is None and max(after) / 1e6 >= whole:
            raise _RefusedError(longer)
        if _done_early(swept) and not _done_early(self._swept) and not _late(self._swept):
            whole = self._swept.undisturbed.attempts[0].seconds
            left_out = whole - min(_done_early(swept))
            raise _RefusedError(f"after a SIGTERM it says that all is done, and leaves out {left_out:g} s of its work")

    def _longer_stops(self, swept: Swept) -> str:
        """How much longer it goes on after a SIGTERM than before, as part of a sentence; empty: it does not."""
        before, after = (max(_stops(each), default=0) / 1e6 for each in (self._swept, swept))
        is_longer = _stops(self._swept) and after > before
        return f"after a SIGTERM it goes on for up to {after:g} s, and before for {before:g} s at most" * bool(
            is_longer
        )

    def _require_mutants(self, proposal: _Proposal, swept: Swept) -> None:
        """Refuse a change with which the sweep no longer notices a break of the shutdown code.

        Where kills are tried, and so survived, a break need not be noticed: SIGTERM kills a process without a listener.
        But the listeners have to be there.
        """
        name = self._code.entry_name
        if name not in proposal.texts or all(how.kind != "graceful" for how in self._request.hows):
            return
        made = [mutants(text, name) for text in (self._sources[name].text, proposal.texts[name])]
        before, after = (Counter[str](each.kind for each in some if each.kind == "listener removed") for some in made)
        if FORCED not in self._request.hows and made[0]:
            if self._noticed is None:
                self._noticed = self._mutants_noticed({}, self._swept)
            before, after = self._noticed, self._mutants_noticed(proposal.texts, swept)
            if all(each.kind != "registered late" for each in made[1]):  # it is at the top of the module now
                before = before - Counter({"registered late": before["registered late"]})
        for kind in before - after:
            raise _RefusedError(f"the sweep no longer notices a break of the shutdown code: {kind}")

    def _mutants_noticed(self, texts: Mapping[str, str], swept: Swept) -> Counter[str]:
        """How many mutants of each kind the sweep notices, of the code with *texts*."""
        with _Written(self._code.directory, self._sources, texts), self._a_bench() as bench:
            found = self._mutants_of(self._asked(None), bench, swept)
        self._require_time()
        return Counter(each.mutant.kind for each in found.mutants if each.noticed)

    # -- what is found -------------------------------------------------------------------------------------------------

    def _repair(self, proposal: _Proposal, swept: Swept) -> Repair:
        sources, made = self._sources, proposal.made
        steps = [run.outcome.plan.steps for run in swept.runs]
        return Repair(
            ", and ".join(dict.fromkeys(each.kind for each in made)),
            made[0].file,
            made[0].line,
            "".join(sources[name].diff(text) for name, text in proposal.texts.items()),
            len(swept.runs),
            second=sum(len(each) > 1 for each in steps),
            power=sum(len(each) == 1 and each[0].by.kind == "power" for each in steps),
            doubled=sum(Kind.DOUBLED in run.kinds for run in swept.runs),
            left_out=swept.left_out,
            longer_stops=self._longer_stops(swept),
            size=proposal.size,
            files={name: (sources[name], text) for name, text in proposal.texts.items()},
        )

    def _best_text(self, failed: int, proposal: _Proposal, swept: Swept) -> str:
        alike = classes(swept.runs, self._kinds)[0]
        lines = "; ".join(all_difference_lines(alike.earliest.differences)[:2])
        kind = ", and ".join(dict.fromkeys(each.kind for each in proposal.made))
        change = proposal.change
        return (
            f"The best one ({kind}, at {change.file}:{change.line}) still fails in {failed:,} of {len(swept.runs):,} "
            f"interruptions: {class_title(Around(swept, alike))}: {lines}"
        )


class _Written:
    """Has files of the copy be changed in a block."""

    def __init__(self, directory: str, sources: Mapping[str, Source], texts: Mapping[str, str]) -> None:
        self._directory = directory
        self._before = {name: sources[name].content for name in texts}
        self._then = {name: sources[name].encoded(text) for name, text in texts.items()}

    def __enter__(self) -> None:
        self._write(self._then)

    def __exit__(self, *_: object) -> None:
        self._write(self._before)

    def _write(self, contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            path = os.path.join(self._directory, name)
            with open(path, "wb") as file:
                file.write(content)
            linecache.checkcache(path)


def _in_turn(proposals: Iterable[_Proposal]) -> list[_Proposal]:
    """The smallest one of each kind, then the second one of each: a kind with many leaves time for the others."""
    of_kind, turns = Counter[str](), list[tuple[int, int, _Proposal]]()
    for each in sorted(proposals, key=lambda each: each.size):
        turns.append((of_kind[each.change.kind], len(turns), each))
        of_kind[each.change.kind] += 1
    return [each for _, _, each in sorted(turns)]


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "changed", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _end_text(attempt: Attempt) -> str:
    where = f" at {attempt.place}" if attempt.place else ""
    message = f" with {attempt.message}" if attempt.message else ""
    return shortened_line(f"{attempt.status} ({attempt.status_code}){where}{message}", WIDTH)


def _failing(swept: Swept, kinds: frozenset[Kind]) -> int:
    return sum(run.fails(kinds) for run in swept.runs)


def _stops(swept: Swept) -> list[int]:
    """How long it goes on after a SIGTERM for which a listener is called, in µs."""
    outcomes = [run.outcome for run in swept.runs if run.how == "graceful"]
    return [each.stop_us for each in outcomes if each.listened and each.stop_us is not None]


def _done_early(swept: Swept) -> list[float]:
    """How many seconds it took where it was stopped, did all, and took less than undisturbed."""
    outcomes = [run.outcome for run in swept.runs if run.how.startswith("graceful")]
    done = [each.attempts[0].seconds for each in outcomes if each.done and len(each.attempts) == 1]
    return [seconds for seconds in done if seconds < swept.undisturbed.attempts[0].seconds]


def _late(swept: Swept) -> bool:
    return any(Kind.LATE in run.kinds for run in swept.runs)


def _renumbered(key: str, moved: Mapping[str, str]) -> str:
    return re.sub(r"[^>@]+:\d+", lambda found: moved.get(found[0], found[0]), key)
