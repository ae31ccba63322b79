"""SIGTERM while an instance stands before a line: the handler runs there as if nothing of ours were in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import LONG, RECEIVED, START, assert_end, grow_impatient, short_log, user_lines
from test_gates_at_lines import at

from pytest_scf_async.errors import CannotEndError, ScfUsageError

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

ROWS = """
    import signal, time
    stopping = False
    def on_sigterm(signum, frame):
        global stopping
        stopping = True
        print("signal at", frame.f_code.co_name, frame.f_lineno, frame.f_locals["row"])
    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        for row in range(1000):
            done = row
            total = done  # here
            if stopping:
                return [row, total]
"""
RAISES = """
    import os, signal, sys, time, traceback
    class Stop(Exception):
        pass
    def on_sigterm(signum, frame):
        raise Stop("now")
    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        if event == "late":
            time.sleep(1)
        try:
            for row in range(1000):
                done = row  # loop
        except Stop as stop:
            saved = row  # except
            trace = [[entry.name, entry.lineno] for entry in traceback.extract_tb(stop.__traceback__)]
            same = [[entry.name, entry.lineno] for entry in traceback.extract_tb(sys.exc_info()[2])]
            print("stopped", saved, len(sys.exc_info()[1].args), stop.__context__)
            print("ours", "pytest_scf_async" in traceback.format_exc())
        finally:
            closed = True  # finally
        time.sleep(1)
        for row in range(3):
            print("row", row)  # after
        return [trace, same]
