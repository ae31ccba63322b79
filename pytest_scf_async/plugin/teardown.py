"""The rules at the end of a test that passed: which of its events show that it tested less than it seems to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ScfAsyncWarning
from ..report.teardown import never_run_text, unfinished_text
from .reporting import unchecked_failures, unchecked_text

if TYPE_CHECKING:
    import pytest

    from ..async_event import AsyncEvent
    from ..lockstep.event import Event
    from ..runtime import ScfRuntime


def judge_test(
    runtime: ScfRuntime, node: pytest.Item, unasked: Sequence[str]
) -> tuple[tuple[AsyncEvent, ...], list[str]]:
    """The events that FAILED unchecked, and why the test fails, for events that show that it tested less than it seems.

    *unasked* is what wings say of that. What the settings make a warning is warned of. No rule is about scripted
    events: they have no code that could be left untested, and what becomes of one the test has declared.
    """
    settings, with_code = runtime.settings, [event for event in runtime.events if event._event.script is None]
    events = [event._event for event in with_code]
    unchecked = tuple(unchecked_failures(with_code))
    failures = [unchecked_text(unchecked)] if unchecked else []
    warned: list[str] = []
    for name, found, text_of in (
        ("never_run", never_run(events), never_run_text),
        ("unfinished", unfinished(events, runtime._lockstep.calls), unfinished_text),
    ):
        what = getattr(settings, name)
        if found and what != "ignore":
            (failures if what == "fail" else warned).append(text_of(found, what, settings.source(name)))
    failures += unasked
    for text in warned:
        try:
            node.warn(ScfAsyncWarning(text))
        except ScfAsyncWarning:  # the session makes errors of warnings
            failures.append(text)
    return unchecked, failures


def never_run(events: Sequence[Event]) -> list[Event]:
    """Those of which no code ran, and that the test has invoked itself, and neither ended nor asked about."""
    return [
        event
        for event in events
        if event.phase == "pending" and not (event.ended or event.checked or event.by_operation)
    ]


def unfinished(events: Sequence[Event], calls: int) -> list[Event]:
    """Those that still run and of which the test read nothing since the last of its blocking *calls*.

    An event that waits for room in the queue does not run.
    """
    return [
        event
        for event in events
        if event.phase != "pending" and event.status is not None and not event.ended and event.seen_in_call < calls
    ]
