"""Which changes of a handler are repairs: what is tried, what is refused as it only hides, and when a search ends."""

from __future__ import annotations

import re
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from internals import scratch_of
from sweep_internals import (
    change_facts,
    change_guide,
    repair_templates,
    repairs_trying,
    sweep_of_function,
    when_repair_is_found,
)
from sweeping import each_run

from pytest_scf_async import Function, ScfRuntime, ScfUsageError, power
from pytest_scf_async.sweep.repairs.found import Repair

# once: what differs by Python are points, which have tests of their own
pytestmark = pytest.mark.once

JOB = """
    import os
    import signal
    import time
    from pathlib import Path


    class Stopped(Exception):
        pass


    def stop(number, frame):
        raise Stopped


    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        out = Path(os.environ["OUT"])
        if not (out / "mark").exists():
            (out / "mark").touch()
            time.sleep(60)
            (out / "row").touch()
        print("the row is there")
        return "done"
    """
"""A kill, or a SIGTERM, in its wait leaves the mark of what it has not done."""
MARK, ROW = '        (out / "mark").touch()\n', '        (out / "row").touch()\n'
SLEEP, PRINT = "        time.sleep(60)\n", '    print("the row is there")\n'

Edit = Callable[[str], str]
Proposed = Callable[..., None]


def swapped(source: str) -> str:
    """The repair: the mark behind the row."""
    return source.replace(MARK, "").replace(ROW, ROW + MARK)


def synced(source: str) -> str:
    """The same on a disk of which nothing is known."""
    sync = "        os.fsync(os.open(out, os.O_RDONLY))\n"
    return source.replace(MARK, "").replace(ROW, ROW + sync + MARK + sync)


def both_wrong(source: str) -> str:
    """No repair: what is lost then is the mark."""
    return source.replace(MARK, "").replace(ROW, MARK + ROW)


