"""``python -m pytest_scf_async sweep``: what it prints, the test to paste, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap

import pytest
from sweep_support import KEEPS, LOSES, LOST, write_handler

from pytest_scf_async import ScfRuntime
from pytest_scf_async.command_line import main
from pytest_scf_async.sweep import progress

# once: the same on all Pythons
pytestmark = pytest.mark.once

CODE = "handlers/loses.py:main_handler"
TWICE = """
    import os

    def main_handler(event, context):
        with open(os.path.join(os.environ["OUT"], "rows"), "a") as file:
            file.write("row\\n")
        return "done"
"""
NOT_SYNCED = """
    import os

    def main_handler(event, context):
        row, done = (os.path.join(os.environ["OUT"], name) for name in ("row", "done"))
        if not os.path.exists(done):
            with open(row, "w") as file:
                file.write("row")
            open(done, "w").close()
        return "done"
"""
SLOW = """
    import os, signal, time

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, lambda signum, frame: time.sleep(9))
        time.sleep(60)
        return [event, os.environ["OUT"] == os.environ["BUCKET"][5:], os.environ["MODE"]]
"""


@pytest.fixture
def loses(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    write_handler(project, LOSES)
    monkeypatch.chdir(project.path)
    return project


def sweep(*options: str) -> int:
    return main(["sweep", CODE, *options])


def pasted(output: str) -> str:
    return output.partition("This test fails in the same way:\n\n")[2]


MOVES = """
    import os

    def main_handler(event, context):
        root = os.environ["ROOT"]
        for name in sorted(os.listdir(os.path.join(root, "inbox"))):
            os.unlink(os.path.join(root, "inbox", name))
            open(os.path.join(root, name), "w").close()
        return "done"