"""


def line_of(source: str, mark: str = "here") -> int:
    return int(at(source, mark).partition(":")[2])


@pytest.mark.repeat
def test_the_handler_gets_the_frame_of_the_line_itself_20_times_out_of_20(deploy):
    function = deploy(ROWS)

    for number in range(20):
        event = function.invoke_async().run_to(at(ROWS, passes=8))
        event.terminate(grace_shutdown=True)

        assert event.doing == "gated"
        assert user_lines(event) == [f"signal at main_handler {line_of(ROWS)} 7"]
        event.wait()
        assert event.result == [7, 7]
        assert short_log(event)[-5:] == [
            RECEIVED,
            f"signal at main_handler {line_of(ROWS)} 7",
            "RESPONSE [7, 7]",
            "END",
            "REPORT 0ms",
        ]
        function.update(environment={"ROUND": str(number)})  # the module's flag is as new


def test_it_can_be_sent_again_at_the_same_line(deploy):
    event = deploy(ROWS).invoke_async().run_to(at(ROWS, passes=3))

    event.terminate(grace_shutdown=True)
    event.terminate(grace_shutdown=True)

    assert user_lines(event) == [f"signal at main_handler {line_of(ROWS)} 2"] * 2
    assert event.wait().result == [2, 2]


def test_nothing_listens_at_a_line(deploy):
    source = """
        def main_handler(event, context):
            for row in range(3):
                print(row)  # here
    """
    event = deploy(source).invoke_async().run_to(at(source, passes=2))

    event.terminate(grace_shutdown=True)

    log = ["START", "INIT 0ms", "0", RECEIVED, "ERROR 439", "END", "REPORT 0ms"]
    assert_end(event, "FAILED", 439, log=log)


@pytest.mark.repeat
def test_what_a_handler_raises_comes_out_of_the_line_and_its_traceback_has_no_frame_of_ours(deploy):
    event = deploy(RAISES).invoke_async().run_to(at(RAISES, "loop", passes=30))

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["stopped 29 1 None", "ours False"]
    assert event.signals[0].raised == "Stop: now"
    trace, same = event.wait().result
    assert trace == [["main_handler", line_of(RAISES, "loop")], ["on_sigterm", 6]]
    assert same == trace


@pytest.mark.repeat
def test_gates_go_on_working_after_a_handler_has_raised(deploy):
    event = deploy(RAISES).invoke_async().run_to(at(RAISES, "loop", passes=30))
    event.terminate(grace_shutdown=True)
    assert event.doing == "parked"

    event.run_to(at(RAISES, "after"))
    assert user_lines(event)[2:] == []
    event.run_to(at(RAISES, "after"))

    assert user_lines(event)[2:] == ["row 0"]
    assert event.wait().status == "FINISHED"


@pytest.mark.repeat
@pytest.mark.parametrize("mark", ["except", "finally"])
def test_the_very_next_lines_are_seen_after_a_handler_has_raised(deploy, mark):
    function = deploy(RAISES)
    other = function.invoke_async().run_to("main_handler")
    event = function.invoke_async("late")
    with pytest.raises(CannotEndError, match="is stopped at"):
        event.run_to(at(RAISES, mark))  # counted from the first line on, and no time passes that could bring it
    other.terminate()

    event.run_to(at(RAISES, "loop")).terminate(grace_shutdown=True)

    assert user_lines(event)[0] == "stopped 0 1 None"
    with pytest.raises(ScfUsageError, match="is past that: it has been there once"):
        event.run_to(at(RAISES, mark, passes=1))
    assert event.wait().status == "FINISHED"


def test_it_goes_out_of_a_function_that_does_not_catch_it(deploy):
    source = """
        import signal
        def on_sigterm(signum, frame):
            raise RuntimeError("stop")
        def inner(row):
            return row  # here
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for row in range(100):
                inner(row)  # call
    """
    event = deploy(source).invoke_async().run_to(at(source, passes=20))

    event.terminate(grace_shutdown=True)

    assert (event.status, event.status_code) == ("FAILED", 430)
    stack = str(event.error["stackTrace"])
    found = [line.strip().partition(", line ")[2] for line in stack.splitlines() if ", line " in line]
    assert found == [
        f"{line_of(source, 'call')}, in main_handler",
        f"{line_of(source)}, in inner",
        "4, in on_sigterm",
    ]


@pytest.mark.parametrize(
    "raising", ["sys.exit(3)", "raise KeyboardInterrupt", "raise StopIteration", "raise KeyError(1)"]
)
def test_whatever_it_raises(deploy, raising):
    source = f"""
        import signal, sys
        def on_sigterm(signum, frame):
            {raising}
        def rows():
            for row in range(100):
                done = row  # here
                yield done
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            try:
                return sorted(map(str, rows()))
            except BaseException as error:
                return type(error).__name__  # caught
    """
    event = deploy(source).invoke_async().run_to(at(source, passes=20))

    event.terminate(grace_shutdown=True)

    names = {"sys.exit(3)": "SystemExit", "raise StopIteration": "RuntimeError"}
    assert event.wait().result == names.get(raising, raising.split()[-1].partition("(")[0])


def test_a_process_that_exits_in_its_handler(deploy):
    source = """
        import signal, sys
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
            print("listens")
            done = 1  # here
    """
    event = deploy(source).invoke_async().run_to(at(source))

    event.terminate(grace_shutdown=True)

    log = ["START", "INIT 0ms", "listens", RECEIVED, "ERROR 439", "END", "REPORT 0ms"]
    assert_end(event, "FAILED", 439, log=log)


@pytest.mark.repeat
def test_lines_of_the_handler_are_gates_too_on_top_of_the_line_where_it_came(deploy, runtime):
    source = """
        import signal, time
        def on_sigterm(signum, frame):
            time.sleep(2)
            for part in range(3):
                print("saving", part)  # saving
                time.sleep(1)
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            print("before")
            done = 1  # here
            print("behind")  # behind
            return "done"
    """
    event = deploy(source).invoke_async().run_to(at(source))
    event.terminate(grace_shutdown=True)
    assert user_lines(event) == ["before"]

    event.run_to(at(source, "saving"))
    assert (event.doing, user_lines(event)) == ("gated", ["before"])
    event.run_to(at(source, "saving"))
    assert user_lines(event) == ["before", "saving 0"]
    assert runtime.clock.now == START + timedelta(seconds=3)
    event.run_to(at(source, "behind"))

    assert user_lines(event) == ["before", "saving 0", "saving 1", "saving 2"]
    assert event.wait().duration == timedelta(seconds=5)


def test_what_the_handler_calls_is_seen_from_its_first_line_on(deploy):
    source = """
        import signal, time
        def save():
            saved = 1  # saved
        def on_sigterm(signum, frame):
            save()
            time.sleep(5)
            save()
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            save()
            for row in range(3):
                done = row  # here
            time.sleep(1)
    """
    event = deploy(source).invoke_async().run_to(at(source, "saved", passes=1)).run_to(at(source))
    event.terminate(grace_shutdown=True)

    with pytest.raises(ScfUsageError, match="is past that: it has been there 2 times"):
        event.run_to(at(source, "saved", passes=1))
    event.run_to(at(source, "saved", passes=3))

    assert event.wait().status == "FINISHED"


def test_at_the_first_line_of_a_function_and_of_one_on_one_line(deploy):
    source = """
        import signal
        def on_sigterm(signum, frame):
            print(frame.f_code.co_name, frame.f_lineno)
        def step(row): return row  # one
        def longer(row):
            '''Not this line.'''
            return row  # longer
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for row in range(3):
                step(row)
                longer(row)
    """
    event = deploy(source).invoke_async()

    event.run_to("step").terminate(grace_shutdown=True)
    event.run_to("longer").terminate(grace_shutdown=True)
    event.run_to("step").terminate(grace_shutdown=True)

    expected = [("step", "one"), ("longer", "longer"), ("step", "one")]
    assert user_lines(event) == [f"{name} {line_of(source, mark)}" for name, mark in expected]


def test_a_thread_that_stands_at_a_line_does_not_stop_the_signal_on_the_main_thread(deploy):
    source = """
        import signal, threading
        def work():
            for row in range(100):
                print("row", row)  # here
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("on", threading.current_thread().name))
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return "joined"
    """
    event = deploy(source).invoke_async().run_to(at(source, passes=3))

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["row 0", "row 1", "on MainThread"]
    assert event.doing == "gated"
    assert event.wait().result == "joined"


def test_a_line_of_the_module_where_the_signal_ends_the_init(deploy):
    source = """
        import signal
        def on_sigterm(signum, frame):
            raise RuntimeError("not now")
        signal.signal(signal.SIGTERM, on_sigterm)
        table = {}  # here
        print("not here")
        def main_handler(event, context):
            pass
    """
    event = deploy(source).invoke_async().run_to(at(source))

    event.terminate(grace_shutdown=True)

    assert (event.status, event.status_code) == ("FAILED", 443)
    assert "not here" not in user_lines(event)
    assert f"line {line_of(source)}, in <module>" in str(event.error["errorMessage"])
    assert "pytest_scf_async" not in str(event.error["errorMessage"])


@pytest.mark.repeat
def test_a_signal_that_comes_while_passes_are_counted_and_nothing_stands(deploy, make_runtime):
    source = """
        import signal, time
        class Stop(Exception):
            pass
        def on_sigterm(signum, frame):
            inside = 1  # inside
            raise Stop(frame.f_code.co_name)
        def step(row):
            return row  # step
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            try:
                row = 0
                while True:
                    row = row + 1  # here
                    step(row)
            except Stop as stop:
                print("stopped", stop)  # caught
            time.sleep(1)
            for row in range(3):
                print("row", row)  # after
    """
    runtime = make_runtime(compute_grace=0.02)
    function = deploy(source, to=runtime)
    for number in range(2):
        event = function.invoke_async().run_to(at(source)).run_to(at(source, "step"))
        event.run_to(at(source, passes=40))
        grow_impatient(runtime)
        with pytest.raises(CannotEndError):
            event.settle()
        grow_impatient(runtime, LONG)
        assert event.doing == "computing"
        event.terminate(grace_shutdown=True, when="now")

        assert event.doing == "parked", str(event.log)
        assert user_lines(event)[0] in ("stopped main_handler", "stopped step")
        event.run_to(at(source, "after")).run_to(at(source, "after"))
        assert user_lines(event)[1:] == ["row 0"]
        assert event.wait().status == "FINISHED"
        function.update(environment={"ROUND": str(number)})
