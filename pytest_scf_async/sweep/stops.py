"""Where a sweep has an event stop: at the points of its code, its waits, and the lines of its log."""

from __future__ import annotations

from typing import NamedTuple

from ..async_event import AsyncEvent
from ..errors import GateNotReachedError
from ..inner import drive, event_of, go_to_gate, scheduler_of
from ..lockstep.event import Gate
from ..lockstep.places import Place
from ..protocol import messages


class PointGate(NamedTuple):
    """A gate at a point of the sweep, and what the instance is told of it."""

    gate: Gate
    description: messages.AnyGate


def collect_points(event: AsyncEvent, collect: messages.Collect, *, interrupted: bool) -> None:
    """Have the points that the event comes to from here on collected, where a sweep may have *interrupted* it."""
    with scheduler_of(event).locked():
        event_of(event).points.clear()
        event_of(event).collect(collect, interrupted=interrupted)
        scheduler_of(event).gates.send(event_of(event))


def arm_at(event: AsyncEvent, label: str, place: Place | None, kind: str, number: int) -> PointGate:
    """Set a gate at a point of the sweep: a *place*, or the occurrence of that *kind* and *number*."""
    lockstep, inner = scheduler_of(event), event_of(event)
    with lockstep.locked():
        gate = Gate(lockstep.gates.name("point"), label, place=place)
        description: messages.AnyGate
        if place is None:
            description = messages.OccurrenceGate(gate.identity, kind, number)
        else:
            lockstep.gates.count(inner, place)
            description = messages.LineGate(gate.identity, inner.places[place], number)
        lockstep.gates.arm(inner, gate, description)
    return PointGate(gate, description)


def fail_at(  # noqa: PLR0917  (five of them are what `Fault` has)
    event: AsyncEvent, label: str, kind: str, number: int, error: int, lasting: bool
) -> None:
    """Have what occurs there fail with that *error*; the event does not stand there."""
    lockstep, inner = scheduler_of(event), event_of(event)
    with lockstep.locked():
        gate = Gate(lockstep.gates.name("fault"), label)
        lockstep.gates.arm(inner, gate, messages.Fault(gate.identity, kind, number, error, lasting))


def go_to_point(event: AsyncEvent, point: PointGate) -> None:
    """Run to a gate of `arm_at`; ``GateNotReachedError`` where the event ends without it.

    Where the event stands there already nothing is run.
    """
    if point.gate.reached and not point.gate.open and not event_of(event).ended:
        return
    go_to_gate(event, point.gate.description, point.gate, point.description, lambda: False)


def wait_without_leases(event: AsyncEvent) -> None:
    """As `wait`, but each wait of the instance is reported on its own."""
    drive(event, f"wait() on event {event.request_id}", lambda: event_of(event).ended, moves_clock=True)


def go_to_line(event: AsyncEvent, number: int) -> None:
    """Run to that line of the log which user code writes: the event stands behind it. Empty lines do not count."""
    inner = event_of(event)
    written = 0
    seen_lines = 0

    def seen() -> bool:
        nonlocal written, seen_lines
        for line in inner.log[seen_lines:]:
            written += line.source == "Custom" and bool(line.text)
        seen_lines = len(inner.log)
        return written >= number

    gate = Gate(scheduler_of(event).gates.name("log"), f"log#{number}", seen=seen)
    description = messages.LogGate(gate.identity, number, regular=True, pattern=".", flags=0)
    go_to_gate(event, f"log#{number}", gate, description, seen)


def go_to_wait(event: AsyncEvent, number: int) -> None:
    """Run until user code has begun that wait; ``GateNotReachedError`` where the event ends before."""
    inner = event_of(event)

    def reached() -> bool:
        return inner.ended or inner.waits_begun() >= number

    drive(event, f"wait#{number} of event {event.request_id}", reached, moves_clock=True)
    if inner.ended:
        raise GateNotReachedError(f"event {event.request_id} has ended and never reached wait#{number}")
