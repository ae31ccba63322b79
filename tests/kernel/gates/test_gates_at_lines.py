"""``run_to("index.py:7#3")`` and ``run_to("function")``: an event stands before a line, in whatever kind of code."""

from __future__ import annotations

import os
import re
import textwrap
from datetime import timedelta

import pytest
from internals import shown_timeline
from process_support import START, user_lines

from pytest_scf_async.errors import CannotEndError, GateNotReachedError, ScfUsageError

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

LOOP = """
    import time
    def main_handler(event, context):
        for row in range(event.get("rows", 5)):
            print("row", row)  # here
            time.sleep(event.get("pause", 1))
        save("all")
        return "all"
    def save(what):
        # a comment
        print("saved", what)
"""


def at(source: str, mark: str = "here", *, passes: int | None = None) -> str:
    """The place of the line that ends with the comment *mark*."""
    lines = textwrap.dedent(source).splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    return f"index.py:{number}" + ("" if passes is None else f"#{passes}")


@pytest.mark.repeat
def test_an_event_stands_before_the_line(deploy, runtime):
    event = deploy(LOOP).invoke_async()

    event.run_to(at(LOOP))

    assert (event.doing, user_lines(event)) == ("gated", [])
    assert runtime.clock.now == START
    assert event.settle().doing == "parked"
    assert user_lines(event) == ["row 0"]


@pytest.mark.repeat
def test_a_pass_has_a_number_and_is_counted_from_the_first_line_of_the_event(deploy, runtime):
    event = deploy(LOOP).invoke_async()

    event.run_to(at(LOOP, passes=3))

    assert (event.doing, user_lines(event)) == ("gated", ["row 0", "row 1"])
    assert runtime.clock.now == START + timedelta(seconds=2)
    event.run_to(at(LOOP, passes=4))
    assert user_lines(event) == ["row 0", "row 1", "row 2"]
    assert event.wait().result == "all"


def test_without_a_number_it_is_the_next_pass(deploy):
    event = deploy(LOOP).invoke_async()

    for row in range(5):
        event.run_to(at(LOOP))
        assert user_lines(event) == [f"row {before}" for before in range(row)]

    with pytest.raises(GateNotReachedError):
        event.run_to(at(LOOP))
    assert event.result == "all"


def test_where_it_stands_already_is_no_gate(deploy):
    event = deploy(LOOP).invoke_async().run_to(at(LOOP, passes=3))

    event.run_to(at(LOOP, passes=3))

    assert user_lines(event) == ["row 0", "row 1"]


def test_a_pass_that_is_over_is_a_usage_error(deploy):
    event = deploy(LOOP).invoke_async().run_to(at(LOOP, passes=3))

    with pytest.raises(ScfUsageError, match=r"is past that: it has been there 3 times"):
        event.run_to(at(LOOP, passes=2))
    event.settle()
    with pytest.raises(ScfUsageError, match=r"is past that: it has been there 3 times"):
        event.run_to(at(LOOP, passes=3))

    assert event.run_to(at(LOOP, passes=5)).doing == "gated"


def test_a_function_is_a_place_and_so_are_its_calls(deploy):
    source = """
        import time
        def main_handler(event, context):
            for row in range(3):
                save(row)
        def save(row):
            '''The docstring is no line.'''
            print("saving", row)
            while True:
                time.sleep(1)
                print("saved", row)
                break
    """
    event = deploy(source).invoke_async()

    event.run_to("main_handler")
    assert user_lines(event) == []
    event.run_to("save")
    assert user_lines(event) == []
    event.run_to("save#3")

    assert user_lines(event) == ["saving 0", "saved 0", "saving 1", "saved 1"]
    assert event.wait().duration == timedelta(seconds=3)


def test_a_function_whose_first_line_is_the_head_of_its_loop_is_passed_once_a_call(deploy):
    source = """
        def main_handler(event, context):
            for row in range(3):
                drain([1, 2, 3])
                print(row)
        def drain(queue):
            while queue:
                queue.pop()
    """
    event = deploy(source).invoke_async().run_to("drain#2")

    assert user_lines(event) == ["0"]


