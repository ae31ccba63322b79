"""TerminateAsyncEvent: by force, or by SIGTERM into the event's process."""

from __future__ import annotations

import signal
from collections.abc import Callable

from ..errors import ScfApiError, hidden_from_users
from ..instances import coverage as measured
from ..instances.instance import Instance
from ..model import Fact, api_error
from ..protocol import messages
from ..protocol.procfs import signal_state
from ..protocol.real_time import REAL
from .calls import Call
from .event import Event
from .scheduler import Lockstep

__tracebackhide__ = hidden_from_users


TAKEN_AFTER = 1.0
"""Real seconds after which a free-running program that lives has taken a SIGTERM that would end it."""
_ENDED_EARLY = "it ended before its first wait: a gate such as run_to(...) or wait_for_log(...) has it stand earlier"


def terminate(lockstep: Lockstep, event: Event, grace_shutdown: bool, *, settle_first: bool) -> None:
    """End *event* by force, or with *grace_shutdown* send it SIGTERM and let its instance settle again.

    With *settle_first* a pending event is started and runs to its first wait before. Raises ``ScfApiError``
    ``FailedOperation.AsyncEventStatus`` when the event has ended.
    """
    name = f"terminate(grace_shutdown={grace_shutdown}) on event {event.request_id}"
    starts = event.phase == "init" and event.function.free_running  # in real time: what takes so long is ended now
    ends_early = settle_first and not event.ended
    if settle_first and not event.ended and not starts:
        lockstep.drive(Call(name, lambda: lockstep.settled(event)))
    elif grace_shutdown:
        lockstep.look()
    if event.ended:
        named = f"async event {event.request_id}"
        error = api_error("FailedOperation.AsyncEventStatus", event=named, status=event.status)
        raise ScfApiError(error.code, error.platform_message, _ENDED_EARLY if ends_early else None)
    if not grace_shutdown:
        with lockstep.locked():
            lockstep.end(event, Fact.TERMINATED)
        event.looked_at = True
        return
    answered: list[Callable[[], bool]] = []
    try:
        lockstep.drive(
            Call(
                name,
                lambda: event.ended or answered[0](),
                begin=lambda: answered.append(_send_sigterm(lockstep, event)),
            )
        )
    finally:
        if event.instance is not None:
            event.instance.signalled = False  # a handler that was not entered by now keeps the turn from nobody


def _send_sigterm(lockstep: Lockstep, event: Event) -> Callable[[], bool]:
    """Deliver the signal, and give what says that it has been dealt with."""
    instance = event.instance
    state = signal_state(instance.user_pid, signal.SIGTERM) if instance is not None and instance.user_pid else None
    if instance is None or state is None or instance.gone:
        event.signal_sent("no process")
        return lambda: True
    entered, kept = instance.entered, instance.kept

    def settled() -> bool:
        return lockstep.settled(event)

    def handled() -> bool:
        return (instance.entered > entered or instance.kept > kept) and lockstep.settled(event)

    def ended() -> bool:
        return event.ended

    if state.blocked:  # first: a thread may take it with sigwait() even where it is ignored
        event.signal_sent("blocked")
        instance.turn = not (
            instance.overrun or instance.free_running
        )  # until a thread of it that waits for the signal has been woken
        answered = settled
    elif state.ignored:
        event.signal_sent("ignored")
        answered = settled
    elif state.caught and instance.free_running:
        event.signal_sent("unknown")
        answered = lambda: True  # noqa: E731  (what becomes of it cannot be known)
    elif state.caught and signal.SIGTERM not in instance.listening:
        event.signal_sent("native")
        instance.turn = True  # until it answers, which it can only when that code has run
        answered = settled
    elif state.caught:
        event.signal_sent("handler")
        instance.signalled = True
        instance.turn = True  # its handler has it, until the instance says otherwise
        answered = handled
    else:
        event.signal_sent("default")
        instance.turn = not instance.free_running
        answered = _ended_or_taken(event, instance) if instance.free_running else ended
        measured.save([instance])
    instance.signal_user(signal.SIGTERM)
    if instance.free_running and instance.gated is not None:
        lockstep.gates.open_now(event)  # it was stopped, and takes the signal when it goes on
    if event.signals[-1].disposition in ("native", "blocked"):
        instance.asked = True
        instance.send(messages.ASK)
    if instance.measured:
        instance.signal(signal.SIGCONT)  # it saved what it measured, and stopped
    return answered


def _ended_or_taken(event: Event, instance: Instance) -> Callable[[], bool]:
    """What says that a SIGTERM which nothing seemed to listen to has ended a free-running program, or has not.

    While a thread is in ``sigwait`` for it the kernel tells the same of a signal as where nobody wants it.
    """
    until = REAL.monotonic() + TAKEN_AFTER

    def answered() -> bool:
        if event.ended or REAL.monotonic() > until:
            return True
        state = signal_state(instance.user_pid, signal.SIGTERM)
        return state is not None and state.blocked  # as it is again once sigwait has returned

    return answered