"""


@pytest.mark.parametrize("begins", [False, True], ids=["empty", "with files"])
def test_a_run_begins_with_the_files_of_a_directory(
    begins: bool, loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    write_handler(loses, MOVES)
    (loses.path / "begin" / "inbox").mkdir(parents=True)
    if begins:
        (loses.path / "begin" / "inbox" / "row").touch()
    assert sweep("--how=forced", "--env", "ROOT={path}", "--from", "begin") == (
        1 if begins else 2
    )  # 2: nothing was compared
    output = capsys.readouterr().out
    if begins:
        test = pasted(output)
        loses.makepyfile(test_pasted=test)
        loses.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)


def test_a_handler_with_a_layer(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    path = loses.path / "handlers" / "loses.py"
    (loses.path / "layer").mkdir()
    (loses.path / "layer" / "losing.py").write_text(path.read_text())
    path.write_text("from losing import main_handler\n")
    assert sweep("--how=forced", "--layer", "layer") == 1
    output = capsys.readouterr().out
    assert "losing.py:" in output
    assert 'layers=["layer"]' in pasted(output)
    loses.makepyfile(test_pasted=pasted(output))
    loses.runpytest_inprocess("test_pasted.py").assert_outcomes(failed=1)
    assert main(["sweep", "--layer", "layer", "--env", "OUT={path}", "--", "true"]) == 2
    assert "--layer layer is for a handler: a program has no layers" in capsys.readouterr().err


@pytest.mark.usefixtures("loses")
def test_where_nobody_reads_its_output_to_the_end_it_ends_as_by_sigpipe() -> None:
    command = [sys.executable, "-m", "pytest_scf_async", "sweep", CODE, "--how=forced"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        written = process.stderr.read()
    assert (process.returncode, written) == (128 + signal.SIGPIPE, "")


def test_it_prints_the_first_finding_and_the_test_that_fails_in_the_same_way(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--how=forced") == 1
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert lines[:6] == [
        "loses does not survive being killed:",
        "  1 of 7 interruptions fails",
        "  Compared: result; 2 files. Power loss not tried.",
        "",
        "LOST: killed before loses.py:8",
        "  lost: file row",
    ]
    assert {f"  Replay:  --replay '{LOST}'", "The whole report: --report; a repair: --fix"} < set(lines)
    assert pasted(output).splitlines() == [
        "def test_loses_is_interrupted_anywhere(scf_runtime):",
        '    function = scf_runtime.deploy("handlers/loses.py:main_handler")',
        "",
        "    def each_run(run):",
        '        yield {"OUT": str(run.path)}',
        "",
        '    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")',
        "    sweep.assert_survives()",
    ]
    loses.makepyfile(test_pasted=pasted(output))
    result = loses.runpytest_inprocess("test_pasted.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *AssertionError: {lines[0]}", "E *lost: file row", f"E *Replay: *'{LOST}'"])


@pytest.mark.parametrize(("handler", "exit_code"), [(LOSES, 1), (KEEPS, 0)])
def test_lines_that_no_run_reached_are_named_beside_the_verdict(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str], handler: str, exit_code: int
) -> None:
    """A handler whose loop never runs survives all interruptions."""
    never = "        for row in event or ():\n            print(row)\n            raise ValueError\n"
    write_handler(loses, handler.replace('        return "done"', f'{never}        return "done"'))
    assert sweep("--how=forced") == exit_code
    head = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    (said,) = [line for line in head if line.startswith("  The main thread did not reach these lines (")]
    assert re.search(r"\(\d+ runs? collected lines\): loses\.py:10-11$", said)
    assert sweep("--how=forced", "--payload=[1]", "--include=loses.py:2") == 2
    write_handler(loses, handler)
    sweep("--how=forced")
    assert "did not reach these lines" not in capsys.readouterr().out


def test_a_power_failure_is_given_by_its_name(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    write_handler(loses, NOT_SYNCED)
    assert sweep("--how=power,posix", "--json=facts.json") == 1
    output = capsys.readouterr().out
    assert output.startswith("loses does not survive a power failure:\n")
    assert '\nLOST: power lost at the end\n  lost: line "row" of row\n  row is never synced:\n' in output
    assert "  Replay:  --replay 'power,posix@end-2'" in output
    assert "from pytest_scf_async import power\n" in pasted(output)
    assert '{"OUT": str(run.path)}' in pasted(output)
    assert 'how=power("posix"))' in pasted(output)
    points = json.loads(loses.path.joinpath("facts.json").read_text())["points"]
    assert {"end-2": "row is never synced"}.items() <= {each["name"]: each["missing"] for each in points}.items()


def test_all_options_are_in_the_test(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    write_handler(loses, SLOW)
    options = ["--payload", '{"a": [1, true, null, "é"]}', "--how=graceful", "--how=graceful,again=5,forced=20"]
    options += ["--within=3", "--points=waits", "--include=loses.py", "--exclude=*.txt", "--exclude=x.py", "--limit=9"]
    options += ["--env=OUT={path}", "--env=BUCKET=cos:/{path}", "--env=MODE={a}", "--timeout=100", "--exactly-once"]
    options += ["--ignore=*.log", "--ignore=mail", "--mutate", "--compares-nothing", "--workers=2"]
    assert sweep(*options) == 1
    output = capsys.readouterr().out
    assert pasted(output) == (
        "from pytest_scf_async import graceful\n"
        "\n\n"
        "def test_loses_is_interrupted_anywhere(scf_runtime):\n"
        '    function = scf_runtime.deploy("handlers/loses.py:main_handler", timeout=100)\n'
        "\n"
        "    def each_run(run):\n"
        '        yield {"OUT": str(run.path), "BUCKET": f"cos:/{run.path}", "MODE": "{a}"}\n'
        "\n"
        "    sweep = scf_runtime.sweep(\n"
        "        function,\n"
        '        {"a": [1, True, None, "é"]},\n'
        "        each_run=each_run,\n"
        '        how=("graceful", graceful(again=5, then="forced", after=20)),\n'
        "        within=3.0,\n"
        '        points="waits",\n'
        '        include=["loses.py"],\n'
        '        exclude=["*.txt", "x.py"],\n'
        "        limit=9,\n"
        '        ignore=["*.log", "mail"],\n'
        "        mutate=True,\n"
        "        compares_nothing=True,\n"
        "        workers=2,\n"
        "    )\n"
        "    sweep.assert_exactly_once()\n"
    )
    loses.makepyfile(test_pasted=pasted(output))
    result = loses.runpytest_inprocess("test_pasted.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *AssertionError: {output.splitlines()[0]}"])


def test_what_is_ignored_is_not_compared(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--how=forced", "--ignore=*.log") == 1
    capsys.readouterr()
    assert sweep("--how=forced", "--ignore=*.log", "--ignore=r*") == 0
    assert capsys.readouterr().out.startswith("loses survives all ")


STOPS = """
    import os, signal, time
    from pathlib import Path

    def main_handler(event, context):
        def stop(*_):
            Path(os.environ["OUT"], "stopped").write_text("here")
            raise SystemExit
        row = Path(os.environ["OUT"], "row")
        signal.signal(signal.SIGTERM, stop)
        time.sleep(1)
        row.write_text("x")
        return "done"
