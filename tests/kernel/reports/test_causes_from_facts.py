"""Causes come from facts: other words in a log or in a timeline change no cause, advice or assertion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from internals import _LISTENERS, _MET, MemoryExcess, Raised, entry_text, event_module
from test_assertions import TRACE, Story

from pytest_scf_async.assertions import assert_signal_received, assert_signal_reception_failed
from pytest_scf_async.model.transitions import Fact
from pytest_scf_async.report.cause import likely_cause, signal_cause, what_to_do

STOP = Raised("SystemExit", "0")
STORIES: dict[str, Callable[[], Story]] = {
    "runs": Story,
    "returns": lambda: Story().returns(),
    "fails": lambda: Story().says(*TRACE.splitlines()).exits(1),
    "killed": lambda: Story().exits(signum=15),
    "native": lambda: Story().gets("native").exits(signum=15),
    "default": lambda: Story().gets("default").exits(signum=15),
    "reset": lambda: Story().sets("default").gets("default").exits(signum=15),
    "unreached": lambda: Story().gets("no process").returns(),
    "exits in its handler": lambda: Story().handles(STOP).exits(),
    "raises after its handler": lambda: Story().handles().ends(Fact.RAISED, trace=TRACE),
    "coroutine": lambda: Story().ends(Fact.RESULT_NOT_JSON, trace="TypeError: Object of type coroutine is not JSON"),
    "memory": lambda: Story().exceeds(MemoryExcess(150 << 20, 128, 0, "deploy(...)")),
    "endless wait": lambda: Story(timeout=60).waits("Lock.acquire at a.py:3", awaits="lock").ends(Fact.TIMED_OUT),
    "wait": lambda: Story(timeout=60).waits("sleep(9) at a.py:3").ends(Fact.TIMED_OUT),
    "deleted": lambda: Story().ends(Fact.FUNCTION_DELETED),
    "terminated": lambda: Story().ends(Fact.TERMINATED),
}


def concluded(story: Story) -> list[object]:
    """What is made of an event: its causes, the advice, and which assertions hold."""
    event = story.inside
    found: list[object] = [likely_cause(event), signal_cause(event), what_to_do(event)]
    for check in (assert_signal_received, assert_signal_reception_failed):
        try:
            check(story.event)
        except AssertionError:
            found.append(False)
        else:
            found.append(True)
    return found


def shown(story: Story) -> list[str]:
    return [entry_text(entry) for entry in story.inside.timeline]


@pytest.mark.parametrize("name", STORIES)
def test_other_words_lead_to_the_same_causes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = STORIES[name]
    before, words = concluded(report()), shown(report())
    for fact in Fact:
        monkeypatch.setattr(fact, "_value_", f"reworded {fact.name}")
    for line in ("SIGNAL_RECEIVED_LINE", "SIGNAL_FAILED_LINE"):
        monkeypatch.setattr(event_module, line, f"reworded {line}")
    for table in (_MET, _LISTENERS):
        for key in table:
            monkeypatch.setitem(table, key, f"reworded {key}")

    assert shown(report()) != words
    assert concluded(report()) == before
