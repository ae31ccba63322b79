"""Images whose program cannot see the simulated clock: it is free-running, and the clock goes with it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from free_ports import free_port
from image_support import program
from internals import Zygote, procfs
from process_support import (
    LONG,
    START,
    assert_body,
    assert_kept,
    assert_reclaimed_for_good,
    eventually,
    grow_impatient,
    short_log,
    state_of,
    user_lines,
)
from program_internals import launch_of

from pytest_scf_async.errors import CannotEndError, GateNotReachedError, ScfAsyncWarning, ScfUsageError

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

BOUND = 20
"""Real seconds within which a program does what it does at once, on a machine however busy."""

WORKS = """
def handle(event, request):
    print("working", flush=True)
    for number in range(event.get("passes", 1000)):
        print("pass", number, flush=True)
        time.sleep(event.get("seconds", 0.01))
    return "done"
"""
ANSWERS = "def handle(event, request): return event"


def real_seconds(since: float) -> float:
    return time.monotonic() - since


# -- what becomes of its events --------------------------------------------------------------------------------------


def test_it_answers_and_its_instance_is_kept(deploy_free):
    function = deploy_free(program(ANSWERS))

    event = function.invoke_async({"a": "ü"}).wait()

    assert (event.status, event.status_code, event.result) == ("FINISHED", 200, {"a": "ü"})
    assert [line.split()[0] for line in short_log(event)] == ["START", "INIT", "RESPONSE", "END", "REPORT"]
    assert_kept(event)
    again = function.invoke_async([1]).wait()
    assert (again.result, again.instance.cold, again.instance.pid) == ([1], False, event.instance.pid)


def test_sys_exit_of_its_main_thread_is_439(deploy_free):
    event = deploy_free(program("def handle(event, request): sys.exit(0)")).invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert_reclaimed_for_good(event, "process exited")


def test_a_result_of_6_mb_and_a_payload_of_128_kb_pass(deploy_free):
    handle = "def handle(event, request): return event['text'] + 'x' * ((6 << 20) - 2 - 131_000)"
    event = deploy_free(program(handle)).invoke_async({"text": "y" * 131_000}).wait()

    assert len(event.result) == (6 << 20) - 2


def test_a_program_that_ends_before_it_listens_is_439(deploy_free):
    event = deploy_free("print('no configuration', flush=True)\nraise SystemExit(2)\n").invoke_async().wait()

    assert (event.status_code, user_lines(event)) == (439, ["no configuration"])
    assert "the process ended: exit code 2" in event.timeline


def test_a_port_that_stays_closed_is_446_at_once_with_advance(deploy_free, runtime):
    began = time.monotonic()
    event = deploy_free("import time\ntime.sleep(1000)\n").invoke_async()

    runtime.clock.advance(30, past_held=True)  # without that it waits for the program to listen

    assert (event.status, event.status_code) == ("FAILED", 446)
    assert real_seconds(began) < BOUND


def test_an_init_timeout_is_real(deploy_free):
    began = time.monotonic()
    event = deploy_free("import time\ntime.sleep(1000)\n", init_timeout=3).invoke_async().wait()

    assert (event.status_code, event.duration) == (450, timedelta(seconds=3))
    assert 2.9 < real_seconds(began) < BOUND


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_a_program_that_listens_on_127_0_0_1_only_is_reported(deploy_free, address):
    event = deploy_free(program(ANSWERS, address=address)).invoke_async().wait()

    assert event.status_code == 446
    assert re.fullmatch(
        r"the program listens on 127\.0\.0\.1:\d+ only, where the platform cannot reach it: it must listen on "
        r"0\.0\.0\.0:\d+ \(document 56051\)",
        event.error["errorMessage"],
    )


def test_a_program_that_hangs_up_and_lives_is_430(deploy_free):
    source = """
        import socket
        listening = socket.create_server(("0.0.0.0", 9000))
        while True:
            listening.accept()[0].close()
    """
    began = time.monotonic()
    event = deploy_free(source).invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 430)
    assert event.error["stackTrace"] == "the program closed the connection of POST /event-invoke without an answer"
    assert real_seconds(began) < 4


# -- what cannot be started ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "#!/no/such/interpreter\n",
            "No such file or directory, though the file is there: the interpreter that it names is not",
            id="an interpreter that is not there",
        ),
        pytest.param(
            "\x7fELFnothing",
            "Exec format error: it is neither a program for this machine nor a script with a #! line",
            id="ELF",
        ),
        pytest.param(
            "", "Exec format error: it is neither a program for this machine nor a script with a #! line", id="empty"
        ),
    ],
)
def test_a_command_that_cannot_be_started_is_445(deploy_free, tmp_path, text, said):
    (tmp_path / "serve").write_text(text)
    (tmp_path / "serve").chmod(0o755)
    event = deploy_free("", command=[f"{tmp_path}/serve"]).invoke_async().wait()

    assert (event.status, event.status_code) == ("FAILED", 445)
    assert_body(event, errorCode=-1, errorMessage=f"{tmp_path}/serve: {said}")
    assert_reclaimed_for_good(event, "not started")


def test_a_file_that_may_not_be_run_is_445(deploy_free, tmp_path):
    (tmp_path / "serve").write_text("#!/bin/sh\n")
    event = deploy_free("", command=[f"{tmp_path}/serve"]).invoke_async().wait()

    assert (event.status_code, event.error["errorMessage"]) == (
        445,
        f"{tmp_path}/serve: Permission denied: it may not be executed (chmod +x)",
    )


# -- real time -------------------------------------------------------------------------------------------------------


def test_its_duration_is_that_of_real_time(deploy_free):
    began = time.monotonic()
    event = deploy_free(program(WORKS)).invoke_async({"passes": 1, "seconds": 0.5}).wait()

    assert event.result == "done"
    assert 0.5 <= event.duration.total_seconds() <= real_seconds(began) + 0.1
    assert real_seconds(began) < BOUND


def test_the_clock_goes_on_between_calls_and_catches_up(deploy_free, runtime):
    event = deploy_free(program(WORKS)).invoke_async({"seconds": 60})
    event.wait_for_log("pass 0")
    event.settle()
    before, began = runtime.clock.now, time.monotonic()
    while real_seconds(began) < 0.3:  # the test does something of its own
        pass

    event.terminate()
    later = runtime.clock.now
    runtime.clock.advance(0)

    assert before <= later <= runtime.clock.now
    assert event.status == "ABORTED"


def test_advance_brings_its_timeout_on_at_once(deploy_free, runtime):
    event = deploy_free(program(WORKS), timeout=3_600).invoke_async({"seconds": 10_000})
    event.wait_for_log("pass 0")
    began = time.monotonic()

    runtime.clock.advance(3_600)

    assert (event.status, event.status_code) == ("FAILED", 433)
    assert 3_600 <= event.duration.total_seconds() < 3_600 + BOUND
    assert real_seconds(began) < BOUND


def test_its_timeout_comes_in_real_time(deploy_free):
    began = time.monotonic()
    event = deploy_free(program(WORKS), timeout=1).invoke_async({"seconds": 10_000}).wait()

    assert event.status_code == 433
    assert 0.9 < real_seconds(began) < BOUND
    assert short_log(event)[-1] == "REPORT 1000ms"


def test_a_lockstep_instance_beside_it_sleeps_in_real_time(deploy_free, deploy, runtime):
    beside = deploy("def main_handler(event, context):\n    import time\n    time.sleep(0.5)\n    return 1")
    free = deploy_free(program(WORKS)).invoke_async({"seconds": 10_000})
    free.wait_for_log("pass 0")
    free.settle()
    began = time.monotonic()

    event = beside.invoke_async().wait()

    assert event.duration == timedelta(seconds=0.5)
    assert real_seconds(began) > 0.4
    assert free.status == "RUNNING"
    free.terminate()


# -- gates -----------------------------------------------------------------------------------------------------------


def stands_still(pid: int) -> bool:
    """It is stopped, or waits for room in its output: nobody reads that before it goes on, and so it is not stopped."""
    if state_of(pid) == "T":
        return True
    write = {"aarch64": b"64"}.get(platform.machine(), b"1")
    return state_of(pid) == "S" and procfs.system_call_of(pid, str(pid))[:1] == [write]


def test_one_that_prints_all_the_time_stands_still_in_a_write(deploy_free):
    event = deploy_free(program(WORKS)).invoke_async({"seconds": 0, "passes": 1_000_000})

    event.wait_for_log("pass 3")

    assert event.doing == "gated"
    assert eventually(lambda: stands_still(event.instance.pid))
    event.terminate()


def test_a_line_that_the_test_waits_for_stops_it(deploy_free):
    event = deploy_free(program(WORKS)).invoke_async()

    event.wait_for_log("pass 3")

    assert event.doing == "gated"
    assert eventually(lambda: stands_still(event.instance.pid))
    seen = len(event.log)
    assert [line for line in user_lines(event) if line == "pass 3"] == ["pass 3"]
    event.wait_for_log("pass 10")
    assert len(event.log) > seen
    event.terminate()


def test_a_line_that_it_never_writes_is_reported(deploy_free):
    event = deploy_free(program(ANSWERS)).invoke_async()

    with pytest.raises(GateNotReachedError, match=r"is FINISHED \(200\) and never reached wait_for_log\('nothing'\)"):
        event.wait_for_log("nothing")


def test_run_to_init_stands_before_it_is_started(deploy_free):
    event = deploy_free(program(ANSWERS)).invoke_async([1])

    event.run_to("init")

    assert (event.doing, user_lines(event)) == ("gated", [])
    assert event.wait().result == [1]


def test_what_cannot_be_known_of_it_says_what_to_use_instead(deploy_free):
    event = deploy_free(program(WORKS)).invoke_async()

    with pytest.raises(ScfUsageError, match=r"a free-running program, where that cannot be known; have the program "):
        event.wait_until_listening()
    with pytest.raises(ScfUsageError, match=r"run_to\('app\.py:3'\).*use run_to\('init'\), or wait_for_log"):
        event.run_to("app.py:3")
    assert event.status == "RUNNING"
    event.terminate()


def test_what_it_is_doing(deploy_free):
    event = deploy_free(program(WORKS)).invoke_async({"seconds": 10_000})
    assert event.doing == "pending"

    event.settle()

    assert (event.doing, event.instance.doing) == ("free-running", "free-running")
    event.terminate()
    assert event.instance.doing == "ended"


def test_a_call_that_cannot_end_says_that_it_is_free_running(deploy_free, runtime):
    event = deploy_free(program(WORKS), to=runtime).invoke_async({"seconds": 10_000}).settle()
    grow_impatient(runtime, LONG, real_limit=0.5)

    with pytest.raises(CannotEndError) as raised:
        event.wait()

    text = str(raised.value)
    assert f"event {event.request_id} of app is free-running" in text
    assert "sees real time: its waits cannot be seen from outside" in text
    assert "What to do: scf_clock.advance(86400) takes it to its timeout at once; terminate() ends it." in text
    event.terminate()


# -- SIGTERM ---------------------------------------------------------------------------------------------------------


@pytest.mark.repeat
def test_the_signal_ends_a_program_that_does_not_listen(deploy_free):
    event = deploy_free(program(WORKS)).invoke_async({"seconds": 10_000})
    event.wait_for_log("pass 0")

    event.terminate(grace_shutdown=True)

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert event.signals[0].disposition == "default"
    assert "the process ended: killed by SIGTERM (signal 15)" in event.timeline
    assert_reclaimed_for_good(event, "process exited")


def test_a_program_that_ignores_it_goes_on(deploy_free):
    source = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def handle(event, request):
        print("working", flush=True)
        for _ in range(20):
            time.sleep(0.01)
        return "stopped"
    """
    event = deploy_free(program(source)).invoke_async()
    event.wait_for_log("working")

    event.terminate(grace_shutdown=True)

    assert (event.status, event.signals[0].disposition) == ("RUNNING", "ignored")
    assert event.wait().result == "stopped"


