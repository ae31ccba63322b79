"""A handler that is recorded runs on the core of its recorder: what it starts is bound to no core."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from internals import pool_of, record_of, recording_of

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
        else:
            import ctypes
            ctypes.CDLL("libc.so.6")
            after = allowed()
        return [before, sorted(during - {before}), after, sorted(sleeps())]
"""


@pytest.mark.interpreter
@pytest.mark.parametrize("what", ["child", "thread", "asks", "library"])
def test_one_that_is_recorded_is_bound_to_the_core_of_its_recorder_until_then(
    deploy, make_runtime, tmp_path, what: str
) -> None:
    cpus = os.sched_getaffinity(0)
    allowed = Path("/proc/self/status").read_text("utf-8").partition("Cpus_allowed:")[2].split()[0]
    runtime = make_runtime()
    pool_of(runtime).serve_sweep(draws=False)
    recording = recording_of(runtime, tmp_path)
    payload = " ".join((what, *map(str, cpus))) if what == "asks" else what
    before, _, after, still = deploy(HANDLER, to=runtime).run(payload)
    runtime.close()
    assert not record_of(recording).problems
    assert bin(int(before.replace(",", ""), 16)).count("1") == 1
    assert (after, still) == (allowed, [allowed])
