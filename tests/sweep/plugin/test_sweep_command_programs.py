"""``python -m pytest_scf_async sweep -- PROGRAM``: any program, which is started again until it exits with 0."""

from __future__ import annotations

import os
import subprocess

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
    headline, count, compared, _, first, *_ = output.splitlines()
    assert first == "LOST: killed before page was written"
    assert headline == "job does not survive being killed:"
    assert " interruptions fail, for " in count
    assert compared == "  Compared: result; 2 files. Power loss not tried."
    _, _, pasted = output.partition("This test fails in the same way:\n\n")
    assert '    function = scf_runtime.deploy_image(["bash", "job.sh", "{path}"], port=-1)\n' in pasted
    project.makepyfile(test_pasted=pasted)
    result = project.runpytest_inprocess("test_pasted.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *AssertionError: {headline}"])
    key = output.partition("--replay '")[2].partition("'")[0]
    assert swept(project, IN_PLACE, "--how=forced", "--exactly-once", f"--replay={key}") == 1


def test_one_that_renames_survives(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, RENAMES) == 0
    assert capsys.readouterr().out.startswith("job survives all ")


def test_its_directory_may_be_in_a_variable(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    script = RENAMES.replace("$1", "$TARGET/in")
    assert swept(project, f"mkdir -p $TARGET/in\n{script}", "--env=TARGET={path}", arguments=()) == 0
    assert "Compared: result; 1 file." in capsys.readouterr().out


def test_it_says_what_exit_code_0_means_after_sigterm(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(project, EXITS_TOO_WELL, "--how=graceful") == 1
    output = capsys.readouterr().out
    assert output.startswith("job does not survive SIGTERM:\n")
    assert (
        "\n  lost: file page\n  After SIGTERM it exited with 0, which says that its work is done, so nobody " in output
    )
    assert "\n  Fix:     exit with another code, such as 143, while there is work left\n" in output


def test_after_its_grace_it_is_killed(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, IS_SLOW, "--how=graceful") == 1
    capsys.readouterr()
    assert swept(project, IS_SLOW, "--how=graceful", "--grace=30") == 0
    assert "with how=graceful,forced=30" in capsys.readouterr().out


def test_a_full_disk(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, RENAMES, "--how=fault,enospc") == 1
    output = capsys.readouterr().out
    headline, *_ = output.splitlines()
    assert headline == "job does not survive a full disk:"
    assert '\nLOST: disk full when it wrote new\n  lost: line "done" of page\n' in output
    assert "  write new failed with ENOSPC, and the event ended as if it had not:" in output
    assert "  Fix:     exit with another code than 0 after it" in output
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
    assert "\nNEVER FINISHES: killed while train.py:7 was writing checkpoint\n" in output
    assert "\n    train.py:5  ValueError: invalid literal for int() with base 10: ''\n" in output
    assert "in_process=True" in output
    assert main(["sweep", "--how=forced", "--traced", *command]) == 1
    traced = capsys.readouterr().out
    assert "\nNEVER FINISHES: killed before checkpoint was written\n" in traced
    assert "  Fix:     write checkpoint.new, then rename it" in traced
    assert "in_process" not in traced


IS_LEFT = (
    "has left run.path as it was, and a sweep does not see what a process writes that outlives the first one, such as "
    "a daemon: run it in the foreground (--foreground, --no-daemon, -D or the like), or wait for it\n"
)
DAEMON = """
import os, pathlib, sys, time
out = pathlib.Path(sys.argv[1])
if "works" in sys.argv:
    out.joinpath("work").touch()
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
while True:
    time.sleep(1)
    out.joinpath("late").touch()
"""
TRACKS = """
import multiprocessing.resource_tracker, pathlib, sys
multiprocessing.resource_tracker.ensure_running()
pathlib.Path(sys.argv[1], "work").touch()
"""


@pytest.mark.parametrize("options", [(), ("--traced",)])
def test_a_daemon_is_to_run_in_the_foreground(
    project: pytest.Pytester, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it has done some work before; what ``multiprocessing`` starts for its own use is none."""
    project.path.joinpath("job.py").write_text(DAEMON)
    command = ["sweep", *options, "--how=forced", "--", "python", "job.py", "{path}"]
    assert main(command) == 2
    assert IS_LEFT in capsys.readouterr().err
    assert main([*command, "works"]) == 0
    (head,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  Not tried: ")]
    assert head.startswith(
        "  Not tried: what a process writes that outlives the first one, such as a daemon: run it in"
    )
    project.path.joinpath("job.py").write_text(TRACKS)
    assert main(command) == 0
    assert "Power loss not tried." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["sweep"], "it takes either a handler, as in handlers/export.py:main_handler, or a program behind --"),
        (["sweep", "job.py:main_handler", "--", "bash"], "it takes either a handler"),
        (
            ["sweep", "--", "bash", "job.sh"],
            "nothing of what it writes is compared: name the directory of a run, {path}",
        ),
        (
            ["sweep", "--", "python", "-c", "open('/dev/tty')", "{path}"],
            "with OSError: [Errno 6] No such device or address: '/dev/tty'; it has to be FINISHED, as all other runs ",
        ),
        (
            ["sweep", "--", "bash", "-c", "test -t 0 || { echo no terminal; exit 1; }", "{path}"],
            "exit code 1, after it wrote 'no terminal'; it has to be FINISHED, as all other runs are compared with ",
        ),
        (
            ["sweep", "--done-code=3", "--", "bash", "-c", "exit 1", "{path}"],
            "has not exited with 3, which says that its work is done (done=): exit code 1",
        ),
        (
            ["sweep", "--done-code=300", "--", "bash", "-c", "exit 1", "{path}"],
            "done=[300] is not valid: it must be a function that gets an event, or exit codes of a job, from 0 to 255",
        ),
        (
            [
                "sweep",
                "--",
                "python",
                "-c",
                "import os, sys, time; os.fork() or (time.sleep(9), open(sys.argv[1] + '/late', 'w'))",
                "{path}",
            ],
            IS_LEFT,
        ),
        (["sweep", "--", "bash", "-c", "(sleep 9; echo late > $0/file) & exit 0", "{path}"], IS_LEFT),
        (["sweep", "--", "bash", "-c", "exit 0", "{path}"], "it has left run.path as it was. Have each_run yield"),
        (["sweep", "--", "no-such-program", "{path}"], "there is no program 'no-such-program'"),
        (
            ["sweep", "--", "bash", "-c", "exit 3", "{path}"],
            "ended FAILED (439) with exit code 3; it has to be FINISHED, as all other runs are compared with it",
        ),
        (
            ["sweep", "--", "python", "-c", "input()", "{path}"],
            "compared with it. A job has no terminal, reads nothing from its standard input, and has no rights of ",
        ),
    ],
)
def test_what_cannot_be_tried(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert why in capsys.readouterr().err


DONE_WITH_3 = """
    out=$1
    trap 'exit 0' TERM
    [ -e "$out/page" ] || { sleep 60; echo done > "$out/new"; mv "$out/new" "$out/page"; }
    exit 3
"""


def test_another_exit_code_may_say_that_the_work_is_done(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(project, DONE_WITH_3) == 2
    assert "ended FAILED (439) with exit code 3; it has to be FINISHED" in capsys.readouterr().err
    assert swept(project, DONE_WITH_3, "--done-code=3") == 0  # exit code 0 says that it is not
    assert swept(project, DONE_WITH_3, "--done-code=0", "--done-code=3", "--how=graceful") == 1
    capsys.readouterr()
    half = DONE_WITH_3.replace('echo done > "$out/new"; mv "$out/new"', 'echo done > "$out/page"; touch')
    broken = half.replace('"$out/page" ]', '"$out/page" ] && [ -z "$(cat "$out/page")" ] && exit 9; [ -e "$out/page" ]')
    assert swept(project, broken, "--done-code=3", "--how=forced", "--repro=out") == 1
    output = capsys.readouterr().out
    assert "\nNEVER FINISHES: killed before page was written\n" in output
    assert "done=[3])" in output
    (repro,) = os.listdir("out")
    done = subprocess.run(["sh", f"out/{repro}/repro.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, "it is not done after 5 starts: exit code 9" in done.stdout) == (1, True)


def test_a_repro_of_each_finding(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, IN_PLACE.replace("sleep 60", "sleep 0"), "--how=forced", "--exactly-once", "--repro=out") == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("Without this plugin")]
    found = sorted(os.listdir("out"))
    assert found[0].startswith("1-lost-forced-effect-")
    scripts = [f"sh {project.path}/out/{name}/repro.sh" for name in found]
    assert [line.partition(":  ")[2] for line in lines] == scripts
    for command in map(str.split, scripts):
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_a_repro_of_the_one_run_that_is_repeated(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, IN_PLACE, "--how=forced") == 1
    key = capsys.readouterr().out.partition("--replay '")[2].partition("'")[0]
    assert swept(project, IN_PLACE, "--how=forced", f"--replay={key}", "--repro=out") == 1
    (repro,) = os.listdir("out")
    assert f"  Without this plugin:  sh {project.path}/out/{repro}/repro.sh" in capsys.readouterr().out


def test_why_a_finding_has_no_repro(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert swept(project, EXITS_TOO_WELL, "--how=graceful", "--repro=out") == 1
    assert "it reports that its work is done, so nobody starts it again" in capsys.readouterr().out
    assert not os.path.exists("out")
