"""Gates at lines beside what else watches a program's lines: coverage, a debugger, a profiler, a trace function."""

from __future__ import annotations

import sys

import pytest
from process_support import user_lines
from test_gates_at_lines import at

from pytest_scf_async.errors import GateNotReachedError

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

COVERED = """
    import coverage, os, signal, sys, threading
    measured = coverage.Coverage(data_file=None, include=[os.environ.get("INCLUDE", __file__)])
    measured.start()
    class Stop(Exception):
        pass
    def on_sigterm(signum, frame):
        raise Stop
    def work(row):
        doubled = row * 2  # thread
        return doubled
    def leave():
        waits = True  # waits
        os.kill(os.getpid(), signal.SIGTERM)
    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        for row in range(3):
            done = row
            total = done  # here
        thread = threading.Thread(target=work, args=(3,))
        thread.start()
        thread.join()
        try:
            caught = False
            leave()
        except Stop:
            caught = True
            done = 5  # stopped
        finally:
            closed = True  # closed
        measured.stop()
        return sorted(measured.get_data().lines(os.path.realpath(__file__)) or [])
"""


@pytest.mark.repeat
@pytest.mark.parametrize("core", ["ctrace", "pytrace", "sysmon"])
def test_coverage_that_the_handlers_module_starts_sees_the_same_with_gates_and_without(deploy, core):
    if core == "sysmon" and sys.version_info < (3, 12):
        core = "ctrace"
    function = deploy(COVERED, environment={"COVERAGE_CORE": core})
    alone = function.run()
    assert len(alone) > 15
    function.update(environment={"COVERAGE_CORE": core, "ROUND": "2"})  # a new instance
    event = function.invoke_async()

    for mark in ("here", "here", "thread", "waits", "stopped", "closed"):
        event.run_to(at(COVERED, mark))
        assert event.doing == "gated"

    assert event.wait().result == alone


@pytest.mark.parametrize("core", ["ctrace", "pytrace"])
def test_coverage_goes_on_after_a_handler_has_raised_out_of_a_line(deploy, core):
    function = deploy(COVERED, environment={"COVERAGE_CORE": core})
    alone = function.run()
    function.update(environment={"COVERAGE_CORE": core, "ROUND": "2"})
    event = function.invoke_async().run_to(at(COVERED, "waits"))

    event.terminate(grace_shutdown=True)

    kill = int(at(COVERED, "waits").partition(":")[2]) + 1
    assert [line for line in alone if line not in event.result] == [kill]


def test_lines_of_a_file_that_coverage_leaves_out_are_met(deploy):
    event = deploy(COVERED, environment={"INCLUDE": "other.py"}).invoke_async()

    for mark in ("here", "thread", "waits", "stopped"):
        event.run_to(at(COVERED, mark))
        assert event.doing == "gated"

    assert event.wait().result == []


def test_coverage_goes_on_in_an_event_that_has_no_gate_any_more(deploy):
    source = """
        import coverage, os
        measured = coverage.Coverage(data_file=None, include=[__file__])
        measured.start()
        def main_handler(event, context):
            if event == "first":
                return "first"  # here
            print("second")
            measured.stop()
            return sorted(measured.get_data().lines(os.path.realpath(__file__)))
    """
    function = deploy(source)
    function.invoke_async("first").run_to(at(source)).wait()

    assert function.run("second") == [6, 7, 8, 9]


@pytest.mark.repeat
def test_a_debugger_in_the_handlers_file_steps_and_gates_are_met(deploy):
    source = """
        import io, pdb, sys
        def inner():
            deep = 1  # inner
            return deep
        def main_handler(event, context):
            first = 1  # first
            commands = io.StringIO("next\\nnext\\np first\\ncontinue\\n")
            debugger = pdb.Pdb(stdin=commands, stdout=sys.stdout, nosigint=True)
            debugger.use_rawinput = False
            debugger.set_trace()
            second = 2  # second
            third = 3  # third
            inner()
            fourth = 4  # fourth
            return [first, second, third, fourth]
    """
    event = deploy(source).invoke_async()

    for mark in ("first", "second", "third", "inner", "fourth"):
        event.run_to(at(source, mark))
        assert event.doing == "gated"

    assert event.wait().result == [1, 2, 3, 4]
    assert any("(Pdb)" in line and line.endswith("1") for line in user_lines(event))


