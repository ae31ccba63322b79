"""Why an event is as it is, and what to do about it: the likely cause and the advice, each in one sentence.

Both come from facts: what ended the event, its exit, its deliveries of SIGTERM and the entries of its timeline. Text is
read here where it comes from outside alone: the traceback of user code, and what a program has written last.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from itertools import dropwhile
from typing import TYPE_CHECKING, NamedTuple

from ..model import timeline as facts
from ..model.codes import STATUS_CODES
from ..model.configuration import DEFAULT_ASYNC_TIMEOUT, MAX_SYNC_TIMEOUT
from ..model.payload import JSON_VALUES
from ..model.statuses import State, Status
from ..model.tracebacks import exception_line, last_place, place_at_fault
from ..model.transitions import Fact
from ..protocol.limits import RESULT_LIMIT
from ..protocol.own_code import OWN_CODE
from ..protocol.shortening import real_seconds, shortened_line, shortened_list
from ..protocol.wait_texts import waits_of
from .exceptions import FREE_ADDRESS, TAKEN, Circumstances, cure_of_exception, cure_of_hidden_file
from .timeline import excess_text, exit_text, seconds_text
from .waits import enumerated, where, who_waits

if TYPE_CHECKING:
    from ..lockstep.event import Event, SignalDelivery


def likely_cause(event: Event) -> str | None:
    """One sentence about the event as it is now; None where its status says it all."""
    if not event.record.state.ended:
        return _while_running(event)
    if event.record.state is State.DROPPED:
        return "it was queued, and no instance became free for as long as the platform retries"
    by_code = {
        430: _raised,
        433: _timed_out,
        407: _exceeded,
        434: _exceeded,
        437: lambda event: (
            f"{event.function.code.directory} has no {event.function.code.entry_name}, which handler="
            f"{event.function.configuration.handler!r} names"
        ),
        439: _process_exited,
        445: lambda event: f"the program could not be started: {_message_line(event)}",
        446: _message_line,
        443: _not_loaded,
        450: lambda event: (
            f"init took longer than the init timeout of {event.function.configuration.init_timeout} s"
            f"{_source(event, 'init_timeout')}"
            f"{event.function.runtime.init_ends and f'; {event.function.runtime.init_ends}'}"
        ),
        499: _aborted,
    }
    code = event.record.status_code
    step = event.script_step()
    if step is not None:
        after = f"{signal_cause(event)}: " if event.signals else ""
        return f"{after}its script says so: {step!r}" if code != 200 or event.signals else None
    if code in by_code:
        cause = by_code[code](event)
        wrote = last_error(event) if code in (430, 446, 450) and event.function.runtime.runs_program else ""
        return f"{cause}; its program wrote {wrote}" if wrote and wrote not in str(cause) else cause
    if event.record.state.status is Status.FINISHED:
        return _finished_after_signal(event)
    return STATUS_CODES[code].meaning if code in STATUS_CODES else None


def _finished_after_signal(event: Event) -> str | None:
    """What became of the last SIGTERM; nothing where its handler returned, and then the function did."""
    if not event.signals or event.signals[-1].disposition != "handler":
        return _after_signal(event, "the work ran to completion")
    last = event.signals[-1]
    if last.raised is None or last.left_us is None or event.record.end_us is None:
        return None
    passed_us = event.record.end_us - last.left_us
    later = f" {seconds_text(passed_us)} later" if passed_us else ""
    return f"the SIGTERM handler raised {last.raised}; something caught the exception, and the function returned{later}"


def what_to_do(event: Event) -> str | None:
    """One sentence with what usually fixes it; None where nobody can know."""
    if event.script_step() is not None:
        return None
    if not event.record.state.ended:
        unseen = event.signals and event.signals[-1].disposition in ("native", "unknown")
        return _LISTEN_IN_LOG if unseen and not event.function.runtime.listens_in_python else None
    if _has_crashed(event):
        known = _place_of_crash(event) or not event.function.runtime.listens_in_python
        return None if known else _FIND_THE_CRASH
    return _after_its_end(event)


def what_ends_it_in_time(event: Event) -> str | None:
    """One sentence with what usually ends an event in time after SIGTERM, also of one that still runs."""
    if event.record.state.ended or event.script is not None or not event.signals:
        return what_to_do(event)
    last = event.signals[-1]
    if last.disposition == "ignored":
        return _not_ignored(event)
    return _after_handler(event, last) if last.disposition == "handler" else None


def _after_its_end(event: Event) -> str | None:
    last = event.signals[-1] if event.signals else None
    of_signal = None if last is None else _of_signal(event, last)
    return _of_end(event) if of_signal is None else of_signal


def _of_signal(event: Event, last: SignalDelivery) -> str | None:
    """What is to do about the last SIGTERM."""
    code, in_python = event.record.status_code, event.function.runtime.listens_in_python
    if last.disposition == "ignored":
        return _not_ignored(event)
    if last.disposition == "default" and not in_python:
        return f"{_LISTEN_SOMEHOW}; {_LISTEN_FIRST}" if code == 439 else _LISTEN_SOMEHOW
    if last.disposition == "default" and code == 439:
        longer = "" if _computed_for(event, "SIGTERM") is None else f"; {_COMPUTE_LONGER}"
        return _NO_RESET if _was_reset(event) else f"{_LISTEN}; {_LISTEN_FIRST}{longer}"
    of_handler = code in (200, 433, 439) or (code == 430 and last.raised is not None)
    if last.disposition == "handler" and of_handler and event.record.state.status is not Status.ABORTED:
        return _after_handler(event, last)
    if code not in (200, 433):  # something else was wrong
        return None
    if last.disposition == "no process":
        return 'remove when="now", or call a gate such as wait_until_listening() before terminate()'
    if last.disposition == "native" and in_python:
        return _CHAIN if _was_replaced(event) else _LISTEN
    return _LISTEN_IN_LOG if last.disposition in ("native", "unknown") else None


def _of_end(event: Event) -> str | None:
    """What is to do about what ended it."""
    code, code_of_handler = event.record.status_code, event.function.code
    if code == 433 and (wait := _last_wait(event)) is not None and wait.awaits is not None:
        # where no call of asyncio is known, nothing that another task could set or release is awaited, but a future
        alone = all(each.call == "await" for each in waits_of(wait.description))
        return _ENDLESS["something" if alone and wait.awaits == "notice" else wait.awaits]
    if code == 437 and (near := code_of_handler.near_handler()):
        return f"set handler={near!r}"
    if code == 439 and not event.signals and not event.function.runtime.runs_program:
        instead = _CHECK_IN_FUNCTION if event.phase == "ended in init" else _RETURN_INSTEAD
        return instead if event.exit is not None and event.exit.code is not None else None
    if event.ended_by is Fact.TERMINATED and not event.signals:
        return _BY_FORCE
    if code in (430, 443) and (advice := _of_exception(event)) is not None:
        return advice
    if code == 433:
        return _more_time(event) if _computed_for(event, "timeout") is None else _COMPUTE_LONGER
    return _of_result(event) if event.ended_by is Fact.RESULT_NOT_JSON else _BY_CODE.get(code) or _of_lines(event)


def _of_lines(event: Event) -> str | None:
    """What is to do about what its log says of how it failed: the platform's line is there, too."""
    if event.record.state.status is not Status.FAILED or event.instance is None:
        return None
    lines = [line.text for line in event.log]
    taken = event.record.status_code in (439, 446, 450) and any(TAKEN in line.casefold() for line in lines)
    return FREE_ADDRESS if taken else cure_of_hidden_file(lines, event.instance.sandbox.hides)


