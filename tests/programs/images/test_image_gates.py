"""Gates of events of an image whose program is Python: lines of its log, places in its code, listening for SIGTERM."""

from __future__ import annotations

import signal

import pytest
from image_support import LISTENER, program
from process_support import START, user_lines

from pytest_scf_async.errors import GateNotReachedError, ScfUsageError

WORKS = """
def handle(event, request):
    for number in range(10):
        print("pass", number, flush=True)
        time.sleep(1)
    return "done"
"""


def line_of(source: str, text: str) -> int:
    return 1 + next(number for number, line in enumerate(source.splitlines()) if text in line)


@pytest.mark.parametrize("server", ["HTTPServer", "ThreadingHTTPServer"])
def test_the_program_stands_right_behind_the_line(deploy_in_process, runtime, server):
    event = deploy_in_process(program(WORKS, server=server)).invoke_async()

    event.wait_for_log("pass 3")

    assert event.doing == "gated"
    assert user_lines(event) == [f"pass {number}" for number in range(4)]
    assert (runtime.clock.now - START).total_seconds() == 3
    event.wait_for_log("pass", count=6)
    assert user_lines(event)[-1] == "pass 5"
    assert event.wait().result == "done"


def test_a_line_before_the_program_listens(deploy_in_process):
    event = deploy_in_process("print('loading', flush=True)\n" + program(WORKS)).invoke_async()

    event.wait_for_log("loading")

    assert user_lines(event) == ["loading"]
    assert event.wait().result == "done"


def test_a_line_of_the_program_is_a_place(deploy_in_process):
    source = program(WORKS)
    number = line_of(source, "time.sleep(1)")
    event = deploy_in_process(source).invoke_async()

    event.run_to(f"app.py:{number}#3")

    assert (event.doing, user_lines(event)) == ("gated", ["pass 0", "pass 1", "pass 2"])
    assert event.wait().result == "done"


@pytest.mark.parametrize("server", ["HTTPServer", "ThreadingHTTPServer"])
def test_a_function_of_the_program_is_a_place(deploy_in_process, server):
    event = deploy_in_process(program(WORKS, server=server)).invoke_async()

    event.run_to("handle")

    assert user_lines(event) == []
    assert event.wait().result == "done"


def test_a_method_of_the_program_is_a_place_in_each_event(deploy_in_process):
    function = deploy_in_process(program("def handle(event, request): return 1"))

    for _ in range(2):
        event = function.invoke_async()
        event.run_to("Platform.do_POST")
        assert event.doing == "gated"
        assert event.wait().result == 1


def test_a_line_of_another_file_of_the_image(deploy_in_process, tmp_path):
    function = deploy_in_process("from work import work\n" + program("def handle(event, request): return work()"))
    (tmp_path / "image1" / "work.py").write_text("def work():\n    value = 5\n    return value\n")
    event = function.invoke_async()

    event.run_to("work.py:3")

    assert event.doing == "gated"
    assert event.wait().result == 5


def test_a_place_before_the_program_listens(deploy_in_process):
    event = deploy_in_process("import time\nstarted = time.time()\n" + program(WORKS)).invoke_async()

    event.run_to("app.py:2")

    assert event.doing == "gated"
    assert event.wait().result == "done"


def test_a_place_that_is_not_there(deploy_in_process):
    event = deploy_in_process(program(WORKS)).invoke_async()

    with pytest.raises(ScfUsageError, match=r"run_to\('app\.py:9999'\)"):
        event.run_to("app.py:9999")
    with pytest.raises(ScfUsageError, match="has a function nothing"):
        event.run_to("nothing")
    event.wait()


def test_a_listener_installed_by_the_program_is_met(deploy_in_process):
    event = deploy_in_process(program(LISTENER, server="ThreadingHTTPServer")).invoke_async()

    event.wait_until_listening(signal.SIGTERM)

    assert event.doing == "gated"
    event.terminate(grace_shutdown=True)
    assert event.signals[0].disposition == "handler"
    event.terminate()


def test_a_listener_installed_in_the_event_is_met(deploy_in_process):
    handle = """
    def handle(event, request):
        signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
        print("behind", flush=True)
        time.sleep(5)
        return "done"
    """
    event = deploy_in_process(program(handle)).invoke_async()

    event.wait_until_listening()
    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["handled"]
    assert event.wait().result == "done"
    assert user_lines(event) == ["handled", "behind"]


def test_a_warm_instance_that_listens_already(deploy_in_process):
    function = deploy_in_process(program(LISTENER, server="ThreadingHTTPServer"))
    first = function.invoke_async()
    first.wait_for_log("working")
    first.terminate(grace_shutdown=True)
    first.wait()

    second = function.invoke_async()
    second.wait_until_listening()

    assert (second.doing, user_lines(second)) == ("gated", [])  # before the program receives the event
    second.terminate(grace_shutdown=True)
    assert user_lines(second) == ["signal 15"]
    second.wait_for_log("working")
    second.terminate(grace_shutdown=True)
    assert second.wait().status == "FINISHED"


def test_a_program_that_never_listens_is_reported(deploy_in_process):
    event = deploy_in_process(program(WORKS)).invoke_async()

    with pytest.raises(GateNotReachedError, match=r"user code never called signal\.signal\(signal\.SIGTERM"):
        event.wait_until_listening()


def test_records_of_a_program(deploy_in_process):
    handle = """
    from pytest_scf_async.inside import record
    def handle(event, request):
        record("put", key="a", size=3)
        time.sleep(1)
        record("put", key="b", size=4)
        return 1
    """
    event = deploy_in_process(program(handle, server="ThreadingHTTPServer")).invoke_async().wait()

    assert [(each.name, each.fields) for each in event.records] == [
        ("put", {"key": "a", "size": 3}),
        ("put", {"key": "b", "size": 4}),
    ]
    assert (event.records[1].time - event.records[0].time).total_seconds() == 1


@pytest.mark.parametrize("server", ["HTTPServer", "ThreadingHTTPServer"])
def test_another_event_leaves_the_gate_closed(deploy_in_process, runtime, server):
    function = deploy_in_process(program(WORKS, server=server))
    first, second = function.invoke_async(), function.invoke_async()
    first.run_to("handle")

    second.settle()

    assert (first.doing, second.doing) == ("gated", "parked")
    runtime.wait_all([first, second])
    assert [first.result, second.result] == ["done", "done"]


def test_waits_of_the_program_are_in_the_timeline(deploy_in_process):
    event = deploy_in_process(program(WORKS)).invoke_async().wait()

    lines = [line for line in event.timeline.splitlines() if "sleep(1)" in line]
    assert len(lines) == 10
    assert all("app.py" in line for line in lines)
