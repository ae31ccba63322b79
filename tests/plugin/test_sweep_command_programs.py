"""``python -m pytest_scf_async sweep -- PROGRAM``: any program, which is started again until it exits with 0."""

from __future__ import annotations

import pytest

from pytest_scf_async.command_line import main

# once: the same on all Pythons
pytestmark = pytest.mark.once

IN_PLACE = """
    out=$1
    page=$(cat "$out/page" 2> /dev/null || echo 0)
    while [ "$page" -lt 2 ]; do
        sleep 60
        page=$((page + 1))
        echo "row $page" >> "$out/rows"
        echo "$page" > "$out/page"
    done
"""
RENAMES = """
    out=$1
    trap 'exit 143' TERM
    [ -e "$out/page" ] || { sleep 60; echo done > "$out/new"; mv "$out/new" "$out/page"; }
"""
EXITS_TOO_WELL = """
    out=$1
    trap 'exit 0' TERM
    [ -e "$out/page" ] || { sleep 60; echo done > "$out/new"; mv "$out/new" "$out/page"; }
"""
IS_SLOW = """
    out=$1
    trap 'sleep 45; echo half > "$out/page"; exit 1' TERM
    [ -e "$out/page" ] || { sleep 60; echo done > "$out/new"; mv "$out/new" "$out/page"; }
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.chdir(pytester.path)
    return pytester


def swept(project: pytest.Pytester, script: str, *options: str, arguments: tuple[str, ...] = ("{path}",)) -> int:
    project.path.joinpath("job.sh").write_text(script)
    return main(["sweep", *options, "--", "bash", "job.sh", *arguments])


def test_the_first_finding_and_the_test_that_fails_in_the_same_way(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(project, IN_PLACE, "--how=forced", "--exactly-once") == 1
    output = capsys.readouterr().out
    first, headline, compared, repeat, *_ = output.splitlines()
    assert "when the handler is interrupted (forced) at effect#4 (write page)" in first
    assert headline.startswith("sweep of job: ")
    assert compared == "compared: result; 2 files of run.path"
    _, _, pasted = output.partition("This test fails in the same way:\n\n")
    assert '    function = scf_runtime.deploy_image(["bash", "job.sh", "{path}"], port=-1)\n' in pasted
    project.makepyfile(test_pasted=pasted)
    result = project.runpytest_inprocess("test_pasted.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *AssertionError: {headline}"])
    key = repeat.partition("--replay '")[2].partition("'")[0]
    assert swept(project, IN_PLACE, "--how=forced", "--exactly-once", f"--replay={key}") == 1


def test_one_that_renames_survives(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, RENAMES) == 0
    assert "nothing lost" in capsys.readouterr().out


def test_its_directory_may_be_in_a_variable(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    script = RENAMES.replace("$1", "$TARGET/in")
    assert swept(project, f"mkdir -p $TARGET/in\n{script}", "--env=TARGET={path}", arguments=()) == 0
    assert "compared: result; 1 file of run.path" in capsys.readouterr().out


def test_it_says_what_exit_code_0_means_after_sigterm(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(project, EXITS_TOO_WELL, "--how=graceful") == 1
    first, why, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("lost: file page, when the handler is interrupted (graceful) at ")
    assert why == (
        "after SIGTERM it has exited with 0, which says that its work is done, so nobody starts it again: have it exit "
        "with another code where that is not so, as with 143"
    )


def test_after_its_grace_it_is_killed(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, IS_SLOW, "--how=graceful") == 1
    capsys.readouterr()
    assert swept(project, IS_SLOW, "--how=graceful", "--grace=30") == 0
    assert "with how=graceful,forced=30" in capsys.readouterr().out


def test_a_full_disk(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, RENAMES, "--how=fault,enospc") == 1
    output = capsys.readouterr().out
    first, headline, *_ = output.splitlines()
    where = "(fault,enospc) at effect#2 (write new), 60 s after the event's start"
    assert first == f'lost: line "done" of page, when the handler is interrupted {where}'
    project.makepyfile(test_pasted=output.partition("This test fails in the same way:\n\n")[2])
    result = project.runpytest_inprocess("test_pasted.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *AssertionError: {headline}"])
    assert swept(project, RENAMES, "--how=fault,enospc", "--replay=fault,enospc@effect#2") == 1
    assert swept(project, RENAMES.replace("; mv", " && mv"), "--how=fault,enospc", "--how=fault,eio") == 0


TRAINS = """
import sys, time
from pathlib import Path
checkpoint = Path(sys.argv[1], "checkpoint")
for epoch in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, 2):
    time.sleep(60)
    checkpoint.write_text(str(epoch + 1))
"""


def test_a_python_program_has_lines_unless_it_is_traced(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    project.path.joinpath("train.py").write_text(TRAINS)
    command = "--", "python", "train.py", "{path}"
    assert main(["sweep", "--how=forced", *command]) == 1
    output = capsys.readouterr().out
    assert "at effect#2 (write checkpoint, train.py:7, in Path.write_text), 60 s" in output.splitlines()[0]
    assert "in_process=True" in output
    assert main(["sweep", "--how=forced", "--traced", *command]) == 1
    traced = capsys.readouterr().out
    assert "at effect#2 (write checkpoint), 60 s" in traced.splitlines()[0]
    assert "in_process" not in traced


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["sweep"], "it takes either a handler, as in handlers/export.py:main_handler, or a program behind --"),
        (["sweep", "job.py:main_handler", "--", "bash"], "it takes either a handler"),
        (
            ["sweep", "--", "bash", "job.sh"],
            "nothing of what it writes is compared: name the directory of a run, {path}",
        ),
        (["sweep", "--", "no-such-program", "{path}"], "there is no program 'no-such-program'"),
        (
            ["sweep", "--", "bash", "-c", "exit 3", "{path}"],
            "ended FAILED (439), and a sweep compares with a run that is FINISHED: exit code 3",
        ),
        (
            ["sweep", "--", "python", "-c", "input()", "{path}"],
            "a run that is FINISHED: EOFError: EOF when reading a line",
        ),
    ],
)
def test_what_cannot_be_tried(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert why in capsys.readouterr().err
