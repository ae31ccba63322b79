"""One cause is one class: passes and files that go wrong in the same way are together, and the worst come first."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime

# once: how runs are put together is the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]

MARK_FIRST = """
    import os
    def put(name):
        with open(os.path.join(os.environ["OUT"], name), "w") as file:
            file.write("" if name.endswith("mark") else name)
    def has(name):
        return os.path.exists(os.path.join(os.environ["OUT"], name))
    def main_handler(event, context):
        for name in event["names"]:
            if not has(name + ".mark"):
                put(name + ".mark")
                put(name)  # after its mark
        return "done"
    """
MARK_LAST = """
    import os
    def put(name):
        with open(os.path.join(os.environ["OUT"], name), "w") as file:
            file.write("" if name.endswith("mark") else name)
    def has(name):
        return os.path.exists(os.path.join(os.environ["OUT"], name))
    def main_handler(event, context):
        for name in event["names"]:
            if not has(name + ".mark"):
                put(name)
                put(name + ".mark")
        return "done"
    """


def places(sweep: Any) -> list[list[str]]:
    """The points of each class."""
    return [[run.point.label for run in alike.runs] for alike in sweep.failures]


@pytest.mark.parametrize("names", [["page-0", "page-1"], ["alpha", "beta"]])
def test_all_passes_of_a_line_are_one_class_whatever_their_files_are_called(
    scf_runtime: ScfRuntime, deployed: Deploy, names: list[str]
) -> None:
    sweep = scf_runtime.sweep(deployed(MARK_FIRST), {"names": names}, each_run=each_run, how="forced")

    (passes,) = places(sweep)
    assert {"job.py:12#1", "job.py:12#2"} <= set(passes)
    assert re.search(rf"\n  {len(passes)} of \d+ interruptions fail, all for one reason\n", sweep.report)
    assert "\nLOST: killed before job.py:5\n" in sweep.report


def test_the_fixed_twin_has_no_class(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(MARK_LAST), {"names": ["page-0", "page-1"]}, each_run=each_run, how="forced")

    assert places(sweep) == []


DEFINITIONS = MARK_FIRST.partition("    def main_handler")[0]


def test_files_that_are_lost_at_lines_of_their_own_are_two_classes(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    handler = """
    def main_handler(event, context):
        if not has("first.mark"):
            put("first.mark")
            put("first")
        if not has("second.mark"):
            put("second.mark")
            put("second")
        return "done"
    """
    sweep = scf_runtime.sweep(
        deployed(DEFINITIONS + handler), each_run=each_run, how="forced", include=["job.py:12", "job.py:15"]
    )
    assert places(sweep) == [["job.py:12#1"], ["job.py:15#1"]]


def test_a_loss_comes_before_what_is_less_bad_and_earlier(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    handler = """
    def main_handler(event, context):
        if has("begun"):
            put("resumed")
            os.replace(os.environ["OUT"] + "/resumed", os.environ["OUT"] + "/begun")
        else:
            put("begun")
        if not has("mark"):
            put("mark")
            put("row")
        return "done"
    """
    sweep = scf_runtime.sweep(
        deployed(DEFINITIONS + handler), each_run=each_run, how="forced", include=["job.py:15", "job.py:17"]
    )
    assert places(sweep) == [["job.py:17#1"], ["job.py:15#1"]]
    assert [kind.value for kind in sweep.failures[1].kinds] == ["diverged"]
    assert re.search(r"\nLOST and DIVERGED: killed (.*\n)*DIVERGED: killed ", sweep.report)


STOPS = """
    import os, signal, time
    stopping = False
    def stop(*_):
        global stopping
        stopping = True
    def main_handler(event, context):
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        mark, row = (os.path.join(os.environ["OUT"], name) for name in ("mark", "row"))
        while not os.path.exists(mark):
            MARK
            time.sleep(10)
            if stopping:
                return "stopped"
            open(row, "w").close()
            open(mark, "w").close()
        return "done"
    """


def test_a_run_that_is_late_as_well_is_in_the_class_of_what_it_loses(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    """It ends ten seconds after a SIGTERM in its wait, and at once after one that comes behind it."""
    source = STOPS.replace("MARK", 'open(mark, "w").close()')
    sweep = scf_runtime.sweep(deployed(source), each_run=each_run, how="graceful", points="waits", within=5)

    (alike,) = sweep.failures
    assert [(run.point.label, "late" in {kind.value for kind in run.kinds}) for run in alike.runs] == [
        ("wait#1", True),
        ("wait#1", True),  # and once more, with a cold start after it
        ("waited#1", False),
    ]
    assert {kind.value for kind in alike.kinds} == {"lost", "late"}
    assert "\nLOST: SIGTERM while job.py:14 waited in sleep(10)\n" in sweep.report
    assert "fail alike: wait#1 (new instance), waited#1; 2 of the 3 are late as well." in sweep.report
    assert "\n  late: the event ended 10 s after SIGTERM, and not within 5 s\n" in sweep.report


def test_the_fixed_twin_of_it_is_late_and_no_more(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    source = STOPS.replace("MARK", "pass")
    sweep = scf_runtime.sweep(deployed(source), each_run=each_run, how="graceful", points="waits", within=5)

    assert places(sweep) == [["wait#1", "wait#1"]]  # the second with a cold start after it
    assert sweep.report.startswith("job takes too long to end after SIGTERM:\n  2 of ")
    assert "\nLATE: SIGTERM while job.py:14 waited in sleep(10)\n" in sweep.report