def test_a_method_is_named_with_its_class(deploy):
    source = """
        class Reader:
            def close(self):
                print("reader")
        class Writer:
            @staticmethod
            def helper(): pass
            @property
            def close(self):
                print("writer")
        def main_handler(event, context):
            Reader().close()
            Writer().close
            Writer.helper()
    """
    event = deploy(source).invoke_async()

    event.run_to("Writer.close")
    assert user_lines(event) == ["reader"]
    event.run_to("Writer.helper")

    assert user_lines(event) == ["reader", "writer"]


def test_a_function_inside_a_function_is_named_with_or_without_it(deploy):
    source = """
        def main_handler(event, context):
            def stop(value):
                print("stop", value)
            for value in range(4):
                stop(value)
    """
    event = deploy(source).invoke_async()

    event.run_to("stop")
    event.run_to("main_handler.stop")
    event.run_to("main_handler.<locals>.stop#3")

    assert user_lines(event) == ["stop 0", "stop 1"]


def test_a_line_of_the_module_is_met_in_the_init(deploy):
    source = """
        print("first")
        table = {}  # here
        print("second")
        def main_handler(event, context):
            return len(table)
    """
    event = deploy(source).invoke_async().run_to(at(source))

    assert user_lines(event) == ["first"]
    assert [line.text.split()[0] for line in event.log] == ["START", "first"]
    assert event.wait().result == 0


def test_the_first_line_of_the_module_can_be_a_gate_and_comes_after_the_gate_of_the_init(deploy):
    source = "print('first')\ndef main_handler(event, context): print('handled')\n"
    event = deploy(source).invoke_async()

    event.run_to("init").run_to("index.py:1#1")
    assert (event.doing, user_lines(event)) == ("gated", [])
    event.run_to("main_handler")

    assert (event.doing, user_lines(event)) == ("gated", ["first"])
    assert event.wait().status == "FINISHED"


def test_a_line_of_another_file_of_the_code_directory(runtime, tmp_path):
    package = tmp_path / "code" / "export" / "rows"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "writer.py").write_text("def write(row):\n    text = str(row)\n    print(text)\n")
    (tmp_path / "code" / "index.py").write_text(
        "from export.rows.writer import write\ndef main_handler(event, context):\n    write(1)\n    write(2)\n"
    )
    event = runtime.deploy(tmp_path / "code", handler="index.main_handler").invoke_async()

    event.run_to("writer.py:3")
    assert user_lines(event) == []
    event.run_to("rows/writer.py:3#2")
    assert user_lines(event) == ["1"]

    assert event.wait().status == "FINISHED"


@pytest.mark.repeat
def test_code_that_is_on_the_stack_already_when_the_gate_is_set(deploy, runtime):
    source = """
        import time
        def main_handler(event, context):
            outer()
            print("back in the handler")  # handler
        def outer():
            inner()
            print("back in outer")  # outer
        def inner():
            time.sleep(10)
            print("slept")  # inner
    """
    event = deploy(source).invoke_async().settle()
    assert event.doing == "parked"

    event.run_to(at(source, "inner"))
    assert (event.doing, user_lines(event)) == ("gated", [])
    assert runtime.clock.now == START + timedelta(seconds=10)
    event.run_to(at(source, "outer"))
    assert user_lines(event) == ["slept"]
    event.run_to(at(source, "handler"))
    assert user_lines(event) == ["slept", "back in outer"]


def test_a_running_loop_is_met_at_its_next_pass_and_not_in_the_middle_of_this_one(deploy):
    source = """
        import time
        def main_handler(event, context):
            for row in range(5):
                print("before", row)
                time.sleep(1)  # here
    """
    event = deploy(source).invoke_async().settle()

    event.run_to(at(source))

    assert user_lines(event) == ["before 0", "before 1"]


def test_a_numbered_pass_of_an_event_that_has_started_is_a_usage_error_unless_it_was_counted(deploy):
    event = deploy(LOOP).invoke_async().settle()

    with pytest.raises(
        ScfUsageError, match=r"has already started, and its passes of index.py:5 were not counted from its first"
    ):
        event.run_to(at(LOOP, passes=3))
    event.run_to("save")

    assert user_lines(event)[-1] == "row 4"


