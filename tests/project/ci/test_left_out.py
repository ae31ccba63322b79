"""The project's own conftest.py: what a run leaves out, and that its last lines say so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

# once: pytest's side alone
pytestmark = pytest.mark.once

CONFTEST = Path(__file__).resolve().parents[3] / "conftest.py"
NODE = "left out: 2 tests for want of Node.js (Debian and Ubuntu: apt-get install nodejs)"
LONG = "left out: 1 test as long searches (make test-all runs them; CONTRIBUTING.md lists their files)"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Tests that need Node.js, on a machine without it, a long one, and one that needs nothing."""
    shutil.copy(CONFTEST, pytester.path)
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.nodejs
        @pytest.mark.parametrize("case", [1, 2])
        def test_in_node(case): pass

        def test_here(): pass
        """,
        test_search="""
        import pytest

        pytestmark = pytest.mark.long

        def test_all(): pass
        """,
    )
    monkeypatch.setenv("PATH", str(pytester.path))
    return pytester


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_what_is_left_out_is_counted_with_its_reason(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    result = project.runpytest_subprocess("-p", "no:scf_async", *workers)

    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes()["passed"] == 1
    assert [line for line in result.outlines if line.startswith("left out")] == [NODE, LONG]


@pytest.mark.parametrize("arguments", [("--long",), ("test_it.py", "test_search.py"), ("test_search.py::test_all",)])
def test_a_long_one_is_run_where_it_is_asked_for(project: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    result = project.runpytest_inprocess("-p", "no:scf_async", *arguments)

    assert LONG not in result.outlines
    assert result.parseoutcomes()["passed"] == (1 if "::" in arguments[0] else 2)


def test_what_was_not_selected_is_not_left_out(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("-p", "no:scf_async", "-k", "here")

    assert [line for line in result.outlines if line.startswith("left out")] == []


@pytest.mark.parametrize(
    ("reason", "code", "line"),
    [
        ("needs a kernel with io_setup", pytest.ExitCode.OK, "left out: 1 test for want of a kernel with io_setup"),
        (
            "no",
            pytest.ExitCode.TESTS_FAILED,
            "FAILED, as nothing explains this skip: test_skips.py::test_it: Skipped: no",
        ),
    ],
)
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "a worker"])
def test_a_skip_needs_an_explanation(
    project: pytest.Pytester, reason: str, code: pytest.ExitCode, line: str, workers: tuple[str, ...]
) -> None:
    project.makepyfile(test_skips=f"import pytest\ndef test_it(): pytest.skip({reason!r})\ndef test_other(): pass")

    result = project.runpytest_subprocess("-p", "no:scf_async", *workers, "test_skips.py")

    assert result.ret == code
    assert line in result.outlines


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "a worker"])
def test_a_leg_of_ci_may_have_no_test_left(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    none = ("-p", "no:scf_async", "-m", "sandbox", *workers)
    assert project.runpytest_subprocess(*none).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert project.runpytest_subprocess(*none, "--may-be-empty").ret == pytest.ExitCode.OK


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "a worker"])
def test_only_these_files_are_collected(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    for name in ("one", "other"):
        (project.mkpydir(name) / f"test_in_{name}.py").write_text("def test_there(): pass")
    (project.path / "test_bad.py").write_text("raise RuntimeError('collected')")

    result = project.runpytest_subprocess(
        "-p", "no:scf_async", "-v", "--only=test_it.py other/test_in_other.py", *workers, "-k", "here"
    )

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines_random(["*test_it.py::test_here*", "*other/test_in_other.py::test_there*"])
    assert result.parseoutcomes()["passed"] == 2


@pytest.mark.parametrize("name", ["test_gone.py", "other", "other/test_in_other.py"])
def test_a_file_that_would_not_be_collected_is_an_error(project: pytest.Pytester, name: str) -> None:
    for folder in ("one", "other"):
        (project.mkpydir(folder) / f"test_in_{folder}.py").write_text("def test_there(): pass")

    result = project.runpytest_subprocess("-p", "no:scf_async", f"--only=one/test_in_one.py {name}", "one")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    path = project.path / name
    assert f"ERROR: --only: {path} is not a file in any of the folders that are collected" in result.errlines
