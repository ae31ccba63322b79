"""No call takes what computes for what waits: how fast the machine is decides neither a status nor a time.

What a handler computes here is 15 times as much as ``compute_grace``, in processor time: one that the machine computes
within it was always waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from image_support import program
from process_support import START, eventually, grow_impatient, user_lines
from runtimes_table import RUNTIMES, file_in

from pytest_scf_async import AsyncEvent, ScfRuntime, assert_finished, assert_timed_out, assert_user_exit
from pytest_scf_async.errors import CannotEndError

pytestmark = pytest.mark.once  # who waits for whom is decided in the test's process

GRACE = 0.02
COMPUTE = """
import json, os, signal, sys, threading, time

def compute(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(10_000))  # a look at this clock is a system call, at which a tracer stops it

def listen_and_wait():
    received = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: received.set())
    received.wait(3600)
    return "stopped"
"""
LISTENS_LATE = (
    COMPUTE
    + """
def main_handler(event, context):
    compute(event)
    return listen_and_wait()
"""
)
SLEEPER = """
import signal, time

def after():
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("slept")

def main_handler(event, context):
    time.sleep(60)
    after()
    return "slept"
"""
FOR_EVER = """
def main_handler(event, context):
    print("begins", flush=True)
    while True:
        pass
"""


def wait_for_another(runtime: ScfRuntime, event: AsyncEvent) -> None:
    assert runtime.functions["sleeper"].invoke_async().wait().result == "slept"


def sleep_patched(runtime: ScfRuntime, event: AsyncEvent) -> None:
    with runtime.clock.patched():
        time.sleep(60)


def wait_until(runtime: ScfRuntime, event: AsyncEvent) -> None:
    until = runtime.clock.now + timedelta(seconds=60)
    runtime.wait_until(lambda: runtime.clock.now >= until, within=60)


def flow_past_a_minute(runtime: ScfRuntime, event: AsyncEvent) -> None:
    with runtime.clock.running(rate=1_000):
        assert eventually(lambda: runtime.clock.now >= START + timedelta(seconds=60))


CALLS: dict[str, Callable[[ScfRuntime, AsyncEvent], object]] = {
    "advance": lambda runtime, _: runtime.clock.advance(60),
    "advance, past what is held": lambda runtime, _: runtime.clock.advance(60, past_held=True),
    "move_to": lambda runtime, _: runtime.clock.move_to(START + timedelta(seconds=60)),
    "wait for another": wait_for_another,
    "wait_all": lambda runtime, _: runtime.wait_all([runtime.functions["sleeper"].invoke_async()]),
    "run": lambda runtime, _: runtime.functions["sleeper"].run(),
    "wait_until": wait_until,
    "a sleep of the test": sleep_patched,
    "running": flow_past_a_minute,
    "wait_for_log of another": lambda runtime, _: runtime.functions["sleeper"].invoke_async().wait_for_log("slept"),
    "a gate of another": lambda runtime, _: runtime.functions["sleeper"].invoke_async().run_to("after"),
    "wait_until_listening of another": lambda runtime, _: (
        runtime.functions["sleeper"].invoke_async().wait_until_listening()
    ),
    "settle": lambda _, event: event.settle(),
    "nothing but terminate": lambda *_: None,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_each_call_waits_until_it_listens(deploy, make_runtime, call) -> None:
    runtime = make_runtime(compute_grace=GRACE)
    event = deploy(LISTENS_LATE, to=runtime).invoke_async(15 * GRACE)
    deploy(SLEEPER, to=runtime, name="sleeper")

    call(runtime, event)
    event.terminate(grace_shutdown=True)

    assert_finished(event.wait(), "stopped")
    assert event.duration == runtime.clock.now - START


def test_a_terminate_returns_once_the_listener_that_computes_has_its_first_wait(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=GRACE)
    event = deploy(
        COMPUTE
        + """
