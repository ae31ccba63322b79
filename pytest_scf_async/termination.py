"""TerminateAsyncEvent: by force, or by SIGTERM into the event's process."""

from __future__ import annotations

from functools import partial

from .errors import ScfApiError, hidden_from_users
from .instances.state import InstanceFact
from .lockstep.calls import Call
from .lockstep.event import Event
from .lockstep.scheduler import Lockstep
from .model.codes import api_error
from .model.transitions import Fact
from .report.cause import why_ended

__tracebackhide__ = hidden_from_users


def terminate(lockstep: Lockstep, event: Event, grace_shutdown: bool, *, settle_first: bool) -> None:
    """End *event* by force, or with *grace_shutdown* send it SIGTERM and let its instance settle again.

    With *settle_first* a pending event is started and runs to its first wait before: for ``real_timeout`` at most, in
    real seconds of its own, and by force for ``compute_grace``. What another event raises meanwhile is raised once
    *event* has been ended by force. Raises ``ScfApiError`` ``FailedOperation.AsyncEventStatus`` when the event has
    ended, which says how and why it did.
    """
    name = f"terminate(grace_shutdown={grace_shutdown}) on event {event.request_id}"
    # What starts in real time takes as long as it takes: who ends it by force does not wait for that.
    starts = event.phase == "init" and not event.function.runtime.in_lockstep
    failed: Exception | None = None
    if settle_first and not event.ended and not starts:
        try:
            settled = partial(lockstep.settled, event)
            lockstep.drive(Call(name, settled, grace_of=event, forced=not grace_shutdown, waits_for=[event]))
        except Exception as raised:
            if grace_shutdown or event.ended:
                raise
            failed = raised  # of another event, which is none of this one's business
    elif grace_shutdown and starts and settle_first:
        lockstep.drive(Call(name, lambda: event.ended or _runs(event), waits_for=[event]))
    elif grace_shutdown:
        lockstep.refresh()
    with lockstep.locked():  # of two calls at once one alone ends it
        if event.ended:
            named = f"async event {event.request_id}"
            error = api_error("FailedOperation.AsyncEventStatus", event=named, status=event.status)
            raise ScfApiError(error.code, error.platform_message, why_ended(event))
        if not grace_shutdown:
            lockstep.end(event, Fact.TERMINATED)
        elif settle_first and not lockstep.settled(event):
            event.outwaited("SIGTERM", lockstep.settings.real_timeout)
    if not grace_shutdown:
        event.look()
        if failed is not None:
            raise failed
        return

    def arrived() -> bool:
        return event.ended or (call.received() and (not call.settles or lockstep.settled(event)))

    call = Call(name, arrived, sigterm_to=event, grace_of=event, waits_for=[event])
    try:
        lockstep.drive(call)
    finally:
        with lockstep.locked():
            if event.instance is not None:
                lockstep.apply(event.instance, InstanceFact.SIGTERM_SETTLED)  # one not entered by now delays nobody
            if call.grace_is_over:
                event.outwaited("returns", lockstep.settings.real_timeout)


def _runs(event: Event) -> bool:
    """Whether the process of *event* that starts in real time is there to take a signal, or stands before that."""
    instance = event.instance
    return instance is not None and (instance.user_process.runs or instance.state.gated)
