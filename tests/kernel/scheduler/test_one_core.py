"""A handler that sleeps by message, on the core of the test's process: what it starts is bound to no core."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from internals import IN_INSTANCE, lockstep_of, pool_of, record_of, recording_of, shared_core

HANDLER = """
    import os, subprocess, sys, threading, time

    def allowed(of="/proc/thread-self/status"):
        with open(of) as file:
            return next(line.split()[1] for line in file if line.startswith("Cpus_allowed:"))

    def sleeps():
        found = set()
        for _ in range(400):
            time.sleep(1)
            found.add(allowed())
        return found

    def main_handler(event, context):
        before, during = allowed(), sleeps()
        if event == "child":
            after = subprocess.run(["/bin/grep", "Cpus_allowed:", "/proc/self/status"], capture_output=True)
            after = after.stdout.split()[1].decode()
        elif event == "thread":
            found = []
            thread = threading.Thread(target=lambda: found.append(allowed()))
            thread.start()
            thread.join()
            (after,) = found
        elif event.startswith("asks"):
            assert os.sched_getaffinity(0) == set(map(int, event.split()[1:]))
            after = allowed()
        elif event == "library":
            import ctypes
            ctypes.CDLL("libc.so.6")
            after = allowed()
        else:
            after = before
        still = {after} if event == "nothing" else sleeps()
        return [before, sorted(during - {before}), after, sorted(still)]
"""


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on however long a batch takes: what else the machine does would decide."""
    monkeypatch.setattr(shared_core, "WORTH", 1e9)


@pytest.mark.interpreter
@pytest.mark.parametrize("what", ["child", "thread", "asks", "library"])
def test_it_is_bound_until_it_starts_something_or_asks(deploy, make_runtime, pays, what: str) -> None:
    cpus = os.sched_getaffinity(0)
    payload = " ".join((what, *map(str, cpus))) if what == "asks" else what
    event = deploy(HANDLER, to=make_runtime(leases=False)).invoke_async(payload).wait()
    before, during, after, still = event.result
    assert [bin(int(each.replace(",", ""), 16)).count("1") for each in during] == [1] * (len(cpus) > 1)
    assert (after, still) == (before, [before])
    assert os.sched_getaffinity(0) == cpus


@pytest.mark.parametrize("what", ["child", "thread", "asks", "library"])
def test_one_that_is_recorded_is_bound_to_the_core_of_its_recorder_until_then(
    deploy, make_runtime, tmp_path, what: str
) -> None:
    cpus = os.sched_getaffinity(0)
    allowed = Path("/proc/self/status").read_text("utf-8").partition("Cpus_allowed:")[2].split()[0]
    runtime = make_runtime()
    pool_of(runtime).serve_sweep(IN_INSTANCE)
    recording = recording_of(runtime, tmp_path)
    payload = " ".join((what, *map(str, cpus))) if what == "asks" else what
    before, _, after, still = deploy(HANDLER, to=runtime).run(payload)
    runtime.close()
    assert not record_of(recording).problems
    assert bin(int(before.replace(",", ""), 16)).count("1") == 1
    assert (after, still) == (allowed, [allowed])


def test_what_the_test_does_between_calls_is_bound_to_nothing(deploy, make_runtime, pays) -> None:
    runtime = make_runtime(leases=False)
    cpus = os.sched_getaffinity(0)
    event = deploy(HANDLER, to=runtime).invoke_async("nothing")
    runtime.clock.advance(300)
    assert os.sched_getaffinity(0) == cpus
    event.wait()
    assert len(event.result[1]) == (len(cpus) > 1)
    assert os.sched_getaffinity(0) == cpus


def test_code_of_the_test_that_a_call_runs_is_bound_to_nothing(deploy, make_runtime, pays) -> None:
    runtime = make_runtime(leases=False)
    cpus, found = os.sched_getaffinity(0), []
    event = deploy(HANDLER, to=runtime).invoke_async("nothing")
    with pytest.raises(Exception, match="still false"):
        runtime.wait_until(lambda: found.append(os.sched_getaffinity(0)), within=300)
    assert set(map(frozenset, found)) == {frozenset(cpus)}
    ended = []
    lockstep_of(runtime).on_end = lambda _: ended.append(os.sched_getaffinity(0))
    event.wait()
    assert (ended, len(found) > 200) == ([cpus], True)


MODULES = """
    import sys

    def main_handler(event, context):
        return sorted(name for name in sys.modules if not name.startswith("pytest_scf_async"))
"""


def test_an_instance_forked_ahead_of_a_sweep_finds_no_module_of_its_recorder(deploy, make_runtime, tmp_path) -> None:
    preload = ["colorsys"]  # no other test does: so the zygote of these has made no sweep
    plain = deploy(MODULES, to=make_runtime(preload=preload)).run()  # the next instance is forked while this one runs
    runtime = make_runtime(preload=preload)
    pool_of(runtime).serve_sweep(IN_INSTANCE)
    recording_of(runtime, tmp_path)
    assert deploy(MODULES, to=runtime).run() == plain