@pytest.mark.repeat
def test_a_warm_instance_has_its_gates_too_and_counts_anew(deploy):
    function = deploy(LOOP)
    first = function.invoke_async().run_to(at(LOOP, passes=2))
    first.wait()

    event = function.invoke_async()
    event.run_to(at(LOOP, passes=3))

    assert user_lines(event) == ["row 0", "row 1"]
    assert not event.instance.cold
    assert event.wait().result == "all"
    third = function.invoke_async({"rows": 2}).run_to("save")
    assert user_lines(third) == ["row 0", "row 1"]


def test_a_warm_instance_that_never_had_a_gate(deploy):
    function = deploy(LOOP)
    function.run()

    event = function.invoke_async().run_to(at(LOOP, passes=2))

    assert (event.doing, user_lines(event)) == ("gated", ["row 0"])


def test_a_gate_left_over_from_one_event_does_not_stop_the_next(deploy):
    function = deploy(LOOP)
    with pytest.raises(GateNotReachedError):
        function.invoke_async({"rows": 2}).run_to(at(LOOP, passes=3))

    assert function.run({"rows": 5}) == "all"


@pytest.mark.repeat
def test_a_line_that_another_thread_comes_to(deploy):
    source = """
        import threading, time
        def work(name):
            for row in range(3):
                time.sleep(1)
                print(name, row)  # here
        def main_handler(event, context):
            threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return "joined"
    """
    event = deploy(source).invoke_async()

    event.run_to(at(source, passes=4))

    assert user_lines(event) == ["a 0", "b 0", "a 1"]
    assert event.wait().result == "joined"


@pytest.mark.repeat
def test_a_thread_that_waits_when_the_gate_is_set(deploy):
    source = """
        import threading, time
        def work():
            time.sleep(5)
            print("worked")  # here
        def main_handler(event, context):
            thread = threading.Thread(target=work)
            thread.start()
            time.sleep(1)
            print("main")
            thread.join()
            return "joined"
    """
    event = deploy(source).invoke_async().wait_for_log("main")

    event.run_to(at(source))

    assert (event.doing, user_lines(event)) == ("gated", ["main"])
    assert event.wait().result == "joined"


def test_a_thread_of_an_earlier_event_that_goes_on_in_a_warm_instance(deploy):
    source = """
        import threading, time
        def work():
            while True:
                time.sleep(3)
                print("tick")  # here
        threading.Thread(target=work, daemon=True).start()
        def main_handler(event, context):
            time.sleep(4)
    """
    function = deploy(source)
    function.run()

    event = function.invoke_async().run_to(at(source))

    assert (event.doing, user_lines(event)) == ("gated", [])


def test_a_generator_is_met_when_it_runs_and_where_it_goes_on(deploy):
    source = """
        import time
        def rows():
            print("first")  # first
            yield 1
            print("second")  # second
            yield 2
        def main_handler(event, context):
            made = rows()
            print("made")
            next(made)
            time.sleep(1)
            next(made)
            try:
                made.throw(KeyError)
            except KeyError:
                print("thrown")
    """
    event = deploy(source).invoke_async()

    event.run_to("rows")
    assert user_lines(event) == ["made"]
    event.settle()
    event.run_to(at(source, "second"))
    assert user_lines(event) == ["made", "first"]
    with pytest.raises(GateNotReachedError):
        event.run_to("rows")


def test_a_generator_that_an_exception_is_thrown_into_while_it_is_suspended(deploy):
    source = """
        import time
        def rows():
            try:
                yield 1
            finally:
                print("closed")  # here
        def main_handler(event, context):
            made = rows()
            next(made)
            time.sleep(1)
            made.close()
    """
    event = deploy(source).invoke_async().settle()

    event.run_to(at(source))

    assert (event.doing, user_lines(event)) == ("gated", [])