"""


def test_mutants_are_tried_where_it_is_asked(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    write_handler(loses, STOPS)
    options = ["--how=graceful", "--points=waits"]
    sweep(*options)
    assert "mutant" not in capsys.readouterr().out
    code = sweep(*options, "--mutate")
    output = capsys.readouterr().out
    sweep(*options, "--mutate", "--report")
    whole = capsys.readouterr().out
    said = [line for line in output.splitlines() if "mutant" in line]
    assert len(said) == 1
    assert re.fullmatch(r"The sweep noticed \d of \d mutants of the handler's shutdown code", said[0])
    assert whole.splitlines().count(said[0]) == 1
    assert code == 0
    write_handler(loses, KEEPS)
    assert sweep("--mutate", "--limit=5") == 0
    assert "note: no listener for SIGTERM in loses.py: nothing to mutate" in capsys.readouterr().out.splitlines()


def test_of_a_handler_that_survives_it_says_what_was_compared_and_tried(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    write_handler(loses, KEEPS)
    assert sweep("--how=forced") == 0
    first, compared, tried = capsys.readouterr().out.splitlines()
    number = re.fullmatch(r"loses survives all (\d+) interruptions, at \1 points", first)
    assert number is not None
    assert compared == "  Compared: result; 1 file. Power loss not tried."
    assert tried == f"Tried: {number[1]} of {number[1]} points, with how=forced."


def test_what_is_done_twice_is_a_failure_where_it_is_asked(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    write_handler(loses, TWICE)
    assert sweep("--how=forced") == 0
    twice = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"Work is done twice after \d+ of them, which passes by default: --exactly-once reports it", twice
    )
    assert sweep("--how=forced", "--exactly-once") == 1
    output = capsys.readouterr().out
    assert "--exactly-once" not in output
    assert 'doubled: line "row" of rows' in output
    assert output.endswith("    sweep.assert_exactly_once()\n")


def test_what_was_interrupted_nowhere_is_a_failure(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--include=other.py") == 1
    output = capsys.readouterr().out
    assert output.startswith("the sweep of loses interrupted nothing: with how=graceful, forced, ")
    assert "include= matches none of these: loses.py:5-9 (main_handler)" in output


def test_one_run_is_repeated(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--replay", LOST) == 1
    output = capsys.readouterr().out
    assert output.startswith("loses does not survive being killed:\n  1 of 1 interruption fails\n")
    assert "Timeline of the interrupted event:" in output
    assert sweep("--replay", "forced@loses.py:5#1") == 0


def test_the_whole_report(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--report", "--how=forced") == 1
    output = capsys.readouterr().out
    assert "By line:\n  loses.py:8 " in output
    assert "\n\nThis test fails in the same way:\n" in output


def test_all_facts_are_written(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--how=forced", "--json=facts.json") == 1
    facts = json.loads((loses.path / "facts.json").read_text(encoding="utf-8"))
    assert [run["key"] for run in facts["runs"] if run["kinds"]] == [LOST]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--payload", "{"], "--payload '{' is not valid: it must be JSON, as in '{\"rows\": 20}' (*"),
        (["--env", "OUT"], "--env 'OUT' is not valid: it must be NAME=VALUE, as in OUT={path}"),
        (["--env", "=a"], "--env '=a' is not valid: *"),
        (
            ["--how", "gently"],
            "--how 'gently' is not valid: it must be graceful, forced, timeout, power, graceful,again=SECONDS, *",
        ),
        (["--how", "graceful,again=x"], "--how 'graceful,again=x' is not valid: *"),
        (["--mutate"], "mutate=True *: it goes with how='graceful', *"),
        (["--ignore", "/tmp/a"], "ignore=*: '/tmp/a' is an absolute path, *"),
        (["--ignore", "*"], "sweep: nothing that function 'loses' does is compared: all that it leaves is left out, *"),
        (["--compares-nothing"], "sweep: compares_nothing=True, and something that *: mark, row; leave *"),
        (["--limit", "0"], "limit=0 is not valid: it must be a whole number of runs and resumes, 1 or more"),
        (["--json", "nowhere/facts.json"], "--json nowhere/facts.json: there is no directory *nowhere"),
        (["--json", "handlers"], "--json handlers cannot be written: Is a directory"),
        (["--replay", "forced@loses.py:8#2"], "sweep: function 'loses' has no run 'forced@loses.py:8#2': the key is *"),
        (["--env", "OUT=/nowhere"], "sweep: the undisturbed run of function 'loses' * with FileNotFoundError: *"),
        (["--env", "ROOT={path}"], "* with KeyError: 'OUT'; *. Its environment has no OUT: set --env OUT={path}, if *"),
        (["--layer", "nowhere"], "layers has 'nowhere', *"),
        (["--from", "nowhere"], "--from nowhere: there is no directory */nowhere"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert sweep("--how=forced", *options) == 2
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert output.out == ""
    pytest.LineMatcher([line]).fnmatch_lines([f"python -m pytest_scf_async: {sentence}".replace("[", "[[]")])


def test_a_module_is_imported_once_where_it_is_asked(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    write_handler(loses, f"import sys\nassert 'fractions' in sys.modules\n{textwrap.dedent(LOSES)}")
    assert sweep("--how=forced") == 2
    assert "AssertionError" in capsys.readouterr().err
    assert sweep("--how=forced", "--preload=fractions") == 1
    assert sweep("--how=forced", "--preload=fractions,decimal", "--preload=numbers") == 1
    assert sweep("--how=forced", "--preload=no_such_module") == 2
    assert "no_such_module" in capsys.readouterr().err


def test_a_handler_that_is_not_there(loses: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "nowhere.py:main_handler"]) == 2
    assert "nowhere.py" in capsys.readouterr().err


def test_it_is_a_command(loses: pytest.Pytester) -> None:
    result = loses.run(sys.executable, "-m", "pytest_scf_async", "sweep", CODE, "--how=forced")
    assert result.ret == 1
    assert result.outlines[0] == "loses does not survive being killed:"
    assert result.errlines == []


def be_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # in the test itself: its setup has another stderr
    monkeypatch.setattr(progress, "REWRITTEN_EACH", 0.0)


def test_a_terminal_shows_the_progress(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_at_a_terminal(monkeypatch)
    assert sweep("--how=forced") == 1
    shown = capsys.readouterr().err.split("\r")[1:]
    assert [text.partition("failed")[0] for text in shown[:-2]] == [
        f"sweep: {done} of 7 interruptions, {int(done >= 6)} " for done in range(1, 8)
    ]
    assert [text.strip() for text in shown[-2:]] == ["", ""]
    assert len(shown[-2]) == len(shown[-3])


INTERRUPTED = """
import os, signal, sys

