"""``sweep --fix``: what it prints and writes, and the line of a test's failure that names it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

import pytest
from sweep_support import KEEPS, LOSES, write_handler

from pytest_scf_async.command_line import main
from pytest_scf_async.sweep.repairs.found import RepairFacts, Repairs, RepairsFacts

# once: the same on all Pythons
pytestmark = pytest.mark.once

CODE = "handlers/loses.py:main_handler"
TEST = """
    def each_run(run):
        yield {"OUT": str(run.path)}


    def test_it(scf_runtime):
        function = scf_runtime.deploy("handlers/loses.py:main_handler")
        scf_runtime.sweep(function, each_run=each_run, how="forced").assert_survives()
"""
LINE = "Search for a repair:  "


@pytest.fixture
def loses(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    write_handler(project, LOSES)
    monkeypatch.chdir(project.path)
    return project


def sweep(*options: str) -> int:
    return main(["sweep", "--how=forced", "--fix", *options, CODE])


def diff_in(output: str) -> str:
    """The diff in what was printed."""
    found = re.search(r"^--- a/.*?(?=^$)", output, re.DOTALL | re.MULTILINE)
    assert found is not None, output
    return found[0]


def as_printed(project: pytest.Pytester, command: str) -> subprocess.CompletedProcess[str]:
    """What becomes of a command exactly as a report has it, where ``python`` is that of the tests."""
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    words = ["sh", "-c", command]
    return subprocess.run(words, cwd=project.path, env=environment, capture_output=True, text=True, check=False)


def lines_for_repairs(project: pytest.Pytester, *options: str) -> list[str]:
    """What the failures of the tests say about the search for a repair."""
    done = project.runpytest_inprocess("-p", "no:cacheprovider", *options)
    lines = [line.removeprefix("E").strip() for line in done.outlines if line.startswith("E ") and LINE in line]
    return [line.partition(LINE)[2] for line in lines]


# -- what it prints ----------------------------------------------------------------------------------------------------


def test_it_prints_a_diff_that_can_be_applied(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    before = (loses.path / "handlers" / "loses.py").read_bytes()
    assert sweep() == 1
    output = capsys.readouterr().out
    assert (loses.path / "handlers" / "loses.py").read_bytes() == before
    assert re.search(
        r"^This change survives all \d+ interruptions\. Undisturbed it does what the code did\.$", output, re.M
    )
    assert "Not judged: speed, style, other threads, other payloads, and what the sweep does not compare." in output
    assert output.endswith("\nTo write it: the same command with --apply\n")
    subprocess.run(["git", "apply", "-"], input=diff_in(output), text=True, check=True)
    assert main(["sweep", "--how=forced", CODE]) == 0


def test_it_writes_the_change_with_apply(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    path = loses.path / "handlers" / "loses.py"
    path.write_bytes(
        b"# \xe4\r\n".join([b"# -*- coding: latin-1 -*-\r\n", textwrap.dedent(LOSES).replace("\n", "\r\n").encode()])
    )
    path.chmod(0o640)
    assert sweep("--apply") == 0
    output = capsys.readouterr().out
    assert output.endswith(f"\nWritten: {path}\n")
    assert path.stat().st_mode & 0o777 == 0o640
    content = path.read_bytes()
    assert content.startswith(b"# -*- coding: latin-1 -*-\r\n# \xe4\r\n")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert sweep("--apply") == 0
    assert "No repair was tried: the sweep has found nothing to repair in loses.\n" in capsys.readouterr().out


def test_one_that_cannot_be_written_is_printed(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    path = loses.path / "handlers" / "loses.py"
    path.chmod(0o444)
    assert sweep("--apply") == 2
    output = capsys.readouterr()
    assert "+++ b/handlers/loses.py" in output.out
    assert output.err == f"python -m pytest_scf_async: --apply: {path} cannot be written: it is read-only\n"


def lines_of(fix: Mapping[str, Any]) -> list[str]:
    """What the text has to say, as JSON says it."""
    found = [text for each in fix["found"] for text in (each["survives"], *each["diff"].splitlines())]
    heads = [f"A repair: {each['kind']}, at {each['file']}:{each['line']}" for each in fix["found"]]
    tried = [f"Tried: {fix['tried']:,} of {fix['number']:,} change"] if fix["number"] else []
    written = [f"Written: {path}" for path in fix["applied"]]
    return [*heads, *found, *tried, *written, *fix["refused"], fix["best"], fix["ended"], fix["why_none"]]


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (LOSES, []),
        (LOSES, ["--apply"]),
        (LOSES, ["--budget=0"]),
        (KEEPS, []),
        (LOSES.replace("def main_handler", "def renamed"), ["--how=power,nfs"]),
    ],
    ids=["found", "applied", "over", "nothing to repair", "with power"],
)
def test_its_json_says_what_its_text_says(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str], source: str, options: list[str]
) -> None:
    path = loses.path / "handlers" / "loses.py"
    path.write_text(textwrap.dedent(source.replace("def renamed", "def main_handler")))
    sweep("--json=facts.json", *options)
    output = capsys.readouterr().out
    fix = json.loads((loses.path / "facts.json").read_text())["fix"]
    assert [line for line in lines_of(fix) if line not in output] == []
    assert fix.keys() == {*RepairsFacts.__annotations__}
    assert all(each.keys() == {*RepairFacts.__annotations__} for each in fix["found"])
    assert len(fix["found"]) == output.count("A repair: ")
    assert fix["over_budget"] == ("of its budget were over" in output)
    assert fix["applied"] == ([str(path)] if "--apply" in options else [])
    assert bool(fix["found"]) == (not (fix["why_none"] or fix["best"] or fix["over_budget"]))
    assert all((f"({each['interruptions']:,} with power)" in output) == bool(each["power"]) for each in fix["found"])
    assert (fix["not_judged"] in output) == (not fix["why_none"])


def test_its_json_says_what_the_best_change_still_loses() -> None:
    best = "The best one (rename, at loses.py:7) still fails in 1 of 7 interruptions: LOST: killed before loses.py:8"
    repairs = Repairs(tried=3, number=3, best=best, refused=("swap, at loses.py:7: it removes output",))
    assert [line for line in lines_of(repairs.facts()) if line not in repairs.report] == []
    assert (repairs.facts()["best"], repairs.facts()["found"]) == (best, [])


def test_a_budget_of_nothing(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--budget", "0") == 1
    output = capsys.readouterr().out
    assert "No repair was found: no change was tried.\nTried: 0 of " in output
    assert "ended early: the 0 s of its budget were over; --budget 60 (budget=60) gives it more.\n" in output


@pytest.mark.usefixtures("loses")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--apply"], "--apply goes with --fix, which searches for a repair"),
        (["--budget=5"], "--budget goes with --fix, which searches for a repair"),
        (["--fix", "--replay=KEY"], "--fix makes the whole sweep, and --replay KEY one run: leave one of them out"),
        (["--fix", "--budget=-1"], "budget=-1.0 is not valid: it must be a number of real seconds, 0 or more"),
    ],
)
def test_what_is_wrong_is_one_sentence(options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--how=forced", *options, CODE]) == 2
    assert capsys.readouterr().err.splitlines() == [f"python -m pytest_scf_async: {sentence}"]


INTERRUPTED = """
import os, signal, sys

