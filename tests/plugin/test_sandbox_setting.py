"""The setting ``sandbox``: what a session reports of it, and where the kernel refuses mount namespaces."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS, run_with

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

_REFUSE = """
    import ctypes, errno, platform

    class Filter(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]

    REFUSED = {numbers}[platform.machine()]
    filters = (Filter * 4)(
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, REFUSED),
        (0x06, 0, 0, 0x00050000 | errno.EPERM),
        (0x06, 0, 0, 0x7FFF0000),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
    assert libc.prctl(22, 2, ctypes.byref(Program(4, filters)), 0, 0) == 0, ctypes.get_errno()
"""
"""A conftest with which the kernel refuses every process of the session one system call."""


def refuse(**numbers: int) -> str:
    """That conftest for the call with these *numbers*, by architecture."""
    return textwrap.dedent(_REFUSE.replace("{numbers}", repr(numbers)))


LITERAL = f"/tmp/scf-async-literal-{os.getpid()}"
"""In the machine's own /tmp, so that it is no other run's, nor another user's."""
READS_TMP = f"""
    import os, tempfile

    def main_handler(event, context):
        with open("{LITERAL}", "w") as file:
            file.write("x")
        os.unlink("{LITERAL}")
        return tempfile.gettempdir()
"""
WHY = "unshare of user and mount namespaces: Operation not permitted"


@pytest.fixture
def refused(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.Pytester]:
    """The project where the kernel refuses namespaces, without the settings of the whole suite."""
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    project.makeconftest(refuse(x86_64=272, aarch64=97))
    project.path.joinpath("handlers", "literal.py").write_text(textwrap.dedent(READS_TMP))
    yield project
    Path(LITERAL).unlink(missing_ok=True)  # of an instance that was ended in between


def of_sandbox(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("scf-async")]


