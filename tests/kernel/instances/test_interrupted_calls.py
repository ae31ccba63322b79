"""A call that is interrupted leaves nothing set: its runtime goes on, or closes, and no descriptor or process stays."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from at_a_line import AtLine, spread
from image_support import program
from internals import Poller, Zygote, event_of, lockstep_of, pool_of
from process_support import eventually, is_gone, preforked_pid, state_of

from pytest_scf_async.errors import HarnessError
from pytest_scf_async.function import Function
from pytest_scf_async.runtime import ScfRuntime

# once: the test's side of a call, the same on all Pythons
pytestmark = pytest.mark.once

SLEEPS = """
    import time
    def main_handler(event, context):
        time.sleep(60)
        return time.time() - 1767225600
"""


def test_an_error_while_it_looks_for_children_leaves_no_driver(
    deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no property would receive any more, and calls of other threads would wait for this one."""
    event = deploy(SLEEPS).invoke_async()

    def fails(*_: object) -> None:
        raise OSError("no descriptor is left")

    with monkeypatch.context() as patch:
        patch.setattr(Poller, "await_ends", fails)
        with pytest.raises(OSError, match="no descriptor is left"):
            event.wait()

    assert lockstep_of(runtime)._driver is None
    assert event.wait().result == 60


CHILD = """
    import signal, subprocess, time
    def main_handler(event, context):
        signal.signal(signal.SIGTERM, lambda *_: None)
        child = subprocess.Popen(["sh", "-c", "echo of the child; read line"], stdin=subprocess.PIPE)
        print("started")
        child.communicate(b"end")
        print("slept")
        time.sleep(60)
        return "slept"
"""
PROGRAM = """
def handle(event, request):
    print("started", flush=True)
    time.sleep(60)
    print("slept", flush=True)
    return "slept"
"""


def descriptors(zygote: Zygote) -> int:
    """How many this process has, with all those of the process that is forked ahead."""
    assert preforked_pid(zygote)
    return len(os.listdir("/proc/self/fd"))


def interrupted(use: Callable[[], object], at: int) -> tuple[int, bool]:
    """Interrupt *use* at that line; gives how many lines there were until it ended, and whether it was interrupted."""
    with AtLine(at, lambda: signal.raise_signal(signal.SIGINT)) as interruption:
        try:
            use()
        except KeyboardInterrupt:
            return interruption.lines, True
    return interruption.lines, False


def cold(runtime: ScfRuntime, function: Function) -> None:
    event = function.invoke_async()
    event.wait_for_log("started")
    event.wait()


def warm(runtime: ScfRuntime, function: Function) -> None:
    function.run()
    cold(runtime, function)


def terminated(runtime: ScfRuntime, function: Function) -> None:
    event = function.invoke_async()
    event.wait_for_log("started")
    event.terminate(grace_shutdown=True)
    if event.status == "RUNNING":
        event.terminate()


def closed(runtime: ScfRuntime, function: Function) -> None:
    function.invoke_async().wait_for_log("started")
    runtime.close()


USES = {"cold": cold, "warm": warm, "terminated": terminated, "closed": closed}
KILLS = int(os.environ.get("SCF_KILLS", "4"))
"""How many lines of each use are tried (``make kills``); they are spread evenly over all that it has. 0: each."""


@pytest.mark.parametrize("kind", ["a child", "a program"])
@pytest.mark.parametrize("use", USES)
def test_ctrl_c_at_any_line_leaves_nothing(deploy, deploy_traced, make_runtime, kind: str, use: str) -> None:
    """No flag, no descriptor and no process: the runtime goes on, and closes."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def round_of(at: int) -> tuple[int, bool, int]:
        runtime = make_runtime()
        function = deploy(CHILD, to=runtime) if kind == "a child" else deploy_traced(program(PROGRAM), to=runtime)
        lines, was_interrupted = interrupted(lambda: USES[use](runtime, function), at)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        pids = [instance.pid for instance in pool_of(runtime).instances]
        if use != "closed":
            lockstep = lockstep_of(runtime)
            assert (lockstep._driver, lockstep._under_way, lockstep.under_way) == (None, 0, {})
            assert (lockstep._dispatching, lockstep._call) == (False, None)
            for instance in pool_of(runtime).instances:
                assert not instance.control.reading
                assert instance.stopped or not instance.output.filled
            for event in runtime.events:
                event.wait()
            assert function.run() == ("slept" if kind == "a child" else function.events[-1].result)
        runtime.close()
        assert eventually(lambda: all(map(is_gone, pids)))
        return lines, was_interrupted, descriptors(zygote)

    zygote = pool_of(make_runtime()).sandboxes.zygote()
    round_of(0)
    lines, was_interrupted, before = round_of(0)
    assert not was_interrupted
    for at in spread(lines, KILLS):
        reached, was_interrupted, after = round_of(at)
        assert was_interrupted or reached < at, f"line {at} of {lines}"
        assert after == before, f"line {at} of {lines}"


def test_a_stop_that_fails_leaves_nothing_that_the_next_call_does_not_undo(
    deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor is left for the look at who writes to its output, whose pipe is full by then."""
    event = deploy(CHILD).invoke_async()
    event.wait_for_log("started")
    instance = event_of(event).instance
    instances = sys.modules["pytest_scf_async.instances.instance"]

    def fails(output: Any, _: object) -> frozenset[int]:
        output.fill()
        raise OSError("no descriptor is left")

    instance.go_on()  # its child may have had to be stopped at the end of that call
    with monkeypatch.context() as patch:
        patch.setattr(instances, "writers_that_wait", fails)
        with pytest.raises(OSError, match="no descriptor is left"):
            instance.stop()
    assert instance.stopped
    assert not instance.control.reading

    assert event.wait().result == "slept"


def test_a_stop_of_a_program_that_is_not_confirmed_is_an_error(
    deploy_traced, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on between calls. Its tracer is stopped, so that it confirms nothing."""
    event = deploy_traced(program(PROGRAM)).invoke_async()
    event.wait_for_log("started")
    instance = event_of(event).instance
    instances = sys.modules["pytest_scf_async.instances.instance"]
    monkeypatch.setattr(instances, "STOP_LIMIT", 0.2)
    instance.go_on()
    instance.signal(signal.SIGSTOP)
    assert eventually(lambda: state_of(instance.pid) == "T")

    with pytest.raises(HarnessError, match=rf"the tracer \(pid {instance.pid}\) of .* within 0\.2 real seconds"):
        instance.stop()

    monkeypatch.setattr(instances, "STOP_LIMIT", 60.0)
    instance.signal(signal.SIGCONT)
    assert event.wait().status == "FINISHED"
