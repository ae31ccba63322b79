"""What is made again: the undisturbed run, to learn what differs by itself, and the earliest run of each class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime, ScfUsageError

# once: the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]

# -- the undisturbed run -----------------------------------------------------------------------------------------------

ANOTHER_WAY = """
    import os, time
    def main_handler(event, context):
        if time.time() < event["until"]:
            len("it is early")
        with open(os.environ["OUT"] + "/row", "w") as file:
            file.write("row")
        return "done"
    """


def test_another_way_at_another_time_is_a_note(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    until = scf_runtime.clock.now.timestamp() + 3600
    sweep = scf_runtime.sweep(deployed(ANOTHER_WAY), {"until": until}, each_run=each_run, how="forced")

    assert sweep.failures == []
    assert (
        "note: with another start time and other request ids the handler takes another path from point " in sweep.report
    )


def test_another_way_at_the_same_time_is_refused_with_the_first_difference(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    """Its second run is as the first one, but for a value; only the third one differs."""
    made: list[Any] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        made.append(run)
        yield {"OUT": str(run.path), "MORE": "x" * (len(made) == 3)}

    function = deployed(
        """
        import os, time
        def main_handler(event, context):
            if os.environ["MORE"]:
                len("more")
            with open(os.environ["OUT"] + "/log", "w") as file:
                file.write(f"at {time.time()}")
            return "done"
        """
    )
    with pytest.raises(
        ScfUsageError, match=r"does not behave the same in each run: .* the first difference is point \d+: "
    ):
        scf_runtime.sweep(function, each_run=each, how="forced")
    assert len(made) == 3


def test_a_value_that_differs_at_the_same_time_is_left_out_and_named_first(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    made: list[Any] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        made.append(run)
        yield {"OUT": str(run.path), "WHICH": str(len(made) > 2)}

    function = deployed(
        """
        import os, time
        def main_handler(event, context):
            for name, value in (("log", f"at {time.time()}"), ("which", os.environ["WHICH"]), ("row", "row")):
                with open(f"{os.environ['OUT']}/{name}", "w") as file:
                    file.write(value)
            return os.environ["WHICH"]
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each, how="forced")

    assert sweep.failures == []
    (left_out,) = [line for line in sweep.report.splitlines()[:4] if "Not compared" in line]
    assert "log: " in left_out
    assert left_out.endswith("; which: its content; result. Power loss not tried.")


# -- the earliest run of each class ------------------------------------------------------------------------------------

LOSES = """
    import os
    def main_handler(event, context):
        out = os.environ["OUT"]
        if not os.path.exists(out + "/mark") or os.environ["AGAIN"]:
            open(out + "/mark", "w").close()
            open(out + "/row", "w").close()
        return "done"
    """


def test_a_run_that_comes_to_something_else_when_it_is_made_again_fails_the_sweep_with_both(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    made: list[Any] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        again = run.point is not None and run.point in made
        made.append(run.point)
        yield {"OUT": str(run.path), "AGAIN": "yes" * again}

    sweep = scf_runtime.sweep(deployed(LOSES), each_run=each, how="forced")

    with pytest.raises(AssertionError) as failure:
        sweep.assert_survives()
    lines = str(failure.value).splitlines()
    assert lines[3:6] == [
        "forced@job.py:7#1 came to something else when it was made again:",
        "  lost: file row; ABORTED (499) after 0 s, then FINISHED after 0 s",
        "  nothing lost; ABORTED (499) after 0 s, then FINISHED after 0 s",
    ]
    assert "has to be the same in each run. Where it is, this is a defect of pytest-scf-async" in lines[6]
    assert made.count("job.py:7#1") == 3  # by the record, by a real kill, and by the record


def test_with_several_writers_it_depends_on_their_order(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    made: list[Any] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        again = run.point is not None and run.point in made
        made.append(run.point)
        yield {"OUT": str(run.path), "AGAIN": "yes" * again}

    source = LOSES.replace("out =", "os.system('echo x > $OUT/by_another'); out =")
    sweep = scf_runtime.sweep(deployed(source), each_run=each, how="forced")
    with pytest.raises(AssertionError) as failure:
        sweep.assert_survives()
    assert re.search(
        r"Not tried: .*\n\S+ came to something else .*\n.*\n.*\n  It depends on the order of the writers\.\n",
        str(failure.value),
    )
    assert "a defect of" not in str(failure.value)


def test_a_run_that_comes_to_the_same_again_is_a_class_and_no_more(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    def each(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path), "AGAIN": ""}

    sweep = scf_runtime.sweep(deployed(LOSES), each_run=each, how="forced")

    assert [alike.earliest.key for alike in sweep.failures] == ["forced@job.py:7#1"]
    assert "made again" not in sweep.report
