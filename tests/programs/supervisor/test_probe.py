"""The trial whether programs can be traced: what it reports where something is refused, or is not as it has to be."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest
from internals import Zygote, messages

# once, but for one: a tracer and a kernel: the same on all Pythons

AGAIN = ", in each of 3 trials"
LIMIT = 60
"""Real seconds for a trial, on a machine however busy."""


def answer(change: str = "") -> str:
    """What the trial reports in a process of its own, after a *change* of the code that it runs."""
    lines = (
        "from pytest_scf_async.programs.supervisor import exec, filter, probe, tracee, tree, waits",
        textwrap.dedent(change),
        "print(probe.why_not())",
        "import os",
        "try: os.waitpid(-1, os.WNOHANG)",
        "except ChildProcessError: print('nobody is left')",
    )
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=LIMIT
    )
    said, left = run.stdout.rsplit("\n", 2)[:2]
    assert left == "nobody is left"
    return said


@pytest.mark.once
def test_it_says_nothing_where_programs_can_be_traced():
    assert answer() == ""


@pytest.mark.interpreter
def test_a_clock_that_is_read_by_system_calls_is_as_good():
    assert answer("exec._patch = lambda *arguments: exec.MACHINE[999]") == ""


@pytest.mark.once
@pytest.mark.parametrize(
    ("scope", "why"),
    [
        ("3", "no process may trace another (kernel.yama.ptrace_scope is 3)"),
        ("2", "only a process with CAP_SYS_PTRACE may trace another (kernel.yama.ptrace_scope is 2)"),
        (
            "1",
            (
                "ptrace: Operation not permitted; a filter of system calls or a security module forbids it, as in some "
                "containers"
            ),
        ),
    ],
)
def test_it_names_the_setting_of_the_kernel(tmp_path, scope, why):
    setting = tmp_path / "ptrace_scope"
    setting.write_text(f"{scope}\n")
    change = f"""
        probe._YAMA = {str(setting)!r}
        def seize(tid):
            raise PermissionError(1, "Operation not permitted")
        tracee.seize = seize
    """
    assert answer(change) == why


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(
            "probe._PROGRAM = 'import sys; sys.exit(\"no room\")'",
            "a traced program ended with the wait status 256: no room",
            id="it fails",
        ),
        pytest.param(
            "probe._PROGRAM = 'print(1)'",
            "a traced program wrote '1' where it had to write what its clocks show",
            id="it says something else",
        ),
        pytest.param(
            "probe.LIMIT = 0.5; tree.Tree.wake = lambda self, due: None",
            "a traced program did not end within 0.5 s",
            id="no sleep ends",
        ),
        pytest.param(
            (
                # the kernel's own monotonic clock is past the end of the sleep, so that it ends at once
                "waits.begin = lambda *arguments, **keywords: None; probe._SLEEP = 3600; "
                "probe._UPTIME_NS = 0; probe._PROGRAM = probe._PROGRAM.replace('30', '1')"
            ),
            "in a sleep of 3600 s the clock of a traced program advanced by 0.000000000 s",
            id="a sleep is real",
        ),
    ],
)
def test_it_says_what_is_wrong(change, why):
    assert answer(change) == f"{why}{AGAIN}"


@pytest.mark.once
def test_it_names_another_processor():
    assert answer("tracee.MACHINE = 'riscv64'") == "programs for this processor (riscv64, 64 bits) are not known"


SIGNALLED = """
    from signal import *
    import os
    reach, drive, times = probe._reach, probe._Trial._drive, [{times}]
    def signalled(at, genuine, pid):
        if {when!r} == at and times[0]:
            times[0] -= 1
            os.kill(pid, {signum})
            if {signum} == SIGKILL:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return genuine()
    probe._reach = lambda pid, place: signalled("before it begins", lambda: reach(pid, place), pid)
    probe._Trial._drive = lambda self: signalled("while it runs", lambda: drive(self), *self._tree.processes)
"""
WHENS = ["before it begins", "while it runs"]


@pytest.mark.once
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("signum", ["SIGKILL", "SIGTERM", "SIGSTOP"])
def test_a_signal_to_the_program_is_no_answer_of_the_kernel(signum, when):
    assert answer(SIGNALLED.format(signum=signum, when=when, times=2)) == ""


@pytest.mark.once
@pytest.mark.parametrize(
    ("signum", "when", "why"),
    [
        ("SIGKILL", "before it begins", "a program could not be traced to its end (No such process)"),
        ("SIGKILL", "while it runs", "a traced program ended with the wait status 9"),
        ("SIGSTOP", "while it runs", "a traced program was stopped by a signal"),
    ],
)
def test_a_signal_that_comes_each_time_is_one(signum, when, why):
    assert answer(SIGNALLED.format(signum=signum, when=when, times=3)) == f"{why}{AGAIN}"


@pytest.mark.once
def test_it_sees_a_clock_that_is_not_the_one_that_was_set():
    said = answer("exec.give_clock = lambda *arguments: None")
    assert said.startswith("a traced program read 1")
    assert said.endswith(f" on a clock that stood at 2000000000.000{AGAIN}")


@pytest.mark.once
@pytest.mark.parametrize(("killed", "why"), [(2, ""), (3, f"wait status 9; it wrote nothing{AGAIN}")])
def test_the_end_of_the_tracer_is_no_answer_either(monkeypatch, killed, why):
    genuine, trials = Zygote._send, []

    def send(self, data, fds=None):
        trials.append(data)
        if len(trials) > killed:
            genuine(self, data, fds)
        else:
            (trial,) = self.listeners.values()
            trial.ended(messages.Gone(1, signal.SIGKILL, 0, 0))

    zygote = Zygote()
    try:
        assert zygote.is_ready()
        monkeypatch.setattr(Zygote, "_send", send)
        said = zygote.why_untraced()
        assert said == (why and f"the process that tried it ended with the {why}")
        assert len(trials) == 3
    finally:
        zygote.close()
