"""The reaper of what a session starts: it leaves no directory behind, whenever and however it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

START = """
import os, signal, sys
from pytest_scf_async.zygote import reaper
owner = os.pidfd_open(os.getppid())
scratch, target = sys.argv[1:]
{}
reaper.supervise(owner, scratch, at_end=lambda: os.replace(os.path.join(scratch, "made"), target))
open(os.path.join(scratch, "made"), "w").close()
{}
"""
SIGNALLED = """
make = os.mkdir
def mkdir(*arguments):
    make(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)
os.mkdir = mkdir
"""


def kept(tmp_path, before, after, target="target"):
    scratch = tmp_path / "scratch"
    done = subprocess.run(
        [sys.executable, "-c", START.format(before, after), str(scratch), str(tmp_path / target)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert not scratch.exists()
    return done.returncode, done.stderr


def test_what_its_child_made_is_moved_out_before_the_directory_is_removed(tmp_path):
    assert kept(tmp_path, "", "") == (0, "")
    assert (tmp_path / "target").exists()


@pytest.mark.parametrize("code", [1, 3])
def test_its_exit_code_is_that_of_its_child(tmp_path, code):
    assert kept(tmp_path, "", f"sys.exit({code})") == (code, "")
    assert not (tmp_path / "target").exists()


def test_a_sigterm_that_comes_as_the_directory_is_made_leaves_no_directory(tmp_path):
    code, _ = kept(tmp_path, SIGNALLED, "signal.pause()")
    assert code == 128 + 9


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getppid(), signal.SIGTERM)"])
def test_what_others_make_in_memory_goes_with_the_directory(tmp_path, end):
    made = tmp_path / "in memory"
    start = START.replace("reaper.supervise(owner, scratch, ", f"reaper.supervise(owner, scratch, {str(made)!r}, ")
    after = f"os.makedirs({str(made / 'below')!r})\n{end}"
    subprocess.run(
        [sys.executable, "-c", start.format("", after), str(tmp_path / "scratch"), str(tmp_path / "target")],
        check=False,
        timeout=60,
    )
    assert not made.exists()


def test_its_child_has_the_signal_mask_of_the_one_that_started_it(tmp_path):
    assert kept(tmp_path, "", "assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])") == (0, "")


def test_where_nothing_can_be_moved_out_it_says_why_and_leaves_no_directory(tmp_path):
    code, said = kept(tmp_path, "", "", target="nowhere/target")
    assert code == 1
    assert said.startswith(f"[Errno 2] {os.strerror(2)}: ")


def test_a_child_that_has_become_another_users_is_left_and_the_others_end(tmp_path):
    """``sudo`` in a handler of an ordinary user: the kernel refuses to signal it, and the zygote goes on."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            """
import os, signal, subprocess
from pytest_scf_async.zygote import reaper
from pytest_scf_async.linux import procfs

def kill(pid, signum, real=os.kill):
    if pid in others:
        raise PermissionError
    real(pid, signum)

os.kill = kill
started = [subprocess.Popen(["head", "-c1"], stdin=subprocess.PIPE) for _ in range(3)]
others = [started[1].pid]
reaper.kill_children()
left = procfs.children_of(os.getpid())
started[1].stdin.close()
os.waitid(os.P_PID, *others, os.WEXITED | os.WNOWAIT)
reaper.kill_children()
print(left == others, procfs.children_of(os.getpid()))
""",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True []\n", "")