def _not_ignored(event: Event) -> str:
    return _NOT_IGNORED if event.function.runtime.listens_in_python else _NOT_IGNORED_SOMEHOW


def _more_time(event: Event) -> str:
    configuration = event.function.configuration
    if not configuration.async_run:
        longer = f"remove async_run=False (an async function may run for up to {DEFAULT_ASYNC_TIMEOUT:,} s)"
        if configuration.timeout >= MAX_SYNC_TIMEOUT:
            return f"{longer}, or make the function stop in time"
        return f"set timeout= (at most {MAX_SYNC_TIMEOUT} s for a sync function); for longer work, {longer}"
    if configuration.timeout >= DEFAULT_ASYNC_TIMEOUT:
        return "make the function stop in time: it already has the longest timeout"
    return (
        f"give the function a longer timeout (timeout=, at most {DEFAULT_ASYNC_TIMEOUT:,} s), or make it stop in time"
    )


def _of_exception(event: Event) -> str | None:
    exception = _exception_line(event)
    trace = str(event.error.get("stackTrace") or event.error.get("errorMessage") or "")
    lost = [name for entry in event.timeline if isinstance(entry, facts.Started) for name in entry.lost_files]
    cure = cure_of_exception(
        trace, Circumstances(event.payload, event.function.configuration.deployed_by, lost_files=lost)
    )
    if cure is not None:
        return cure
    if event.record.status_code == 430:
        if event.function.runtime.serves_requests:
            return _ANSWER_WELL
        if exception.startswith("ZeroDivisionError") and not event.function.configuration.compute_rate:
            return _TIME_OF_ZERO
        return _TWO_ARGUMENTS if _is_called_wrongly(event) else None
    if _lacks_handler(event):
        there = [*map(repr, event.function.code.functions())]
        names = f"it defines {shortened_list(there, NAMED)}" if there else "it defines no function"
        return f"set handler= to a function of {event.function.code.entry_name}: {names}"
    missing = _MISSING_MODULE.match(exception)
    return None if missing is None else _deploy_module(event, missing["name"])