def test_without_namespaces_there_is_a_line_and_one_warning_with_the_users_line(refused: pytest.Pytester) -> None:
    refused.makepyfile("""
        def test_it(scf_runtime):
            literal = scf_runtime.deploy("handlers/literal.py:main_handler")
            assert literal.run() == str(literal.events[0].instance.tmp) != "/tmp"
            assert literal.run() == str(literal.events[1].instance.tmp)
    """)
    result = run_forked(refused, "-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    (line,) = of_sandbox(result)
    assert line.startswith(f"scf-async: instances have no mount namespace ({WHY}): each has a TMPDIR of its own, and ")
    assert line.endswith(" a literal /tmp/… is the machine's")
    result.stdout.fnmatch_lines(
        f"*ScfAsyncWarning: {refused.path}/handlers/literal.py:5 uses '{LITERAL}', which belongs to the machine and "
        f"not to the instance: it has no mount namespace ({WHY}), and its own /tmp is in TMPDIR, /*"
    )


def test_the_line_is_there_once_however_many_workers(refused: pytest.Pytester) -> None:
    refused.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(scf_runtime, number):
            assert scf_runtime.deploy("handlers/echo.py:main_handler").run(number) == number

        def test_without_instances():
            pass
    """)
    for options, lines in ((("-n2",), 1), (("-q",), 0), (("-n1", "-k", "without"), 0)):
        result = run_forked(refused, *options)
        assert result.ret == 0
        found = of_sandbox(result)
        assert len(found) == lines
        assert all(line.startswith(f"scf-async: instances have no mount namespace ({WHY}): each ") for line in found)


def test_the_warning_as_an_error_is_reported_at_the_tests_line(refused: pytest.Pytester) -> None:
    refused.makepyfile("""
        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/literal.py:main_handler").run()
    """)
    result = run_forked(refused, "-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ScfAsyncWarning: *literal.py:5 uses *", "", "*.py:2: ScfAsyncWarning"])
    assert "pytest_scf_async/" not in result.stdout.str()


def test_a_session_that_has_no_instances_says_nothing_of_them(refused: pytest.Pytester) -> None:
    refused.makepyfile("def test_it(): pass")
    assert of_sandbox(run_forked(refused)) == []


@pytest.mark.sandbox
def test_namespaces_that_cannot_be_had_are_an_error_that_says_why(refused: pytest.Pytester) -> None:
    refused.makepyfile("""
        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
    """)
    result = run_forked(refused, "--scf-async-sandbox=namespaces")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        "E *ScfUsageError: sandbox='namespaces' (command line: --scf-async-sandbox) is not available on this machine: "
        f"{WHY}; sandbox='auto' and 'none' give each instance a TMPDIR of its own instead"
    )
    assert "pytest_scf_async/" not in result.stdout.str()


@pytest.mark.sandbox
def test_none_asks_the_kernel_for_nothing(refused: pytest.Pytester) -> None:
    refused.makepyfile("""
        import pytest_scf_async.instances.zygote as zygotes

        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
            assert list(zygotes._shared) == [(False, (), "page")]
            assert zygotes._refused is None
    """)
    result = run_forked(refused, "--scf-async-sandbox=none")
    result.assert_outcomes(passed=1)
    assert of_sandbox(result) == ["scf-async: sandbox=none (command line: --scf-async-sandbox)"]


@pytest.mark.parametrize(
    ("workers", "options", "lines"),
    [
        ((), (), []),
        ((), ("-v",), ["scf-async: default settings", "scf-async: each instance has a mount namespace"]),
        ((), ("-q",), []),
        ((), ("--collect-only", "-v"), ["scf-async: default settings"]),
        (("-n1",), ("-v",), ["scf-async: default settings", "scf-async: each instance has a mount namespace"]),
    ],
)
def test_with_namespaces_only_v_says_so(
    project: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    workers: tuple[str, ...],
    options: tuple[str, ...],
    lines: list[str],
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    project.makepyfile("def test_it(scf_runtime): pass")
    assert of_sandbox(run_with(project, workers, *options)) == lines


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ({"x86_64": 308, "aarch64": 268}, "setns to the zygote's first mount namespace: Operation not permitted"),
        ({"x86_64": 161, "aarch64": 51}, "Operation not permitted (.)"),
        ({"x86_64": 430, "aarch64": 430}, "fsopen tmpfs: Operation not permitted"),
    ],
    ids=["setns", "chroot", "fsopen"],
)
def test_where_the_kernel_refuses_any_part_of_it_there_are_no_namespaces(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, numbers: dict[str, int], why: str
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    project.makeconftest(refuse(**numbers))
    project.makepyfile("""
        def test_it(scf_runtime):
            assert scf_runtime.deploy("handlers/echo.py:main_handler").run(1) == 1
    """)

    result = run_forked(project)

    result.assert_outcomes(passed=1)
    assert f"({why})" in of_sandbox(result)[0]


CHROOT = """
set -e
mount --rbind / root
mount -t tmpfs tmpfs "root$PWD/project"
cp -r handlers test_it.py "root$PWD/project"
root=$PWD/root inside=$PWD/project
PATH=$PATH:/usr/sbin:/sbin
exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$inside" "$@"
"""
"""Runs a command in a root directory that holds what the root of its mount namespace does not: the project."""


@pytest.mark.sandbox
def test_under_chroot_an_instance_has_the_tree_that_pytest_has(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    project.makepyfile(
        test_it="""
        def test_it(scf_runtime):
            assert scf_runtime.deploy("handlers/echo.py:main_handler").run(1) == 1
    """
    )
    project.mkdir("root")
    project.mkdir("project")
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ("unshare", "--mount", "--propagation", "private", *as_root, "--", "sh", "-c", CHROOT, "sh")

    result = project.run(*command, sys.executable, "-m", "pytest", "-v")

    result.assert_outcomes(passed=1)
    assert "scf-async: each instance has a mount namespace" in of_sandbox(result)


def test_the_base_temp_and_the_rootdir_are_handlers_too(project: pytest.Pytester) -> None:
    project.path.joinpath("handlers", "writes.py").write_text(
        textwrap.dedent("""
            import os
            def main_handler(event, context):
                for path in event:
                    try:
                        open(os.path.join(path, "new"), "w").close()
                    except OSError as error:
                        print(error.strerror)
                return os.path.isfile(os.path.join(event[1], "handlers", "echo.py"))
        """)
    )
    project.makepyfile("""
        import os

        def test_it(scf_runtime, tmp_path, pytestconfig):
            writes = scf_runtime.deploy("handlers/writes.py:main_handler")
            assert writes.run([str(tmp_path), str(pytestconfig.rootpath)])
            assert (tmp_path / "new").exists()
    """)
    for workers in ((), ("-p", "xdist", "-n1")):
        run_with(project, workers).assert_outcomes(passed=1)


LISTENS = f"""
    import subprocess, sys

    CHILD = "import socket; made = socket.socket(); made.bind(('0.0.0.0', 0)); print(made.getsockname()[0])"

    def main_handler(event, context):
        return subprocess.run([{sys.executable!r}, "-I", "-c", CHILD], capture_output=True, text=True).stdout.strip()
"""


@pytest.mark.parametrize(
    ("sandbox", "numbers", "why"),
    [
        pytest.param("auto", {}, "", id="nothing is refused"),
        pytest.param("none", {}, "", id="nothing is refused, without namespaces"),
        pytest.param(
            "auto", {"x86_64": 438, "aarch64": 438}, "pidfd_getfd: Operation not permitted", id="as in many containers"
        ),
        pytest.param("none", {"x86_64": 317, "aarch64": 277}, "seccomp: Operation not permitted", id="no filters"),
    ],
)
@pytest.mark.sandbox
def test_where_programs_cannot_be_kept_on_loopback_a_line_says_so(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, sandbox: str, numbers: dict[str, int], why: str
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)
    if numbers:
        project.makeconftest(refuse(**numbers))
    project.path.joinpath("handlers", "listens.py").write_text(textwrap.dedent(LISTENS))
    project.makepyfile(f"""
        def test_it(scf_runtime):
            listens = scf_runtime.deploy("handlers/listens.py:main_handler")
            assert listens.run() == {"0.0.0.0" if why else "127.0.0.1"!r}
    """)
    option = f"--scf-async-sandbox={sandbox}"
    result = run_forked(project, option) if numbers else project.runpytest_inprocess(option)
    result.assert_outcomes(passed=1)
    text = "scf-async: programs that share the machine's network may listen on all of its addresses"
    assert [line for line in of_sandbox(result) if "listen" in line] == ([f"{text} ({why})"] if why else [])


BASE_TEMP_REMOVED = """
    import shutil

    import pytest
    from pytest_scf_async import HarnessError
    from pytest_scf_async.instances.sandbox import Sandboxes

    @pytest.fixture
    def export(scf_runtime, pytestconfig):
        (pytestconfig.rootpath / "index.py").write_text("def main_handler(event, context): return 'ran'")
        function = scf_runtime.deploy("index.py:main_handler", name="export")
        assert function.run() == "ran"
        scf_runtime.clock.advance(300)  # its instance is reclaimed
        return function

    @pytest.fixture
    def clean_up(pytestconfig):
        base = pytestconfig.rootpath / "base"
        base.mkdir(exist_ok=True)
        return lambda: shutil.rmtree(base)

    def test_before(clean_up, export):
        clean_up()
        print(says(export))

    def test_meanwhile(clean_up, export, monkeypatch, scf_runtime):
        make = Sandboxes.make

        def make_and_clean_up(*given, **named):
            made = make(*given, **named)
            clean_up()
            return made

        monkeypatch.setattr(Sandboxes, "make", make_and_clean_up)
        print(says(export))

    def says(export):
        try:
            return f"returned: {export.run()}"
        except HarnessError as error:
            return f"error: {error}"
"""


@pytest.mark.sandbox
def test_a_base_temp_that_is_removed_while_the_tests_run_is_one_sentence_whose_advice_works(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(test_it=textwrap.dedent(BASE_TEMP_REMOVED))
    mounts = "--scf-async-sandbox=namespaces"  # without them instances have no view of it, and start all the same
    said = [line for line in run_forked(project, "-rP", mounts).outlines if line.startswith("error: ")]
    removed = (
        f"error: an instance of export could not be started: pytest's base temp {project.path}/base was removed while"
    )
    assert [line.startswith(removed) for line in said] == [True, True], said
    assert "run them again, with --basetemp=DIRECTORY" in said[0]

    again = run_forked(project, "-rP", mounts, f"--basetemp={project.path}/own")
    assert again.outlines.count("returned: ran") == 2