def test_a_signal_before_it_is_started_is_not_received(deploy_free):
    event = deploy_free(program(ANSWERS)).invoke_async()
    event.run_to("init")

    event.terminate(grace_shutdown=True)

    assert event.wait().status == "FINISHED"
    assert event.signals[0].received is False


def test_the_signal_goes_to_the_main_process_alone(deploy_free, tmp_path):
    child = "import signal, sys, time; print('child', flush=True); time.sleep(1000)"
    handle = f"""
    import subprocess
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"caught\\n"))
    def handle(event, request):
        child = subprocess.Popen([sys.executable, "-c", {child!r}])
        print("started", child.pid, flush=True)
        while event:
            time.sleep(0.05)
            print("the child lives" if child.poll() is None else "the child is gone", flush=True)
    """
    event = deploy_free(program(handle, server="ThreadingHTTPServer")).invoke_async([1])
    event.wait_for_log(re.compile("^child$"))
    event.wait_for_log("the child lives")

    event.terminate(grace_shutdown=True)
    event.wait_for_log("caught")
    lives = sum(line == "the child lives" for line in user_lines(event))
    event.wait_for_log("the child", count=lives + 2)

    assert "the child is gone" not in user_lines(event)
    event.terminate()
    assert event.status == "ABORTED"


def test_what_it_started_goes_with_it(deploy_free, tmp_path):
    handle = """
    import subprocess
    def handle(event, request):
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        print("started", child.pid, flush=True)
        time.sleep(1000)
    """
    event = deploy_free(program(handle)).invoke_async()
    event.wait_for_log("started")

    event.terminate()  # the fixture checks that no process is left

    assert event.status == "ABORTED"


