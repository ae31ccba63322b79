"""Runs that are not made: an event ends as another run of it would, if that was killed at a moment of its life."""

from __future__ import annotations

import signal
from typing import NamedTuple

from ..async_event import AsyncEvent
from ..inner import event_of, scheduler_of
from ..lockstep.event import Event
from ..model.timeline import (
    Exit,
    GateReached,
    ListenerChanged,
    Recorded,
    StatusChanged,
    Waited,
    WaitedForOthers,
    Written,
)
from ..model.transitions import Fact


class Moment(NamedTuple):
    """A moment of an event that was run before."""

    time_us: int
    records: int
    """How many records it had sent."""
    lines: int
    """How many lines user code had written, ..."""
    waits: int
    """... and how many waits it had begun."""
    place: str
    """Where it stood."""
    listeners: int | None = None
    """How often something else had become of SIGTERM; None: the time tells."""
    in_init: bool = False


def kill(event: AsyncEvent, lived: Event, at: Moment, how: str) -> None:
    """Have *event*, of which no code has run, end as *lived*, the same event, would if it was killed then.

    With *how* ``"graceful"`` SIGTERM kills it, to which nobody listens.
    """
    lockstep, inner = scheduler_of(event), event_of(event)
    with lockstep.locked():
        lockstep.clock.jump(at.time_us)
        _relive(inner, lived, at)
        fact = end_as_killed(event, how, began_us=lived.dispatched_us)
        inner.reclaimed(fact.value)


def end_as_killed(event: AsyncEvent, how: str, began_us: int | None = None) -> Fact:
    """With the lock: have *event*, whose process is gone, end by that termination, timeout or SIGTERM; returns which.

    *began_us*: its timeout began then, and not when it was dispatched itself.
    """
    lockstep, inner, fact, died = scheduler_of(event), event_of(event), Fact.TERMINATED, None
    if how == "timeout":
        fact, began_us = Fact.TIMED_OUT, began_us or inner.dispatched_us or lockstep.clock.now_us
        lockstep.clock.jump(began_us + inner.function.configuration.timeout * 1_000_000)
    elif how == "graceful":
        inner.signal_sent("default")
        fact, died = Fact.PROCESS_EXITED, Exit(signum=signal.SIGTERM)
    lockstep.end(inner, fact, exit=died)
    return fact


def _relive(event: Event, lived: Event, until: Moment) -> None:
    """What happened to *lived*, the same event in another run, has happened to *event* as well, up to a moment."""
    event.takes_over(lived, in_init=until.in_init)
    log, sent = iter(lived.log), iter(lived.records)
    lines, waits, records = until.lines, until.waits, until.records
    listeners = len(lived.timeline) if until.listeners is None else until.listeners
    of_platform = 1 if until.in_init else len(lived.timeline)  # the second line says that the init is over
    for entry in lived.timeline[1:]:
        if isinstance(entry, Waited):
            begun, waits = min(entry.times, waits), waits - entry.times
            if begun < entry.times:
                entry = entry._replace(times=begun, last_us=until.time_us)  # noqa: PLW2901
            if not begun:
                continue
        if isinstance(entry, WaitedForOthers) and entry.time_us == until.time_us and waits <= 0:
            continue
        lines -= isinstance(entry, Written) and not entry.of_platform
        of_platform -= isinstance(entry, Written) and entry.of_platform
        records -= isinstance(entry, Recorded)
        listeners -= isinstance(entry, ListenerChanged)
        is_later = entry.time_us > until.time_us or isinstance(entry, StatusChanged)
        if is_later or min(lines, of_platform, records, listeners) < 0:
            break
        event.timeline.append(entry)
        if isinstance(entry, Written):
            event.log.append(next(log))
        elif isinstance(entry, Recorded):
            event.records.append(next(sent))
    event.timeline.append(GateReached(until.time_us, until.place))
