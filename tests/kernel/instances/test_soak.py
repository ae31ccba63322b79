"""Thousands of events, one after the other: neither memory nor descriptors grow with them.

SCF_SOAK=20000 runs that many (``make soak``); half of them start an instance, the other half run on one that is warm.
"""

from __future__ import annotations

import gc
import os
import textwrap
from typing import NamedTuple

import pytest
from internals import Zygote, pool_of, procfs
from process_support import START, descriptors, end_preforked

from pytest_scf_async.runtime import ScfRuntime

EVENTS = int(os.environ.get("SCF_SOAK", "300"))
EVENTS_OF_A_RUNTIME = 100
"""A runtime keeps its events, with their logs, until it is closed."""
NOISE = 1 << 20
"""Bytes by which memory may differ that do not depend on how many events there were."""
LEAST_KEPT = 512
"""Bytes of an event: less than any object takes that could be kept of it by mistake."""

HANDLER = """
    import time
    def main_handler(event, context):
        print("event", event["number"])
        time.sleep(1)
        if event["number"] % 2:
            raise RuntimeError("the next event gets a new instance")
        return event["number"]
"""


class Use(NamedTuple):
    """What the processes of the harness use."""

    test: int
    """Bytes of memory of the test's process."""
    zygote: int
    reaper: int
    descriptors: int
    descriptors_of_zygote: int
    descriptors_of_reaper: int

    @classmethod
    def now(cls, zygote: Zygote) -> Use:
        end_preforked(zygote)
        open_here = descriptors()
        gc.collect()
        return cls(
            procfs.unshared_memory(os.getpid()),
            procfs.unshared_memory(zygote.pid),
            procfs.unshared_memory(zygote.process.pid),
            open_here,
            len(os.listdir(f"/proc/{zygote.pid}/fd")),
            len(os.listdir(f"/proc/{zygote.process.pid}/fd")),
        )


@pytest.mark.once
@pytest.mark.timeout(0)
def test_nothing_grows_with_the_number_of_events(make_runtime, tmp_path) -> None:
    settings = make_runtime().settings
    (tmp_path / "index.py").write_text(textwrap.dedent(HANDLER), encoding="utf-8")

    def run_one_runtime() -> Zygote:
        with ScfRuntime(settings, start=START, seed="soak", base_temp=tmp_path) as runtime:
            function = runtime.deploy(f"{tmp_path}/index.py:main_handler")
            for number in range(EVENTS_OF_A_RUNTIME):
                event = function.invoke_async({"number": number}).wait()
                assert event.instance.cold is not bool(number % 2)
                assert event.status == ("FAILED" if number % 2 else "FINISHED")
            return pool_of(runtime).sandboxes.zygote()

    for _ in range(3):  # caches fill, and the allocator gets what it keeps
        zygote = run_one_runtime()
        gc.collect()
    before = Use.now(zygote)

    for _ in range(EVENTS // EVENTS_OF_A_RUNTIME):
        assert run_one_runtime() is zygote
        gc.collect()  # else memory grows by what waits to be collected

    after = Use.now(zygote)
    assert after[3:] == before[3:]
    assert after.reaper - before.reaper < NOISE
    assert after.zygote - before.zygote < NOISE + LEAST_KEPT * EVENTS
    assert after.test - before.test < NOISE + LEAST_KEPT * EVENTS
