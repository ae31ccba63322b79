"""The alarm of an instance keeps to the kernel's rules of intervals, whatever time has passed meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from internals import NEVER_US, Alarm

# once: numbers only
pytestmark = pytest.mark.once


def new() -> tuple[Alarm, Any]:
    control: Any = SimpleNamespace(alarm=0)
    return Alarm(control, lambda: True), control


def test_it_is_set_until_it_goes_off() -> None:
    alarm, control = new()
    assert (alarm.rest_us(100), alarm.due_us, control.alarm) == (0, NEVER_US, 0)

    alarm.set(150, 0)
    assert (alarm.rest_us(100), control.alarm, alarm.waits_for_signal) == (50, 150, False)

    alarm.go_off()
    assert (alarm.rest_us(150), control.alarm, alarm.waits_for_signal) == (0, 0, False)
    assert not alarm.set_anew(150)
    assert alarm.due_us == NEVER_US


def test_one_that_is_due_has_a_rest() -> None:
    """As ``alarm(0)`` returns at least 1 for an alarm that is set."""
    alarm, _ = new()
    alarm.set(150, 0)
    assert alarm.rest_us(200) == 1


@pytest.mark.parametrize(
    ("taken_us", "next_us"),
    [
        pytest.param(150, 160, id="at once"),
        pytest.param(159, 160, id="late, within the interval"),
        pytest.param(160, 170, id="as the next one was due"),
        pytest.param(187, 190, id="several intervals late"),
    ],
)
def test_an_interval_begins_anew_once_the_signal_is_taken(taken_us: int, next_us: int) -> None:
    alarm, control = new()
    alarm.set(150, 10)
    alarm.go_off()
    assert (alarm.waits_for_signal, control.alarm) == (True, 0)

    assert alarm.set_anew(taken_us)
    assert (alarm.due_us, control.alarm, alarm.waits_for_signal) == (next_us, next_us, False)
    assert not alarm.set_anew(taken_us), "one signal sets it once"


def test_one_that_is_set_while_its_signal_waits_forgets_that() -> None:
    alarm, _ = new()
    alarm.set(150, 10)
    alarm.go_off()
    alarm.set(300, 20)
    assert not alarm.set_anew(160)
    assert (alarm.due_us, alarm.every_us) == (300, 20)