_MISSING_MODULE = re.compile("ModuleNotFoundError: No module named '(?P<name>[^']+)'")


def _deploy_module(event: Event, name: str) -> str:
    found, code = event.function.layer_below_which(name), event.function.code
    if found is not None:
        layer, below = found
        packed = f"name {os.path.join(layer, below)} in layers=" if os.path.isdir(layer) else f"repack {layer}"
        return (
            f"{packed}, so that {name} is at the root of the layer and not in {below}/: SCF unpacks a layer into /opt "
            f"as it is, and Python looks for modules in /opt itself"
        )
    where = f"the zip {code.archive}" if code.archive else f"the code directory {code.directory}"
    return f"install the package that provides {name} where the tests run, or put the module into {where}"


def _lacks_handler(event: Event) -> bool:
    """Whether the module has been imported, and has nothing of the handler's name."""
    code = event.function.code
    return _exception_line(event) == f"AttributeError: module {code.module!r} has no attribute {code.function!r}"


def _is_called_wrongly(event: Event) -> bool:
    """Whether the call of the handler itself failed: no line of it, or of what it calls, is in the traceback."""
    stack = str(event.error.get("stackTrace", "")).strip()
    return stack.startswith("TypeError: ") and " argument" in stack and "\n" not in stack


def _of_result(event: Event) -> str:
    if "coroutine" in _exception_line(event):
        return "make the handler a plain function that calls asyncio.run(...)"
    return _RETURN_JSON


def _after_handler(event: Event, last: SignalDelivery) -> str | None:
    if last.raised is not None and last.raised.type == "TypeError" and " argument" in last.raised.message:
        return "have the SIGTERM handler take the two arguments that Python passes: def stop(signum, frame)"
    if event.record.status_code == 439:
        return "stop the work and return from the function: an event is FINISHED only when its function returns"
    if last.raised is not None:
        return "do not raise in the SIGTERM handler: set a flag there, check it in the work, and return"
    if _waited_through(event, last) is not None:
        return _WAIT_FOR_STOP
    came_to = _came_to(event, last)
    if came_to is not None and came_to.description.startswith("concurrent.futures."):
        return _END_POOL
    if last.left_us is None:
        return None
    of_pools = f"; {_END_PROCESSES}" if event.function.configuration.children == "simulated" else ""
    if event.record.state.status is Status.FINISHED and _waits_since(event):
        return f"{_CHECK_AFTER_WAITS if came_to is None else _SHORTEN_WAITS}{of_pools}"
    return f"set a flag in the SIGTERM handler, check it in the work, and return when it is set{of_pools}"


