"""``event.stop()``: a graceful termination, the wait, and what has to be true of the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.errors import ScfApiError, ScfUsageError
from pytest_scf_async.scripted import finished, running_for

pytestmark = pytest.mark.leases

HANDLER = """
    import os, signal, time
    stopping = False
    def listener(signum, frame):
        global stopping
        stopping = True
        {listener}
    def main_handler(event, context):
        global stopping
        stopping = False
        {install}
        for _ in range(4):
            try:
                time.sleep(10)
            except OSError as error:
                print("caught", error)
            if stopping:
                return "stopped"
        return "done"
"""
SERVER = """
    import signal, time
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Platform(BaseHTTPRequestHandler):
        def do_POST(self):
            time.sleep(3600)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'"done"')
    def exits(signum, frame):
        raise SystemExit(0)
    signal.signal(signal.SIGTERM, {listener})
    HTTPServer(("0.0.0.0", 9000), Platform).serve_forever()
"""
EXITED = "expected FINISHED (200); found FAILED (439: User process exit when running)"


def handler(listener: str = "pass", *, install: str = "signal.signal(signal.SIGTERM, listener)") -> str:
    return HANDLER.format(listener=listener, install=install)


@pytest.fixture
def work(deploy, runtime):
    """Invoke the text of a handler, and let it work for 25 seconds: it may end 5 seconds later."""

    def invoked(source: str):
        event = deploy(source).invoke_async()
        runtime.clock.advance(25)
        return event

    return invoked


def refusal(event, *arguments: object, **keywords: object) -> str:
    """The first line of the failure; the others name the event, and have its timeline with the SIGTERM."""
    with pytest.raises(AssertionError) as failed:
        event.stop(*arguments, **keywords)
    first, named, *more = str(failed.value).splitlines()
    assert named == f"event: {event.request_id} of {event.function_name}"
    assert any(line.startswith("--- timeline, in simulated time from ") for line in more)
    assert any("SIGTERM sent" in line for line in more)
    return first


def test_an_event_that_finishes_is_given_back(work, runtime):
    event = work(handler())

    assert event.stop() is event
    assert (event.status, event.result) == ("FINISHED", "stopped")
    assert [signal.disposition for signal in event.signals] == ["handler"]
    assert runtime.clock.now == START + timedelta(seconds=30)


def test_an_event_of_which_nothing_has_run_is_started_first(deploy):
    event = deploy(handler()).invoke_async()
    assert event.stop().result == "stopped"
    assert event.duration == timedelta(seconds=10)


@pytest.mark.parametrize("within", [5, 5.0, timedelta(seconds=5)])
def test_just_in_time(work, within):
    assert work(handler()).stop(within).status == "FINISHED"


def test_too_late(work):
    found = refusal(work(handler()), 4.9)
    assert found == "expected the event to end within 4.9 s of SIGTERM; found FINISHED (200), 5 s after it"


def test_code_that_does_not_listen(work):
    assert refusal(work(handler(install="pass"))) == EXITED


def test_code_that_ignores_the_signal_and_finishes_by_itself(work):
    found = refusal(work(handler(install="signal.signal(signal.SIGTERM, signal.SIG_IGN)")))
    assert found.startswith("expected the SIGTERM handler to run; ")
    assert found.endswith("; found that SIGTERM was ignored by the process")


def test_a_listener_that_raises_what_the_handler_catches(work):
    event = work(handler('raise OSError("full")'))

    assert event.stop(within=0).result == "stopped"
    assert event.signals[0].raised == "OSError: full"
    assert [line.text for line in event.log if line.source == "Custom"] == ["caught full"]


def test_a_listener_that_raises_what_nobody_catches(work):
    found = refusal(work(handler('raise ValueError("row")')))
    assert found.startswith("expected FINISHED (200); found FAILED (430: ")


@pytest.mark.parametrize(("listener", "install"), [("os._exit(0)", None), ("raise SystemExit(0)", None), ("", "pass")])
def test_an_exit_is_right_only_where_the_test_says_so(work, listener, install):
    source = handler(listener) if install is None else handler(install=install)

    assert refusal(work(source)) == EXITED
    assert work(source).stop(exit_ok=True).status_code == 439


def advice(event, *arguments: object, **keywords: object) -> list[str]:
    """The likely cause and what to do, as the failure says."""
    with pytest.raises(AssertionError) as failed:
        event.stop(*arguments, **keywords)
    return [line for line in str(failed.value).splitlines() if line.startswith(("likely cause: ", "what to do: "))]


def test_a_wait_that_nothing_ends_is_named_and_the_advice_helps(work):
    cause, cure = advice(work(handler()), within=4)
    assert cause.endswith(
        "SIGTERM handler returned, but the work stayed in `sleep(10)` on index.py:14 until that wait was over"
    )
    assert "such as threading.Event.wait(60) with event.set() in the handler, or allow more time" in cure
    assert work(handler()).stop(within=5).result == "stopped"

    waits = handler("stop.set()").replace("stopping = False", "import threading; stop = threading.Event()", 1)
    assert work(waits.replace("time.sleep(10)", "stop.wait(10)")).stop(within=0).result == "stopped"


def test_a_function_that_returned_late_is_said_to_have_waited_and_not_to_have_carried_on(work):
    """Whether it did all of its work or ended early is not known; here it checks a flag, but too seldom."""
    once_a_pass = (
        handler()
        .replace("for _ in range(4):", "for _ in range(9):")
        .replace("                time.sleep(10)", "                for _ in range(5): time.sleep(5)")
    )
    once_a_pass = once_a_pass.replace('            return "stopped"', '            time.sleep(10); return "stopped"')
    cause, cure = advice(work(once_a_pass), within=20)
    assert cause.endswith(
        "the SIGTERM handler returned, and the event ended 35 s after SIGTERM: until then it waited 5 times in "
        "`sleep(5)` on index.py:14 and in `sleep(10)` on index.py:18"
    )
    assert cure.startswith("what to do: return sooner after SIGTERM: shorten the waits that come after it, or wait in")

    cause, cure = advice(work(handler("stopping = False")), within=14)
    assert cause.endswith(
        "the SIGTERM handler returned, and the event ended 15 s after SIGTERM: until then it waited twice in "
        "`sleep(10)` on index.py:14"
    )
    assert cure.startswith("what to do: set a flag in the SIGTERM handler, check it in the work after each wait, and")


def test_a_listener_that_takes_no_arguments(work):
    cause, cure = advice(work(handler().replace("def listener(signum, frame)", "def listener()")))
    assert "raised TypeError: listener() takes 0 positional arguments but 2 were given" in cause
    assert (
        cure
        == "what to do: have the SIGTERM handler take the two arguments that Python passes: def stop(signum, frame)"
    )


def test_a_listener_that_another_thread_was_to_install(work):
    install = "import threading; load = lambda: signal.signal(signal.SIGTERM, listener); "
    install += "thread = threading.Thread(target=load, name='loader'); thread.start(); thread.join()"
    event = work(handler(install=install))
    cause, cure = advice(event)
    assert "Python refused signal.signal at index.py:11 in loader, which only the main thread may call" in cause
    assert "so SIGTERM ended the process" in cause
    assert "in the main thread" in cure
    assert "in loader was refused: only the main thread may call it" in event.timeline


def test_an_exit_that_comes_too_late(work):
    found = refusal(work(handler("time.sleep(31); os._exit(0)")), exit_ok=True)
    end = EXITED.partition("; ")[2]
    assert found == f"expected the event to end within 30 s of SIGTERM; {end}, 31 s after it"


def test_other_failures_are_wrong_with_exit_ok_too(work):
    found = refusal(work(handler('raise ValueError("row")')), exit_ok=True)
    assert found.startswith("expected FINISHED (200); found FAILED (430: ")


def test_with_exit_ok_it_may_finish_as_well(work):
    assert work(handler()).stop(exit_ok=True).status == "FINISHED"


def test_an_image_that_exits(deploy_traced):
    function = deploy_traced(SERVER.format(listener="exits"))

    assert refusal(function.invoke_async().settle()) == EXITED
    assert function.invoke_async().settle().stop(exit_ok=True).status_code == 439


def test_of_an_image_only_its_end_counts(deploy_traced, runtime):
    event = deploy_traced(SERVER.format(listener="signal.SIG_IGN")).invoke_async()
    runtime.clock.advance(3590)
    assert event.stop().result == "done"


@pytest.mark.go
def test_a_go_program_that_exits(runtime):
    function = runtime.deploy("go", runtime="Go1")
    first, second = (function.invoke_async({"do": "exit at SIGTERM"}).settle() for _ in range(2))

    assert refusal(first) == EXITED
    assert second.stop(exit_ok=True).status_code == 439


@pytest.mark.go
def test_a_go_program_that_returns(runtime):
    event = runtime.deploy("go", runtime="Go1").invoke_async({"do": "return at SIGTERM"}).wait_for_log("working")
    assert event.stop().result == "stopped"


def test_a_scripted_event_is_refused_and_goes_on(runtime):
    event = runtime.deploy_scripted("export", [running_for(60), finished()]).invoke_async().settle()
    with pytest.raises(ScfUsageError, match=r"is scripted, .*: stop\(\) does not apply; terminate\(\)"):
        event.stop()
    assert (event.status, event.signals) == ("RUNNING", [])


def test_an_event_that_has_ended(work):
    event = work(handler()).wait()
    with pytest.raises(ScfApiError, match=r"FailedOperation\.AsyncEventStatus"):
        event.stop()


@pytest.mark.parametrize("within", [-1, "30", None, float("nan")])
def test_what_is_no_time_is_refused_before_anything_happens(work, within):
    event = work(handler())
    with pytest.raises(ScfUsageError, match=r"stop\(within\)"):
        event.stop(within)
    assert (event.status, event.signals) == ("RUNNING", [])