@pytest.mark.parametrize("gate", [False, True])
def test_a_breakpoint_without_a_terminal_ends_the_event_as_it_does_without_a_gate(deploy, gate):
    source = """
        import pdb
        def main_handler(event, context):
            first = 1  # first
            pdb.set_trace()
            second = 2
            third = 3
    """
    event = deploy(source).invoke_async()
    if gate:
        event.run_to(at(source, "first"))

    event.wait()

    text = str(event.log)
    assert text.count("a debugger in a handler needs a terminal that pytest does not capture") == 1
    assert "pytest_scf_async" not in text
    if sys.version_info >= (3, 14):
        assert event.status_code == 439  # pdb ends the process
    else:
        assert event.status_code == 430
        assert "BdbQuit" in str(event.error["stackTrace"])


TRACED = """
    import sys, threading, time
    seen = []
    def trace(frame, event, arg):
        if frame.f_code.co_name in ("step", "work"):
            seen.append([frame.f_code.co_name, event, frame.f_lineno])
            return trace
    def step(row):
        doubled = row * 2
        return doubled  # step
    def work():
        step(2)
    def main_handler(event, context):
        if event == "before":
            sys.settrace(trace)
        waiting = 1  # waiting
        time.sleep(1)
        if event != "before":
            sys.settrace(trace)
        threading.settrace(trace)
        step(1)
        same = sys.gettrace() is trace
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        sys.settrace(None)
        threading.settrace(None)
        step(3)  # untraced
        return [same, sys.gettrace() is None, seen]
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("gates", [[], ["waiting", "step", "step", "untraced"]], ids=["none", "gates"])
def test_a_trace_function_of_user_code_sees_the_same_with_gates_and_without(deploy, when, gates):
    event = deploy(TRACED).invoke_async(when)
    for mark in gates:
        event.run_to(at(TRACED, mark))
        assert event.doing == "gated"

    same, put_back, seen = event.wait().result

    assert (same, put_back) == (True, True)
    step = [["step", kind, line] for kind, line in (("call", 8), ("line", 9), ("line", 10), ("return", 10))]
    work = [["work", kind, line] for kind, line in (("call", 11), ("line", 12), ("return", 12))]
    assert seen == [*step, *work[:2], *step, *work[2:]]


def test_a_trace_function_that_raises_ends_as_without_gates(deploy):
    source = """
        import sys
        def trace(frame, event, arg):
            if frame.f_code.co_name == "step" and event == "line":
                raise ValueError("trace")
            return trace
        def step():
            done = 1  # step
        def main_handler(event, context):
            sys.settrace(trace)
            try:
                step()
            except ValueError as error:
                return [str(error), sys.gettrace() is None]
    """
    event = deploy(source).invoke_async()

    with pytest.raises(GateNotReachedError):
        event.run_to(at(source, "step"))

    assert event.wait().result == ["trace", True]


@pytest.mark.repeat
def test_a_profiler_that_runs_beside_it(deploy):
    source = """
        import cProfile, pstats
        def step(row):
            return row  # step
        def main_handler(event, context):
            profiler = cProfile.Profile()
            profiler.enable()
            for row in range(5):
                step(row)
            profiler.disable()
            stats = pstats.Stats(profiler).stats
            return [calls for (file, line, name), (calls, *_) in stats.items() if name == "step"]
    """
    event = deploy(source).invoke_async().run_to(at(source, "step", passes=3)).run_to("step")

    assert event.wait().result == [5]


def test_tools_that_have_taken_our_number(deploy):
    source = """
        import sys
        taken = []
        if sys.version_info >= (3, 12):
            for number in (3, 4):
                sys.monitoring.use_tool_id(number, "theirs")
        def main_handler(event, context):
            print("before")
            done = 1  # here
            if sys.version_info >= (3, 12):
                return [sys.monitoring.get_tool(number) for number in (3, 4)]
            return ["theirs", "theirs"]
    """
    function = deploy(source)
    function.run()

    event = function.invoke_async().run_to(at(source))

    assert (event.doing, user_lines(event)) == ("gated", ["before"])
    assert event.wait().result == ["theirs", "theirs"]