_LISTEN = "call signal.signal(signal.SIGTERM, handler) in the main thread, at the top of the module or of the function"
_CHAIN = "call faulthandler.register for SIGTERM with chain=True, or before signal.signal"
_WAIT_FOR_STOP = (
    "wait in something that the SIGTERM handler can end, such as threading.Event.wait(60) with event.set() in the "
    "handler, or allow more time (within=...)"
)
_SHORTEN_WAITS = (
    "return sooner after SIGTERM: shorten the waits that come after it, or wait in something that its handler can end, "
    "such as threading.Event.wait(60) with event.set() in the handler; or allow more time (within=...)"
)
_CHECK_AFTER_WAITS = (
    "set a flag in the SIGTERM handler, check it in the work after each wait, and return when it is set, or allow more "
    "time (within=...)"
)
_END_POOL = "end the pool with shutdown(cancel_futures=True), and have its tasks check the flag: it waits for them"
_END_PROCESSES = "end a process pool with shutdown(cancel_futures=True): it waits for all its tasks otherwise"
_NOT_IGNORED = "replace signal.SIG_IGN with a handler in the signal.signal call for SIGTERM"
_NOT_IGNORED_SOMEHOW = "have the program install a SIGTERM handler where it now ignores the signal (SIG_IGN)"
_NO_RESET = "remove the signal.signal call that resets SIGTERM to signal.SIG_DFL, or make it once the work is done"
_LISTEN_SOMEHOW = "have the program install a SIGTERM handler before it serves its first event"
_LISTEN_FIRST = "in the test, call wait_until_listening() before terminate()"
_ENDLESS: Mapping[facts.Awaited, str] = {
    "something": "nothing ever completed this wait: check what should have, or add a timeout",
    "lock": (
        "have the thread or task that holds this lock release it (`with lock:`, `async with lock:`), and acquire "
        "several locks in the same order everywhere"
    ),
    "own lock": (
        "no other thread can release this lock: use threading.RLock if one thread acquires it twice, and have each "
        "thread release what it acquires (`with lock:`)"
    ),
    "notice": "have another thread or task call the set(), put(), notify() or release() that ends this wait",
    "thread": "make the joined thread end: if it is waiting itself, end that wait",
    "answer": "have the other side answer, or give the wait a timeout (settimeout() of a socket, asyncio.timeout())",
}
_LISTEN_IN_LOG = (
    "have the program's SIGTERM handler write a line, and use assert_logged(), assert_finished() or "
    "assert_stopped_within()"
)
_CHECK_IN_FUNCTION = "check this in the function, and return or raise there: sys.exit() in an import ends the process"
_RETURN_INSTEAD = "return from the function instead: sys.exit() and os._exit() end the process"
_COMPUTE_LONGER = (
    "give it longer to reach a wait with the setting real_timeout (scf_async_real_timeout in the ini file), or let "
    "time pass while it computes by deploying it with compute_rate=1.0"
)
_BY_FORCE = "call assert_terminated(event) if that is intended, or terminate(grace_shutdown=True), which sends SIGTERM"
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT})
_FIND_THE_CRASH = (
    "call faulthandler.enable() at the top of the module: the log then shows the Python line that called that code"
)
_TWO_ARGUMENTS = "have the handler take the two arguments that the platform passes: def main_handler(event, context)"
_ANSWER_WELL = "have the program answer POST /event-invoke with a 2xx status once the event's work is done"
_TIME_OF_ZERO = (
    "if it divides by an elapsed time: computing takes no simulated time unless the function has compute_rate=1, for "
    "example"
)
_RETURN_JSON = f"return {JSON_VALUES}"
_BY_CODE = {
    434: "give the function more memory (memory=...), or make it work in smaller pieces",
    407: "write a large result to an object store and return its key",
}


def function_traceback(event: Event) -> str:
    """Where the function, or the import of its module, raised; nothing where it did not, or has no line of its own."""
    if event.ended_by is Fact.RESULT_NOT_JSON:
        return ""
    if event.record.status_code == 443:
        stack = str(event.error.get("errorMessage", "")).rstrip()
    else:
        stack = str(event.error.get("stackTrace", "")).rstrip()
    return stack if "\n" in stack else ""  # one line is the exception, which the cause names


def short_message(event: Event) -> str:
    """The platform's message in one line; the name of the status code where the message is the cause."""
    code = event.record.status_code
    return STATUS_CODES[code].name if code in (445, 446) else _message_line(event)


def _message_line(event: Event) -> str:
    """The message of the error body: of a traceback, which a 443 has for its message, the last line."""
    lines = str(event.error.get("errorMessage", "")).strip().splitlines()
    return lines[-1] if lines else ""


def why_ended(event: Event) -> str:
    """When and why an event had ended that a call was to end, and what to do."""
    assert event.record.end_us is not None
    after = seconds_text(event.record.end_us - event.record.start_us)
    why, cure = likely_cause(event) or "its function returned", what_to_do(event)
    return f"it ended {after} after its start: {why}; {cure or 'call a gate earlier, such as wait_for_log(...)'}"


