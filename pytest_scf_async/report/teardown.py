"""Texts about what proves nothing in a test that passed: events of which no code ran, or that run on, and sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        "as wait_for_log() runs an event; if that is intended, say so with assert_status(event, 'RUNNING'), or set "
        f"never_run='ignore' (it is {value!r}, {source})"
    )


def unfinished_text(events: Sequence[Event], value: str, source: str) -> str:
    """Why no test should leave *events* that still run: ``unfinished`` has *value*, from *source*."""
    was = "was" if len(events) == 1 else "were"
    return (
        f"{_named(events)} {was} still running at the end of this test, which read nothing of it after its last "
        "blocking call: wait() runs it to its end; if that is intended, read event.status or event.log last, or set "
        f"unfinished='ignore' (it is {value!r}, {source})"
    )


def over_memory_text(events: Iterable[Event]) -> str:
    """Of each function without a limit that used more than the default: the event of *events* that used most."""
    found: dict[str, str] = {}
    for event in sorted(events, key=lambda each: each.mem_usage):
        function, used = event.function.configuration, event.mem_usage
        if function.memory is None and used > (has := function.memory_or_default) * MB:
            warning = (
                f"event {event.request_id} of {function.name} used {used / MB:.0f} MB and would be FAILED (434) on the "
                f"platform, where a function has {has} MB by default: memory=... (in MB) gives it more, and is then "
                "enforced here, too"
            )
            found[function.name] = warning
    return "\n".join(found.values())


def unasked_text(functions: Sequence[str]) -> str:
    """Why no test should make sweeps of *functions*, and not ask what they found."""
    return (
        f"this test made a sweep of {shortened_list(functions, NAMED)} and never looked at what it found, so it tested "
        "nothing: sweep.assert_survives() fails if something is lost, and sweep.failures, sweep.runs and sweep.report "
        "show what was found"
    )


def _named(events: Sequence[Event]) -> str:
    shown = shortened_list([f"{event.request_id} of {event.function.configuration.name}" for event in events], NAMED)
    return f"event{'s' if len(events) > 1 else ''} {shown}"
