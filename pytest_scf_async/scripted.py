"""Scripts for the events of a function: steps, and the effect of a graceful termination.

Code that *watches* a function (that starts, lists, polls and terminates its events) is tested without the function:
``scf_runtime.deploy_scripted("export", [running_for(7200), finished({"rows": 20})])``. A script is a list of steps of
which the last one, and no other, is an end. No code runs and no process is started. Numbers of documents are those of
the platform's product 583.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import FunctionType
from typing import Any, Final, Literal

from .clock import duration_us
from .errors import Given, ScfUsageError, did_you_mean, hidden_from_users
from .model.codes import STATUS_CODES
from .model.statuses import State
from .model.transitions import TRANSITIONS, Fact
from .protocol.limits import RESULT_LIMIT
from .protocol.shortening import shortened_line

__all__ = [
    "After",
    "ByEvent",
    "End",
    "OnTerminate",
    "Step",
    "after",
    "exited",
    "failed",
    "finished",
    "logged",
    "running_for",
    "timed_out",
]

__tracebackhide__ = hidden_from_users


SHOWN: Final = 100
"""Characters of a payload that an error shows."""


# -- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of a script, as the functions of this module make it."""

    shown: str
    """The step as it is written in a script."""

    def __repr__(self) -> str:
        return self.shown


@dataclass(frozen=True, repr=False)
class Running(Step):
    """The event runs, and does nothing else."""

    us: int | None
    """Microseconds of simulated time; None: until the function's timeout ends it."""


@dataclass(frozen=True, repr=False)
class Logged(Step):
    """Lines of the event's log."""

    lines: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class End(Step):
    """The step that ends an event."""

    fact: Fact
    result_text: str | None = None
    """The result as JSON, of an event that finishes."""
    message: str | None = None
    """The ``errorMessage``; None: the platform's own of that status code."""
    trace: str | None = None
    """The ``stackTrace`` of an exception."""


@dataclass(frozen=True)
class After:
    """The effect of a graceful termination: the event ends that much later."""

    us: int
    """Microseconds of simulated time after the SIGTERM."""
    then: End
    shown: str

    def __repr__(self) -> str:
        return self.shown


Json = Any
"""The values that ``json`` reads and writes: dict, list, str, int, float, bool or None."""
OnTerminate = Literal["honour", "ignore"] | After
"""The values of ``on_terminate`` of ``deploy_scripted``."""
ByEvent = Mapping[int, Sequence[Step]] | Callable[[Json], Sequence[Step] | None]
"""The values of ``by_event`` of ``deploy_scripted``."""


def running_for(duration: float | timedelta) -> Step:
    """The event runs for *duration* (simulated seconds, or a ``timedelta``).

    One that reaches the function's timeout on the way ends there with 433, as on the platform. Raises ``ScfUsageError``
    for what is no duration, or a negative one.
    """
    shown = f"running_for({duration!r})"
    return Running(shown, duration_us(duration, "running_for(duration)"))


def logged(text: str) -> Step:
    """The event writes *text* into its log, each line of it as a line of the function's code. It takes no time."""
    if not isinstance(text, str):
        raise ScfUsageError(f"logged(text) is {text!r} of type {type(text).__name__}; it must be a str")
    return Logged(f"logged({text!r})", tuple(text.removesuffix("\n").split("\n")))


