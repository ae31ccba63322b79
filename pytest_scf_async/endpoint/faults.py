"""Faults that a test declares before the code under test runs: refusals, delays, and messages that are lost."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

from ..clock import LAST_US, TEST, DueThing, duration_us
from ..errors import ScfApiError, ScfUsageError, calls_named, did_you_mean, hidden_from_users
from ..lockstep.calls import Call
from ..model.listing import is_text
from ..runtime import ScfRuntime
from .actions import ACTIONS

__tracebackhide__ = hidden_from_users

_CODE: Final = re.compile(r"[A-Za-z]+(\.[A-Za-z0-9]+)*")


Answered: TypeAlias = "dict[str, Any]"
"""What an action answers."""


class Dropped(Exception):
    """The request or its answer is lost: the connection ends without an answer."""

    def __init__(self, what: Literal["request", "response"]) -> None:
        super().__init__(what)
        self.what: Final = what


class Declared(ScfApiError):
    """A refusal with a message that the test has given, which the client gets as it is."""


@dataclass
class Fault:
    """One declared fault, and how often it has happened."""

    call: str
    """How the test declared it, for messages."""
    action: str
    when: Mapping[str, Any]
    left: int | None
    """How often it may still happen; None: each time."""
    code: str | None = None
    message: str | None = None
    delay_us: int = 0
    drops: Literal["request", "response"] | None = None
    duplicates: bool = False
    happened: int = 0

    def matches(self, action: str, parameters: Mapping[str, Any]) -> bool:
        """Whether it happens to a request: each parameter of *when* has that value, or its text in a form."""
        if self.action != action or self.left == 0:
            return False
        return all(_same(parameters.get(name), value) for name, value in self.when.items())


@calls_named
class Declaring(ABC):
    """What faults are declared on."""

    @abstractmethod
    def _declare(self, fault: Fault) -> None:
        """Have *fault* happen; raises ``ScfUsageError`` for one that cannot."""

    def fail(
        self,
        action: str,
        code: str,
        *,
        message: str | None = None,
        when: Mapping[str, Any] | None = None,
        times: int | None = 1,
    ) -> None:
        """Refuse the next *times* requests of *action* with *code*, as in ``"RequestLimitExceeded"``; nothing is done.

        The client gets *message* as it is, in any language; without it, a sentence that names the test's declaration.
        *when* are parameters that a request has to have, each with that value; *times* None stands for always. Of the
        faults that match, the one that was declared first happens. Raises ``ScfUsageError`` for an action or a
        parameter that there is not.
        """
        call = f"fail({action!r}, code={code!r})"
        if not is_text(code) or _CODE.fullmatch(code) is None:
            raise ScfUsageError(f"{call}: code must be an error code of the API, such as 'RequestLimitExceeded'")
        if message is not None and not is_text(message):
            raise ScfUsageError(
                f"{call}: message={message!r} is not valid: it must be a str, or None for the default message"
            )
        self._declare(Fault(call, action, {} if when is None else when, times, code=code, message=message))

    def delay(
        self,
        action: str,
        seconds: float | timedelta,
        *,
        when: Mapping[str, Any] | None = None,
        times: int | None = 1,
    ) -> None:
        """Let *seconds* of simulated time pass before the next *times* requests of *action* are done; see `fail`."""
        us = duration_us(seconds, "delay(seconds)")
        call = f"delay({action!r}, {seconds!r})"
        if us > LAST_US:
            raise ScfUsageError(f"{call}: the seconds are more than simulated time has, which ends with the year 9998")
        self._declare(Fault(call, action, {} if when is None else when, times, delay_us=us))

    def drop(
        self,
        action: str,
        what: Literal["request", "response"],
        *,
        when: Mapping[str, Any] | None = None,
        times: int | None = 1,
    ) -> None:
        """Lose the next *times* requests of *action*, or only their answers, after they were done; see `fail`.

        The client sees its connection end.
        """
        if what not in ("request", "response"):
            raise ScfUsageError(f"drop({action!r}, {what!r}): the second argument must be 'request' or 'response'")
        self._declare(Fault(f"drop({action!r}, {what!r})", action, {} if when is None else when, times, drops=what))

    def duplicate(self, action: str, *, when: Mapping[str, Any] | None = None, times: int | None = 1) -> None:
        """Do the next *times* requests of *action* twice, as if they had come twice, and answer the second; see `fail`.

        An ``Invoke`` makes two events then, of which the client knows the second.
        """
        self._declare(Fault(f"duplicate({action!r})", action, {} if when is None else when, times, duplicates=True))


class Faults(Declaring):
    """The declared faults of one endpoint, in the order in which they were declared."""

    def __init__(self, runtime: ScfRuntime) -> None:
        self._runtime = runtime
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def _declare(self, fault: Fault) -> None:
        if fault.action not in ACTIONS:
            near = did_you_mean(fault.action, ACTIONS)
            raise ScfUsageError(
                f"{fault.call}: the endpoint has no action {fault.action!r}{near} (it has {', '.join(sorted(ACTIONS))})"
            )
        when: object = fault.when
        if not isinstance(when, Mapping):
            raise ScfUsageError(
                f"{fault.call}: when={when!r} is not valid: it must be a mapping of parameters to values, as in "
                "{'FunctionName': 'export'}"
            )
        for name in fault.when:
            fields = ACTIONS[fault.action].request.fields
            if name not in fields:
                near = did_you_mean(str(name), fields)
                raise ScfUsageError(
                    f"{fault.call}: when has {name!r}, and {fault.action} has no such parameter{near} "
                    f"(it has {', '.join(fields)})"
                )
        if fault.left is not None and (type(fault.left) is not int or fault.left < 1):
            raise ScfUsageError(
                f"{fault.call}: times={fault.left!r} is not valid: it must be a whole number, 1 or more, or None for "
                "always"
            )
        with self._lock:
            self._faults.append(fault)

    def performed(self, action: str, parameters: Mapping[str, Any], perform: Callable[[], Answered]) -> Answered:
        """What *perform* does for a request, with the fault that the request meets.

        Raises ``ScfApiError`` for a refusal and ``Dropped`` for what is lost.
        """
        fault = self._take(action, parameters) if self._faults else None
        if fault is None:
            return perform()
        if fault.delay_us:
            self._let_pass(fault)
        if fault.drops == "request":
            raise Dropped("request")
        if fault.code is not None:
            if fault.message is None:
                raise ScfApiError(fault.code, f"The test declared {fault.call}.")
            raise Declared(fault.code, fault.message)
        if fault.duplicates:
            perform()
        answered = perform()
        if fault.drops == "response":
            raise Dropped("response")
        return answered

    def _take(self, action: str, parameters: Mapping[str, Any]) -> Fault | None:
        """The first fault that matches; it has happened once more."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(action, parameters):
                    fault.happened += 1
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def _let_pass(self, fault: Fault) -> None:
        """Wait for the delay: simulated time passes as in a call of the test."""
        lockstep, clock = self._runtime._lockstep, self._runtime.clock
        over: list[bool] = []
        due: list[DueThing] = []

        def begin() -> None:
            order = lockstep.next_order()
            until = min(clock.now_us + fault.delay_us, LAST_US)
            due.append(clock.call_at(until, lambda: over.append(True), priority=TEST, order=order))

        lockstep.drive(Call(fault.call, lambda: bool(over), moves_clock=True, leases=True, begin=begin))

    def never_happened(self) -> list[str]:
        """How the test declared each fault that never happened."""
        return [fault.call for fault in self._faults if not fault.happened]


def _same(sent: Any, wanted: Any) -> bool:
    """Whether a parameter that was *sent*, perhaps as a text of a form, is the *wanted* value."""
    if sent == wanted and isinstance(sent, bool) == isinstance(wanted, bool):
        return True
    return isinstance(sent, str) and not isinstance(wanted, str) and sent.lower() == str(wanted).lower()