from pytest_scf_async.command_line import main
from pytest_scf_async.sweep.progress import Progress


def come_to(self, done, number, failures):
    if done == 3:
        os.kill(os.getpid(), signal.{signal})


Progress.come_to = come_to
sys.stderr.isatty = lambda: True
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_it_with_what_is_known(loses: pytest.Pytester, name: str, code: int) -> None:
    script = loses.makepyfile(interrupted=INTERRUPTED.format(signal=name))
    result = loses.run(sys.executable, script, "sweep", CODE, "--how=forced", "--json=facts.json")
    assert result.ret == code
    assert result.outlines[:3] == [
        "loses has survived 3 interruptions so far, at 3 points",
        "  Compared: result; 2 files. Power loss not tried.",
        "  Incomplete: the sweep ended after 3 of 7 interruptions, because Ctrl-C or SIGTERM arrived.",
    ]
    facts = json.loads((loses.path / "facts.json").read_text(encoding="utf-8"))
    assert (len(facts["runs"]), facts["planned"]) == (3, 7)


def test_a_signal_before_the_first_interruption(
    loses: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deploy(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ScfRuntime, "deploy", deploy)
    assert sweep("--how=forced", "--json=facts.json") == 130
    assert (
        capsys.readouterr().err
        == "python -m pytest_scf_async: nothing is known yet, because Ctrl-C or SIGTERM arrived\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (loses.path / "facts.json").exists()