def late_end_cause(event: Event) -> str | None:
    """One sentence about an end that came too late after the last SIGTERM, or has not come yet."""
    last = event.signals[-1] if event.signals else None
    if event.record.state.status is Status.FINISHED:
        if last is not None and last.left_us is not None and last.raised is None:
            return _returned_late(event, last)
        return _after_signal(event, "the work carried on")
    if not event.record.state.ended and last is not None and event.script is None:
        in_handler = last.disposition == "handler" and last.left_us is None
        return signal_cause(event) if in_handler else _after_signal(event, "the work carried on")
    return likely_cause(event)


def signal_cause(event: Event) -> str | None:
    """One sentence about the last SIGTERM and what it met."""
    if not event.signals:
        return (
            "no SIGTERM was sent: terminate(grace_shutdown=True) sends one, terminate() alone ends the event by force"
        )
    last = event.signals[-1]
    arrived = f"SIGTERM arrived {_after_start(event, last.sent_us)}"
    if (computed := _computed_for(event, "SIGTERM")) is not None:
        arrived += f", when it had been computing for {computed} without a wait"
    if last.disposition != "handler":
        return f"{arrived}; {_met(event, last)}"
    if last.entered_us is None:
        return f"{arrived}, but its handler never ran"
    if last.left_us is None:
        return f"{arrived}; its handler was entered and never returned"
    return f"the SIGTERM handler {'returned' if last.raised is None else f'raised {last.raised}'}"


def _met(event: Event, last: SignalDelivery) -> str:
    refused = next((entry for entry in reversed(event.timeline) if isinstance(entry, facts.ListenerRefused)), None)
    if last.disposition == "default" and refused is not None:
        return f"Python refused {refused.call}, which only the main thread may call, so SIGTERM ended the process"
    if last.disposition == "default" and _was_reset(event):
        return _MET["reset"]
    if last.disposition == "native" and _was_replaced(event):
        return _MET["replaced"]
    if not event.function.runtime.listens_in_python and last.disposition in _PROGRAM_MET:
        return _PROGRAM_MET[last.disposition]
    return _MET[last.disposition]


def _was_reset(event: Event) -> bool:
    """Whether user code has set SIGTERM back to what it does by default."""
    return any(isinstance(entry, facts.ListenerChanged) and entry.listener == "default" for entry in event.timeline)


def _was_replaced(event: Event) -> bool:
    """Whether code outside Python has replaced the handler that user code had installed."""
    return any(isinstance(entry, facts.ListenerChanged) and entry.listener == "replaced" for entry in event.timeline)


_MET = {
    "default": "no SIGTERM handler had been installed by then, so it ended the process",
    "reset": "user code had reset the signal to its default action, so it ended the process",
    "ignored": "the process ignores it (SIG_IGN)",
    "blocked": "the process has blocked it (pthread_sigmask)",
    "no process": "the event's instance had no process yet",
    "native": "code outside Python (such as faulthandler.register) caught it, and no Python handler was installed",
    "replaced": (
        "code outside Python (faulthandler.register) had replaced the handler installed with signal.signal, and caught "
        "it"
    ),
    "scripted": "on_terminate of its function decides what happens",
    "unknown": "the program is free-running, in real time, and its response to a signal cannot be seen",
}


_PROGRAM_MET = {
    "default": "the program had installed no SIGTERM handler by then, so it ended the process",
    "blocked": "the process has blocked it",
    "native": (
        "the runtime of the program's language (Go, Node.js, Java) catches it, with or without a handler in the program"
    ),
}
"""The same of supervised programs, of which other texts are true."""


def _while_running(event: Event) -> str:
    if event.phase == "queued":
        return "it is queued, and the platform retries it each simulated minute: wait() lets that time pass"
    if event.phase == "pending" and event.script is not None:
        return "its script has not started yet: wait(), settle() and the gate calls start it"
    if event.phase == "pending":
        return "none of its code has run yet: wait(), settle() and the gate calls run it"
    runs = "the event is still running, and only a call such as wait() lets its time pass"
    if event.signals and event.signals[-1].disposition == "handler":
        return f"{signal_cause(event)}; {runs}"
    return _after_signal(event, "the work carries on") or runs


