"""Hundreds of instances, one after the other, in one test process: nothing of them stays.

Of what is counted, one that stays is seen; ``make soak`` looks for smaller growth, with thousands of events.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import statistics
import zipfile
from collections import Counter
from typing import Any

import pytest
from internals import Instance, Zygote, heap_of, pool_of, procfs, scratch_of
from process_support import LONG, START, end_preforked, zygote_rests

from pytest_scf_async.clock import SMALL_HEAP
from pytest_scf_async.runtime import ScfRuntime, end_test

# once: counts what is left of hundreds of instances, which is the platform's side
pytestmark = pytest.mark.once

HANDLER = """
    import subprocess, time
    def main_handler(event, context):
        print("runs")
        time.sleep(1)
        if event["how"] == "raises":
            raise RuntimeError("on purpose")
        if event["how"] == "leaves a child":
            subprocess.Popen(["/bin/sleep", "1000"])
            raise RuntimeError("on purpose")
        return "done"
"""
ROUNDS = 6
MEMORY_MARGIN = 32 << 10
"""Bytes by which a process may grow in most rounds: a leak grows in each, the allocator's pools in few."""


def _lines(path: str, part: str) -> int:
    """How many lines have *part*: other programs of the machine, containers above all, come and go."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return sum(part in line for line in file)


def _give_back_memory() -> None:
    """Have the C library return freed memory: else a leak would fill that first, and nothing would grow."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


def what_there_is(zygote: Zygote) -> tuple[dict[str, int], dict[str, int]]:
    """What may not have grown at all, and bytes of memory."""
    end_test(0)  # runtimes that were closed are kept until then, for the report of a test that fails
    end_preforked(zygote)
    assert zygote.receive_until(lambda: not zygote.listeners, LONG)  # nobody waits for those that a `close` has killed
    gc.collect()
    _give_back_memory()
    assert zygote_rests(zygote)
    counted = {
        "descriptors of the test": len(os.listdir("/proc/self/fd")),
        "descriptors of the zygote": len(os.listdir(f"/proc/{zygote.pid}/fd")),
        "mounts of the test": _lines("/proc/self/mountinfo", zygote.scratch()),
        "mounts of the zygote": _lines(f"/proc/{zygote.pid}/mountinfo", zygote.scratch()),
        "processes": len(procfs.descendants_of(zygote.process.pid)),
        "directories": len(os.listdir(zygote.scratch())),
        "threads": len(os.listdir("/proc/self/task")),
        "instances": Counter(type(thing) for thing in gc.get_objects())[Instance],
    }
    return counted, {"test": procfs.memory(os.getpid()), "zygote": procfs.memory(zygote.pid)}


@pytest.fixture
def zygote(deploy: Any, runtime: ScfRuntime) -> Zygote:
    """The zygote that instances come from; it has made one."""
    deploy(HANDLER).run({"how": "idle"})
    runtime.clock.advance(300)
    return pool_of(runtime).sandboxes.zygote()


@pytest.fixture
def new_runtime(runtime: ScfRuntime) -> Any:
    """Make a runtime to which no reference is kept, with the settings of the fixture ``runtime``."""
    return lambda: ScfRuntime(runtime.settings, start=START)


def run_and_close(deploy: Any, new_runtime: Any, how: str, count: int) -> None:
    """Start *count* instances in a runtime of their own, and have each reclaimed."""
    with new_runtime() as runtime:
        function = deploy(HANDLER, to=runtime)
        for _ in range(count):
            event = function.invoke_async({"how": how}).wait()
            assert event.status == ("FINISHED" if how == "idle" else "FAILED"), str(event.log)
            if how == "idle":
                runtime.clock.advance(300)
            assert event.instance.cold
            assert not event.instance.alive
        assert pool_of(runtime).instances == []
        assert len(heap_of(runtime.clock)) <= SMALL_HEAP


@pytest.mark.parametrize(("how", "count"), [("raises", 60), ("idle", 60), ("leaves a child", 30)])
def test_instances_that_are_reclaimed_leave_nothing(deploy, new_runtime, zygote, how, count):
    run_and_close(deploy, new_runtime, how, count // ROUNDS)
    before, memory = what_there_is(zygote)
    memories = [memory]

    for _ in range(ROUNDS):
        run_and_close(deploy, new_runtime, how, count // ROUNDS)
        after, memory = what_there_is(zygote)
        memories.append(memory)

    assert after == before
    for process in memory:
        growths = [later[process] - earlier[process] for earlier, later in itertools.pairwise(memories)]
        assert statistics.median(growths) < MEMORY_MARGIN, (process, growths)


def test_a_runtime_that_lives_long_keeps_only_the_events(deploy, runtime, zygote):
    """Timeouts of a day that were cancelled, and idle times, do not pile up; nor do descriptors and directories."""
    function = deploy(HANDLER)
    function.invoke_async({"how": "raises"}).wait()
    before, _ = what_there_is(zygote)
    gc.collect()

    for number in range(100):
        function.invoke_async({"how": "idle" if number % 2 else "raises"}).wait()
        runtime.clock.advance(300 * (number % 2))
    runtime.clock.advance(300)

    after, _ = what_there_is(zygote)
    assert len(runtime.events) == 102
    assert after.pop("instances") == before.pop("instances") + 100  # the facts about its instance that an event keeps
    assert after == before
    assert len(heap_of(runtime.clock)) <= SMALL_HEAP
    assert runtime.clock.now > START


def test_versions_and_zips_leave_no_directory(deploy, new_runtime, zygote, tmp_path):
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("index.py", "def main_handler(event, context): return 'the zip'\n")

    def publish_and_update() -> None:
        with new_runtime() as runtime:
            function = deploy("def main_handler(event, context): return 1", to=runtime)
            for _ in range(5):
                number = function.publish_version()
                function.run(qualifier=number)
                function.update(tmp_path / "code.zip", handler="index.main_handler")
                function.run()
            function.delete("1")
            names = sorted(name.partition("-")[0] for name in os.listdir(scratch_of(runtime)))
            assert names == ["code"] * 5 + ["version"] * 4
        with new_runtime() as runtime:  # the zygote prepares for the next instance, whose directories are there still
            deploy(HANDLER, to=runtime).run({"how": "idle"})

    publish_and_update()
    before, _ = what_there_is(zygote)

    for _ in range(3):
        publish_and_update()

    after, _ = what_there_is(zygote)
    assert after == before