def save(signum, frame):
    compute(0.3)
    print("saved", flush=True)
    time.sleep(5)

def main_handler(event, context):
    signal.signal(signal.SIGTERM, save)
    time.sleep(60)
""",
        to=runtime,
    ).invoke_async()

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["saved"]
    assert event.doing == "parked"


@pytest.mark.parametrize("settings", [{}, {"compute_grace": 0.1}], ids=["here", "on a machine ten times slower"])
def test_a_handler_that_computes_before_it_listens_is_finished(deploy, make_runtime, settings) -> None:
    runtime = make_runtime(**settings)
    event = deploy(LISTENS_LATE, to=runtime).invoke_async(1.5)

    runtime.clock.advance(60)
    event.terminate(grace_shutdown=True)

    assert_finished(event.wait(), "stopped")
    assert event.duration == timedelta(seconds=60)


# -- programs --------------------------------------------------------------------------------------------------------

SERVES = program(
    COMPUTE + "def handle(event, request):\n    compute(event)\n    return listen_and_wait()\n", server="HTTPServer"
)
JOB = COMPUTE + "compute(json.loads(os.environ['SCF_CUSTOM_CONTAINER_EVENT']))\nlisten_and_wait()\n"
IN_NODE = """
exports.main_handler = (seconds) => {
  const began = process.cpuUsage();
  while (process.cpuUsage(began).user < seconds * 1e6) {
    for (let number = 0; number < 1e5; number++); // a look at this clock is a system call, as well
  }
  return new Promise((resolve) => {
    process.on('SIGTERM', () => resolve('stopped'));
    setTimeout(resolve, 3600000);
  });
};
"""


PROGRAMS = {
    "image": lambda fixture, **options: fixture("deploy_image")(SERVES, **options),
    "image, in process": lambda fixture, **options: fixture("deploy_image")(SERVES, in_process=True, **options),
    "job": lambda fixture, **options: fixture("deploy_image")(JOB, port=-1, **options),
    "simulated children": lambda fixture, **options: fixture("deploy")(LISTENS_LATE, children="simulated", **options),
    "Node.js": lambda fixture, to: to.deploy(file_in(fixture("tmp_path"), "index.js", IN_NODE), runtime="Nodejs18.15"),
}
NODE = pytest.param("Node.js", marks=RUNTIMES["Node.js code"].marks)


@pytest.mark.parametrize("call", ["advance", "nothing but terminate"])
@pytest.mark.parametrize("kind", [*[each for each in PROGRAMS if each != "Node.js"], NODE])
def test_so_it_is_with_programs(request: pytest.FixtureRequest, make_runtime, kind: str, call: str) -> None:
    runtime = make_runtime(compute_grace=GRACE)
    event = PROGRAMS[kind](request.getfixturevalue, to=runtime).invoke_async(15 * GRACE)

    CALLS[call](runtime, event)
    event.terminate(grace_shutdown=True)

    assert event.wait().status == "FINISHED"


# -- longer than real_timeout ----------------------------------------------------------------------------------------


@pytest.fixture(params=["handler", "program"])
def computes(request, deploy, deploy_image, make_runtime) -> Callable[..., AsyncEvent]:
    """Invoke a function that computes for ever, from where it has begun to; keywords are those of its deployment."""
    runtime = make_runtime(compute_grace=GRACE)

    def invoke(**options) -> AsyncEvent:
        if request.param == "handler":
            function = deploy(FOR_EVER, to=runtime, **options)
        else:
            source = program(FOR_EVER.replace("main_handler(event, context)", "handle(event, request)"))
            function = deploy_image(source, to=runtime, **options)
        event = function.invoke_async().wait_for_log("begins")
        grow_impatient(runtime, 0.3)
        return event

    invoke.runtime = runtime
    return invoke


def test_a_graceful_termination_sends_its_signal_where_it_computes(computes) -> None:
    event = computes()
    with pytest.raises(CannotEndError):
        event.settle()  # it stood at its line, where a signal comes at once

    event.terminate(grace_shutdown=True)

    assert "has not settled within 0.3 real seconds (real_timeout): SIGTERM arrives while it computes" in event.timeline
    with pytest.raises(AssertionError) as caught:
        assert_finished(event)
    text = str(caught.value)
    assert "SIGTERM arrived" in text
    assert "when it had been computing for 0.3 real seconds (real_timeout) without a wait" in text
    assert_user_exit(event)


@pytest.mark.parametrize("call", ["advance", "settle", "wait_until", "a sleep of the test"])
def test_the_others_raise(computes, call: str) -> None:
    event = computes()

    with pytest.raises(CannotEndError, match=r"0\.3 real seconds \(real_timeout") as caught:
        CALLS[call](computes.runtime, event)

    assert "is computing" in str(caught.value)
    assert "raise real_timeout (scf_async_real_timeout in the ini file)" in str(caught.value)
    assert "compute_rate=1.0" in str(caught.value)
    assert event.status == "RUNNING"
    assert computes.runtime.clock.now == START
    event.terminate()


@pytest.mark.parametrize("call", ["advance", "a sleep of the test"])
def test_its_own_timeout_comes_where_the_call_goes_past_that(computes, call: str) -> None:
    event = computes(timeout=30)

    CALLS[call](computes.runtime, event)

    assert_timed_out(event)
    assert event.duration == timedelta(seconds=30)
    assert computes.runtime.clock.now == START + timedelta(seconds=60)
    with pytest.raises(AssertionError) as caught:
        assert_finished(event)
    text = str(caught.value)
    assert "it computed for more than 0.3 real seconds (real_timeout) without a wait, and the 30 s timeout" in text
    assert "what to do: give it longer to reach a wait with the setting real_timeout" in text


def test_where_time_may_pass_what_is_held_it_passes_what_computes(computes) -> None:
    event = computes()

    computes.runtime.clock.advance(60, past_held=True)

    assert computes.runtime.clock.now == START + timedelta(seconds=60)
    assert event.doing == "computing"
    assert "real_timeout): time passes while it computes" in event.timeline
    event.terminate()


def test_where_time_flows_it_flows_past_what_computes(computes) -> None:
    event = computes(timeout=3600)

    with computes.runtime.clock.running(rate=100_000):
        assert eventually(lambda: event.ended)

    assert_timed_out(event)
    said = "has not settled within 0.15 real seconds (half of real_timeout): time flows while it computes"
    assert said in event.timeline


def test_a_call_of_the_listener_that_computes_for_ever_returns(deploy, make_runtime) -> None:
    runtime = make_runtime(compute_grace=GRACE)
    event = (
        deploy(
            """
import signal, time

def spin(signum, frame):
    print("stopping")
    while True:
        pass

def main_handler(event, context):
    signal.signal(signal.SIGTERM, spin)
    time.sleep(60)
""",
            to=runtime,
        )
        .invoke_async()
        .settle()
    )
    grow_impatient(runtime, 0.3)

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["stopping"]
    assert event.doing == "computing"
    assert "real_timeout): the call that sent SIGTERM returns while it computes" in event.timeline
    event.terminate()


def test_what_has_computed_and_waits_in_c_is_settled(deploy, make_runtime, tmp_path: Path) -> None:
    """A thread that gave up its turn, and then waits where nothing announces it, computes no more."""
    runtime = make_runtime(compute_grace=GRACE)
    event = deploy(
        COMPUTE
        + """
import ctypes

def main_handler(event, context):
    compute(event)
    print("waits")
    ctypes.CDLL(None).sleep(1000)
""",
        to=runtime,
    ).invoke_async(15 * GRACE)

    event.settle()

    assert user_lines(event) == ["waits"]
    assert event.doing == "held"
    event.terminate()
