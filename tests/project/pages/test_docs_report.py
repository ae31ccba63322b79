"""The reports in README.md, docs/about.md and docs/sweep.md are what pytest and the command line print."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable

import pytest
from docs_support import Block, blocks, forget_modules

from pytest_scf_async.command_line import main

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

START = "2026-01-01T00:00:00Z"


def reported(lines: list[str]) -> list[str]:
    """The lines without what differs from run to run, and long ones of the timeline cut, as README has them."""
    text = "\n".join(lines)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "22474b0c-…", text)
    text = re.sub(r"(MemUsage: ?)[\d.]+MB", r"\g<1>…MB", text)
    return [f"{line[:117]}…" if len(line) > 118 and re.match(r"E +\+", line) else line for line in text.splitlines()]


def test_the_report_of_the_readme_is_true(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str
) -> None:
    (beginning,) = written(pytester, blocks("README.md"), ("handlers/backup.py", "test_backup.py"))
    printed = reported(failure_of(pytester, "test_backup.py"))
    (whole,) = written(pytester, blocks("docs/about.md"), ("handlers/backup.py", "test_backup.py"))
    forget_modules(monkeypatch, ["test_backup.py"])
    assert printed == whole
    assert printed[: len(beginning)] == beginning
    assert len(beginning) > 5


def written(pytester: pytest.Pytester, page: Iterable[Block], names: Iterable[str]) -> list[list[str]]:
    """Write the files *names* of *page*; the lines of its blocks of text, in order."""
    known = list(page)
    sources = {block.name: block.text for block in known if block.language == "python"}
    for name in names:
        file = pytester.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(sources[name], encoding="utf-8")
    return [block.text.splitlines() for block in known if block.language == "text"]


def failure_of(pytester: pytest.Pytester, test: str, *options: str) -> list[str]:
    """What pytest prints of the one failure of the *test*."""
    done = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", f"--scf-async-start={START}", "--tb=short", test, *options
    )
    done.assert_outcomes(failed=1)
    first = next(n for n, line in enumerate(done.outlines) if re.match(rf"{test.partition('::')[0]}:\d+: in ", line))
    last = next(n for n in range(first, len(done.outlines)) if not done.outlines[n].startswith(("E ", "    ", "test_")))
    return done.outlines[first:last]


def swept(lines: list[str]) -> list[str]:
    """The same of a sweep, without times, and without how many points this Python has.

    On a machine that is busy with other tests it may take so long that it says how its runs become fewer.
    """
    counted = "points?|interruptions?|changes?|of|with|real s|ms"
    text = re.sub(rf" *\b\d[\d,.]*(?= ({counted})\b)", " …", "\n".join(reported(lines))).replace("( …", "(…")
    lines = [line for line in text.splitlines() if "points='waits' or limit= make fewer" not in line]
    return [re.sub(r"(?<= lost )\d+$", "…", line).rstrip() for line in lines]


def test_the_reports_of_the_page_on_the_sweep_are_true(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chosen_sandbox: str
) -> None:
    files = ("handlers/convert.py", "handlers/fixed.py", "test_convert.py", "test_fixed.py")
    report, survived, _, command = written(pytester, blocks("docs/sweep.md"), files)
    forget_modules(monkeypatch, files)
    assert swept(failure_of(pytester, "test_convert.py")) == swept(report)

    (replay,) = [line for line in report if "Replay:  pytest " in line]
    again = failure_of(pytester, *shlex.split(replay.partition("pytest ")[2]))
    verdict = ["E   AssertionError: convert does not survive being killed:", "E     1 of 1 interruption fails"]
    assert again[2:4] == verdict

    with (pytester.path / "test_fixed.py").open("a", encoding="utf-8") as test:
        test.write("    print()\n    print(sweep.report)\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-s", "test_fixed.py")
    done.assert_outcomes(passed=1)
    first = next(n for n, line in enumerate(done.outlines) if line.startswith("fixed survives"))
    expected = swept(survived)
    assert swept(done.outlines[first:])[: len(expected)] == expected

    capsys.readouterr()
    monkeypatch.chdir(pytester.path)
    assert main(["sweep", "handlers/convert.py:main_handler", "--payload", '{"pages": 2}']) == 1
    assert swept(capsys.readouterr().out.splitlines()) == swept(command)


def test_the_repair_of_the_page_on_the_sweep_is_true(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen_sandbox: str
) -> None:
    """Its command is that of the failing test; its diff, applied as it is printed, is the repair."""
    _, _, expected, _ = written(pytester, blocks("docs/sweep.md"), ("handlers/convert.py", "test_convert.py"))
    forget_modules(monkeypatch, ["test_convert.py"])
    (line,) = [each for each in failure_of(pytester, "test_convert.py") if "Search for a repair:" in each]
    (console,) = [
        each.text for each in blocks("docs/sweep.md") if "sweep --fix" in each.text and each.language == "console"
    ]
    command = line.partition("repair:  ")[2]
    assert f"$ {command}\n" == console

    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=pytester.path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    printed = done.stdout.splitlines()
    printed = printed[next(at for at, each in enumerate(printed) if each.startswith("A repair:")) :]
    assert swept(printed) == swept(expected)

    elsewhere = pytester.mkdir("elsewhere")
    shutil.copytree(pytester.path / "handlers", elsewhere / "handlers")
    shutil.copy(pytester.path / "test_convert.py", elsewhere)
    diff = "\n".join([*printed[printed.index("--- a/handlers/convert.py") : -4], ""])
    subprocess.run(["git", "apply", "-"], cwd=elsewhere, input=diff, text=True, check=True)
    monkeypatch.chdir(elsewhere)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--rootdir=.", "test_convert.py").assert_outcomes(passed=1)