# -- other languages -------------------------------------------------------------------------------------------------


def test_a_shell_script_is_a_program(deploy_free, tmp_path):
    port = free_port()
    script = tmp_path / "serve"
    script.write_text(f"#!/bin/sh\necho from the shell\nexec {sys.executable} -I app.py\n")
    script.chmod(0o755)
    source = program(ANSWERS).replace("9000", str(port))
    event = deploy_free(source, command=[str(script)], port=port).invoke_async([1]).wait()

    assert (event.result, user_lines(event)) == ([1], ["from the shell"])


def test_a_program_of_the_path_is_found(deploy_free):
    port = free_port()
    source = program(ANSWERS).replace("9000", str(port))
    command = ["sh", "-c", f"echo from sh; exec {sys.executable} -I app.py"]
    event = deploy_free(source, command=command, port=port).invoke_async([1]).wait()

    assert (event.result, user_lines(event)) == ([1], ["from sh"])


# -- its start -------------------------------------------------------------------------------------------------------


def starts_for(seconds: float) -> str:
    return f"import time\nprint('starts', flush=True)\ntime.sleep({seconds})\n" + program(ANSWERS)


@pytest.mark.parametrize("delay", [0.001, 0.01, 0.05])
@pytest.mark.parametrize(("grace", "end"), [(False, ("ABORTED", 499)), (True, ("FAILED", 439))])
def test_it_is_terminated_while_it_starts(deploy_free, make_runtime, grace, end, delay):
    runtime = make_runtime(real_timeout=BOUND)
    event = deploy_free(starts_for(1_000), to=runtime).invoke_async()
    runtime.clock.advance(delay)  # real time, as nothing jumps past a start
    before = time.monotonic()
    event.terminate(grace_shutdown=grace)
    event.wait()

    assert (event.status, event.status_code) == end
    assert real_seconds(before) < BOUND / 2
    assert eventually(lambda: not event.instance.alive)


