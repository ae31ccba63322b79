"""Custom runtimes: a bootstrap in bash asks for its events with curl, on simulated time; and failures of that.

The payload of an event is a line of bash, which the bootstrap runs.
"""

from __future__ import annotations

import socket
import threading
import warnings
import zipfile
from datetime import timedelta

import pytest
from internals import Zygote, event_of, procfs
from process_support import RECEIVED, assert_body, assert_reclaimed_for_good, is_gone, short_log, user_lines

from pytest_scf_async import assert_timed_out
from pytest_scf_async.errors import ScfAsyncWarning, ScfUsageError
from pytest_scf_async.report.cause import likely_cause

# once: a program that is no Python: the same on all Pythons
pytestmark = [
    pytest.mark.once,
    pytest.mark.curl,
]

BASH = """#!/bin/bash
api=http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime
push() { curl -s -d "$2" "$api/invocation/$1"; }

echo "init of $_HANDLER"
eval "$INIT"
curl -s -d ' ' $api/init/ready
while true; do
    event=$(curl -s $api/invocation/next)
    eval "${event:1:-1}"
done
"""
CALLS = (
    ("POST", "init/ready"),
    ("GET", "invocation/next"),
    ("POST", "invocation/response"),
    ("POST", "invocation/error"),
)
READY = "the program must report the end of its init with POST /runtime/init/ready"


@pytest.fixture
def bootstrap(tmp_path, request):
    """Deploy that bootstrap; *init* is a line of bash in its init."""

    def deploy(init="", *, to=None, **options):
        path = tmp_path / "export" / "bootstrap"
        path.parent.mkdir(exist_ok=True)
        path.write_text(BASH)
        path.chmod(0o755)
        runtime = request.getfixturevalue("runtime") if to is None else to
        return runtime.deploy(path.parent, runtime="CustomRuntime", environment={"INIT": init}, **options)

    return deploy


def seconds(event) -> float:
    return event.duration.total_seconds()


def test_two_events_on_one_instance(bootstrap):
    function = bootstrap("sleep 5", handler="shop.export", timeout=700, memory=256)
    fields = "grep -oE '^(request_id|memory_limit_in_mb|time_limit_in_ms): [^[:cntrl:]]+'"
    again = f"curl -s -D - -o /dev/null $api/invocation/next | {fields}"
    order = f"{again}; echo $event; sleep 600; push response 600; echo {{}}"
    event = function.invoke_async(order).wait()

    assert (event.status, event.result, seconds(event)) == ("FINISHED", 600, 605)
    headers = [f"request_id: {event.request_id}", "memory_limit_in_mb: 256", "time_limit_in_ms: 700000"]
    _, init, *lines = short_log(event)
    assert init == "init of shop.export"  # what the init writes comes first
    assert lines == ["INIT 5000ms", *headers, f'"{order}"', "{}", "RESPONSE 600", "END", "REPORT 600000ms"]

    warm = function.invoke_async("sleep 60; push response text").wait()
    assert (warm.result, seconds(warm), warm.instance.pid) == ("text", 60, event.instance.pid)


def test_a_zip_keeps_what_may_be_executed(runtime, tmp_path):
    path = tmp_path / "bootstrap"
    path.write_text(BASH)
    path.chmod(0o755)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        packed.write(path, "bootstrap")
    function = runtime.deploy(tmp_path / "export.zip", runtime="CustomRuntime", handler="shop.export")
    assert function.run("push response $_HANDLER") == "shop.export"


def test_sigterm_comes_at_the_very_second_and_a_trap_runs_when_its_child_has_ended(runtime, bootstrap):
    function = bootstrap("trap 'echo stopping at $SECONDS; stop=1' TERM")
    event = function.invoke_async("until [ $stop ]; do sleep 120; done; push response $SECONDS")
    event.wait_until_listening()
    runtime.clock.advance(600)
    event.terminate(grace_shutdown=True)
    assert event.signals[0].disposition == "handler"
    event.wait()
    assert (event.result, seconds(event)) == (720, 720)
    assert user_lines(event)[1:] == ["stopping at 720"]


@pytest.mark.parametrize("traced", [True, False], ids=["traced", "free-running"])
def test_a_bootstrap_that_dies_leaves_no_curl_behind(bootstrap, traced, monkeypatch):
    with warnings.catch_warnings():
        if not traced:
            monkeypatch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
            warnings.simplefilter("ignore", ScfAsyncWarning)
        function = bootstrap()
    assert function.run("push response 1") == 1
    event = function.invoke_async("sleep 9999 | curl -s -T - $api/invocation/response & echo working; wait")
    event.wait_for_log("working")
    event.settle()
    processes = procfs.descendants_of(event.instance.pid)
    assert {procfs.command_of(pid).split(b"\0")[0] for pid in processes} >= {b"sleep", b"curl"} or not traced

    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert short_log(event)[-4:-2] == [RECEIVED, "ERROR 439"]
    assert all(map(is_gone, processes))
    if traced:
        assert seconds(event) == 0


