"""SIGKILL to any process of ours, at any line of a call: it ends with one of our errors, and nothing is left.

SCF_KILLS=200 kills so many of each kind (``make kills``). ``tests/plugin/test_nothing_left.py`` kills pytest itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest
from at_a_line import AtLine, spread
from image_support import program
from internals import pool_of, procfs
from internals import zygote as zygotes
from process_support import LONG, eventually, is_gone

from pytest_scf_async.errors import ScfAsyncError
from pytest_scf_async.runtime import ScfRuntime

# once: what detects the end of a process, and how: the same on all Pythons
pytestmark = pytest.mark.once

KILLS = int(os.environ.get("SCF_KILLS", "3"))
HANDLER = """
    import subprocess, time
    def main_handler(event, context):
        subprocess.run(["sh", "-c", "echo of a child"])
        print("started")
        time.sleep(60)
        return "slept"
"""
PROGRAM = """
def handle(event, request):
    print("started", flush=True)
    time.sleep(60)
"""


def pid_of(target: str, runtime: ScfRuntime) -> int:
    """The process to kill; 0 where there is none yet."""
    zygote = pool_of(runtime).sandboxes.zygote()
    if target == "the zygote":
        return zygote.pid
    if target == "the reaper":
        return zygote.process.pid
    pids = [instance.pid for instance in pool_of(runtime).instances if not instance.gone]
    if target == "a program":
        pids = [below for pid in pids if pid for below in procfs.descendants_of(pid)]
    return pids[-1] if pids else 0


@pytest.mark.parametrize("target", ["an instance", "a supervisor", "a program", "the zygote", "the reaper"])
def test_a_call_ends_and_nothing_is_left(deploy, deploy_traced, make_runtime, target: str) -> None:
    traced = target in ("a supervisor", "a program")

    def round_of(at: int) -> int:
        runtime = make_runtime()
        zygote = pool_of(runtime).sandboxes.zygote()
        assert zygote.is_ready()
        function = deploy_traced(program(PROGRAM), to=runtime) if traced else deploy(HANDLER, to=runtime)
        seen: set[int] = set()

        def kill() -> None:
            pid = pid_of(target, runtime)
            seen.update(procfs.descendants_of(zygote.process.pid), procfs.descendants_of(zygote.pid))
            if pid:
                os.kill(pid, signal.SIGKILL)

        began = time.monotonic()
        with AtLine(at, kill) as call, contextlib.suppress(ScfAsyncError):
            event = function.invoke_async()
            event.wait_for_log("started")
            event.wait()
        assert time.monotonic() - began < LONG
        runtime.close()
        if seen and target in ("the zygote", "the reaper"):  # the call may have ended before that was there to see
            assert eventually(zygote.is_gone)
        again = make_runtime()
        assert deploy(HANDLER, to=again).run() == "slept"
        again.close()
        if not zygote.alive:
            assert eventually(lambda: not zygotes._marked(zygote.mark) and all(map(is_gone, seen)))
            assert not os.path.exists(zygote._scratch)
        return call.lines

    lines = round_of(0)
    for at in spread(lines, KILLS):
        round_of(at)