@pytest.mark.parametrize(
    ("mark", "before"),
    [("except", ["try"]), ("else", []), ("finally", ["try", "except"]), ("after", ["try", "except", "finally"])],
)
def test_the_blocks_of_a_try_statement(deploy, mark, before):
    source = """
        def main_handler(event, context):
            try:
                print("try")
                1 / 0
            except ZeroDivisionError as error:
                print("except")  # except
            else:
                print("else")  # else
            finally:
                print("finally")  # finally
            print("after")  # after
    """
    event = deploy(source).invoke_async()

    if mark == "else":
        with pytest.raises(GateNotReachedError):
            event.run_to(at(source, mark))
    else:
        event.run_to(at(source, mark))
        assert (event.doing, user_lines(event)) == ("gated", before)


def test_a_statement_over_several_lines_is_passed_once_and_before_any_of_it(deploy):
    source = """
        def note(what):
            print(what)
            return what
        def main_handler(event, context):
            for _ in range(3):
                rows = [  # statement
                    note("element")  # element
                    for row in [note("rows"), 2]
                ]
                print(  # call
                    rows[0],
                    sep="",
                )
    """
    event = deploy(source).invoke_async()

    event.run_to(at(source, "statement", passes=2))
    assert user_lines(event) == ["rows", "element", "element", "element"]
    event.run_to(at(source, "element"))
    assert user_lines(event)[4:] == ["rows"]
    event.run_to(at(source, "element"))
    assert user_lines(event)[4:] == ["rows", "element"]
    event.run_to(at(source, "call"))
    assert user_lines(event)[4:] == ["rows", "element", "element"]
    event.run_to(at(source, "call"))
    assert user_lines(event)[-3:] == ["rows", "element", "element"]
    with pytest.raises(GateNotReachedError):
        event.run_to(at(source, "call"))


@pytest.mark.parametrize(
    "kind", ["[{}]", "{{{}}}", "tuple({})", "{{key: {}}}", "list(map(lambda row: note(row), 'ab'))"]
)
def test_a_comprehension_on_one_line_is_passed_once(deploy, kind):
    body = kind.format("note(row) for row in 'ab'") if "key" not in kind else "{row: note(row) for row in 'ab'}"
    source = f"""
        def note(row):
            print(row)
        def main_handler(event, context):
            for _ in range(2):
                made = {body}  # here
    """
    event = deploy(source).invoke_async()

    event.run_to(at(source))
    assert user_lines(event) == []
    event.run_to(at(source))
    assert user_lines(event) == ["a", "b"]
    with pytest.raises(GateNotReachedError):
        event.run_to(at(source))


def test_the_head_of_a_loop_is_passed_at_each_turn_and_the_end_of_a_with_block_is_no_pass(deploy):
    source = """
        import contextlib
        @contextlib.contextmanager
        def block():
            yield
        def main_handler(event, context):
            for row in range(2):  # for
                with block():  # with
                    print(row)
            while row:  # while
                print("while")
                row -= 1
    """
    event = deploy(source).invoke_async()

    event.run_to(at(source, "with"))
    event.run_to(at(source, "with"))
    assert user_lines(event) == ["0"]
    event.run_to(at(source, "for"))
    assert user_lines(event) == ["0", "1"]
    event.run_to(at(source, "while"))
    event.run_to(at(source, "while"))
    assert user_lines(event) == ["0", "1", "while"]


def test_a_function_on_one_line(deploy):
    source = """
        def note(row): print(row)  # here
        def main_handler(event, context):
            for row in range(4):
                note(row)
    """
    event = deploy(source).invoke_async()

    event.run_to("note")
    assert user_lines(event) == []
    event.run_to("note#3")
    assert user_lines(event) == ["0", "1"]
    event.run_to(at(source))
    assert user_lines(event) == ["0", "1", "2"]


def test_a_line_in_code_that_holds_a_lock_of_its_own(deploy):
    source = """
        import signal, threading, time
        lock = threading.Lock()
        def on_sigterm(signum, frame):
            print("free" if lock.acquire(blocking=False) else "held")
        def work():
            with lock:
                print("working")  # here
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            thread = threading.Thread(target=work)
            thread.start()
            time.sleep(1)
            with lock:
                return "got it"
    """
    event = deploy(source).invoke_async().run_to(at(source))

    event.terminate(grace_shutdown=True)
    assert (event.doing, user_lines(event)) == ("gated", ["held"])

    assert event.wait().result == "got it"