@pytest.mark.parametrize(
    ("order", "fact", "text"),
    [
        ("push error 'no such row'", "raised", "no such row"),
        ("head -c 7000000 /dev/zero | curl -s --data-binary @- $api/invocation/response", "result too large", None),
    ],
)
def test_an_event_that_fails(bootstrap, order, fact, text):
    event = bootstrap().invoke_async(order).wait()
    if text is None:
        assert event.status_code == 407
    else:
        assert_body(event, statusCode=430, errorCode=1, errorMessage=text)
        assert likely_cause(event_of(event)) == f"the function raised {text}"
    assert (event.status, seconds(event)) == ("FAILED", 0)
    assert_reclaimed_for_good(event, fact)


def test_the_first_answer_counts_and_what_is_no_call_is_reported(bootstrap):
    order = (
        "curl -s -d 1 $api/invocation/$RANDOM >/dev/null; curl -s -d 1 -H 'request_id: x' $api/invocation/response; "
        "curl -s $api/invocation/response >/dev/null; push response 2; push response 3; push error 4; sleep 60; echo up"
    )
    event = bootstrap().invoke_async(order.replace("$RANDOM", "other")).wait()
    assert (event.status, event.result, seconds(event)) == ("FINISHED", 2, 0)
    reported = [
        line.partition("instance  ")[2]
        for line in event.timeline.splitlines()
        if "/runtime/" in line and "instance" in line
    ]
    calls = [f"{method} /runtime/{path}" for method, path in CALLS]
    assert reported == [
        f"POST /runtime/invocation/other is not a call of the runtime API, which has {', '.join(calls)}",
        f"{calls[2]} was ignored: its request_id 'x' is not that of the event, {event.request_id}",
        "GET /runtime/invocation/response was refused: the runtime API has POST /runtime/invocation/response",
        "POST /runtime/invocation/response was ignored: the event already has its answer, and the first one counts",
        "POST /runtime/invocation/error was ignored: the event already has its answer, and the first one counts",
    ]


def test_a_push_before_there_is_an_event_is_ignored(bootstrap):
    event = bootstrap("push response 1").invoke_async("push response 2").wait()
    assert event.result == 2
    assert "was ignored: the program had not requested an event (GET /runtime/invocation/next)" in event.timeline


def test_a_bootstrap_that_never_says_ready_and_waits_for_an_event_nevertheless(bootstrap):
    """No answer is owed to it, so the clock goes on."""
    event = bootstrap("curl -s $api/invocation/next & sleep 9999", init_timeout=30).invoke_async("").wait()
    assert (event.status, event.status_code, seconds(event)) == ("FAILED", 450, 30)
    assert likely_cause(event_of(event)) == f"init took longer than the init timeout of 30 s (deploy(...)); {READY}"


def test_a_bootstrap_that_never_asks_for_its_event(bootstrap):
    init = "curl -s -d ' ' $api/init/ready; sleep 100000"
    event = bootstrap(init, timeout=60).invoke_async("").wait()
    assert_timed_out(event)
    assert seconds(event) == 60


def test_a_bootstrap_that_ends_in_its_init(bootstrap):
    event = bootstrap("exit 3").invoke_async("").wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert "the process ended: exit code 3" in event.timeline


def test_one_that_ends_after_its_answer_has_answered(bootstrap):
    function = bootstrap()
    event = function.invoke_async("push response 1; exit 0").wait()
    assert (event.status, event.result) == ("FINISHED", 1)
    assert event.instance.reclaimed
    assert function.run("push response 2") == 2


def test_forced_termination_and_the_timeout_take_all_processes(runtime, bootstrap):
    function = bootstrap(timeout=300)
    forced, late = [function.invoke_async("echo working; sleep 1000 & sleep 1000; wait") for _ in range(2)]
    runtime.clock.advance(1)
    programs = [event.instance.pid for event in (forced, late)]
    processes = [*programs, *(child for pid in programs for child in procfs.descendants_of(pid))]
    assert len(processes) == 6
    forced.terminate()
    late.wait()
    assert (forced.status_code, seconds(forced)) == (499, 1)
    assert (late.status_code, late.duration) == (433, timedelta(seconds=300))
    assert all(map(is_gone, processes))


def test_it_computes_on_after_its_answer(make_runtime, bootstrap):
    function = bootstrap(to=make_runtime(compute_grace=0.05))
    assert function.run("push response 1; while :; do :; done") == 1


