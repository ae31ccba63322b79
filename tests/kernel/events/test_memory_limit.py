"""The memory limit (434): a handler, its init and its children over it, and those that stay within it."""

from __future__ import annotations

import os
import subprocess
import sys
from unittest.mock import Mock

import pytest
from internals import procfs
from process_support import assert_body, assert_reclaimed_for_good, short_log, user_lines

from pytest_scf_async import ScfAsyncWarning, ScfRuntime
from pytest_scf_async.assertions import assert_failed, assert_finished
from pytest_scf_async.options import ScfSettings

# once: the kernel's side, and the test's: the same on all Pythons
pytestmark = pytest.mark.once

READS_PROC = pytest.mark.sandbox
"""The kernel shows other values there to other readers."""

EATER = """
    import time
    def main_handler(event, context):
        eaten = bytearray(b"x") * (event["mb"] << 20)
        if event.get("free"):
            del eaten
        if "sleep" in event:
            time.sleep(event["sleep"])
        return event["mb"]
"""


def mem_usage(event) -> float:
    """The memory in the last line of the log, in MB."""
    return float(event.log[-1].text.rpartition("MemUsage:")[2].removesuffix("MB"))


def assert_434(event, source: str = r"deploy(...)", limit: int = 128) -> None:
    __tracebackhide__ = True
    assert (event.status, event.status_code) == ("FAILED", 434), str(event.log)
    assert_body(event, errorCode=-1, errorMessage="MemoryLimitReached")
    assert f" than the function's {limit} MB: memory={limit} ({source})" in event.timeline
    assert_reclaimed_for_good(event, "memory exceeded")
    assert mem_usage(event) > limit


@READS_PROC
@pytest.mark.parametrize("free", [False, True])
def test_a_handler_that_uses_too_much_and_waits_ends_at_its_wait(deploy, free):
    event = deploy(EATER, memory=128).invoke_async({"mb": 300, "free": free, "sleep": 3600}).wait()

    assert_434(event)
    assert event.ended_at == event.started_at
    assert short_log(event) == ["START", short_log(event)[1], "ERROR 434", "END", "REPORT 0ms"]
    assert 300 <= mem_usage(event) < 340


@pytest.mark.parametrize("free", [False, True])
def test_a_handler_that_uses_too_much_and_returns_has_no_result(deploy, free):
    event = deploy(EATER, memory=128).invoke_async({"mb": 300, "free": free}).wait()

    assert_434(event)


def test_what_a_handler_does_before_its_next_wait_is_the_same_in_every_run(deploy):
    function = deploy("""
        import time
        def main_handler(event, context):
            eaten = [bytearray(b"x") * (10 << 20) for _ in range(30)]
            print("eaten")
            time.sleep(1)
            print("never")
    """, memory=128)  # fmt: skip

    for event in [function.invoke_async().wait() for _ in range(5)]:
        assert_434(event)
        assert user_lines(event) == ["eaten"]


def test_a_handler_within_its_limit_finishes(deploy):
    function = deploy(EATER, memory=128)

    events = [function.invoke_async({"mb": 100, "sleep": 5}).wait() for _ in range(3)]

    for event in events:
        assert_finished(event, result=100)
        assert 100 <= mem_usage(event) < 128
    assert [event.instance.cold for event in events] == [True, False, False]


@pytest.mark.filterwarnings("ignore:event .* used .* MB and would be FAILED")
def test_without_a_limit_nothing_is_enforced(deploy):
    event = deploy(EATER).invoke_async({"mb": 300, "sleep": 5}).wait()

    assert_finished(event, result=300)
    assert "Memory:128MB MemUsage:3" in event.log[-1].text


ENDS = {
    "finished": (5, lambda event: event.wait()),
    "terminated": (5, lambda event: event.wait_for_log("eaten").terminate()),
    "does not listen": (5, lambda event: event.wait_for_log("eaten").terminate(grace_shutdown=True)),
    "exits": (0, lambda event: event.wait()),
    "timed out": (60, lambda event: event.wait()),
}