def test_lines_of_a_class_body_and_of_a_decorator(deploy):
    source = """
        def decorate(function):
            print("decorating")
            return function
        class Table:
            print("body")  # body
            @decorate  # decorator
            def method(self):
                print("method")  # method
        def main_handler(event, context):
            Table().method()
    """
    event = deploy(source).invoke_async()

    event.run_to(at(source, "body"))
    assert user_lines(event) == []
    event.run_to(at(source, "decorator"))
    assert user_lines(event) == ["body"]
    event.run_to(at(source, "method"))
    assert user_lines(event) == ["body", "decorating"]


def test_several_gates_at_once_of_several_events(deploy):
    function = deploy(LOOP)
    first, second = function.invoke_async(), function.invoke_async()

    first.run_to(at(LOOP, passes=2))
    assert (first.doing, second.doing) == ("gated", "parked")
    with pytest.raises(ScfUsageError, match="is past that: it has been there once"):
        second.run_to(at(LOOP, passes=1))
    second.run_to(at(LOOP, passes=2))

    assert (first.doing, second.doing) == ("gated", "gated")
    assert user_lines(first) == user_lines(second) == ["row 0"]
    with pytest.raises(CannotEndError, match=rf"event {first.request_id} is stopped at run_to\('index.py:5#2'\)"):
        second.run_to(at(LOOP, passes=3))


def test_gates_at_lines_and_at_the_log_take_turns(deploy):
    event = deploy(LOOP).invoke_async()

    event.run_to(at(LOOP)).wait_for_log("row 1").run_to(at(LOOP)).wait_for_log("row 3").run_to("save")

    assert user_lines(event) == [f"row {row}" for row in range(5)]


def test_a_gate_that_is_never_reached_is_an_error_at_once_with_the_timeline(deploy):
    event = deploy(LOOP).invoke_async()

    with pytest.raises(GateNotReachedError) as refusal:
        event.run_to(at(LOOP, passes=6))

    text = str(refusal.value)
    assert f"event {event.request_id} of index is FINISHED (200) and never reached run_to('index.py:5#6')" in text
    assert text.endswith(f"---\n{shown_timeline(event)}")
    with pytest.raises(GateNotReachedError, match=re.escape("never reached run_to('save')")):
        event.run_to("save")


def test_an_event_that_fails_on_the_way_is_an_error_with_the_stack(deploy):
    event = deploy("""
        def main_handler(event, context):
            1 / 0
            print("not here")
    """).invoke_async()

    with pytest.raises(GateNotReachedError, match=r"(?s)is FAILED \(430\) and never reached.*ZeroDivisionError"):
        event.run_to("index.py:4")


@pytest.mark.parametrize(
    "move",
    [
        lambda runtime: runtime.wait_all(),
        lambda runtime: runtime.clock.advance(100),
        lambda runtime: runtime.clock.move_to(START + timedelta(seconds=100)),
        lambda runtime: runtime.wait_until(lambda: all(event.ended for event in runtime.events), within=100),
    ],
    ids=["wait_all", "advance", "move_to", "wait_until"],
)
def test_calls_that_move_the_clock_for_all_open_all_gates(deploy, runtime, move):
    function = deploy(LOOP)
    first, second = function.invoke_async(), function.invoke_async()
    first.run_to(at(LOOP))
    second.run_to("main_handler")

    move(runtime)

    assert [event.status for event in (first, second)] == ["FINISHED", "FINISHED"]


def test_another_event_may_run_while_one_stands_at_a_line_as_long_as_no_time_has_to_move(deploy):
    function = deploy(LOOP)
    first, second = function.invoke_async(), function.invoke_async()
    first.run_to(at(LOOP))

    second.settle()
    assert (first.doing, second.doing) == ("gated", "parked")
    with pytest.raises(CannotEndError, match=r"is stopped at run_to\('index.py:5'\): call wait\(\), settle\(\)"):
        second.wait()

    first.settle()
    assert second.wait().result == "all"


