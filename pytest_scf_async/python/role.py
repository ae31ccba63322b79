"""What an instance does with its events: it loads the handler, and calls it with one after the other."""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

from ..protocol import messages
from ..protocol.limits import RESULT_LIMIT
from . import ahead, clock, handler, literal_tmp, loading, wing_part
from .gates import gates
from .patches import random_numbers, signals
from .scheduler.scheduler import scheduler


def call(function: Any, invocation: messages.Invoke) -> messages.Result:
    """Call the handler."""
    try:
        scheduler.ring_overdue()
        result = function(json.loads(invocation.payload), invocation.context)
    except Exception as error:
        return messages.Result("RAISED", trace=handler.trace_of(error))
    outcome = handler.returned(result)
    size = 0 if outcome.text is None else len(outcome.text.encode("utf-8"))
    if size > RESULT_LIMIT:
        return messages.Result("RESULT_TOO_LARGE", size=size)
    return messages.Result(*outcome)


def _initialise(config: messages.Assign) -> Any:
    """Load the user's handler and report that; None if there is none, which is reported as well."""
    path = config.entry
    try:
        if not os.path.isfile(path):
            fact, trace = "ENTRY_FILE_MISSING", f"{path} is not there"
        else:
            if config.sandbox is None:
                literal_tmp.watch(config.known_tmp)
            if config.only_writes is not None:
                guard_writes(config.only_writes)
            _enter_code(config)
            function = loading.load_handler(path, config.module, config.function)
            if callable(function):
                initialised()
                if config.memory_limited:
                    scheduler.park(clock.now_us(), "")  # the harness checks the memory before the handler begins
                return function
            raise TypeError(f"{config.module}.{config.function} is {function!r}, which cannot be called")
    except Exception as error:
        fact, trace = "CODE_NOT_LOADED", handler.trace_of(error)
    _report_init(fact, trace)
    return None


def guard_writes(paths: list[str]) -> None:
    """Have a write elsewhere than to *paths* refused."""
    assert wing_part.part is not None
    wing_part.part.guard_writes(paths)


_entered_code = False


def _enter_code(config: messages.Assign) -> None:
    global _entered_code
    if not _entered_code:
        os.chdir(config.code_directory)
        sys.path[:0] = config.search_path
        _entered_code = True


def _use_what_was_imported_ahead(config: messages.Assign) -> None:
    global _start_rss
    if not config.sees_imports:
        of_test = [] if config.before_init is None else [config.before_init.directory]
        _start_rss -= ahead.use(loading.first_imports(config.entry), [*config.search_path, *of_test])
        scheduler.control.memory_at_fork = _start_rss


def _prepare_for_test(config: messages.Assign, wanted: messages.BeforeInit) -> bool:
    """Call the test's function of ``before_init``; False if it has failed, which is reported."""
    directory = wanted.directory
    try:
        _enter_code(config)
        found_already = directory in sys.path
        sys.path.insert(len(config.search_path), directory)
        try:
            function = loading.load_handler(wanted.entry, wanted.module, wanted.function)
            arguments = json.loads(wanted.arguments)
            if isinstance(arguments, dict):
                function(**arguments)
            else:
                function(*arguments)
        finally:
            if directory in sys.path:
                sys.path.remove(directory)
            if not found_already:  # later imports find what lies there, but after the function's own code
                sys.path.append(directory)
    except BaseException as error:  # SystemExit is a failure of it, too
        if scheduler.active:
            scheduler.send_marked(
                messages.pack(messages.InitDone(messages.BEFORE_INIT_RAISED, handler.trace_of(error), 0))
            )
            return False
    if not scheduler.active:  # a child that it has forked has returned from it
        os._exit(0)
    return True


_start_rss = 0
"""The peak that the process had when it became an instance."""


def count_memory() -> None:
    """Have `used_memory` count from what the process has now."""
    global _start_rss
    _start_rss = 0
    scheduler.control.memory_at_fork = _start_rss = used_memory()


def used_memory() -> int:
    """The peak of this process's memory in bytes, above what it had at its fork."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - _start_rss


def initialised() -> None:
    """The init is over: report that."""
    scheduler.initialised()
    _report_init(None)


def _report_init(fact: str | None, trace: str = "") -> None:
    scheduler.send_marked(messages.pack(messages.InitDone(fact, trace, used_memory())))


def serve_handler(config: messages.Assign) -> None:
    """Call the handler with one event after the other; SystemExit and its like are raised."""
    function: Any = None
    while True:
        invocation = next_event(config)
        if function is None:
            handler.set_variables(invocation.environment)
            if not _entered_code:
                _use_what_was_imported_ahead(config)
            if not may_begin(config, invocation):
                continue
            function = _initialise(config)
            if function is None:
                continue
        else:
            handler.set_variables(invocation.environment)
            signals.stand_if_listening()  # the handler of a signal may be installed since an earlier event
        answer = call(function, invocation)
        handler.flush()
        if not scheduler.active:  # a child that user code has forked has returned from the handler
            os._exit(0)
        scheduler.save()
        gates.report_points()
        answer = answer._replace(rss=used_memory(), used_ns=clock.processor_ns())
        scheduler.send(messages.pack(answer))


def next_event(config: messages.Assign) -> messages.Invoke:
    """Wait for the next event."""
    invocation = scheduler.idle()
    if config.own_random:
        random_numbers.begin(invocation.context["request_id"])
        scheduler.control.drawn_from = invocation.seed
    return invocation


def may_begin(config: messages.Assign, invocation: messages.Invoke) -> bool:
    """Call ``before_init``, then stop at a gate at the init if there is one; whether user code may be loaded."""
    if config.before_init is not None and not _prepare_for_test(config, config.before_init):
        return False
    if invocation.gate is not None:
        scheduler.gate(invocation.gate, "init")
    return True


class Role:
    """Load a handler and call it with each event: what an instance does, unless a subclass says otherwise."""

    on_simulated_time = True
    own_network = False
    """The instance has a network of its own, which has a loopback only."""

    def __init__(self, config: messages.Assign) -> None:
        self.config = config

    def enter_network(self, others: list[int]) -> None:
        """Enter the network of the instance; the last of the descriptors *others* may be for that."""

    def be_recorded(self, others: list[int]) -> None:
        """Have what user code changes in a directory recorded; the last of the descriptors *others* are for that."""
        raise NotImplementedError

    def keep_clock(self, clock_file: int) -> None:
        """Take the descriptor of the clock page, in a role that is not on simulated time itself."""
        os.close(clock_file)

    def serve(self) -> None:
        """Serve events; returns or raises when the process is to end."""
        serve_handler(self.config)

    def leave(self, error: BaseException) -> int:
        """The exit code of the process after *error* has left `serve`: it ends as a program of its own would."""
        return handler.leave(error)
