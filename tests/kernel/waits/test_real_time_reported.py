"""Waits that stay real are reported: in the timeline, and in the error of a call that cannot end for them."""

from __future__ import annotations

import os

import pytest
from internals import remarks_of
from process_support import grow_impatient

from pytest_scf_async import CannotEndError

CLOCK_NANOSLEEP = """
import ctypes, time

class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]

libc = ctypes.CDLL(None)

def sleep_in_c(seconds):
    libc.clock_nanosleep(time.CLOCK_MONOTONIC, 0, ctypes.byref(Timespec(seconds, 0)), None)

def main_handler(event, context):
    began = time.time()
    sleep_in_c(event)
    return time.time() - began
"""


def notes(event) -> list[str]:
    return remarks_of(event, "simulated")


@pytest.mark.repeat
def test_a_sleep_of_code_in_c_is_in_the_timeline_once(deploy) -> None:
    listens = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: print('interrupted'))\n"
    event = deploy(listens + CLOCK_NANOSLEEP.replace("    return", "    sleep_in_c(event)\n    return")).invoke_async(
        1000
    )
    reported = ["in clock_nanosleep(), a real-time sleep in C code: no simulated time passes in it"]

    event.settle()

    assert notes(event) == reported
    event.terminate(grace_shutdown=True)  # the first sleep ends with the signal, and it settles in the second
    assert "interrupted" in str(event.log)
    assert event.status == "RUNNING"
    assert notes(event) == reported


def test_a_call_that_cannot_end_for_a_sleep_of_code_in_c_names_it(deploy, runtime) -> None:
    event = deploy(CLOCK_NANOSLEEP).invoke_async(1000).settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    text = str(caught.value)
    assert "thread 'MainThread' is in clock_nanosleep(), a real-time sleep in C code, most recent call first:" in text
    assert "index.py:10 in sleep_in_c" in text
    assert (
        'What to do: a wait in C code takes real time: deploy(..., children="simulated") has all that the function '
        "does wait on simulated time." in text
    )


def test_a_fake_by_before_init_puts_such_a_sleep_on_simulated_time(deploy, tmp_path) -> None:
    (tmp_path / "fakes.py").write_text(
        "import ctypes, time\n"
        "class Libc:\n"
        "    def clock_nanosleep(self, clock, flags, wanted, rest):\n"
        "        time.sleep(wanted._obj.seconds)\n"
        "def install():\n"
        "    ctypes.CDLL = lambda name: Libc()\n"
    )
    event = deploy(CLOCK_NANOSLEEP, before_init=f"{tmp_path}/fakes.py:install").invoke_async(1000)

    assert event.wait().result == 1000
    assert notes(event) == []


@pytest.mark.repeat
def test_the_sleeps_between_two_looks_of_a_child_s_end_are_none_of_code_in_c(deploy, runtime) -> None:
    event = deploy(
        """
        import subprocess

        def main_handler(event, context):
            subprocess.Popen(["sleep", "1000"]).wait(timeout=1000)
        """
    ).invoke_async()
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    assert "thread 'MainThread' is in a wait for a child process, most recent call first:" in str(caught.value)
    assert "code in C" not in str(caught.value)
    assert notes(event) == []


def test_a_timer_of_the_kernel_is_in_the_timeline(deploy) -> None:
    event = deploy(
        """
        import os, select, time

        def main_handler(event, context):
            began = time.time()
            if hasattr(os, "timerfd_create"):  # from Python 3.13 on
                timer = os.timerfd_create(time.CLOCK_MONOTONIC)
                os.timerfd_settime(timer, initial=0.001)
                select.select([timer], [], [], 1000)
                os.read(timer, 8)
            return time.time() - began
        """
    ).invoke_async()

    assert event.wait().result == 0
    assert notes(event) == [
        "timerfd_create at index.py:7 makes a kernel timer, which runs in real time: no simulated time passes in it"
    ] * hasattr(os, "timerfd_create")


UVLOOP = """
import asyncio, sys, time, uvloop

async def work(seconds):
    await asyncio.sleep(seconds)

def main_handler(event, context):
    began = time.time()
    for _ in range(2):
        {run}
    return time.time() - began
"""

RUNS = {
    "uvloop.run": ("uvloop.run(work(event))", "uvloop.run at index.py:10"),
    "a loop": ("uvloop.new_event_loop().run_until_complete(work(event))", "uvloop.Loop.run_forever at index.py:10"),
    "asyncio with its policy": (
        "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); asyncio.run(work(event))",
        "asyncio.run at index.py:10",
    ),
}


@pytest.mark.parametrize("preload", [[], ["uvloop"]], ids=["imported", "preloaded"])
@pytest.mark.parametrize("run", RUNS)
def test_a_loop_of_uvloop_is_in_the_timeline_of_each_event_that_runs_it(deploy, make_runtime, run, preload) -> None:
    source, where = RUNS[run]
    function = deploy(UVLOOP.format(run=source), to=make_runtime(preload=preload))

    for _ in range(2):
        event = function.invoke_async(0.001)
        assert event.wait().result == 0
        assert notes(event) == [
            (
                f"{where} runs a loop of uvloop, whose sleeps and timeouts run in real time: no simulated time "
                "passes in them"
            )
        ]


@pytest.mark.once  # the tracer's side
@pytest.mark.parametrize("wait", ["a sleep", "a loop"])
def test_with_simulated_children_a_wait_of_code_in_c_takes_simulated_time(deploy, wait) -> None:
    """The advice in the error of a call that cannot end for it."""
    source = CLOCK_NANOSLEEP if wait == "a sleep" else UVLOOP.format(run="uvloop.run(work(event / 2))")
    event = deploy(source, children="simulated", timeout=1100).invoke_async(1000).wait()

    assert event.result == pytest.approx(1000, abs=0.01)
    assert notes(event) == []


def test_uvloop_that_is_only_imported_is_not_reported(deploy) -> None:
    event = deploy(UVLOOP.format(run="asyncio.run(work(event))")).invoke_async(1)

    assert event.wait().result == 2
    assert notes(event) == []


def test_a_call_that_cannot_end_for_a_loop_of_uvloop_says_what_to_do(deploy, runtime) -> None:
    event = deploy(UVLOOP.format(run="uvloop.run(work(1000))")).invoke_async().settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    assert (
        'What to do: a wait in C code takes real time: deploy(..., children="simulated") has all that the function '
        "does wait on simulated time." in str(caught.value)
    )