@pytest.mark.parametrize("end", ENDS)
def test_more_than_the_default_is_warned_of_as_a_runtime_made_by_hand_closes(tmp_path, end):
    (tmp_path / "index.py").write_text(
        """
import os, time

def main_handler(event, context):
    eaten = bytearray(b"x") * (event["mb"] << 20)
    print("eaten", flush=True)
    if not event["sleep"]:
        os._exit(1)
    time.sleep(event["sleep"])
"""
    )
    sleep, ends = ENDS[end]

    def run(mb: int) -> None:
        runtime = ScfRuntime()
        try:
            function = runtime.deploy(f"{tmp_path}/index.py:main_handler", name="eats", timeout=30)
            ends(function.invoke_async({"mb": mb, "sleep": sleep}))
        finally:
            runtime.close()
        runtime.close()

    run(20)
    with pytest.warns(ScfAsyncWarning, match=r"^event .* of eats used 2\d\d MB and would be FAILED \(434\)") as warned:
        run(250)
    assert [each.filename for each in warned] == [__file__]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_of_the_block_is_not_replaced_by_the_warning(tmp_path, error):
    (tmp_path / "index.py").write_text("def main_handler(event, context): return len(b'x' * (250 << 20))")

    def run(then):
        with ScfRuntime() as runtime:
            runtime.deploy(f"{tmp_path}/index.py:main_handler").run()
            then()

    with pytest.raises(error, match="of the test"):
        run(Mock(side_effect=error("of the test")))
    with pytest.raises(ScfAsyncWarning, match="would be FAILED"):
        run(Mock())


def test_all_runtimes_are_closed_at_the_end_of_the_interpreter_where_warnings_are_errors(tmp_path):
    (tmp_path / "index.py").write_text("def main_handler(event, context): return len(b'x' * (250 << 20))")
    (tmp_path / "tmp").mkdir()
    source = f"""
from pytest_scf_async import ScfRuntime

runtimes = [ScfRuntime() for _ in range(3)]
for runtime in runtimes:
    runtime.deploy("{tmp_path}/index.py:main_handler").run()
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env={**os.environ, "TMPDIR": f"{tmp_path}/tmp"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "would be FAILED (434)" in ran.stderr
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.filterwarnings("ignore:event .* used .* MB and would be FAILED")
def test_what_a_living_child_has_counts_where_the_event_is_terminated(deploy):
    function = deploy(
        """
import os, signal

def main_handler(event, context):
    if not os.fork():
        eaten = bytearray(b"x") * (event << 20)
        print("eaten", flush=True)
        signal.pause()
    os.wait()
