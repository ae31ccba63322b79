"""compute_rate of programs that are traced: what their processes compute takes simulated time, as in a handler."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
from image_support import program
from internals import event_of, procfs
from process_support import LONG

# once: the test's process measures it, by what the kernel counts
pytestmark = pytest.mark.once

COMPUTES = """
def compute(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(100_000))  # each read of this clock is a system call

def handle(event, request):
    began = time.time()
    {}
    return time.time() - began
"""


def seconds(event):
    """How long it ran; the init before takes time as well."""
    what = event_of(event)
    assert what.dispatched_us is not None
    return (what.record.end_us - what.dispatched_us) / 1_000_000


def test_a_timeout_ends_a_program_that_only_computes(deploy_traced):
    source = program("def handle(event, request):\n    while True: pass\n")
    event = deploy_traced(source, timeout=60, compute_rate=100).invoke_async().wait()
    assert (event.status, event.status_code, seconds(event)) == ("FAILED", 433, 60)


@pytest.mark.parametrize("rate", [0, 100])
def test_computing_takes_its_processor_time_at_the_rate(deploy_traced, rate):
    """The clock shows it after a wait, but for what the kernel has not counted yet: some milliseconds."""
    source = program(COMPUTES.format("compute(0.3); time.sleep(1); compute(0.3); time.sleep(1)"))
    event = deploy_traced(source, compute_rate=rate).invoke_async().wait()
    assert 2 + rate * 0.58 <= event.result <= 3 + rate * LONG
    assert rate > 0 or seconds(event) < 3


def test_what_a_child_computes_takes_time_too(deploy_traced):
    child = "import time\nwhile time.process_time() < 0.4: sum(range(100_000))\n"
    source = program(COMPUTES.format(f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}])"))
    event = deploy_traced(source, compute_rate=100).invoke_async().wait()
    assert 38 <= seconds(event) <= 100 * LONG


def test_the_processor_time_of_children_that_have_ended_is_known_to_a_tick():
    tick = 1 / os.sysconf("SC_CLK_TCK")
    errors = []
    for more in (3_000_000, *[0] * 12):
        subprocess.run([sys.executable, "-S", "-c", f"sum(range({more}))"], check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # which is not rounded
        errors.append(procfs.reaped_cpu_ns(os.getpid()) / 1e9 - (used.ru_utime + used.ru_stime))
    assert max(map(abs, errors)) <= tick + 1e-4
