"""Runtimes in threads of their own, which share a zygote: what it reports is applied by whom it concerns."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from internals import event_of, lockstep_of
from process_support import LONG, eventually

from pytest_scf_async.runtime import ScfRuntime

# once: threads of the test's process, and locks: the same on all Pythons
pytestmark = pytest.mark.once

SLEEPS = """
    import time
    def main_handler(event, context):
        time.sleep(60)
        return event
"""


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Call a function in a thread; what it raises fails the test."""
    raised: list[BaseException] = []
    threads: list[threading.Thread] = []

    def start(call: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                call()
            except BaseException as error:
                raised.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(LONG)
    assert not [thread for thread in threads if thread.is_alive()]
    if raised:
        raise raised[0]


def test_what_another_thread_receives_is_applied_under_the_lock_of_its_runtime(
    deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, in_thread
) -> None:
    """The end of an instance is received by a thread that has nothing to do with its runtime, whose lock is taken."""
    event = deploy(SLEEPS).invoke_async().settle()
    instance, lockstep = event_of(event).instance, lockstep_of(runtime)
    applied: list[tuple[str, bool]] = []
    apply = lockstep.apply

    def notes(of: Any, fact: Any) -> None:
        applied.append((fact.value, lockstep._condition._is_owned()))
        apply(of, fact)

    monkeypatch.setattr(lockstep, "apply", notes)
    with lockstep.locked():
        instance.signal(9)
        in_thread(lambda: instance.zygote.receive_until(lambda: instance.gone, LONG)).join(LONG)
        assert instance.gone
        assert applied == []
        assert not instance.state.idle

    assert event.wait().status_code == 439
    assert applied.count(("ended", True)) == 1
    assert all(had_lock for _, had_lock in applied)


@pytest.mark.parametrize("when", ["before it is assigned", "in the middle", "after it"])
def test_a_start_that_another_thread_receives_is_reported_once(
    deploy, make_runtime, monkeypatch: pytest.MonkeyPatch, in_thread, when: str
) -> None:
    """The runtime that starts an instance, and the thread that receives its process, both know of the start."""
    runtime = make_runtime()
    deploy("def main_handler(event, context): pass", to=runtime).run()  # there is a zygote
    function = deploy(SLEEPS, to=runtime)
    lockstep = lockstep_of(runtime)
    starts: list[int] = []
    monkeypatch.setattr(lockstep, "on_start", lambda event: starts.append(event.instance.pid))
    instances = sys.modules["pytest_scf_async.instances.instance"]
    monkeypatch.setattr(sys.modules["pytest_scf_async.instances.pool"], "take_preforked", lambda *_: None)
    assign, send = instances.Instance.assign, instances.send_descriptors

    def receives(instance: Any) -> None:
        in_thread(lambda: instance.zygote.receive_until(lambda: instance.pidfd is not None, LONG)).join(LONG)
        assert instance.pidfd is not None

    def assigns(instance: Any, *given: Any) -> None:
        if when == "before it is assigned":
            receives(instance)
        elif when == "in the middle":
            monkeypatch.setattr(instances, "send_descriptors", lambda *sent: receives(instance) or send(*sent))
        assign(instance, *given)
        monkeypatch.setattr(instances, "send_descriptors", send)
        if when == "after it":
            receives(instance)

    monkeypatch.setattr(instances.Instance, "assign", assigns)
    event = function.invoke_async(7)

    assert event.wait().result == 7
    assert starts == [event.instance.pid]


@pytest.mark.repeat
def test_three_runtimes_at_once_see_each_start_and_each_end_once(deploy, make_runtime, in_thread) -> None:
    """With a switch between threads wherever one can be."""
    runtimes = [make_runtime() for _ in range(3)]
    functions = [deploy(SLEEPS, to=runtime) for runtime in runtimes]
    starts: list[list[int]] = [[] for _ in runtimes]
    for runtime, seen in zip(runtimes, starts, strict=True):
        lockstep_of(runtime).attach(
            on_end=lockstep_of(runtime).on_end,
            on_start=lambda event, seen=seen: seen.append(event.instance.pid),
            on_retry=lockstep_of(runtime).on_retry,
        )
    results: list[list[int]] = [[] for _ in runtimes]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for of, function in enumerate(functions):

            def run(of: int = of, function: Any = function) -> None:
                for number in range(5):
                    event = function.invoke_async(number)
                    results[of].append(event.wait().result)
                    runtimes[of].clock.advance(400)  # its instance is reclaimed: the next start is a cold one

            in_thread(run)
        assert eventually(lambda: all(len(each) == 5 for each in results))
    finally:
        sys.setswitchinterval(before)
    assert results == [[0, 1, 2, 3, 4]] * 3
    assert [len(each) for each in starts] == [5] * 3
    assert all(len(set(each)) == 5 for each in starts)
