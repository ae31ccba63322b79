"""The undisturbed run of a sweep: what all other runs are compared with, and what cannot be swept."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from ..errors import CannotEndError, ScfUsageError, hidden_from_users
from ..model.statuses import Status
from ..protocol.real_time import REAL
from ..protocol.shortening import shortened_list
from .cold_starts import cold_start_texts
from .compared import NAMED, compared_in, why_nothing
from .effects import READ_PROTECTED
from .interruptions import FORCED, Interruption
from .kills import Kills, LeftBy, PowerFailures
from .legitimate import ignore_rest, legitimate_differences
from .points import first_difference
from .power import NEXT
from .reached import lines_of
from .records import Records
from .report import SAME
from .request import Bench, Request
from .run import Attempt, Outcome, Plan, Runner
from .states import LARGE_INODE, OF_A_DAEMON, SMALL_INODE

__tracebackhide__ = hidden_from_users

_READ_ONLY = re.compile(r"\[Errno 30\] [^:]*: '(?P<path>[^']*)'")
"""What Python says of a file that cannot be written where all runs would share it."""
_COMPARE = (
    "Have each_run yield a directory that the handler writes to ({'OUT': str(run.path)}), or call "
    "run.observe(name=value) after its yield; or give check=; or compares_nothing=True for a handler that only reads"
)
_LACKS = ". A job has no terminal, reads nothing from its standard input, and has no rights of another user"
_OF_A_CONTAINER = "kills at effects (a container is interrupted only in waits and at lines of its log)"
_NOT_IN_LIBRARIES = "SIGTERM within libraries (a run whose calls are reported does not do the same)"
_THINNED = (
    f"power loss: a change that is not synced was left out at the {NEXT} effects after it, and when it is synced "
    "or at the end, not at each effect in between"
)


class Undisturbed:
    """The undisturbed run, made twice, and once more as it was where the two differ: then what differs is ignored.

    Another time and other ids may lead another way; that the same ones do is refused.
    """

    def __init__(self, request: Request, runner: Runner, bench: Bench) -> None:
        self._request, self._runner, self._guide = request, runner, bench.guide
        self.about_effects = [*_about_layers(request, bench)]
        """Why kills are real runs, at lines and waits alone, or what the record of effects does not tell."""
        self.notes: list[str] = []
        self.spoke_to = ""
        """An address to which it has connected; empty: none is known."""
        recorded = self._is_recorded()
        began = REAL.monotonic()
        first = self._made(
            Plan(
                collects=True,
                recorded=recorded,
                syncs=self._needs_syncs,
                dispositions=request.tries_ends,
                keeps=True,
            )
        )
        self.seconds = REAL.monotonic() - began
        """How many real seconds it takes."""
        runner.draws_as(first)
        began = REAL.monotonic()
        second = third = self._made(Plan(collects=True, another=True, recorded=recorded))
        self.seconds = min(self.seconds, REAL.monotonic() - began)  # the machine may have paused in one
        at = first_difference(first.points, second.points)
        if at is not None or first.effects != second.effects or _differs_in_effects(first, second) is not None:
            third = self._made(Plan(collects=True, recorded=recorded))
            self._require_same(first, third)
        if at is not None:
            self.notes.append(
                f"with another start time and other request ids the handler takes another path from point {at + 1} on"
            )
        self._require_alone(first, second)
        self.lines = lines_of(point for each in (first, second) for point in (*each.points, *each.resumed))
        """The lines that these two have come to."""
        both_keep = all(each.record is not None and each.record.keeps_inodes for each in (first, second))
        self.records = self._records(self._with_libraries(first), SMALL_INODE if both_keep else LARGE_INODE)
        code = request.function.code_to_run()
        script = code.entry if request.function.runtime.is_job else ""
        self.slow_starts = list(cold_start_texts(first.slow_lines, code.directory, script))
        """What each cold start spends long on."""
        self.notes += self.slow_starts
        self.ignored = legitimate_differences(first.effects, second.effects, request.ignored)
        ignore_rest(first.effects, third.effects, self.ignored)
        self._require_compared(first)
        protected = [path for path, each in first.effects.files.items() if each.kind in READ_PROTECTED]
        if protected:
            self.notes.append(f"the content of {shortened_list(protected, NAMED)} is not compared: it may not be read")
        self.outcome = replace(first, lived=None, record=None)  # a record may be large

    def _made(self, plan: Plan) -> Outcome:
        outcome = self._runner.run(plan, lambda _: True)
        accepts, is_first = self._request.accepts, plan.keeps
        if accepts is not None and is_first and not _READ_ONLY.search(outcome.attempts[0].message):
            accepts(outcome)  # before other runs are made for nothing
        self._require_finished(outcome)
        return outcome

    @property
    def _errors(self) -> set[int]:
        return {how.error for how in self._request.hows} - {0}

    @property
    def _needs_syncs(self) -> bool:
        return errno.EIO in self._errors or any(how.kind == "power" for how in self._request.hows)

    def _is_recorded(self) -> bool:
        """Whether its effects are recorded; says why not, where that matters."""
        runtime, hows = self._request.function.runtime, self._request.hows
        has_effects = any(how.kind in ("forced", "timeout") for how in hows) or self._needs_syncs or bool(self._errors)
        # a program is stopped with grace at effects, too, and one that does not listen ends there
        is_stopped = not runtime.has_places or self._request.tries_ends
        has_effects |= is_stopped and self._request.choice.which == "lines"
        if not runtime.can_be_recorded:
            self._refuse_unrecorded("a container is not recorded")
            self.about_effects += [_OF_A_CONTAINER] * has_effects
        return has_effects and runtime.can_be_recorded

    def _with_libraries(self, first: Outcome) -> Outcome:
        """*first*, among whose points are those in libraries at which a SIGTERM finds what it finds at no other point.

        They lie between two effects of one pass of a line, and another run tells them, which is slower. None where
        several threads have effects: which of them is the next may be another one in each run. Where that run does
        something else, the report says that they were not tried.
        """
        record, runtime = first.record, self._request.function.runtime
        is_graceful = any(how.kind == "graceful" for how in self._request.hows)
        if record is None or record.problems or not (is_graceful and runtime.has_places):
            return first
        pairs = ((one.found, other.found) for one, other in pairwise(first.points))
        may_be = (not (a.at_default and b.at_default) for a, b in pairs if b.effects - a.effects > 1)
        if len({effect.thread for effect in record.effects}) > 1 or not any(may_be):
            return first
        try:
            found = self._runner.run(Plan(collects=True, recorded=True, functions=True), lambda _: True).points
        except CannotEndError:  # calls that are reported take longer
            found = ()
        if first_difference([each for each in found if each.kind != "library"], first.points) is not None:
            self.about_effects.append(_NOT_IN_LIBRARIES)
            return first
        of_user = iter(first.points)
        points = [each if each.kind == "library" else next(of_user) for each in found]
        # one at which nobody listens is a kill
        kept = (each for each in points if not (each.kind == "library" and each.found.at_default))
        return replace(first, points=tuple(kept))

    def _records(self, first: Outcome, lowest_inode: int) -> Records:
        kills: Kills | None = None
        powers: dict[Interruption, PowerFailures] = {}
        record = first.record
        if record is not None:
            if record.problems:
                self._refuse_unrecorded(record.problems[0])
            self.about_effects += record.remarks()
            self.spoke_to = next((each.paths[0] for each in record.effects if each.said), "")
            if not record.problems:
                misleads = self._request.misleads
                kills = Kills(first, errors=self._errors, misleads=misleads, lowest_inode=lowest_inode)
                self.about_effects += kills.remarks()
                powers = dict(self._powers(first, kills, lowest_inode))
        tries_ends = self._request.tries_ends
        return Records(self._runner.question, kills, powers, tries_ends=tries_ends, lowest_inode=lowest_inode)

    def _powers(self, first: Outcome, kills: Kills, lowest_inode: int) -> Iterator[tuple[Interruption, PowerFailures]]:
        known = kills.leave if FORCED in self._request.hows else set[LeftBy]()
        for how in self._request.hows:
            if how.file_system is not None:
                misleads = self._request.misleads
                powers = PowerFailures(first, how.file_system, known, misleads=misleads, lowest_inode=lowest_inode)
                self.about_effects += powers.remarks()
                self.notes += [_THINNED] * powers.is_thinned
                yield how, powers

    # -- what is refused -----------------------------------------------------------------------------------------------

    def _refuse_unrecorded(self, why: str) -> None:
        """Refuse interruptions that need a record, if there are some."""
        how = next((how for how in self._request.hows if how.kind == "power" or how.error), None)
        if how is not None:
            shown = "'power'" if how.kind == "power" else f"fault({how.failure!r})"
            raise ScfUsageError(
                f"sweep: how={shown} needs a record of what function {self._request.name!r} changes in run.path, and "
                f"there is none: {why}"
            )

    def _require_compared(self, outcome: Outcome) -> None:
        assert outcome.began is not None
        name, nothing = self._request.name, self._request.compares_nothing
        compared = self.compared = compared_in(outcome.effects, outcome.began.stored, self.ignored)
        if nothing and compared.effects:
            raise ScfUsageError(
                f"sweep: compares_nothing=True, and something that function {name!r} does is compared: "
                f"{shortened_list(compared.effects, NAMED)}; leave compares_nothing= out"
            )
        if not (nothing or compared.effects or self._request.question.check is not None):
            if outcome.record is not None and outcome.record.is_daemon:
                raise ScfUsageError(
                    f"sweep: function {name!r} has left run.path as it was, and a sweep does not see {OF_A_DAEMON}"
                )
            is_told = self._request.function.runtime.takes_run_path
            why = why_nothing(outcome.effects, outcome.began, outcome.points, self._runner.path, is_told=is_told)
            raise ScfUsageError(f"sweep: nothing that function {name!r} does is compared: {why}. {_COMPARE}")

    def _require_alone(self, *outcomes: Outcome) -> None:
        """Refuse a directory that something else changes each time while the function runs: no record has that.

        From a run's first connect on all kills are real runs, and a server may keep its files there.
        """
        changed: list[str] = []
        for outcome in outcomes:
            record = outcome.record
            if record is None or record.problems or record.is_daemon or record.spoke_at <= len(record.effects):
                return
            changed = record.not_as_left(outcome.left)
            if not changed:
                return
        raise ScfUsageError(
            f"sweep: {shortened_list(changed, NAMED)} in run.path is not as function {self._request.name!r} has left "
            "it: something else, such as a thread of the test, or another process, changes run.path while the "
            "function runs, and kills are answered from a record of what the function does. Have nothing else change "
            "run.path between the yield of each_run and the end of the event"
        )

    def _require_finished(self, outcome: Outcome) -> None:
        first, codes, name = outcome.attempts[0], self._request.question.done_codes, self._request.name
        if (outcome.done and len(outcome.attempts) == 1) if codes else first.status == Status.FINISHED:
            return
        if codes:
            raise ScfUsageError(
                f"sweep: the undisturbed run of function {name!r} has not exited with "
                f"{' or '.join(map(str, codes))}, which says that its work is done (done=): "
                f"{first.message or f'it ended {first.status}'}{self._hint(first)}{_LACKS}"
            )
        shared = _READ_ONLY.search(first.message)
        if shared is not None:
            raise ScfUsageError(
                f"sweep: function {name!r} writes to {shared['path']}, which all runs would share; have it write "
                "to run.path, which each run has for itself: each_run yields {'OUT': str(run.path)}"
            )
        where = f" at {first.place}" if first.place else ""
        raise ScfUsageError(
            f"sweep: the undisturbed run of function {name!r} ended {first.status} ({first.status_code}){where} "
            f"with {first.message}; it has to be FINISHED, as all other runs are compared with it"
            f"{self._hint(first)}{_LACKS * self._request.function.runtime.is_job}"
        )

    def _hint(self, first: Attempt) -> str:
        name = first.variable
        return f". Its environment has no {name}: {self._guide.sets(name)}, if that is where it writes" if name else ""

    def _require_same(self, one: Outcome, other: Outcome) -> None:
        """Refuse a handler that does not come to the same points, or has other effects, where all is the same."""
        at, of, nth = first_difference(one.points, other.points), "reached {:,} points", "point "
        found = [[each.label for each in outcome.points] for outcome in (one, other)]
        if at is None:
            at, of, nth = _differs_in_effects(one, other), "had {:,} effects", "effect#"
            records = [outcome.record for outcome in (one, other)]
            found = [[each.text for each in record.effects] for record in records if record is not None]
        if at is None:
            return
        first, then = (texts[at] if at < len(texts) else "its end" for texts in found)
        raise ScfUsageError(
            f"sweep: function {self._request.name!r} does not behave the same in each run: "
            f"run 1 {of.format(len(found[0]))}, run 2 {len(found[1]):,}; the first difference is {nth}{at + 1}: "
            f"{first} in run 1, {then} in run 2. {SAME}"
        )


def _about_layers(request: Request, bench: Bench) -> Iterator[str]:
    layers = request.function.configuration.layers
    if layers and not (len(layers) == 1 and os.path.isdir(layers[0])) and bench.why_unmounted():
        yield "lines of layers (without mount namespaces each run has them elsewhere)"


def _differs_in_effects(one: Outcome, other: Outcome) -> int | None:
    """The index of the first effect that is not the same in both, where they were recorded."""
    if one.record is None or other.record is None or one.record.problems or other.record.problems:
        return None
    return one.record.first_difference(other.record)