from pytest_scf_async.command_line import main
from pytest_scf_async.sweep.repairs import trying

made = trying._Search._repair


def repair(*arguments):
    found = made(*arguments)
    os.kill(os.getpid(), signal.SIGINT)
    return found


trying._Search._repair = repair
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_keeps_what_was_found(loses: pytest.Pytester) -> None:
    script = loses.makepyfile(interrupted=INTERRUPTED)
    result = loses.run(sys.executable, script, "sweep", "--how=forced", "--fix", CODE)
    assert result.ret == 130
    assert "loses does not survive being killed:" in result.outlines
    ended = [line for line in result.outlines if line.startswith("Tried: ")]
    assert ended[-1].endswith(" The search ended early: Ctrl-C or SIGTERM arrived.")


# -- the line in a failure ---------------------------------------------------------------------------------------------


def test_the_line_of_a_failure_is_a_command_that_works(loses: pytest.Pytester) -> None:
    loses.makepyfile(test_loses=TEST)
    (line,) = lines_for_repairs(loses)
    assert line == f"python -m pytest_scf_async sweep --fix --how forced {CODE}"
    done = as_printed(loses, line)
    assert done.returncode == 1
    assert done.stderr == ""
    subprocess.run(["git", "apply", "-"], input=diff_in(done.stdout), text=True, check=True)
    loses.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


SAID = """
    from pytest_scf_async import graceful

    def each_run(run):
        "Its directory, and the mode."
        yield {"ROOT": str(run.path), "OUT": f"{run.path}/", "MODE": "a b"}


    def test_it(scf_runtime):
        function = scf_runtime.deploy("handlers/loses.py:main_handler", timeout=100, environment={"MORE": "1"})
        sweep = scf_runtime.sweep(
            function,
            {"name": "it's"},
            each_run=each_run,
            how=["forced", graceful(again=5)],
            within=30,
            points="waits",
            exclude="other.py",
            limit=500,
            ignore="*.log",
        )
        assert sweep.repairs().why_none == ""
        sweep.assert_exactly_once()
"""