def _after_signal(event: Event, went_on: str) -> str | None:
    """What became of the last SIGTERM, where the work went on after it."""
    if not event.signals:
        return None
    last = event.signals[-1]
    if last.disposition != "handler" or last.left_us is None:
        return f"{signal_cause(event)}, and {went_on}"
    if last.raised is not None:
        return f"the SIGTERM handler raised {last.raised}; something caught the exception, and {went_on}"
    came_to = _came_to(event, last)
    stopped = f", last of all {where(came_to.description)}" if came_to is not None else ": nothing stopped it"
    # Without places its waits are system calls, which do not show what the work has come to.
    return f"the SIGTERM handler returned, and {went_on}{stopped if event.function.runtime.has_places else ''}"


def _returned_late(event: Event, last: SignalDelivery) -> str:
    """When the function returned after a SIGTERM whose handler returned, and the waits in between.

    Whether it had done all of its work by then, or ended early and waited in between, is not known.
    """
    wait = _waited_through(event, last)
    if wait is not None:
        return f"the SIGTERM handler returned, but the work stayed {where(wait.description)} until that wait was over"
    assert event.record.end_us is not None
    returned = f"the SIGTERM handler returned, and the event ended {seconds_text(event.record.end_us - last.sent_us)} "
    waits = _waits_since(event)
    longest = sorted(waits, key=lambda description: -waits[description].us)[:NAMED_WAITS]
    texts = [_waited_times(each, waits[each].times) for each in waits if each in longest]
    if len(waits) > len(longest):
        texts.append(f"in {len(waits) - len(longest):,} other wait{'s' * (len(waits) - len(longest) != 1)}")
    return f"{returned}after SIGTERM{f': until then it waited {enumerated(texts)}' if texts else ''}"


def _waited_times(description: str, times: int) -> str:
    often = "" if times == 1 else "twice " if times == 2 else f"{times:,} times "
    return f"{often}{where(description)}"


class _Spent(NamedTuple):
    times: int
    us: int
    """Simulated time until the event came to another wait, or ended."""


def _waits_since(event: Event) -> dict[str, _Spent]:
    """The waits in which time has passed since the last SIGTERM, the one that it has met included.

    Those of the main thread, where there are some: it waits for the others at its end. None where a wait is a system
    call without a place, which does not show what the work has come to.
    """
    if not event.function.runtime.has_places:
        return {}
    sent = max(at for at, entry in enumerate(event.timeline) if isinstance(entry, facts.SignalSent))
    waits = [entry for entry in event.timeline[sent:] if isinstance(entry, facts.Waited)]
    waits = [wait for wait in waits if not any(each.thread for each in waits_of(wait.description))] or waits
    begins = [*(wait.time_us for wait in waits), event.record.end_us or 0]
    found: dict[str, _Spent] = {}
    for wait, until_us in zip(waits, begins[1:], strict=True):
        if until_us > wait.time_us:
            times, us = found.get(wait.description, _Spent(0, 0))
            found[wait.description] = _Spent(times + wait.times, us + until_us - wait.time_us)
    return found


def _came_to(event: Event, last: SignalDelivery) -> facts.Waited | None:
    """The last wait that the work came to after the SIGTERM and never before: something had it go another way."""
    waits = [entry for entry in event.timeline if isinstance(entry, facts.Waited)]
    before = {wait.description for wait in waits if wait.time_us <= last.sent_us}
    return next((wait for wait in reversed(waits) if wait.description not in before), None)


def _waited_through(event: Event, last: SignalDelivery) -> facts.Waited | None:
    """The wait in which the event stood at its last SIGTERM and to its end, as the function returned right after it."""
    wait = _last_wait(event)
    end_us = event.record.end_us
    if wait is None or end_us is None or wait.awaits is not None or event.record.state.status is not Status.FINISHED:
        return None
    return wait if wait.last_us <= last.sent_us < end_us else None


def _has_crashed(event: Event) -> bool:
    return event.exit is not None and event.exit.signum in _CRASHES


def _place_of_crash(event: Event) -> str:
    """The line of user code that called the code which crashed, where ``faulthandler`` has written it to the log."""
    lines = dropwhile(lambda text: not text.startswith("Fatal Python error: "), (line.text for line in event.log))
    lines = dropwhile(lambda text: not text.startswith("Current thread 0x"), lines)
    for file, line in filter(None, map(place_at_fault, lines)):
        if os.path.isabs(file) and not file.startswith((OWN_CODE, os.path.dirname(os.__file__) + os.sep)):
            return f"{os.path.basename(file)}:{line}"
    return ""


