"""The setting ``clock``: genuine classes with the clock page, freezegun's without it, and where that is reported."""

from __future__ import annotations

import textwrap

import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

REFUSE_EXECUTABLE_MEMORY = """
    import ctypes, errno, platform

    class Filter(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]

    MPROTECT = {"x86_64": 10, "aarch64": 226}[platform.machine()]
    filters = (Filter * 6)(
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 3, MPROTECT),
        (0x20, 0, 0, 32),  # load the third argument
        (0x45, 0, 1, 4),  # PROT_EXEC
        (0x06, 0, 0, 0x00050000 | errno.EPERM),
        (0x06, 0, 0, 0x7FFF0000),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
    assert libc.prctl(22, 2, ctypes.byref(Program(6, filters)), 0, 0) == 0, ctypes.get_errno()
"""
"""A conftest with which the kernel lets no process of the session make memory executable, as some containers do."""

CLASSES = """
    import datetime, sys, time

    def main_handler(event, context):
        before = datetime.datetime.now()
        time.sleep(3600)
        assert (datetime.datetime.now() - before).total_seconds() == 3600
        return "freezegun" in sys.modules
"""
PASSES = """
    def test_it(scf_runtime):
        assert scf_runtime.deploy("handlers/classes.py:main_handler").run() is {frozen}
"""
WHY = "this process may have no executable memory (Operation not permitted)"
LINE = (
    "scf-async: instances have freezegun's classes for datetime and date ({why}): pandas, pyarrow, orjson and other "
    "code in C may refuse these or crash"
)


@pytest.fixture
def project(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)  # not the settings of the whole suite
    project.path.joinpath("handlers", "classes.py").write_text(textwrap.dedent(CLASSES))
    return project


@pytest.fixture
def refused(project: pytest.Pytester) -> pytest.Pytester:
    project.makeconftest(textwrap.dedent(REFUSE_EXECUTABLE_MEMORY))
    return project


def lines_about_classes(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("scf-async:") and "classes" in line]


def test_by_default_classes_are_genuine_and_nothing_is_said(project: pytest.Pytester) -> None:
    project.makepyfile(PASSES.format(frozen=False))
    result = project.runpytest()
    result.assert_outcomes(passed=1)
    assert lines_about_classes(result) == []


def test_without_executable_memory_there_are_freezeguns_classes_and_a_line(refused: pytest.Pytester) -> None:
    refused.makepyfile(PASSES.format(frozen=True))
    result = run_forked(refused)
    result.assert_outcomes(passed=1)
    assert lines_about_classes(result) == [LINE.format(why=WHY)]


@pytest.mark.parametrize("option", ["-n1", "--scf-async-sandbox=none"])
@pytest.mark.sandbox
def test_the_line_is_there_with_workers_and_without_namespaces(refused: pytest.Pytester, option: str) -> None:
    refused.makepyfile(PASSES.format(frozen=True))
    arguments = ("-p", "xdist", option) if option == "-n1" else (option,)
    result = run_forked(refused, *arguments)
    result.assert_outcomes(passed=1)
    assert lines_about_classes(result) == [LINE.format(why=WHY)]


def test_page_makes_that_an_error(refused: pytest.Pytester) -> None:
    refused.makepyfile(PASSES.format(frozen=True))
    result = run_forked(refused, "-oscf_async_clock=page")
    result.assert_outcomes(failed=1)
    error = (
        "E *ScfUsageError: clock='page' (ini: scf_async_clock) is not available on this machine: "
        f"{WHY}; clock='auto' and 'freezegun' give instances freezegun's classes instead"
    )
    result.stdout.fnmatch_lines([error])


def test_freezegun_chooses_its_classes_and_the_line_says_who_did(project: pytest.Pytester) -> None:
    project.makepyfile(PASSES.format(frozen=True))
    result = project.runpytest("-oscf_async_clock=freezegun")
    result.assert_outcomes(passed=1)
    assert lines_about_classes(result) == [LINE.format(why="clock='freezegun', ini: scf_async_clock")]