def test_all_that_a_command_can_say_is_said(loses: pytest.Pytester) -> None:
    write_handler(loses, LOSES.replace("            open", "            import time; time.sleep(1); open"))
    loses.makepyfile(test_loses=SAID)
    (line,) = lines_for_repairs(loses)
    assert line.endswith(f' --env MODE="${{MODE?as in the test}}" {CODE}'), "a value may be a secret"
    assert shlex.split(line)[4:] == [
        *("--fix", "--exactly-once", "--payload", '{"name": "it\'s"}', "--how", "forced", "--how", "graceful,again=5"),
        *("--exclude", "other.py", "--ignore", "*.log", "--within", "30", "--points", "waits", "--limit", "500"),
        *("--timeout", "100", "--env", "MORE=${MORE?as in the test}", "--env", "ROOT={path}", "--env", "OUT={path}/"),
        *("--env", "MODE=${MODE?as in the test}", CODE),
    ]
    done = as_printed(loses, line)
    assert (done.returncode, "MORE: as in the test" in done.stderr) == (2, True)
    done = as_printed(loses, f"export MORE=1 MODE='a b'; {line}")
    assert (done.returncode, done.stderr) == (1, "")


BY_CALL = {
    "check": ("how=", "check=lambda run: None, how="),
    "done": ("how=", "done=lambda event: event.status == 'FINISHED', how="),
    "attempts": ("how=", "attempts=3, how="),
    "a function that ignores": ("how=", "ignore=lambda name: False, how="),
    "each_run writes": ("        yield", "        (run.path / 'begin').touch()\n        yield"),
    "each_run observes": (" str(run.path)}", " str(run.path)}\n        run.observe(one=1)"),
    "memory": (':main_handler"', ':main_handler", memory=128'),
    "a fake": (':main_handler"', ':main_handler", before_init=fake'),
}


@pytest.mark.parametrize("more", BY_CALL)
def test_where_no_command_says_the_same_it_is_the_call(more: str, loses: pytest.Pytester) -> None:
    old, new = BY_CALL[more]
    assert old in TEST
    loses.makepyfile(test_loses=f"def fake():\n    pass\n\n{textwrap.dedent(TEST.replace(old, new, 1))}")
    assert lines_for_repairs(loses) == ["sweep.repairs()"]


def test_the_call_works_as_it_is_printed(loses: pytest.Pytester) -> None:
    text = (
        textwrap.dedent(TEST)
        .replace("scf_runtime.sweep(", "sweep = scf_runtime.sweep(")
        .replace(".assert_survives()", "\n    assert not sweep.{call}.found, sweep.{call}.report")
    )
    loses.makepyfile(test_loses=text.replace("sweep.{call}", "sweep.repairs()"))
    done = loses.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E*This change survives all * interruptions. Undisturbed it does what the code did."])


JOB = """
    import os, sys

    mark, row = (os.path.join(sys.argv[1], name) for name in ("mark", "row"))
    if not os.path.exists(mark):
        open(mark, "w").close()
        open(row, "w").close()
"""
OF_JOB = """
    def test_it(scf_runtime):
        job = scf_runtime.deploy_image(["python", "job.py", "{path}"], port=-1, in_process=True)
        scf_runtime.sweep(job, how="forced").assert_survives()
"""


def test_the_line_of_a_job(loses: pytest.Pytester) -> None:
    loses.makepyfile(job=JOB, test_job=OF_JOB)
    (line,) = lines_for_repairs(loses)
    assert line == "python -m pytest_scf_async sweep --fix --how forced -- python3 job.py '{path}'"
    done = as_printed(loses, line)
    assert (done.returncode, done.stderr) == (1, "")
    subprocess.run(["git", "apply", "-"], input=diff_in(done.stdout), text=True, check=True)
    loses.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.usefixtures("loses")
def test_a_handler_in_the_file_of_its_test(loses: pytest.Pytester) -> None:
    code = textwrap.dedent(LOSES) + textwrap.dedent(TEST).replace('"handlers/loses.py:main_handler"', "main_handler")
    loses.makepyfile(test_loses=code)
    (line,) = lines_for_repairs(loses)
    assert line.endswith(" test_loses.py:main_handler")
    done = as_printed(loses, line)
    assert (done.returncode, done.stderr) == (1, "")
    assert "+++ b/test_loses.py" in done.stdout
    subprocess.run(["git", "apply", "-"], input=diff_in(done.stdout), text=True, check=True)
    loses.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


NO_LINE = {
    "nothing was found": (KEEPS, TEST, ()),
    "a replay": (LOSES, TEST, ("--scf-async-replay=forced@loses.py:8#1",)),
    "a shard": (LOSES, TEST, ("--scf-async-shard=1/1",)),
    "a program that is traced": (
        JOB,
        OF_JOB.replace("in_process=True", "in_process=False"),
        (),
    ),
}


@pytest.mark.parametrize("case", NO_LINE)
def test_where_nothing_can_be_tried_there_is_no_line(case: str, loses: pytest.Pytester) -> None:
    source, test, options = NO_LINE[case]
    write_handler(loses, source)
    loses.makepyfile(job=JOB, test_it=test)
    assert lines_for_repairs(loses, *options) == []