def _process_exited(event: Event) -> str:
    killed = event.exit is not None and event.exit.signum is not None
    how = "" if event.exit is None else f" ({exit_text(event.exit)})"
    if event.exit is not None and _has_crashed(event):
        place = _place_of_crash(event)
        by = f"C code called at {place} crashed, and the process was" if place else "the process was"
        return f"{by} {exit_text(event.exit)}: the platform reports 439"
    return _process_ended(event, how, "the platform reports 439" + ("" if killed else " whatever the exit code"))


def _process_ended(event: Event, how: str, whatever: str) -> str:
    if not event.signals:
        if event.exit is not None and event.exit.signum is not None:
            untraceable = f"{event.untraceable}; " if event.untraceable else ""
            return f"{untraceable}the process was {exit_text(event.exit)}: {whatever}"
        by = f"{event.untraceable}; the process ended" if event.untraceable else "the process ended by itself"
        if event.phase == "ended in init":
            init_ends = event.function.runtime.init_ends
            by += " during init" if event.function.runtime.runs_program else " while the module was being imported"
            how += f"; {init_ends}" if init_ends and not last_error(event) else ""
        error = last_error(event)
        return f"{by}{how}{f' with {error}' if error else ''}: {whatever}"
    last = event.signals[-1]
    if last.disposition != "handler" or last.entered_us is None:
        if last.disposition == "default":
            return str(signal_cause(event))
        if last.disposition in ("native", "unknown") and event.exit == facts.Exit(signum=signal.SIGTERM):
            return f"nothing in the program handled SIGTERM, which ended it: {whatever}"
        return f"{signal_cause(event)}, and the process later ended by itself{how}: {whatever}"
    if last.left_us is None:
        return f"the process ended inside its SIGTERM handler{how}: {whatever}"
    if last.raised is None:
        return f"the SIGTERM handler returned, and the process ended afterwards{how}: {whatever}"
    return f"the SIGTERM handler raised {last.raised}, which ended the process{how}: {whatever}"


def last_error(event: Event) -> str:
    """What a program that failed has written about that in its last lines; empty where it wrote nothing of the kind."""
    if event.exit is not None and not event.exit.code:
        return ""
    lines = ["", *(line.text for line in event.log if line.source == "Custom")][-LAST_LINES:]
    at_start = _START_ERROR.fullmatch(lines[-1])
    found = [line for line in lines if "CRITICAL" in line]
    if not found and any(line.startswith("Traceback (most recent call last)") for line in lines):
        found = [exception_line("\n".join(lines))]
    found = found or ([at_start["error"]] if at_start else [line for line in lines if "ERROR" in line])
    return shortened_line(found[-1], SHOWN_ANSWER) if found else ""


_START_ERROR = re.compile(r"\S*python[\d.]*: (?P<error>(No module named|can't open file) .*)")
"""What Python writes if it cannot find the module or the file that it is to run."""
LAST_LINES = 100
"""Lines of a program's log in which it may say why it failed."""
NAMED = 5
"""Functions of a module that a text names."""
NAMED_WAITS = 3
"""Waits since SIGTERM that a text names."""
SHOWN_ANSWER = 200
"""Characters of an image's answer."""


def _answered(event: Event) -> str | None:
    """What the program of an image answered to its request, or that it did not; None where there is no request."""
    if not event.function.runtime.serves_requests:
        return None
    first = str(event.error.get("stackTrace", "")).partition("\n")[0]
    return shortened_line(first, SHOWN_ANSWER) if first else None


def _raised(event: Event) -> str:
    answered = _answered(event)
    if answered is not None:
        return answered
    if event.ended_by is Fact.RESULT_NOT_JSON and "coroutine" in _exception_line(event):
        return "the handler is an `async def`: calling it only creates a coroutine, which the platform does not await"
    if event.ended_by is Fact.RESULT_NOT_JSON:
        return f"the handler returned a value that cannot be written as JSON: {_exception_line(event)}"
    last = event.signals[-1] if event.signals else None
    if last is not None and last.raised is not None:
        return f"the SIGTERM handler raised {last.raised}, and nothing in the function caught it"
    if last is not None and last.disposition == "handler":
        return f"the SIGTERM handler returned, and the function then raised {_exception_line(event)}"
    return f"the function raised {_exception_line(event)}"


