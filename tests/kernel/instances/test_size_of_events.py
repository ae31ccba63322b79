"""What an event costs: the memory that stays for it, and what it leaves on the clock."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import timedelta

import pytest
from internals import heap_of, lockstep_of
from process_support import START

from pytest_scf_async.scripted import finished, running_for

# interpreter: how large objects are
pytestmark = pytest.mark.interpreter


def test_an_event_is_small_and_leaves_nothing_on_the_clock(runtime):
    export = runtime.deploy_scripted("export", [running_for(60), finished({"rows": 1})])
    export.run()
    count = 5_000
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            export.invoke_async({"row": number})
        runtime.wait_all()
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    assert each < 2_200  # bytes; which version of Python it is makes a difference of a tenth
    assert [thing for thing in heap_of(runtime.clock) if not thing.cancelled] == []
    assert lockstep_of(runtime).events_running() == []
    assert runtime.clock.now - START == timedelta(seconds=120)