def test_a_call_that_moves_no_clock_takes_the_time_of_its_start(deploy_free, runtime):
    event = deploy_free(starts_for(0.5), timeout=1).invoke_async([1])
    event.settle()

    assert runtime.clock.now - START >= timedelta(seconds=0.5)
    assert event.wait().result == [1]
    assert re.search(r"Coldstart: (5\d\d|[6-9]\d\d|\d{4,})ms", str(event.log))


def test_its_time_to_start_ends_in_a_call_that_moves_no_clock(deploy_free):
    event = deploy_free(starts_for(1_000), init_timeout=3).invoke_async()
    event.settle()

    assert (event.status, event.status_code, event.duration) == ("FAILED", 450, timedelta(seconds=3))


# -- its port --------------------------------------------------------------------------------------------------------


SECOND = """
import sys
from datetime import datetime, timezone
from pytest_scf_async import ScfRuntime, ScfSettings

with ScfRuntime(ScfSettings(start=datetime(2026, 3, 1, tzinfo=timezone.utc), sandbox="none")) as runtime:
    print("deployed", flush=True)
    function = runtime.deploy_image(["python", "-I", "app.py"], cwd=sys.argv[1], port=int(sys.argv[2]))
    print(function.invoke_async({"who": "second"}).wait().result, flush=True)
"""