"""
    )
    event = function.invoke_async(200).wait_for_log("eaten")
    event.terminate()

    assert 195 < float(event.log[-1].text.rpartition("MemUsage:")[2].removesuffix("MB")) < 230


def test_a_limit_of_the_settings_is_named_as_such(deploy, make_runtime):
    runtime = make_runtime(memory=256)
    event = deploy(EATER, to=runtime).invoke_async({"mb": 300}).wait()

    assert_434(event, "ScfSettings(...)", 256)
    assert ScfSettings().memory is None


@pytest.mark.filterwarnings("ignore:event .* used .* MB and would be FAILED")
def test_a_limit_can_be_updated(deploy):
    function = deploy(EATER, memory=128)
    old = function.invoke_async({"mb": 300, "sleep": 1})
    function.update(memory=512)
    new = function.invoke_async({"mb": 300, "sleep": 1})

    assert_434(old.wait())
    assert_finished(new.wait(), result=300)
    function.update(memory=128)
    assert_434(function.invoke_async({"mb": 300}).wait(), "update(...)")
    function.update(memory=None)
    assert_finished(function.invoke_async({"mb": 300}).wait(), result=300)


@READS_PROC
def test_an_init_that_uses_too_much(deploy):
    waits = deploy("""
        import time
        eaten = bytearray(b"x") * (300 << 20)
        time.sleep(1)
        def main_handler(event, context): return 1
    """, memory=128).invoke_async().wait()  # fmt: skip
    loads = deploy("""
        eaten = bytearray(b"x") * (300 << 20)
        def main_handler(event, context): print("runs")
    """, memory=128).invoke_async().wait()  # fmt: skip

    for event in (waits, loads):
        assert_434(event)
        assert short_log(event)[:3] == ["START", "INIT 0ms", "ERROR 434"]


def test_a_thread_that_uses_too_much_while_the_main_thread_waits(deploy):
    event = deploy("""
        import threading, time
        def eat():
            time.sleep(10)
            eaten = bytearray(b"x") * (300 << 20)
            time.sleep(10)
        def main_handler(event, context):
            threading.Thread(target=eat).start()
            time.sleep(3600)
    """, memory=128).invoke_async().wait()  # fmt: skip

    assert_434(event)
    assert event.duration.total_seconds() == 10


@READS_PROC
def test_a_loop_that_never_waits_is_stopped_by_the_look_at_proc(deploy, make_runtime):
    patient = make_runtime(compute_grace=5)  # else it would be preempted first
    event = deploy("""
        def main_handler(event, context):
            eaten = []
            while True:
                eaten.append(bytearray(b"x") * (1 << 20))
                sum(range(50_000))  # not so fast that it has all of the machine before somebody checks
    """, to=patient, memory=128).invoke_async().wait()  # fmt: skip

    assert_434(event)
    assert mem_usage(event) < 2500
    assert "not repeatable" in event.timeline


CHILD = "x = bytearray(b'x') * (%d << 20); print('there', flush=True); input()"


@READS_PROC
def test_a_child_process_counts(deploy):
    event = deploy(f"""
        import subprocess, sys, time
        def main_handler(event, context):
            child = subprocess.Popen(
                [sys.executable, "-c", {CHILD % 300!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            child.stdout.readline()
            time.sleep(10)
    """, memory=128).invoke_async().wait()  # fmt: skip

    assert_434(event)
    assert "the instance together with 1 child process used more memory (" in event.timeline


def test_a_grandchild_counts_while_the_handler_waits_for_it(deploy):
    grandchild = "x = bytearray(b'x') * (300 << 20); input()"
    event = deploy(f"""
        import subprocess, sys
        def main_handler(event, context):
            child = subprocess.Popen(["/bin/sh", "-c", '"$0" -c "$1"; true', sys.executable, {grandchild!r}],
                                     stdin=subprocess.PIPE)
            child.wait()
    """, memory=128).invoke_async().wait()  # fmt: skip

    assert_434(event)
    assert "together with 2 child processes" in event.timeline


@READS_PROC
def test_what_a_forked_child_shares_with_its_parent_counts_once(deploy, tmp_path):
    os.mkfifo(tmp_path / "go on")
    event = deploy("""
        import os, time
        eaten = bytearray(b"x") * (60 << 20)
        def main_handler(event, context):
            fifo = os.open(event["fifo"], os.O_RDWR)
            for _ in range(4):
                if os.fork() == 0:
                    os.read(fifo, 1)
                    os._exit(0)
            time.sleep(10)
            return "done"
    """, memory=128).invoke_async({"fifo": str(tmp_path / "go on")})  # fmt: skip

    event.settle()
    children = procfs.descendants_of(event.instance.pid)
    assert sum(procfs.memory(pid) for pid in children) > 4 * 60 << 20
    assert event.status == "RUNNING", str(event.log)
    with open(tmp_path / "go on", "wb", buffering=0) as fifo:
        fifo.write(b"x" * 4)

    assert_finished(event.wait(), result="done")
    assert mem_usage(event) < 128


def test_a_child_that_is_gone_does_not_count(deploy):
    event = deploy(f"""
        import subprocess, sys, time
        def main_handler(event, context):
            for _ in range(3):
                child = subprocess.run([sys.executable, "-c", {CHILD % 70!r}], input="x", text=True, check=True,
                                       stdout=subprocess.DEVNULL)
                time.sleep(1)
            return "done"
    """, memory=128).invoke_async().wait()  # fmt: skip

    assert_finished(event, result="done")


def test_the_cause_names_the_limit(deploy):
    event = deploy(EATER, memory=128).invoke_async({"mb": 300}).wait()

    with pytest.raises(AssertionError, match=r"likely cause: the instance used more memory \(MemUsage:3.*128 MB"):
        assert_finished(event)
    assert_failed(event, code=434)


def test_a_signal_makes_no_difference_to_the_limit(deploy):
    event = deploy("""
        import signal, time
        def eat(signum, frame):
            global eaten
            eaten = bytearray(b"x") * (300 << 20)
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, eat)
            time.sleep(100)
    """, memory=128).invoke_async()  # fmt: skip
    event.settle()
    event.terminate(grace_shutdown=True)

    assert_434(event.wait())
    assert event.ended_at == event.started_at