def test_a_forced_termination_at_a_line_runs_nothing_more(deploy):
    event = deploy(LOOP).invoke_async().run_to(at(LOOP, passes=2))

    event.terminate()

    assert user_lines(event) == ["row 0"]
    assert (event.status, event.status_code) == ("ABORTED", 499)


def test_the_end_of_a_runtime_does_not_wait_for_a_gate(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(LOOP, to=runtime).invoke_async().run_to(at(LOOP))

    runtime.close()

    assert not event.instance.alive


def test_a_handler_that_computes_for_ever_is_stopped_at_a_line_of_its_loop(deploy, make_runtime):
    source = """
        def main_handler(event, context):
            print("begins")
            count = 0
            while True:
                count += 1  # here
    """
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(source, to=runtime).invoke_async()
    deploy("def main_handler(event, context): pass", to=runtime).run()
    assert event.doing == "computing"

    event.run_to(at(source))

    assert event.doing == "gated"
    event.terminate()


@pytest.mark.repeat
@pytest.mark.parametrize("wait", ["subprocess.run(['cat'], stdin=read)", "os.read(read, 1)"])
def test_a_handler_that_waits_for_something_real_when_the_gate_is_set(deploy, tmp_path, wait):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    source = f"""
        import os, subprocess
        def main_handler(event, context):
            read = os.open(event, os.O_RDONLY)
            print("waiting")
            wait(read)
            print("back")
        def wait(read):
            {wait}
            done = 1  # here
    """
    event = deploy(source).invoke_async(str(fifo))
    writer = os.open(fifo, os.O_RDWR)
    event.wait_for_log("waiting").settle()
    assert event.doing == "held"
    os.write(writer, b"x")
    if "cat" in wait:
        os.close(writer)

    event.run_to(at(source))

    assert event.doing == "gated"
    assert "back" not in user_lines(event)
    if "cat" not in wait:
        os.close(writer)


def test_a_child_that_user_code_forks_passes_without_standing(deploy):
    source = """
        import os
        def step():
            return 1  # here
        def main_handler(event, context):
            step()
            pid = os.fork()
            if pid == 0:
                for _ in range(10):
                    step()
                os._exit(7)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            step()
            return code
    """
    event = deploy(source).invoke_async()

    event.run_to(at(source, passes=1))
    event.run_to(at(source, passes=2))

    assert event.doing == "gated"
    assert event.wait().result == 7


def test_nothing_is_loaded_or_set_in_an_instance_that_has_no_such_gate(deploy, make_runtime):
    source = """
        import sys, threading
        def main_handler(event, context):
            print("here")
            tools = [sys.monitoring.get_tool(number) for number in range(6)] if sys.version_info >= (3, 12) else []
            ours = ("gates.bytecode", "sweep.in_instance.part", "gates.lines", "gates.monitoring", "gates.settrace")
            loaded = [name for name in sys.modules if name.endswith(ours)]
            return [sys.gettrace() is None, tools, loaded, repr(sys.settrace), threading.settrace.__module__]
    """
    runtime = make_runtime(preload="json")  # with a zygote of its own: one in whose session there was a sweep has them
    event = deploy(source, to=runtime).invoke_async().wait_for_log("here")

    trace, tools, loaded, settrace, module = event.wait().result

    assert (trace, set(tools) <= {None}, loaded, module) == (True, True, [], "threading")
    assert settrace == "<built-in function settrace>"


def test_what_was_set_for_a_gate_is_gone_in_the_next_event(deploy):
    source = """
        import sys
        def main_handler(event, context):
            tools = [sys.monitoring.get_tool(number) for number in range(6)] if sys.version_info >= (3, 12) else []
            return [sys.gettrace() is None, tools]
    """
    function = deploy(source)
    function.invoke_async().run_to("main_handler").wait()

    trace, tools = function.run()

    assert trace
    assert set(tools) <= {None}
