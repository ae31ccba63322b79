"""What has happened to an event, as data: the entries of its timeline, and how its process ended.

An entry has its time (``time_us``, in µs of simulated time since the epoch) and typed facts, and no text:
``report/timeline.py`` makes that where it is shown. As long as entries were sentences, a module that needed a fact
looked for words in them, and changing a word changed what it found.

Entries are named tuples, as messages are, and no dataclasses: making so many of these takes 10 ms at each start of
pytest. They have no common base, which a named tuple cannot have; ``AnyEntry`` is one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from .statuses import Status
from .transitions import Fact

Disposition = Literal["handler", "default", "ignored", "blocked", "no process", "native", "unknown", "scripted"]
"""What a SIGTERM met; native: code outside Python caught it, or, in a supervised program, its language's runtime, which
catches it whether the program listens or not; unknown: a program that sees real time did, or its
language's runtime, which catches it whether the program listens or not; scripted: there is no process, and a script
says what follows."""

Listener = Literal["handler", "ignored", "native", "replaced", "default"]
"""What a process does with SIGTERM from a call of ``signal.signal`` or ``sigaction`` on; native: the runtime of the
program's language catches it; replaced: ``faulthandler`` does, in place of the handler that user code had installed."""

Awaited = Literal["something", "lock", "own lock", "notice", "thread", "answer"]
"""What can end a wait that no time ends; own lock: no other thread is there to release it; notice: another thread, or
task of asyncio, sets an event, puts something into a queue, or notifies a condition; thread: the end of one that is
joined; answer: something comes on a connection."""

AfterComputing = Literal["SIGTERM", "returns", "timeout", "passes", "flows"]
"""What a call does once it has waited for long enough for what an event computes: it sends SIGTERM there; it returns,
as its SIGTERM has arrived; it takes the event to its timeout; it lets time pass that, or flow past that."""

IDLE = "idle"
"""Why an instance was reclaimed that had no event for as long as the platform keeps it."""


class Exit(NamedTuple):
    """How a process ended: with an exit code, or killed by a signal; neither is known of one that its parent lost."""

    code: int | None = None
    signum: int | None = None


class Raised(NamedTuple):
    """What a handler of SIGTERM raised."""

    type: str
    """The name of the exception's class."""
    message: str = ""

    def __str__(self) -> str:
        """``Type: text``."""
        return f"{self.type}: {self.message}".rstrip(": ")


class MemoryExcess(NamedTuple):
    """What an instance has used above the memory of its function."""

    used: int
    """Bytes, with those of its child processes."""
    limit: int
    """The function's memory in MB."""
    children: int
    """How many child processes are counted with it."""
    source: str
    """Where the limit was given; empty: it is the default."""


class ResultExcess(NamedTuple):
    """What an event has returned, which is more than the platform takes."""

    size: int
    """Bytes."""


# -- statuses --------------------------------------------------------------------------------------------------------


class StatusChanged(NamedTuple):
    """It has another status on the platform."""

    time_us: int
    status: Status
    status_code: int
    fact: Fact
    """What led to it."""


# -- SIGTERM ---------------------------------------------------------------------------------------------------------


class SignalSent(NamedTuple):
    """A graceful termination."""

    time_us: int
    disposition: Disposition
    by_language: bool
    """Native: the runtime of the program's language catches it."""


class HandlerEntered(NamedTuple):
    """The handler of SIGTERM is called."""

    time_us: int


class HandlerLeft(NamedTuple):
    """The handler of SIGTERM has returned or raised."""

    time_us: int
    raised: Raised | None


class HandlerDeferred(NamedTuple):
    """The main thread waits in C code: the handler of SIGTERM is called after that."""

    time_us: int


class ListenerChanged(NamedTuple):
    """User code has called ``signal.signal`` for SIGTERM, or a program ``sigaction``."""

    time_us: int
    listener: Listener


class ListenerRefused(NamedTuple):
    """Python has refused a call of ``signal.signal`` for SIGTERM: it was in another thread than the main one."""

    time_us: int
    call: str
    """The call, where it stands and its thread, as in ``signal.signal at export.py:12 in Thread-1``."""


# -- what user code does ---------------------------------------------------------------------------------------------


