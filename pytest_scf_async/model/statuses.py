"""What an event can be: the platform's four statuses on the wire, and the finer states that decide what may follow."""

from __future__ import annotations

from enum import Enum


class Status(str, Enum):
    """The status of an event as ListAsyncEvents and GetAsyncEventStatus give it (documents 52501 and 65704).

    Every member is equal to its own text: ``Status.RUNNING == "RUNNING"``, and ``str()`` gives that text.
    """

    RUNNING = "RUNNING"
    """The event has been accepted and has not ended."""
    FINISHED = "FINISHED"
    """The call succeeded."""
    FAILED = "FAILED"
    """The call failed."""
    ABORTED = "ABORTED"
    """The call was terminated."""

    def __str__(self) -> str:
        return self.value


class State(Enum):
    """Where an event stands; finer than its status, because a signal that was received changes what an end means."""

    NEW = "new"
    """Not yet accepted: it has no status."""
    QUEUED = "queued"
    """Invoked while all instances that its function may have were in use: it is tried again, and has no status."""
    DROPPED = "dropped"
    """It was queued until the platform gave it up: it never had a status."""
    RUNNING = "running"
    """Accepted, not ended."""
    SIGNALLED = "signalled"
    """Still RUNNING on the wire; a graceful termination has reached its process."""
    RETRYING = "retrying"
    """An invocation of a sync function whose attempt failed, and that the platform tries again."""
    FINISHED = "finished"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def status(self) -> Status | None:
        """The status on the wire; None for an event that has not been accepted, and never was."""
        return _STATUS_OF_STATE[self._value_]

    @property
    def ended(self) -> bool:
        """Whether nothing can change the event any more."""
        return self in (State.FINISHED, State.FAILED, State.ABORTED, State.DROPPED)


_STATUS_OF_STATE: dict[str, Status | None] = {
    "new": None,
    "queued": None,
    "dropped": None,
    "running": Status.RUNNING,
    "retrying": Status.RUNNING,
    "signalled": Status.RUNNING,
    "finished": Status.FINISHED,
    "failed": Status.FAILED,
    "aborted": Status.ABORTED,
}
