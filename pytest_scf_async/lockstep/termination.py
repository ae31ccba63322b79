"""TerminateAsyncEvent: by force, or by SIGTERM into the event's process."""

from __future__ import annotations

import signal
from collections.abc import Callable

from ..errors import ScfApiError, hidden_from_users
from ..instances import coverage
from ..model import Fact, Status, api_error
from ..protocol import messages
from .calls import Call
from .event import Event
from .scheduler import Lockstep
from .scripts import ScriptedEvent

__tracebackhide__ = hidden_from_users


_ENDED_EARLY = "it ended before its first wait: a gate such as run_to(...) or wait_for_log(...) has it stand earlier"


def terminate(lockstep: Lockstep, event: Event, grace_shutdown: bool, *, settle_first: bool) -> None:
    """End *event* by force, or with *grace_shutdown* send it SIGTERM and let its instance settle again.

    With *settle_first* a pending event is started and runs to its first wait before, for ``compute_grace`` real seconds
    at most. What another event raises meanwhile is raised once *event* has been ended by force. Raises ``ScfApiError``
    ``FailedOperation.AsyncEventStatus`` when the event has ended.
    """
    name = f"terminate(grace_shutdown={grace_shutdown}) on event {event.request_id}"
    # What starts in real time takes as long as it takes: who ends it by force does not wait for that.
    starts = event.phase == "init" and not event.function.runtime.in_lockstep
    ends_early = settle_first and not event.ended
    failed: Exception | None = None
    if settle_first and not event.ended and not starts:
        try:
            lockstep.drive(Call(name, lambda: lockstep.settled(event), grace_of=event, waits_for=[event]))
        except Exception as raised:
            if grace_shutdown or event.ended:
                raise
            failed = raised  # of another event, which is none of this one's business
    elif grace_shutdown and starts and settle_first:
        lockstep.drive(Call(name, lambda: event.ended or _runs(event), waits_for=[event]))
    elif grace_shutdown:
        lockstep.look()
    with lockstep.locked():  # of two calls at once one alone ends it
        if event.ended:
            named = f"async event {event.request_id}"
            error = api_error("FailedOperation.AsyncEventStatus", event=named, status=event.status)
            by_another = event.status is Status.ABORTED
            raise ScfApiError(
                error.code, error.platform_message, _ENDED_EARLY if ends_early and not by_another else None
            )
        if not grace_shutdown:
            lockstep.end(event, Fact.TERMINATED)
    if not grace_shutdown:
        event.look()
        if failed is not None:
            raise failed
        return
    answered: list[Callable[[], bool]] = []

    def begin() -> None:
        answered.append(_send_sigterm(lockstep, event))

    try:
        lockstep.drive(Call(name, lambda: event.ended or answered[0](), begin=begin, waits_for=[event]))
    finally:
        if event.instance is not None:
            event.instance.signalled = False  # a handler that was not entered by now keeps the turn from nobody


def _runs(event: Event) -> bool:
    """Whether the process of *event* that starts in real time is there to take a signal, or stands before that."""
    instance = event.instance
    return instance is not None and (instance.user_process.runs or instance.gated is not None)


def _send_sigterm(lockstep: Lockstep, event: Event) -> Callable[[], bool]:
    """Deliver the signal, and give what says that it has been dealt with."""
    if isinstance(event, ScriptedEvent) and event.phase == "running":
        lockstep.scripts.signal(event)
        return lambda: True
    instance = event.instance
    state = None if instance is None else instance.user_process.signal_state(signal.SIGTERM)
    if instance is None or state is None or instance.gone:
        event.signal_sent("no process")
        lockstep.costs.start(event)
        return lambda: True
    entered, deferred = instance.entered, instance.deferred

    def settled() -> bool:
        return lockstep.settled(event)

    def handled() -> bool:
        return (instance.entered > entered or instance.deferred > deferred) and lockstep.settled(event)

    disposition = instance.runtime.met(state, listens=signal.SIGTERM in instance.listening)
    event.signal_sent(disposition)
    if disposition == "blocked":
        # until a thread of it that waits for the signal has been woken
        instance.turn = instance.runtime.in_lockstep and not instance.cpu_bound
        answered = settled
    elif disposition == "ignored":
        # its tracer has to let the signal pass, and starts the call again that it has ended
        instance.turn = instance.turn or (instance.traces_user_code and not instance.cpu_bound)
        answered = settled
    elif disposition == "unknown":
        answered = lambda: True  # noqa: E731  (what becomes of it cannot be known)
    elif disposition == "native":
        instance.turn = True  # until it answers, which it can only when that code has run
        answered = settled
    elif disposition == "handler":
        instance.signalled = True
        instance.turn = True  # its handler has it, until the instance says otherwise
        answered = handled
    else:
        instance.turn = instance.runtime.in_lockstep
        taken = instance.runtime.takes_default(instance.user_process)
        answered = lambda: event.ended or instance.deferred > deferred or taken()  # noqa: E731
        coverage.save([instance])
    lockstep.costs.start(event)
    instance.user_process.signal(signal.SIGTERM)
    if instance.runtime.stops_behind_lines and instance.gated is not None:
        lockstep.gates.open_now(event)  # it was stopped, and takes the signal when it goes on
    if instance.traces_user_code:
        instance.send(messages.PollSignals())
    elif disposition in ("native", "blocked"):
        instance.poll_requested = True
        instance.send(messages.Poll())
    if instance.measured:
        instance.signal(signal.SIGCONT)  # it saved what it measured, and stopped
    return answered
