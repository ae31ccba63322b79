"""Which CPUs a program on the simulated clock may use: one, unless the setting says otherwise, and not all the same."""

from __future__ import annotations

import os

import pytest
from image_support import program
from internals import cpus

from pytest_scf_async import ScfSettings
from pytest_scf_async.errors import ScfUsageError

# once: the kernel's: the same on all Pythons
pytestmark = pytest.mark.once

USABLE = sorted(os.sched_getaffinity(0))
REPORTS = """
import subprocess
TELL = "import os; print(sorted(os.sched_getaffinity(0)))"

def handle(event, request):
    child = subprocess.run([sys.executable, "-I", "-S", "-c", TELL], capture_output=True, text=True)
    return sorted(os.sched_getaffinity(0)), json.loads(child.stdout)
"""


@pytest.mark.parametrize("most", [None, 2, 1_000])
def test_a_program_and_its_children_use_as_many_as_the_setting_says(deploy_traced, make_runtime, most):
    to = make_runtime(**({} if most is None else {"program_cpus": most}))
    mine, of_child = deploy_traced(program(REPORTS), to=to).run()

    assert len(mine) == min(most or 1, len(USABLE))
    assert set(mine) <= set(USABLE)
    assert of_child == mine


def test_programs_that_run_at_once_are_spread(deploy_traced):
    waits = program(REPORTS.replace("    return", "    time.sleep(10)\n    return"))
    events = [deploy_traced(waits).invoke_async() for _ in USABLE * 2]
    used = [event.wait().result[0][0] for event in events]
    assert sorted(used) == sorted(USABLE * 2)


@pytest.mark.parametrize(
    ("usable", "most", "given"),
    [
        ({4}, 1, [[4], [4], [4]]),
        ({1, 3, 6}, 1, [[1], [3], [6], [1]]),
        ({0, 1, 2, 3}, 2, [[0, 1], [2, 3], [0, 1]]),
        ({0, 1, 2}, 2, [[0, 1], [0, 2], [1, 2]]),
        ({0, 1}, 8, [[0, 1], [0, 1]]),
    ],
)
def test_the_next_program_gets_the_next_ones(monkeypatch, usable, most, given):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)
    monkeypatch.setattr(cpus, "_places", iter(range(100)))
    assert [cpus.next_cpus(most) for _ in given] == given


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "two"])
def test_what_is_no_number_of_cpus_is_refused(wrong):
    with pytest.raises(ScfUsageError, match=r"^program_cpus=.* is not valid: it must be a whole number, 1 or more$"):
        ScfSettings(program_cpus=wrong)
