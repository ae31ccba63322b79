"""What is wrong with a run of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from ..async_event import AsyncEvent
from ..inner import event_of
from ..model.statuses import Status
from .comparison import compare
from .differences import Difference, Kind, Part
from .effects import EffectKind, Effects, as_json
from .findings import SweepRun
from .ignored import Ignored
from .request import Request
from .run import Outcome

_TIMED_OUT = 433
"""The status code of an event that has reached its function's timeout (17243)."""


class Judge:
    """Compares what runs leave with what the undisturbed run has left, which is *expected*."""

    def __init__(self, request: Request, expected: Effects, ignored: Ignored) -> None:
        self._expected, self._ignored = expected, ignored
        self._within_us = request.within_us
        self._has_codes = bool(request.question.done_codes)
        self._results: dict[str | bytes, bool] = {}
        self._compared: dict[str, tuple[Difference, ...]] = {}

    def is_done(self, event: AsyncEvent) -> bool:
        """Whether *event*, which is FINISHED, has the result of the undisturbed run."""
        result = event_of(event).result_text if event_of(event).content is None else event_of(event).content
        if result is None:
            return False
        known = self._results.get(result)
        if known is None:
            expected = Effects(result=self._expected.result, has_result=self._expected.has_result)
            found = Effects(result=json.loads(result) if isinstance(result, str) else as_json(result), has_result=True)
            known = self._results[result] = not compare(expected, found, self._ignored)
        return known

    def run(self, outcome: Outcome) -> SweepRun:
        """The run that has come to *outcome*, and what is wrong with it."""
        plan, differences = outcome.plan, tuple(self._differences(outcome))
        # A record may be large.
        kept = replace(outcome.without_event(has_timeline=bool(differences)), lived=None, record=None)
        return SweepRun(plan.steps[-1].point, plan.how, differences, kept)

    def _how_late(self, outcome: Outcome) -> tuple[str, str] | None:
        """Within what a graceful stop had to end, and when it did; None: in time.

        One that only the function's timeout has ended is late, as where a listener waits for a lock of the code that
        it interrupts.
        """
        kinds = {step.by.kind for step in outcome.plan.steps}
        if outcome.stop_us is None or "graceful" not in kinds:
            return None
        seconds = f"{outcome.stop_us / 1e6:g} s"
        if outcome.attempts[0].status_code == _TIMED_OUT and "timeout" not in kinds:
            return "before the function's timeout", seconds
        within_us = self._within_us
        return None if within_us is None or outcome.stop_us <= within_us else (f"within {within_us / 1e6:g} s", seconds)

    def _differences(self, outcome: Outcome) -> Iterator[Difference]:
        last = outcome.attempts[-1]
        has_failed = last.status != Status.FINISHED or self._has_codes
        unfinished = not outcome.done and (bool(outcome.stuck) or has_failed)
        if unfinished:
            shown = outcome.stuck or f"{last.status} ({last.status_code})"
            events = len(outcome.attempts)
            part = Part("value", f"{events} event{'s' * (events != 1)}", shown)
            yield Difference(Kind.NEVER_FINISHES, EffectKind.EVENTS, "", (), (part,))
        if outcome.check:
            yield Difference(Kind.FAILED_CHECK, EffectKind.CHECK, "", (), (Part("value", "", outcome.check),))
        if late := self._how_late(outcome):
            yield Difference(Kind.LATE, EffectKind.STOP, "", (), (Part("value", *late),))
        if unfinished:  # what is not there yet is no other finding
            return
        digest = outcome.effects.digest()
        differences = self._compared.get(digest)
        if differences is None:
            differences = self._compared[digest] = tuple(compare(self._expected, outcome.effects, self._ignored))
        yield from differences