@pytest.mark.sandbox
def test_in_another_process_it_starts_when_the_port_is_its_own(deploy_free, make_runtime, tmp_path):
    function = deploy_free(
        program("""
        def handle(event, request):
            print("working", flush=True)
            while event["who"] == "first":
                time.sleep(0.01)
            return event["who"]
        """),
        to=make_runtime(sandbox="none"),
    )
    first = function.invoke_async({"who": "first"}).wait_for_log("working")
    port = launch_of(function).port
    command = [sys.executable, "-W", "ignore", "-c", SECOND, str(tmp_path / "image1"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "deployed\n"
        assert eventually(lambda: waited_for(port))
        first.terminate()
        assert other.stdout.readline() == "second\n"  # and not what the first one's program prints
        assert other.wait(BOUND) == 0


def waited_for(port):
    with open("/proc/net/unix") as file:  # the socket that claims it, and that of a connection to it
        return file.read().count(f"@pytest-scf-async-port-{port}\n") == 2


# -- what is reported about it ---------------------------------------------------------------------------------------


def test_that_it_is_free_running_is_said_once(deploy_image, tmp_path, monkeypatch):
    monkeypatch.setattr(Zygote, "why_untraced", lambda _: str(tmp_path))  # no other test has the same

    with pytest.warns(ScfAsyncWarning) as reported:
        deploy_image("")
    deploy_image("")

    (warning,) = reported
    assert str(warning.message) == (
        f"programs cannot be traced on this machine ({tmp_path}): its instances are free-running: they see real time, "
        "and their waits take as long as they take; in_process=True puts a Python program of one process on "
        "simulated time"
    )
    assert warning.filename == str(Path(__file__).parents[2] / "conftest.py")


@pytest.mark.sandbox
def test_without_a_network_of_its_own_it_runs_one_instance_at_a_time(deploy_free, make_runtime):
    function = deploy_free(program(WORKS), to=make_runtime(sandbox="none"))
    first = function.invoke_async({"seconds": 10_000}).settle()
    second = function.invoke_async()

    with pytest.raises(
        ScfUsageError,
        match=r"port \d+ of this machine is in use by another instance, and an instance of app has no network of its "
        r"own \(no namespaces: .*\): such programs run one instance at a time, each until it is reclaimed; end the "
        r"event of that one and advance the clock past idle_reclaim, or give this program another port=",
    ):
        second.settle()
    first.terminate()
    assert function.invoke_async({"passes": 1}).wait().result == "done"


def test_no_descriptor_of_the_harness_reaches_it(deploy_free):
    handle = """
    def handle(event, request):
        paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return sorted(os.readlink(path) for path in paths if os.path.lexists(path))
    """
    event = deploy_free(program(handle)).invoke_async().wait()

    kinds = [name.partition(":")[0] for name in event.result]
    assert "/dev/null" in kinds
    assert kinds.count("pipe") == 2, event.result  # stdout and stderr
    assert kinds.count("socket") <= 2, event.result  # its listening one and the connection
    assert not [name for name in event.result if "memfd" in name or "clock" in name]


def test_versions_are_run_as_they_were(deploy_free, tmp_path):
    function = deploy_free(program("def handle(event, request): return 1"))
    version = function.publish_version()
    app = tmp_path / "image1" / "app.py"
    app.write_text(app.read_text().replace("return 1", "return 2"))

    assert function.invoke_async(qualifier=version).wait().result == 1
    function.publish_version()
    assert os.path.exists(app)