@pytest.mark.parametrize("traced", [True, False], ids=["traced", "free-running"])
def test_a_server_of_the_test_is_found_on_its_loopback(bootstrap, traced, monkeypatch):
    with warnings.catch_warnings(), socket.create_server(("127.0.0.1", 0)) as server:
        if not traced:
            monkeypatch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
            warnings.simplefilter("ignore", ScfAsyncWarning)
        port = server.getsockname()[1]
        function = bootstrap(ports=[port])

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1) == b"?"  # who asks nothing is not waited for, on a busy machine
                connection.sendall(b"hello\n")

        thread = threading.Thread(target=answer)
        thread.start()
        asks = f"exec 7<>/dev/tcp/127.0.0.1/{port}; printf '?' >&7; read -r line <&7; push response $line"
        assert function.run(asks) == "hello"
        thread.join()


# -- update ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path):
    """The directory of other code: a bootstrap whose events see ``$code``, "new"."""
    path = tmp_path / "other" / "bootstrap"
    path.parent.mkdir()
    path.write_text(BASH.replace("\n\n", "\ncode=new\n\n", 1))
    path.chmod(0o755)
    return path.parent


def reports(then=""):
    return f"{then}push response ${{code:-old}},$STAGE,$_HANDLER"


@pytest.mark.parametrize("zipped", [False, True], ids=["a directory", "a zip"])
def test_an_update_of_the_code_with_events_in_flight(bootstrap, runtime, other, tmp_path, zipped):
    """One event sleeps, one is pending, an instance is idle: they keep the code and configuration from before."""
    function = bootstrap("STAGE=first")
    if zipped:
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
            packed.write(other / "bootstrap", "bootstrap")
    sleeps = function.invoke_async(reports("sleep 200; ")).settle()
    idle = function.invoke_async(reports()).wait()
    assert not idle.instance.reclaimed
    pending = function.invoke_async(reports("sleep 60; "))

    function.update(tmp_path / "other.zip" if zipped else other, environment={"INIT": "STAGE=second"}, timeout=700)
    assert idle.instance.reclaimed_because == "function updated"
    new = function.invoke_async(reports("sleep 30; "))
    runtime.wait_all()

    texts = [event.result for event in (idle, sleeps, pending, new)]
    assert texts == ["old,first,index.main_handler"] * 3 + ["new,second,index.main_handler"]
    assert [seconds(event) for event in (sleeps, pending, new)] == [200, 60, 30]
    assert [event.instance.reclaimed_because for event in (sleeps, pending)] == ["function updated"] * 2
    assert new.instance.alive
    assert function.invoke_async(reports()).wait().instance.pid == new.instance.pid
    assert function.configuration.timeout == 700


def test_an_event_that_is_terminated_after_an_update_runs_the_old_code(bootstrap, runtime, other):
    function = bootstrap("trap 'echo stopping ${code:-old}' TERM")
    event = function.invoke_async(reports("sleep 60 & wait; "))
    event.wait_until_listening()
    runtime.clock.advance(10)
    function.update(other)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert (user_lines(event)[1:], event.result.partition(",")[0], seconds(event)) == (["stopping old"], "old", 10)
    assert event.instance.reclaimed_because == "function updated"


def test_an_update_of_the_handler_alone_and_of_code_that_has_changed_in_its_place(bootstrap, other):
    function = bootstrap()
    assert function.run(reports()) == "old,,index.main_handler"
    function.update(handler="shop.export")
    assert (function.run(reports()), function.configuration.handler) == ("old,,shop.export", "shop.export")
    version = function.publish_version()
    function.update(other, handler="shop.other")
    (other / "bootstrap").write_text((other / "bootstrap").read_text().replace("code=new", "code=newer"))
    assert function.run(reports()) == "newer,,shop.other"
    function.update()

    assert function.run(reports()) == "newer,,shop.other"
    assert function.run(reports(), qualifier=version) == "old,,shop.export"


def test_an_update_that_is_refused_leaves_the_code_as_it_was(bootstrap, tmp_path):
    function = bootstrap()
    empty = tmp_path / "empty"
    empty.mkdir()
    for code, words in (
        (str(empty), f"code is {str(empty)!r}, the code of a custom runtime, and there is no {empty}/bootstrap"),
        ("nowhere", "code is 'nowhere', and there is no"),
        (3, r"code is 3 of type int; it must be a code directory or a zip, as the runtime is 'CustomRuntime'"),
    ):
        with pytest.raises(ScfUsageError, match=words):
            function.update(code)

    assert function.run(reports()) == "old,,index.main_handler"
