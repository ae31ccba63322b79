"""Where instances cannot run (macOS, Windows): import, collection, clock and model work; a fixture is one sentence.

pytest runs in a process from which what only Linux gives is taken away before the plugin is imported.
"""

from __future__ import annotations

import sys

import pytest
from plugin_support import PLAIN_OPTIONS

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

HIDING = """
import asyncio, ctypes, multiprocessing, os, pdb, select, shutil, signal, socket, subprocess, sys, tempfile
import pytest

PLATFORM = sys.argv.pop(1)
LINUX_ONLY = {
    os: "eventfd eventfd_read eventfd_write memfd_create pidfd_open setns unshare MFD_CLOEXEC P_PIDFD "
    "ST_NODEV ST_NOEXEC ST_NOATIME ST_RELATIME sched_setaffinity sched_getaffinity setresuid",
    select: "epoll EPOLLIN EPOLLOUT EPOLLHUP EPOLLERR",
    signal: "pidfd_send_signal sigtimedwait SIGRTMIN SIGRTMAX",
    socket: "SOCK_SEQPACKET SOCK_CLOEXEC SO_PEERCRED",
}
POSIX_ONLY = {
    os: "fork forkpty fork_exec getuid geteuid getgid getpgid killpg setsid mkfifo waitid WNOHANG WEXITED ST_RDONLY "
    "ST_NOSUID statvfs register_at_fork pread pwrite set_blocking uname",
    select: "poll POLLIN",
    signal: "alarm pause setitimer getitimer sigwait sigpending pthread_sigmask pthread_kill siginterrupt ITIMER_REAL "
    "SIG_BLOCK SIG_UNBLOCK SIG_SETMASK SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGQUIT SIGSTOP SIGTRAP SIGUSR1 SIGUSR2",
    socket: "AF_UNIX send_fds recv_fds CMSG_SPACE CMSG_LEN SCM_RIGHTS",
}
NO_MODULE = {"darwin": [], "win32": ["fcntl", "grp", "pwd", "resource", "termios"]}
for table in (LINUX_ONLY, POSIX_ONLY) if PLATFORM == "win32" else (LINUX_ONLY,):
    for module, names in table.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
for name in NO_MODULE[PLATFORM]:
    sys.modules[name] = None


class NoLibrary:
    def __init__(self, name, *args, **kwargs):
        if PLATFORM == "win32":
            raise TypeError("LoadLibrary() argument 1 must be str, not None")


ctypes.CDLL = NoLibrary
if PLATFORM == "win32":  # what pytest itself reads there
    import io

    io._WindowsConsoleIO = type("_WindowsConsoleIO", (), {})
"""
RUN = """
sys.platform = PLATFORM
sys.exit(pytest.main(["-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:timeout", *sys.argv[1:]]))
"""
NAMES = """
sys.platform = PLATFORM
import pytest_scf_async
from pytest_scf_async.inside import record

record("nobody", listens=True)
for name in pytest_scf_async.__all__:
    getattr(pytest_scf_async, name)
try:
    pytest_scf_async.ScfRuntime()
except pytest_scf_async.UnsupportedPlatformError as error:
    print(len(pytest_scf_async.__all__), "names;", error)
"""
TESTS = """
    from datetime import timedelta

    import pytest

    from pytest_scf_async import ScfSettings, SimulatedClock, Status, assert_finished

    @pytest.mark.scf_function("handlers/sleeps.py:main_handler", payload={"rows": 3})
    def test_an_event(async_event):
        assert_finished(async_event.wait())

    def test_a_runtime(scf_runtime):
        raise AssertionError("never comes here")

    def test_the_clock_works():
        clock = SimulatedClock()
        before = clock.now
        clock.advance(timedelta(hours=72))
        assert clock.now - before == timedelta(hours=72)

    def test_the_settings_and_the_model_work(scf_settings):
        from pytest_scf_async.model.codes import STATUS_CODES

        assert scf_settings.replace("test", timeout=3).timeout == 3
        assert Status("FINISHED") is Status.FINISHED
        assert STATUS_CODES[439].code == 439
"""
PLATFORMS = ("darwin", "win32")


def run(project: pytest.Pytester, platform: str, then: str, *args: str) -> pytest.RunResult:
    return project.run(sys.executable, "-c", HIDING + then, platform, *args)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_public_name_resolves_and_a_runtime_is_refused(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    from pytest_scf_async import __all__

    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    result = run(project, platform, NAMES)
    assert result.errlines == []
    (line,) = result.outlines
    assert line.startswith(
        f"{len(__all__)} names; instances run on Linux (5.4 or newer) only, and this is {platform} without os."
    )


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_project_is_collected_a_fixture_is_one_sentence_and_what_needs_no_instance_passes(
    project: pytest.Pytester, platform: str
) -> None:
    project.makepyfile(TESTS)
    result = run(project, platform, RUN, "-rA")
    result.assert_outcomes(passed=2, errors=2)
    sentence = (
        f"instances run on Linux (5.4 or newer) only, and this is {platform} without os.*the clock and the model *"
    )
    for test in ("test_an_event", "test_a_runtime"):
        result.stdout.fnmatch_lines([f"*::{test} uses scf_runtime, and {sentence}"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert not [line for line in result.outlines if line.startswith(("E ", ">"))], "a traceback beside the sentence"


@pytest.mark.sandbox
def test_without_the_proc_file_system(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(
        """
        def test_collected(): pass
        def test_it(scf_runtime): pass
        """
    )
    monkeypatch.setattr("pytest_scf_async.instances.zygote._OWN_PROC", "/nowhere/self")

    result = pytester.runpytest_inprocess(*PLAIN_OPTIONS.split())

    result.assert_outcomes(passed=1, errors=1)
    said = "instances need the proc file system, and there is no /nowhere/self: mount it (mount -t proc proc /proc)"
    result.stdout.fnmatch_lines([f"*{said}; the clock and the model work without it"])
    result.stdout.no_fnmatch_line("*Traceback*")
