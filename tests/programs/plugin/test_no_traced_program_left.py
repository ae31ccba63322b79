"""A process of a session is killed, any and at any time: no program on the simulated clock is left, and no file."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from free_ports import free_port
from pytest_process import Pytest

# once: the kernel's: the same on all Pythons
pytestmark = pytest.mark.once

SHELL = """\
#!/bin/sh
setsid sleep SLEEP </dev/null >/dev/null 2>&1 &
env -i sleep SLEEP &
trap : TERM
sleep SLEEP
"""
PYTHON = f"""\
#!{sys.executable} -I
import subprocess, threading, time
nothing = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
subprocess.Popen(["sleep", "SLEEP"], env={{}}, start_new_session=True, **nothing)
subprocess.Popen(["sh", "-c", "setsid sleep SLEEP & exec sleep SLEEP"], start_new_session=True)
threading.Thread(target=time.sleep, args=(1000,)).start()
time.sleep(1000)
"""
NODE = """\
#!/usr/bin/env node
const { spawn } = require("child_process");
for (let n = 0; n < 3; n++) spawn("sleep", ["SLEEP"], { detached: true, stdio: "ignore", env: {} }).unref();
setInterval(() => {}, 1000_000);
"""
KINDS = {"shell": SHELL, "python": PYTHON, "node": NODE}
"""Programs that never serve, with three processes of ``sleep`` below them: in other sessions, without our mark."""

TEST = """
    import contextlib
    from pytest_scf_async.errors import HarnessError

    PROGRAMS = sorted(name for name in os.listdir() if name.startswith("program-"))
    for name in PROGRAMS:
        with open(name, "r+", encoding="utf-8") as file:
            text = file.read().replace("SLEEP", os.environ["SLEEP_SECONDS"])
            file.seek(0)
            file.truncate()
            file.write(text)

    def chain(program):
        # Who of the session stands above a program.
        supervisor = parent_of(program)
        zygote = parent_of(supervisor)
        return {"supervisor": supervisor, "zygote": zygote, "reaper": parent_of(zygote), "pytest": os.getpid()}

    free_ports = iter(FREE_PORTS)  # without namespaces programs share the machine's

    def started_programs(runtime):
        events = [runtime.deploy_image([f"./{name}"], port=next(free_ports)).invoke_async() for name in PROGRAMS]
        return [started(event, sleeps=3) for event in events]

    def test_it(scf_runtime):
        events = started_programs(scf_runtime)
        for event in events:
            seen.extend([event.instance.pid, *procfs.descendants_of(event.instance.pid)])
        for victim in {chain(event.instance.pid)[VICTIM] for event in events}:
            os.kill(victim, signal.SIGKILL)
        AFTER

    seen = []

    def test_nothing_is_left_of_the_one_before():
        assert len(seen) >= 4 * len(PROGRAMS)
        while VICTIM == "reaper" and any(map(name_of, seen)):
            os.sched_yield()  # nobody is there any more who could have waited for their ends
        assert [pid for pid in seen if name_of(pid)] == []

    def test_the_next_ones_are_served(scf_runtime):
        assert len(started_programs(scf_runtime)) == len(PROGRAMS)
"""
IN_A_CALL = """
        with contextlib.suppress(HarnessError):
            assert [event.wait().status for event in events] == ["FAILED"] * len(events)
        assert "FINISHED" not in [event.status for event in events]