class Waited(NamedTuple):
    """Threads of the instance have begun equal waits, one after the other."""

    time_us: int
    description: str
    """The call and where it stands, as in ``sleep(5) at export.py:12``."""
    last_us: int
    """When the last of them began."""
    times: int
    """How many there were."""
    awaits: Awaited | None
    """What alone can end the last of them: when it began nothing in the instance was due. None: time can end it."""


class WaitedForOthers(NamedTuple):
    """A program has waited for another process, or has found ready what it would have waited for.

    No simulated time has passed in it, so nothing can be done within it: such waits are not counted.
    """

    time_us: int
    description: str


class Written(NamedTuple):
    """A line of the log."""

    time_us: int
    text: str
    of_platform: bool = False
    routine: bool = False
    """It says nothing of how the event went: the platform's report of an init that succeeded, or what a library logs at
    the level DEBUG. A timeline that explains a failure has one row for all of these.

    What a program writes (an image, a custom runtime, Node.js, Go) is text without a level, which is never routine.
    """


class Recorded(NamedTuple):
    """User code has called ``record``."""

    time_us: int
    name: str
    fields: Mapping[str, Any]


# -- its instance, and what the platform does with it ------------------------------------------------------------------


class Queued(NamedTuple):
    """There is no room for it."""

    time_us: int


class RetryPlanned(NamedTuple):
    """An attempt has failed, and the platform tries again."""

    time_us: int


class RetryBegan(NamedTuple):
    """The platform tries again."""

    time_us: int
    retry_num: int


class Dropped(NamedTuple):
    """It leaves the queue, and was never accepted."""

    time_us: int
    fact: Fact


class Started(NamedTuple):
    """It has an instance."""

    time_us: int
    cold: bool
    lost_files: tuple[str, ...] = ()
    """Of a cold one: what was in the ``/tmp`` of the function's instance that was reclaimed last."""


class GateReached(NamedTuple):
    """It stands at a gate."""

    time_us: int
    gate: str
    """The test's call that has set it."""


class GatePassed(NamedTuple):
    """It has written the line of a gate, and does not stand behind that but where it waits next."""

    time_us: int
    gate: str


class StoppedBehind(NamedTuple):
    """Its program, which cannot stand at a gate itself, was stopped behind it."""

    time_us: int
    gate: str


class ProcessEnded(NamedTuple):
    """Its process has ended by itself."""

    time_us: int
    exit: Exit


class MemoryExceeded(NamedTuple):
    """Its instance has used more memory than the function has."""

    time_us: int
    excess: MemoryExcess


class ZygoteDied(NamedTuple):
    """The process that instances are forked from was killed."""

    time_us: int


class Reclaimed(NamedTuple):
    """The platform has taken its instance back."""

    time_us: int
    because: str


# -- why its next run may differ from this one -------------------------------------------------------------------------


class ComputesInTime(NamedTuple):
    """Its function has a ``compute_rate``: what it computes takes simulated time."""

    time_us: int
    rate: float


class Preempted(NamedTuple):
    """Its instance lost the run token, as no wait of it came for *grace* real seconds."""

    time_us: int
    computes: bool
    """Else its threads sleep and wake up in real time."""
    grace: float


class Outwaited(NamedTuple):
    """It has computed for longer than the *limit* of real seconds for which a call of the test waits for that."""

    time_us: int
    then: AfterComputing
    limit: float


class StoppedForMemory(NamedTuple):
    """It used so much memory that it was stopped in the middle of computing, and not at its next wait."""

    time_us: int


class GivenUp(NamedTuple):
    """A call of the test could not end because of it, and has stopped it."""

    time_us: int
    call: str


# -- the rest ----------------------------------------------------------------------------------------------------------


class Remark(NamedTuple):
    """Something that a reader of the timeline has to know, and nobody else: it is a text from the beginning."""

    time_us: int
    text: str


AnyEntry = (
    StatusChanged
    | SignalSent
    | HandlerEntered
    | HandlerLeft
    | HandlerDeferred
    | ListenerChanged
    | ListenerRefused
    | Waited
    | WaitedForOthers
    | Written
    | Recorded
    | Queued
    | RetryPlanned
    | RetryBegan
    | Dropped
    | Started
    | GateReached
    | GatePassed
    | StoppedBehind
    | ProcessEnded
    | MemoryExceeded
    | ZygoteDied
    | Reclaimed
    | ComputesInTime
    | Preempted
    | Outwaited
    | StoppedForMemory
    | GivenUp
    | Remark
)