def finished(result: Json = None) -> End:
    """The event ends FINISHED (200, document 42611) with *result*, what a handler would return.

    Raises ``ScfUsageError`` for a *result* that JSON cannot write, or that is over the platform's 6 MB.
    """
    shown = "finished()" if result is None else f"finished({result!r})"
    try:
        text = json.dumps(result, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise ScfUsageError(f"finished(result) is {result!r}, which JSON cannot write: {error}") from None
    if size > RESULT_LIMIT:
        raise ScfUsageError(f"finished(result) has {size:,} bytes of JSON, and the platform allows 6 MB: failed(407)")
    return End(shown, Fact.RETURNED, text)


def failed(status_code: int = 430, *, message: str | None = None, error_type: str | None = None) -> End:
    """The event ends FAILED with *status_code* (document 42611): 430, an exception in the code, unless given.

    *message* is the ``errorMessage`` of the platform's error body, by default what the platform says with that code. Of
    an exception it is the exception's text, behind the name of its type *error_type* (``"Exception"`` unless given), at
    the end of the ``stackTrace``. Raises ``ScfUsageError`` for a code that no event ends with: ``timed_out()`` is 433,
    and 499 is a termination by force.
    """
    given = [] if status_code == 430 else [repr(status_code)]
    given += [] if message is None else [f"message={message!r}"]
    given += [] if error_type is None else [f"error_type={error_type!r}"]
    shown = f"failed({', '.join(given)})"
    if type(status_code) is not int or status_code not in _FAILURES:
        raise ScfUsageError(f"{shown}: status_code={status_code!r} is not valid: {_why_no_failure(status_code)}")
    texts: tuple[tuple[str, object], ...] = (("message", message), ("error_type", error_type))
    for name, text in texts:
        if text is not None and (not isinstance(text, str) or not text):
            raise ScfUsageError(f"{shown}: {name}={text!r} is not valid: it must be a non-empty string")
    if status_code != 430:
        if error_type is not None:
            raise ScfUsageError(f"{shown}: error_type is the type of an exception, which is 430 and not {status_code}")
        return End(shown, _FAILURES[status_code], message=message)
    line = (error_type or "Exception") + (f": {message}" if message else "")
    return End(shown, Fact.RAISED, trace=f"Traceback (most recent call last):\n{line}")


def exited() -> End:
    """The event ends FAILED with 439 (documents 42611, 63969): its process ended by itself."""
    return End("exited()", Fact.PROCESS_EXITED)


def timed_out() -> Step:
    """The event runs until the function's timeout ends it: FAILED with 433 (document 42611)."""
    return Running("timed_out()", None)


def after(duration: float | timedelta, then: End | None = None) -> After:
    """For ``on_terminate``: *duration* (simulated seconds, or a ``timedelta``) after the SIGTERM the event ends.

    It ends with *then*: ``finished()`` unless given, as code that listens and returns; ``exited()`` as code that does
    not listen. What the script says for a time before that happens on the way, an end too. Of several SIGTERMs the
    first one counts. Raises ``ScfUsageError`` for what is no duration, or a negative one, and for a *then* that is none
    of the ends.
    """
    shown = f"after({duration!r}{'' if then is None else f', {then!r}'})"
    us = duration_us(duration, "after(duration)")
    if then is not None and not isinstance(then, End):
        raise ScfUsageError(f"{shown}: then={then!r} is not valid: it must be finished(...), failed(...) or exited()")
    return After(us, finished() if then is None else then, shown)


_FAILURES: Final[Mapping[int, Fact]] = {
    end.status_code: fact
    for (state, fact), end in sorted(TRANSITIONS.items(), key=lambda each: each[1].status_code)
    if state is State.RUNNING and end.state is State.FAILED and fact not in (Fact.TIMED_OUT, Fact.RESULT_NOT_JSON)
}
"""The codes with which an event that was accepted can end FAILED, but for 433, which has a step of its own."""


def _why_no_failure(status_code: object) -> str:
    if status_code == 200:
        return "an event that succeeds is finished(result)"
    if status_code == 433:
        return "an event that reaches the function's timeout is timed_out()"
    if status_code == 499:
        return "an event becomes ABORTED by a forced termination, which is not a step of a script"
    codes = ", ".join(map(str, _FAILURES))
    known = STATUS_CODES.get(status_code) if isinstance(status_code, int) and status_code != 202 else None
    refusal = "" if known is None else f"{known.name} refuses an invocation, and then there is no event; "
    return f"{refusal}an event ends FAILED with {codes}; for 433 use timed_out()"


# -- scripts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Script:
    """What one event does: valid steps, of which the last one is its end."""

    steps: tuple[Step, ...]
    stops: After | None
    """What a graceful termination leads to; None: nothing."""


@dataclass(frozen=True, eq=False)
class Scripts:
    """What the events of one function do."""

    of_all: Script
    by_event: Mapping[int, Script] | Callable[[Json], Sequence[Step] | None] | None
    source: str

    def script_for(self, payload: str, index: int, function: str) -> Script:
        """What the event with *payload* (JSON) does, the one at *index* of the events of *function*.

        Raises ``ScfUsageError`` where the test's own ``by_event`` raises, or gives what is no script.
        """
        by_event = self.by_event
        if by_event is None:
            return self.of_all
        if not callable(by_event):
            return by_event.get(index, self.of_all)
        where = f"by_event ({self.source}) of function {function!r}"
        try:
            found = by_event(json.loads(payload))
        except Exception as error:
            raise ScfUsageError(
                f"{where} raised {type(error).__name__}: {error}, for the payload {shortened_line(payload, SHOWN)}"
            ) from error
        if found is None:
            return self.of_all
        return _script(Given(f"by_event({shortened_line(payload, SHOWN)})", found, self.source), self.of_all.stops)


def scripts_of(script: object, on_terminate: object, by_event: object, source: str) -> Scripts:
    """What ``deploy_scripted`` was given, in its final form; ``ScfUsageError`` with the value and what is valid."""
    stops = _stops(Given("on_terminate", on_terminate, source))
    of_all = _script(Given("script", script, source), stops)
    given = Given("by_event", by_event, source, none=True)
    if by_event is None or callable(by_event):
        return Scripts(of_all, by_event, source)
    if not isinstance(by_event, Mapping):
        given.has_to_be(
            "a mapping of indexes in function.events to scripts, as in {0: [failed()]}, or a function of the payload "
            "that returns a script, or None for the function's own"
        )
    scripts: dict[int, Script] = {}
    for index, each in by_event.items():
        if type(index) is not int or index < 0:
            raise ScfUsageError(
                f"by_event has the key {index!r}{given.shown_source}, which is not valid: it must be the index of an "
                "event in function.events, 0 for the first"
            )
        scripts[index] = _script(Given(f"by_event[{index}]", each, source), stops)
    return Scripts(of_all, scripts, source)


def _stops(given: Given) -> After | None:
    value = given.value
    if isinstance(value, After):
        return value
    if not isinstance(value, str) or value not in ("honour", "ignore"):
        hint = did_you_mean(value, ("honour", "ignore")) if isinstance(value, str) else ""
        given.has_to_be(f"'honour', 'ignore' or after(...){hint}")
    return after(0) if value == "honour" else None


_CALLED: Final[Mapping[object, str]] = {
    running_for: "running_for(60)",
    logged: "logged('text')",
    finished: "finished()",
    failed: "failed()",
    exited: "exited()",
    timed_out: "timed_out()",
}
"""The functions that make steps, and a call of each."""


def _script(given: Given, stops: After | None) -> Script:
    steps = given.value
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        given.has_to_be("a list of steps, as in [running_for(60), finished()]")
    ended: Step | None = None
    for number, step in enumerate(steps):
        if not isinstance(step, Step):
            if isinstance(step, FunctionType) and step in _CALLED:
                raise ScfUsageError(
                    f"{given.name}[{number}]{given.shown_source} is the function {step.__name__}, not a step: "
                    f"call it, as in {_CALLED[step]}"
                )
            raise ScfUsageError(
                f"{given.name}[{number}]={step!r}{given.shown_source} is not valid: it must be a step, such as "
                "running_for(60), logged('text') or finished()"
            )
        if ended is not None:
            raise ScfUsageError(
                f"{given.name}[{number}]={step!r}{given.shown_source} is not valid: it comes after {ended!r}, which "
                "ends the event"
            )
        if isinstance(step, End) or (isinstance(step, Running) and step.us is None):
            ended = step
    if ended is None:
        last = f"it ends with {steps[-1]!r}" if steps else "it has no step"
        raise ScfUsageError(
            f"{given.name}={list(steps)!r}{given.shown_source} is not valid: {last}, and its last step must end the "
            "event: finished(), failed(430), exited() or timed_out()"
        )
    return Script(tuple(steps), stops)
