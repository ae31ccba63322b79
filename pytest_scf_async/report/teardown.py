"""Texts about what proves nothing in a test that passed: events of which no code ran, or that run on, and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..protocol.shortening import shortened_list
from .timeline import MB

if TYPE_CHECKING:
    from ..lockstep.event import Event

NAMED = 10
"""Events that one text names; of the others it says how many they are."""


def never_run_text(events: Sequence[Event], value: str, source: str) -> str:
    """Why no test should leave *events* whose code never ran: ``never_run`` has *value*, from *source*."""
    return (
        f"no code of {_named(events)} ever ran, so this test has not tested it: wait(), settle() or a gate call such "
        "as wait_for_log() runs an event; a test that means it says so with assert_status(event, 'RUNNING'), or sets "
        f"never_run='ignore' (it is {value!r}, {source})"
    )


def unfinished_text(events: Sequence[Event], value: str, source: str) -> str:
    """Why no test should leave *events* that still run: ``unfinished`` has *value*, from *source*."""
    runs = "still runs" if len(events) == 1 else "still run"
    return (
        f"{_named(events)} {runs} at the end of this test, which read nothing of it after its last blocking call: "
        "wait() runs it to its end; a test that means it reads event.status or event.log last, or sets "
        f"unfinished='ignore' (it is {value!r}, {source})"
    )


def over_memory_text(request_id: str, function: str, used: int, has: int) -> str:
    """Why the platform would have ended an event that no limit has ended here: it *used* bytes, and *has* MB."""
    return (
        f"event {request_id} of {function} has used {used / MB:.0f} MB, and would be FAILED (434) on the platform, "
        f"where a function has {has} MB unless given: memory=... (in MB) gives it more, and is a limit here as well"
    )


def unasked_text(functions: Sequence[str]) -> str:
    """Why no test should make sweeps of *functions*, and not ask what they found."""
    return (
        f"this test has made a sweep of {shortened_list(functions, NAMED)} and never asked what it found, so it has "
        "tested nothing: sweep.assert_survives() fails where something is lost, and sweep.failures, sweep.runs and "
        "sweep.report say what was found"
    )


def _named(events: Sequence[Event]) -> str:
    shown = shortened_list([f"{event.request_id} of {event.function.configuration.name}" for event in events], NAMED)
    return f"event{'s' if len(events) > 1 else ''} {shown}"