def _timed_out(event: Event) -> str:
    configuration = event.function.configuration
    timeout = f"the {configuration.timeout:,} s timeout{_source(event, 'timeout')}"
    if event.signals:
        return str(_after_signal(event, f"the work carried on until {timeout}"))
    if (computed := _computed_for(event, "timeout")) is not None:
        return f"it computed for more than {computed} without a wait, and {timeout} came due meanwhile"
    wait = _last_wait(event)
    if not configuration.async_run and configuration.sources.get("timeout", "default") == "default":
        meanwhile = "" if wait is None else f"; {_last_of_all(event, wait)}"
        return f"a sync function times out after {configuration.timeout} s by default{meanwhile}"
    who = _who_runs(event)
    if wait is None:
        return f"{who} ran until {timeout}"
    if wait.awaits is not None:
        return f"{who_waits(wait.description, who, 'stuck')} until {timeout}"
    if _lasts_to_the_end(event, wait):
        return f"{who_waits(wait.description, who, 'still')} at {timeout}"
    return f"{who} ran until {timeout}; {_last_of_all(event, wait)}"


def _who_runs(event: Event) -> str:
    """What waits where no thread or task is named."""
    return "the program" if event.function.runtime.runs_program else "the handler"


def _last_of_all(event: Event, wait: facts.Waited) -> str:
    if wait.awaits is not None or _lasts_to_the_end(event, wait):
        return who_waits(wait.description, _who_runs(event), "stuck" if wait.awaits is not None else "still")
    first = waits_of(wait.description)[0]
    if not (event.function.runtime.has_places or first.file or first.in_child):
        return f"its last wait was the system call `{first.call}`"
    return f"it last waited {where(wait.description)}"


def _lasts_to_the_end(event: Event, wait: facts.Waited) -> bool:
    """Whether it is one sleep that the end of the event cut short; how long another wait would last is not known."""
    seconds, end_us = waits_of(wait.description)[0].seconds, event.record.end_us
    return wait.times == 1 and seconds is not None and end_us is not None and wait.last_us + seconds * 1e6 > end_us


def _computed_for(event: Event, then: facts.AfterComputing) -> str | None:
    """For how long a call has waited for it to settle, in vain, before that did *then* what is left to do."""
    entries = (entry for entry in reversed(event.timeline) if isinstance(entry, facts.Outwaited) and entry.then == then)
    limit = next((entry.limit for entry in entries), None)
    return None if limit is None else f"{real_seconds(limit)} (real_timeout)"


def _exceeded(event: Event) -> str:
    """What it used or returned too much of."""
    match event.excess:
        case facts.MemoryExcess():
            return excess_text(event.excess)
        case facts.ResultExcess(size):
            return f"the result has {size:,} bytes, and the limit is {RESULT_LIMIT:,} (6 MB)"
    return STATUS_CODES[event.record.status_code].meaning


def _last_wait(event: Event) -> facts.Waited | None:
    return next((entry for entry in reversed(event.timeline) if isinstance(entry, facts.Waited)), None)


def _aborted(event: Event) -> str:
    if event.record.transitions[-1][0] is Status.ABORTED and event.ended_by is Fact.FUNCTION_DELETED:
        return "its function was deleted while it ran"
    if event.ended_by is Fact.RETURNED:
        return "it returned after SIGTERM, and the setting graceful_return_status makes that ABORTED"
    return "terminate() ended it by force, before it could end by itself"


def _exception_line(event: Event) -> str:
    text = str(event.error.get("stackTrace") or event.error.get("errorMessage") or "")
    return exception_line(text) if text.strip() else "an unknown exception"


def _not_loaded(event: Event) -> str:
    """Why the module could not be imported; the traceback, and what was found, have the exception itself."""
    code = event.function.code
    if _lacks_handler(event):
        return f"{code.entry_name} has no function {code.function!r}"
    place = last_place(str(event.error.get("errorMessage", "")))
    line = _exception_line(event)
    if line.startswith(("SyntaxError", "IndentationError", "TabError")) and place is not None:
        return f"Python cannot compile {os.path.basename(place[0])}, line {place[1]}"
    return f"the code could not be loaded: {line}"


def _source(event: Event, name: str) -> str:
    source = event.function.configuration.sources.get(name)
    return f" ({source})" if source else ""


def _after_start(event: Event, at_us: int) -> str:
    return f"{seconds_text(at_us - event.record.start_us)} after the start"
