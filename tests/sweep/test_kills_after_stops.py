"""Kills after a SIGTERM come from the record of the run that was stopped."""

from __future__ import annotations

from typing import Any

import pytest
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime

# once: what differs between versions is in test_points.py and test_seeded.py
pytestmark = pytest.mark.once

SAVES_IN_PLACE = """
    import json, os, pathlib, signal, time

    def main_handler(event, context):
        saved = pathlib.Path(os.environ["OUT"], "state.json")
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        for number in range(state["done"], 3):
            time.sleep(1)
            state["done"] = number + 1
            if asked:
                saved.write_text(json.dumps(state))
                return state
        new = saved.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(saved)
        return state
"""
SAVES_BY_RENAME = SAVES_IN_PLACE.replace(
    """
                saved.write_text(json.dumps(state))
""",
    """
                new = saved.with_suffix(".new")
                new.write_text(json.dumps(state))
                new.replace(saved)
""",
)


def test_a_kill_within_what_a_stop_saves_is_found(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(SAVES_IN_PLACE), each_run=each_run)
    (found,) = sweep.failures
    print(sweep.report)
    assert {kind.value for kind in found.kinds} == {"never finishes"}
    assert {run.how for run in found.runs} == {"graceful>forced"}
    assert {run.point.text for run in found.runs} == {"write state.json"}
    assert all("state.json (0 bytes)" in run.outcome.written for run in found.runs)


def test_none_is_where_a_stop_saves_by_a_rename(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(SAVES_BY_RENAME), each_run=each_run)
    sweep.assert_survives()
    assert any(run.point.kind == "effect" and run.point.after is not None for run in sweep.runs)