"""
AT_THE_END = "pass"
IN_ITS_OWN_CODE = "threading.Event().wait()"


def run_session(directory: Path, tests: str) -> tuple[int, str]:
    """A session with those *tests*, of which nothing is left; its exit code, and what it wrote."""
    with Pytest(directory, tests, "-rA", "-o", "scf_async_unfinished=ignore") as run:
        code = run.end()
        run.require_nothing_left()
        return code, run.output


@pytest.mark.sandbox
@pytest.mark.nodejs
@pytest.mark.parametrize(
    ("victim", "after"),
    [
        pytest.param("supervisor", IN_A_CALL, id="supervisors, in a call"),
        pytest.param("supervisor", AT_THE_END, id="supervisors"),
        pytest.param("zygote", IN_A_CALL, id="zygote, in a call"),
        pytest.param("zygote", AT_THE_END, id="zygote"),
        pytest.param("reaper", AT_THE_END, id="reaper"),
        pytest.param("pytest", IN_ITS_OWN_CODE, id="pytest"),
    ],
)
def test_after_a_sigkill(victim: str, after: str, tmp_path: Path) -> None:
    tests = TEST.replace("VICTIM", repr(victim)).replace("AFTER", after.strip())
    tests = tests.replace("FREE_PORTS", repr([free_port() for _ in range(2 * len(KINDS))]))
    for name, text in KINDS.items():
        program = tmp_path / f"program-{name}"
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)

    code, output = run_session(tmp_path, tests)

    assert code == (-signal.SIGKILL if victim == "pytest" else pytest.ExitCode.OK), output


# -- in the middle of a start -----------------------------------------------------------------------------------------


KILLER = """
import importlib.util, os, signal, sys

def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])

def kill():
    zygote = os.getppid()
    reaper = parent_of(zygote)
    victims = {"supervisor": os.getpid(), "zygote": zygote, "reaper": reaper, "pytest": parent_of(reaper)}
    os.kill(victims[VICTIM], signal.SIGKILL)
    while True:  # this process ends with the one that was killed, and does nothing more until then
        signal.pause()

def killing(function, *, before):
    def call(*arguments):
        if before:
            kill()
        try:
            return function(*arguments)
        finally:
            kill()
    return call

class Finder:
    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            from pytest_scf_async.programs.supervisor import exec, tree
            owner, name, before = {
                "it is not traced yet": (tree.Tree, "adopt", True),
                "it is traced, and waits": (tree.Tree, "adopt", False),
                "it executes the program": (exec, "give_clock", True),
                "its clock is in place": (exec, "give_clock", False),
            }[POINT]
            setattr(owner, name, killing(getattr(owner, name), before=before))
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""
"""A ``sitecustomize`` that kills *VICTIM* when a supervisor, or the process that tries whether one works, is there."""
POINTS = ("it is not traced yet", "it is traced, and waits", "it executes the program", "its clock is in place")


WRITES_PROGRAM = """
    from pytest_scf_async.errors import HarnessError, ScfAsyncWarning

    def deployed(runtime):
        with open("program", "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\\nsleep " + os.environ["SLEEP_SECONDS"])
        os.chmod("program", 0o755)
        return runtime.deploy_image(["./program"])
"""
STARTS = """
    def test_it(scf_runtime):
        event = deployed(scf_runtime).invoke_async()
        if VICTIM == "supervisor":
            assert event.wait().status_code == 439
        else:
            with pytest.raises(HarnessError, match="is gone"):
                event.wait()
"""
TRIES = """
    def test_it(scf_runtime):
        if VICTIM == "supervisor":
            with pytest.warns(ScfAsyncWarning, match="the process that tried it ended with the wait status 9"):
                deployed(scf_runtime)
        else:
            with pytest.raises(HarnessError, match="is gone"):
                deployed(scf_runtime)
"""


@pytest.mark.parametrize(
    ("module", "point"),
    [*(("supervisor", point) for point in POINTS), ("probe", "it executes the program")],
    ids=[*POINTS, "it is tried whether programs can be traced"],
)
@pytest.mark.parametrize("victim", ["supervisor", "zygote", "pytest"])
def test_in_the_middle_of_a_start(
    victim: str, module: str, point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "VICTIM": repr(victim),
        "POINT": repr(point),
        "MODULE": repr(f"pytest_scf_async.programs.supervisor.{module}"),
    }
    kills, tests = KILLER, WRITES_PROGRAM + (STARTS if module == "supervisor" else TRIES)
    for name, value in said.items():
        kills, tests = kills.replace(name, value), tests.replace(name, value)
    path = tmp_path / "path"
    path.mkdir()
    path.joinpath("sitecustomize.py").write_text(kills, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(path))

    code, output = run_session(tmp_path, tests)

    assert code == (-signal.SIGKILL if victim == "pytest" else pytest.ExitCode.OK), output
