"""``signal.alarm`` and ``setitimer(ITIMER_REAL)`` on simulated time: when one is due, a real SIGALRM is sent.

The alarm is in the scheduler's run queue, as waits are; its rules are those of ``scheduler/alarm.py``.
"""

from __future__ import annotations

import operator
import signal
from typing import Any

from ...protocol.time_units import LONGEST, microseconds
from ..clock import now_us, real_number
from ..scheduler.scheduler import scheduler
from . import registry, signals

real_alarm = signal.alarm
real_setitimer = signal.setitimer
real_getitimer = signal.getitimer
_SOON = 1e-6
"""The shortest time of the kernel's timer, in s."""
_SECOND = 1_000_000


def ring() -> bool:
    """Have the kernel send SIGALRM now; whether a handler of user code is called at once.

    It is sent by the kernel's own timer. A ``kill`` would show: ``siginfo`` says who has sent a signal, and of an alarm
    that is the kernel.
    """
    if signals.sent_to_waiter(signal.SIGALRM):
        return False
    is_handled = signals.is_handled_at_once(signal.SIGALRM)
    real_setitimer(signal.ITIMER_REAL, _SOON)
    while real_getitimer(signal.ITIMER_REAL)[0] > 0:
        pass
    return is_handled


def _set(value_us: int, every_us: int) -> tuple[int, int]:
    """Set the alarm, both in µs and 0 for none; the rest of the previous one, and its interval."""
    return scheduler.set_alarm(now_us() + value_us if value_us else None, every_us if value_us else 0)


def _is_real_timer(which: Any) -> bool:
    try:
        return operator.index(which) == signal.ITIMER_REAL
    except TypeError:
        return False  # the real function refuses it in its own words


def _timer_us(seconds: Any) -> int | None:
    """*seconds* in whole µs, rounded up as the kernel does; None for what the standard library refuses."""
    seconds = real_number(seconds)
    if not isinstance(seconds, float):
        try:
            seconds = operator.index(seconds)
        except TypeError:
            return None
    if 0 < seconds < LONGEST:
        return microseconds(seconds)
    return 0 if -1e-6 < seconds <= 0 else None


def _seconds(us: int) -> float:
    return us // _SECOND + us % _SECOND / _SECOND


def fake_alarm(seconds: int, /) -> int:
    """Arrange for SIGALRM to arrive after the given number of seconds, of simulated time."""
    try:
        number = operator.index(seconds)
    except TypeError:
        number = -(2**31) - 1
    if not scheduler.active or not -(2**31) <= number < 2**31:
        return real_alarm(seconds)  # in a child that user code forked, or to raise an error
    rest, _ = _set((number % 2**32) * _SECOND, 0)  # an unsigned number in C
    return max((rest + _SECOND // 2) // _SECOND, 1) if rest else 0


def fake_setitimer(which: Any, seconds: Any, interval: Any = 0.0, /) -> tuple[float, float]:
    """Set the given timer; ITIMER_REAL counts simulated time."""
    value_us, every_us = _timer_us(seconds), _timer_us(interval)
    if not scheduler.active or not _is_real_timer(which) or value_us is None or every_us is None:
        return real_setitimer(which, seconds, interval)
    rest, before = _set(value_us, every_us)
    return _seconds(rest), _seconds(before)


def fake_getitimer(which: Any, /) -> tuple[float, float]:
    """The rest and the interval of the given timer; ITIMER_REAL counts simulated time."""
    if not scheduler.active or not _is_real_timer(which):
        return real_getitimer(which)
    return _seconds(scheduler.alarm.rest_us(now_us())), _seconds(scheduler.alarm.every_us)


def install() -> None:
    why = "the timer counts simulated time"
    registry.replace(signal, "alarm", fake_alarm, why)
    registry.replace(signal, "setitimer", fake_setitimer, why)
    registry.replace(signal, "getitimer", fake_getitimer, why)