@pytest.fixture(autouse=True)
def few_first_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be most of the time."""
    monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 2)


@pytest.fixture
def job(scf_runtime: ScfRuntime, tmp_path: Path) -> Function:
    return deployed(scf_runtime, tmp_path, JOB)


def deployed(runtime: ScfRuntime, directory: Path, source: str) -> Function:
    path = directory / "code" / "job.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(source).lstrip("\n"))
    return runtime.deploy(f"{path}:main_handler")


@pytest.fixture
def proposed(monkeypatch: pytest.MonkeyPatch) -> Proposed:
    """Has these changes be the ones that templates propose: a pair of a kind, and what makes the new source."""

    def propose(*edits: tuple[str, Edit]) -> None:
        def changes(source: str, file: str, found: Sequence[Any]) -> Iterator[Any]:
            assert found
            for kind, edit in edits:
                yield repair_templates.Change(kind, file, 1, edit(source))

        monkeypatch.setattr(repairs_trying, "changes", changes)

    return propose


def swept(runtime: ScfRuntime, function: Function, **more: Any) -> Any:
    sweep = runtime.sweep(function, each_run=each_run, **{"how": ("graceful", "forced"), **more})
    assert sweep.failures
    return sweep


# -- what is a repair --------------------------------------------------------------------------------------------------


def test_the_smallest_change_that_survives_is_given(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed, tmp_path: Path
) -> None:
    def larger(source: str) -> str:
        return swapped(source).replace(PRINT, f"{PRINT}    # it is\n")

    proposed(("swap", larger), ("swap", both_wrong), ("swap", swapped))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    directories = set(Path(scratch_of(scf_runtime)).iterdir())
    sweep = swept(scf_runtime, job)
    repairs = sweep.repairs()

    (repair,) = repairs.found
    assert (repair.kind, repair.file, repair.line, repair.doubled) == ("swap", "job.py", 1, 0)
    assert repair.diff.splitlines()[2:] == [
        "@@ -17,7 +17,7 @@",
        '     out = Path(os.environ["OUT"])',
        '     if not (out / "mark").exists():',
        '-        (out / "mark").touch()',
        "         time.sleep(60)",
        '         (out / "row").touch()',
        '+        (out / "mark").touch()',
        '     print("the row is there")',
        '     return "done"',
    ]
    assert repairs.tried < repairs.number == 3
    assert not repairs.refused
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before
    new = set(Path(scratch_of(scf_runtime)).iterdir()) - directories
    assert not [path for path in new if not path.name.startswith("state-")]

    path = tmp_path / "code" / "job.py"
    path.write_text(swapped(path.read_text()))
    again = scf_runtime.sweep(job, each_run=each_run)
    again.assert_survives()
    assert len(again.runs) == repair.interruptions
    assert repair.survives.startswith("This change survives all ")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "all 412 interruptions"),
        ({"second": 300, "power": 78}, "all 34 interruptions (412 with second terminations and power)"),
        ({"second": 12}, "all 400 interruptions (412 with second terminations)"),
        ({"power": 412}, "all 412 interruptions"),
        ({"doubled": 3}, "all 412 interruptions, and in 3 of them does something twice"),
        ({"left_out": 1_000}, "all 412 interruptions; limit= leaves out 1,000 more points"),
    ],
)
def test_what_it_survives_is_one_sentence(facts: dict[str, Any], sentence: str) -> None:
    repair = Repair("swap", "job.py", 1, "", interruptions=412, **facts)
    assert repair.survives == f"This change survives {sentence}."


def test_a_repair_has_to_survive_the_power_failures_that_were_asked_for(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed
) -> None:
    proposed(("swap", swapped))
    assert swept(scf_runtime, job, how="forced").repairs().found
    sweep = swept(scf_runtime, job, how=("forced", power("posix")))
    repairs = sweep.repairs()
    assert not repairs.found
    assert "LOST: power lost at the end: lost: file row" in repairs.best

    proposed(("swap", swapped), ("sync", synced))
    (repair,) = sweep.repairs().found
    assert repair.kind == "sync"


def test_workers_make_the_runs_of_changes_too(scf_runtime: ScfRuntime, job: Function, proposed: Proposed) -> None:
    if scf_runtime.settings.sandbox == "none":
        return  # there are no workers then
    proposed(("wrong", both_wrong), ("swap", swapped))
    repairs = swept(scf_runtime, job, how="forced", workers=2).repairs()
    assert [repair.kind for repair in repairs.found] == ["swap"]
    assert repairs.tried == 2


def test_two_of_different_kinds_are_given(scf_runtime: ScfRuntime, job: Function, proposed: Proposed) -> None:
    def commented(source: str) -> str:
        return swapped(source).replace(PRINT, f"{PRINT}    # the same\n    # again\n")

    def more_comments(source: str) -> str:
        return commented(source).replace(PRINT, f"{PRINT}    # and again\n")

    proposed(("third", more_comments), ("other", commented), ("swap", commented), ("swap", swapped))
    repairs = swept(scf_runtime, job, how="forced").repairs()
    assert [repair.kind for repair in repairs.found] == ["swap", "other"]
    assert repairs.report.index("A repair: swap") < repairs.report.index("A repair: other")


def test_a_kind_with_many_changes_does_not_use_up_the_time_for_others(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed
) -> None:
    def wrong(comment: str) -> Edit:
        return lambda source: f"{both_wrong(source)}# {comment}\n"

    def commented(source: str) -> str:
        return swapped(source).replace(PRINT, f"{PRINT}    # the same\n    # again\n    # and again\n")

    proposed(*(("many", wrong(each)) for each in "abcdef"), ("one", commented), ("one", swapped))
    tried: list[str] = []
    sweep = swept(scf_runtime, job, how="forced")
    change_guide(sweep, tries=tried.append)
    repairs = sweep.repairs()
    assert [repair.kind for repair in repairs.found] == ["one"]
    assert tried[:3] == ["repair 1 of 8: one", "repair 2 of 8: many", "repair 3 of 8: many"]


def test_a_smaller_change_is_given_though_two_were_found_before_it(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed
) -> None:
    def commented(lines: int) -> Edit:
        return lambda source: swapped(source).replace(PRINT, PRINT + "    # the same\n" * lines)

    proposed(("late", both_wrong), ("late", commented(1)), ("large", commented(5)), ("larger", commented(6)))
    repairs = swept(scf_runtime, job, how="forced").repairs()
    assert [repair.kind for repair in repairs.found] == ["late", "large"]


APPENDS = """
    import os
    from pathlib import Path


    def main_handler(event, context):
        rows, position = (Path(os.environ["OUT"], name) for name in ("rows", "position"))
        if not position.exists():
            position.touch()
            with rows.open("a") as file:
                file.write("a row\\n")
        return "done"
    """


def appended_first(source: str) -> str:
    moved = source.replace("        position.touch()\n", "")
    return moved.replace('file.write("a row\\n")\n', 'file.write("a row\\n")\n        position.touch()\n')


@pytest.mark.parametrize("exactly_once", [False, True])
def test_what_is_done_twice_then_is_said_or_refused(
    exactly_once: bool, scf_runtime: ScfRuntime, tmp_path: Path, proposed: Proposed
) -> None:
    proposed(("swap", appended_first))
    sweep = swept(scf_runtime, deployed(scf_runtime, tmp_path, APPENDS), how="forced")
    repairs = sweep.repairs(exactly_once=exactly_once)
    if exactly_once:
        assert not repairs.found
        assert "DOUBLED" in repairs.best
    else:
        assert repairs.found[0].doubled
        assert f", and in {repairs.found[0].doubled} of them does something twice." in repairs.report


TWO_BUGS = JOB.replace(
    '    print("the row is there")\n',
    """    if not (out / "other mark").exists():
            (out / "other mark").touch()
            (out / "other row").touch()
        print("the row is there")
