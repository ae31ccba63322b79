"""Supervised programs that compute for long without a wait: they are preempted as Python handlers are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from image_support import program
from internals import procfs
from process_support import START, eventually, grow_impatient, user_lines

from pytest_scf_async.errors import CannotEndError

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once


FOR_EVER = program("""
def handle(event, request):
    print("begins", flush=True)
    while True:
        pass
""")
BESIDE_A_THREAD = program("""
def naps():
    for number in range(3):
        time.sleep(10)
        print(f"nap {number} at {time.time() - 1767225600:g}", flush=True)

def handle(event, request):
    if not os.fork():
        time.sleep(1)
        while True:
            pass
    threading.Thread(target=naps, daemon=True).start()
    time.sleep(1000)
""")

LOOKS_FOR_ITS_CHILD = program("""
def handle(event, request):
    child = os.fork()
    while child == 0:
        pass
    ended = os.waitpid(child, os.WNOHANG)
    os.kill(child, signal.SIGKILL)
    return [ended, os.waitpid(child, 0)[1]]
""")


def test_a_program_that_computes_for_ever_gives_up_its_turn(deploy_image, deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy_image(FOR_EVER, to=runtime).invoke_async()
    beside = deploy("def main_handler(event, context): return 1", to=runtime).invoke_async()

    beside.wait()

    assert beside.status == "FINISHED"
    assert event.doing == "computing"
    assert "computes for more than 0.05 s without a wait: not repeatable" in event.timeline
    assert "sleeps and wakes up" not in event.timeline
    assert runtime.clock.now == START


def test_a_program_that_looks_whether_its_child_has_ended_can_be_stopped_meanwhile(deploy_image, deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy_image(LOOKS_FOR_ITS_CHILD, to=runtime).invoke_async()
    beside = deploy("def main_handler(event, context): return 1", to=runtime)

    for _ in range(3):
        assert beside.invoke_async().wait().status == "FINISHED"
    assert event.status == "RUNNING"

    assert event.wait().result == [[0, 0], 9]
    assert runtime.clock.now == START


def test_advance_takes_a_program_that_computes_for_ever_to_its_timeout(deploy_image, deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    beside = deploy("import time\ndef main_handler(event, context): time.sleep(20)", to=runtime).invoke_async().settle()
    event = deploy_image(FOR_EVER, to=runtime, timeout=60).invoke_async().wait_for_log("begins")
    grow_impatient(runtime)

    runtime.clock.advance(70)
    assert beside.status == "FINISHED"

    assert (event.status, event.status_code) == ("FAILED", 433)
    assert event.duration == timedelta(seconds=60)


def test_the_threads_beside_one_that_computes_go_on_with_time(deploy_image, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy_image(BESIDE_A_THREAD, to=runtime, timeout=600).invoke_async()
    runtime.clock.advance(0.5)
    grow_impatient(runtime, 1)

    runtime.clock.advance(24.5, past_held=True)

    assert user_lines(event) == ["nap 0 at 10", "nap 1 at 20"]
    event.terminate()


def test_a_wait_for_a_program_that_computes_for_ever_is_an_error_that_names_advance(deploy_image, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy_image(FOR_EVER, to=runtime).invoke_async()
    event.wait_for_log("begins")
    grow_impatient(runtime)

    with pytest.raises(CannotEndError, match=r"(?s)0\.3 real seconds \(real_timeout.*is computing.*advance"):
        event.wait()
    event.terminate()

    assert event.status == "ABORTED"


def test_a_program_that_computes_is_stopped_between_calls(deploy_image, deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy_image(FOR_EVER, to=runtime).invoke_async()

    assert deploy("def main_handler(event, context): return 1", to=runtime).run() == 1

    used = procfs.cpu_ns(event.instance.pid)
    assert procfs.state_of(event.instance.pid) == b"t"
    assert eventually(lambda: procfs.cpu_ns(event.instance.pid) == used)