""",
)


def other_swapped(source: str) -> str:
    first, then = (f'        (out / "other {name}").touch()\n' for name in ("mark", "row"))
    return source.replace(first + then, then + first)


def test_changes_that_repair_one_of_two_findings_each_are_made_together(
    scf_runtime: ScfRuntime, tmp_path: Path, proposed: Proposed
) -> None:
    proposed(("first", swapped), ("other", other_swapped), ("none", both_wrong))
    sweep = swept(scf_runtime, deployed(scf_runtime, tmp_path, TWO_BUGS), how="forced")
    assert len(sweep.failures) == 2
    (repair,) = sweep.repairs().found
    assert sorted(repair.kind.split(", and ")) == ["first", "other"]
    changed = [line for line in repair.diff.splitlines()[2:] if line.startswith(("-", "+"))]
    assert len(changed) == 4

    proposed(("first", swapped))
    repairs = sweep.repairs()
    assert not repairs.found
    assert repairs.report.splitlines()[:2] == [
        "No repair was found: the one change that was tried does not survive everything.",
        repairs.best,
    ]
    assert repairs.best.startswith("The best one (first, at job.py:1) still fails in 1 of ")
    assert repairs.best.endswith("interruptions: LOST: killed before job.py:24: lost: file other row")


# -- what only hides ---------------------------------------------------------------------------------------------------


def in_file(old: str, new: str) -> Edit:
    def edit(source: str) -> str:
        assert old in source
        return swapped(source).replace(old, new)

    return edit


SWALLOWS = in_file(SLEEP, f"        try:\n    {SLEEP}        except Stopped:\n            pass\n")
GOES_ON = in_file("    raise Stopped\n", "    pass\n")
HIDING = {
    "swallows an exception": (SWALLOWS, "after a SIGTERM it says that all is done, and leaves out 60 s of its work"),
    "goes on": (GOES_ON, "after a SIGTERM it goes on for up to 60 s, and before for 0 s at most"),
    "listens no more": (in_file("SIGTERM, stop", "SIGTERM, signal.SIG_IGN"), "no listener is called for SIGTERM any *"),
    "stops writing": (lambda source: source.replace(MARK, ""), "undisturbed, lost: file mark"),
    "writes something else": (in_file(PRINT, '    (out / "more").touch()\n'), "undisturbed, * more*"),
    "removes output": (in_file(PRINT, ""), "undisturbed it does not log 'the row is there'"),
    "says more": (in_file(PRINT, f"{PRINT}    print('well')\n"), "undisturbed it also logs 'well'"),
    "returns early": (in_file("    print(", "    return 'done'\n    print("), "undisturbed it does not log *"),
    "does nothing": (
        in_file("    out =", "    return 'done'\n    out ="),
        "undisturbed, lost: file mark",
    ),
    "fails": (
        in_file(PRINT, "    raise OSError('a path: /tmp/1')\n"),
        "undisturbed it ends FAILED (430) at job.py:* with OSError: a path: /tmp/1",
    ),
    "returns something else": (in_file('"done"', '"well"'), "undisturbed, * result*"),
    "leaves the work out": (in_file(SLEEP, ""), "undisturbed it takes 0 s in place of 60 s"),
    "writes elsewhere": (in_file('(out / "row")', 'Path("/tmp/row")'), "undisturbed, lost: file row"),
    "writes where all runs would": (
        in_file(PRINT, f"{PRINT}    Path(__file__).touch()\n"),
        "*which all runs would share*",
    ),
    "makes it random": (in_file(ROW, '        (out / "row").write_text(str(time.time()))\n'), "undisturbed, *"),
    "raises": (in_file('"done"', "1 / 0"), "*ZeroDivisionError: division by zero*"),
}


@pytest.mark.parametrize("hiding", HIDING)
def test_a_change_that_only_hides_is_refused(
    hiding: str, scf_runtime: ScfRuntime, job: Function, proposed: Proposed
) -> None:
    edit, why = HIDING[hiding]
    proposed(("hide", edit))
    repairs = swept(scf_runtime, job, how="graceful").repairs()
    assert not repairs.found
    assert repairs.tried == 1
    (line,) = repairs.refused
    pytest.LineMatcher([line]).fnmatch_lines([f"hide, at job.py:1: {why}"])
    assert f"  refused: {line}" in repairs.report.splitlines()


def test_a_change_by_which_less_is_compared_is_refused(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed
) -> None:
    """What differs from run to run is not compared, and what a loss leaves is then no difference."""

    def random(source: str) -> str:
        return swapped(source).replace(ROW, ROW + "        os.utime(out)\n        print(time.time())\n")

    proposed(("hide", random))
    repairs = swept(scf_runtime, job, how="forced").repairs()
    assert not repairs.found
    assert repairs.refused


RESTORES = """
    import os
    import signal
    import time
    from pathlib import Path


    class Stopped(Exception):
        pass


    def stop(number, frame):
        raise Stopped


    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        out = Path(os.environ["OUT"])
        if not (out / "mark").exists():
            (out / "mark").touch()
            try:
                time.sleep(60)
                (out / "row").touch()
            except Stopped:
                (out / "mark").unlink()
                raise
        return "done"
    """
"""It says that all is done before it begins, and takes that back after a SIGTERM; one comes before its ``try``."""
TRY, UNLINK = "        try:\n", '            (out / "mark").unlink()\n'


def within_try(source: str) -> str:
    return source.replace(MARK, "").replace(TRY, f"{TRY}    {MARK}")


def counted(source: str) -> str:
    """It needs no listener any more: nothing that a break of the shutdown code does would lose anything."""
    return source.replace(MARK, "").replace(UNLINK, "").replace(f"    {ROW}", f"    {ROW}    {MARK}")


@pytest.mark.parametrize(("edit", "is_repair"), [(within_try, True), (counted, False)])
def test_a_break_of_the_shutdown_that_was_noticed_has_to_be_noticed(
    edit: Edit, is_repair: bool, scf_runtime: ScfRuntime, tmp_path: Path, proposed: Proposed
) -> None:
    proposed(("change", edit))
    sweep = swept(scf_runtime, deployed(scf_runtime, tmp_path, RESTORES), how="graceful")
    repairs = sweep.repairs()
    assert bool(repairs.found) is is_repair
    why = "change, at job.py:1: the sweep no longer notices a break of the shutdown code: "
    assert is_repair or repairs.refused[0].startswith(why)


def test_one_that_kills_do_no_harm_to_need_not_be(scf_runtime: ScfRuntime, tmp_path: Path, proposed: Proposed) -> None:
    proposed(("change", counted))
    function = deployed(scf_runtime, tmp_path, RESTORES)
    assert swept(scf_runtime, function, how=("graceful", "forced")).repairs().found


# -- when it ends ------------------------------------------------------------------------------------------------------


def test_a_budget_of_nothing_tries_nothing(scf_runtime: ScfRuntime, job: Function, proposed: Proposed) -> None:
    proposed(("swap", swapped), ("wrong", both_wrong))
    repairs = swept(scf_runtime, job, how="forced").repairs(budget=0)
    assert (repairs.found, repairs.tried, repairs.number) == ((), 0, 2)
    first, last = repairs.report.splitlines()[:2]
    assert first == "No repair was found: no change was tried."
    assert last.startswith("Tried: 0 of 2 changes, each with the whole sweep, in ")
    ended = "the 0 s of its budget were over; --budget 60 (budget=60) gives it more."
    assert last.endswith(f" real s. The search ended early: {ended}")


class Clock:
    """Real time that passes where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(repairs_trying, "REAL", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_when_the_time_is_over_the_best_so_far_is_given(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed(("swap", swapped), ("other", lambda source: swapped(source) + "# more\n"))
    when_repair_is_found(monkeypatch, lambda: setattr(clock, "now", 60.5))
    repairs = swept(scf_runtime, job, how="forced").repairs()
    assert [repair.kind for repair in repairs.found] == ["swap"]
    ended = "Tried: 1 of 2 changes, each with the whole sweep, in 60.5 real s. The search ended early: "
    assert f"{ended}the 60 s of its budget were over." in repairs.report.splitlines()


def test_the_sweep_of_a_change_ends_with_the_time(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed, clock: Clock
) -> None:
    proposed(("swap", swapped))

    def each_later_run(run: Any) -> Iterator[dict[str, str]]:
        yield from each_run(run)
        if searching:
            clock.now += 1.0

    searching = []
    sweep = scf_runtime.sweep(job, each_run=each_later_run, how="forced")
    assert sweep.failures
    searching.append(True)
    repairs = sweep.repairs(budget=5.5)  # the first three are of the unchanged copy
    assert (repairs.found, repairs.tried, repairs.number) == ((), 0, 1)
    assert 5.5 <= clock.now < 7.5
    assert repairs.ended == "the 5.5 s of its budget were over; --budget 60 (budget=60) gives it more"


def test_ctrl_c_keeps_what_was_found(
    scf_runtime: ScfRuntime, job: Function, proposed: Proposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed(("swap", swapped), ("other", lambda source: swapped(source) + "# more\n"))
    told: list[Any] = []

    def interrupted_run(run: Any) -> Iterator[dict[str, str]]:
        if found:
            raise KeyboardInterrupt
        yield from each_run(run)

    found: list[bool] = []
    when_repair_is_found(monkeypatch, lambda: found.append(True))
    sweep = scf_runtime.sweep(job, each_run=interrupted_run, how="forced")
    assert sweep.failures
    change_guide(sweep, repaired=told.append)
    with pytest.raises(KeyboardInterrupt):
        sweep.repairs()
    (repairs,) = told
    assert [repair.kind for repair in repairs.found] == ["swap"]
    assert repairs.ended == "Ctrl-C or SIGTERM arrived"
    assert not list(Path(scratch_of(scf_runtime)).glob("repair-*"))


# -- where none is tried -----------------------------------------------------------------------------------------------


def why_none(sweep: Any) -> str:
    repairs = sweep.repairs()
    assert (repairs.found, repairs.tried, repairs.number) == ((), 0, 0)
    assert repairs.report == f"No repair was tried: {repairs.why_none}."
    return str(repairs.why_none)


def test_where_nothing_was_found(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = deployed(scf_runtime, tmp_path, swapped(textwrap.dedent(JOB)))
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    assert why_none(sweep) == "the sweep has found nothing to repair in job"


def test_where_nothing_was_found_but_work_that_is_done_twice(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = deployed(scf_runtime, tmp_path, appended_first(textwrap.dedent(APPENDS)))
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    assert why_none(sweep) == (
        "the sweep has found nothing to repair in job; work is done twice, and --exactly-once (exactly_once=True) "
        "searches for a repair of that"
    )


def test_where_no_template_fits(scf_runtime: ScfRuntime, job: Function, proposed: Proposed) -> None:
    proposed()
    repairs = swept(scf_runtime, job, how="forced").repairs()
    assert repairs.report == "No repair was found: no template fits the lines that are blamed."


def test_of_another_language_there_are_no_templates(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text('[ -e "$1/mark" ] || { touch "$1/mark"; touch "$1/row"; }\n')
    job = scf_runtime.deploy_image(["sh", "job.sh", "{path}"], cwd=tmp_path, port=-1)
    sweep = scf_runtime.sweep(job, how="forced")
    assert sweep.failures
    assert why_none(sweep).startswith("there are templates for Python alone, and job is 'sh job.sh {path}'; ")


def test_the_code_of_a_zip_is_not_changed(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("job.py", textwrap.dedent(JOB))
    function = scf_runtime.deploy(tmp_path / "code.zip", handler="job.main_handler")
    why = why_none(swept(scf_runtime, function, how="forced"))
    assert why == f"the code is in a zip ({tmp_path}/code.zip): deploy the directory that it is made of"


def test_where_no_line_is_blamed(scf_runtime: ScfRuntime, job: Function) -> None:
    sweep = swept(scf_runtime, job, how="forced")

    def without_line(run: Any) -> Any:
        (step,) = run.outcome.plan.steps
        plan = replace(run.outcome.plan, steps=(replace(step, point=replace(step.point, file="", line=0)),))
        return replace(run, nearby=None, outcome=replace(run.outcome, plan=plan))

    change_facts(sweep, runs=tuple(map(without_line, sweep.runs)))
    assert why_none(sweep) == "no line of the code is blamed for what the sweep has found"


def test_a_sweep_that_is_not_complete(scf_runtime: ScfRuntime, job: Function) -> None:
    sweep = swept(scf_runtime, job, how="forced")
    change_facts(sweep, incomplete="the time limit of the test was near")
    assert why_none(sweep) == (
        "the sweep is not complete (the time limit of the test was near), and a change has to survive all of it"
    )


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"replay": "forced@job.py:20#1"}, "a replay makes one run, and a change has to survive all of them: "),
        ({"shard": (1, 2)}, "a shard makes a part of the runs, and a change has to survive all of them: "),
    ],
)
def test_a_part_of_the_runs_says_nothing(
    told: dict[str, Any], sentence: str, scf_runtime: ScfRuntime, job: Function
) -> None:
    sweep = swept(scf_runtime, job, how="forced")
    change_guide(sweep, **told)
    assert why_none(sweep) == f"{sentence}run the whole sweep"


def test_where_a_run_comes_to_something_else_again(scf_runtime: ScfRuntime, job: Function) -> None:
    sweep = swept(scf_runtime, job, how="forced")
    change_facts(sweep, unlike=((sweep.runs[0], sweep.runs[1]),))
    key = sweep.runs[0].key
    assert why_none(sweep) == f"{key} came to something else when it was made again: no run says whether a change helps"


def test_lines_of_a_layer_are_not_changed(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    for name, source in (("layer/work.py", textwrap.dedent(JOB)), ("code/job.py", "from work import main_handler\n")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(source)
    function = scf_runtime.deploy(tmp_path / "code", handler="job.main_handler", layers=[tmp_path / "layer"])
    why = why_none(swept(scf_runtime, function, how="forced"))
    assert why == f"what is blamed is no Python file in {tmp_path}/code: work.py"


def test_code_that_does_something_else_in_a_copy(scf_runtime: ScfRuntime, tmp_path: Path, proposed: Proposed) -> None:
    proposed(("swap", swapped))
    source = textwrap.dedent(JOB).replace('"done"', "os.path.dirname(__file__)")
    sweep = swept(scf_runtime, deployed(scf_runtime, tmp_path, source), how="forced")
    assert re.fullmatch(
        rf"in a copy of {tmp_path}/code the code does something else \(undisturbed, .*\)", sweep.repairs().why_none
    )


def test_a_budget_that_is_none(scf_runtime: ScfRuntime, job: Function) -> None:
    sweep = swept(scf_runtime, job, how="forced")
    for budget in (-1, float("nan"), "60"):
        with pytest.raises(ScfUsageError, match="must be a number of real seconds, 0 or more"):
            sweep.repairs(budget=budget)


def test_a_runtime_that_is_closed(tmp_path: Path) -> None:
    with ScfRuntime() as runtime:
        sweep = swept(runtime, deployed(runtime, tmp_path, JOB), how="forced")
    with pytest.raises(ScfUsageError, match=r"repairs\(\): the runtime of the sweep is closed"):
        sweep.repairs()
