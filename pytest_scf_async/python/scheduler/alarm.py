"""The alarm of a process: when it goes off, and after how long again.

It has the rules of the kernel's ITIMER_REAL: an interval begins anew once the signal has been taken, so that SIGALRM
comes once while it is blocked, and never again where it is ignored.
"""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.shared_page import ControlPage
from ...protocol.time_units import NEVER_US


class Alarm:
    """The alarm that ``signal.alarm`` and ``signal.setitimer`` set; the scheduler has it go off.

    *ring* sends SIGALRM to this process, and says whether a handler of user code is called for it at once.
    """

    __slots__ = ("_control", "_rang_us", "due_us", "every_us", "ring")

    def __init__(self, control: ControlPage, ring: Callable[[], bool]) -> None:
        self._control = control
        self.ring = ring
        self.due_us = NEVER_US
        """When it goes off, in µs since the epoch."""
        self.every_us = 0
        """After how long it goes off again, in µs; 0: it does not."""
        self._rang_us: int | None = None
        """When it went off, until its signal has been taken."""

    @property
    def waits_for_signal(self) -> bool:
        """It has gone off, and is to be set anew once its signal has been taken."""
        return self.every_us != 0 and self._rang_us is not None

    def rest_us(self, now_us: int) -> int:
        """What is left until it goes off, at least 1 µs; 0 where none is set."""
        return 0 if self.due_us == NEVER_US else max(self.due_us - now_us, 1)

    def set(self, due_us: int, every_us: int) -> None:
        """Have it go off at *due_us*, and every *every_us* from then on."""
        self.every_us, self._rang_us = every_us, None
        self._arm(due_us)

    def go_off(self) -> None:
        """Note that it has gone off. No alarm is set from here to `set_anew`."""
        rang_us = self.due_us
        self._arm(NEVER_US)
        self._rang_us = rang_us

    def set_anew(self, now_us: int) -> bool:
        """Set it to the next instant of its interval, once its signal is taken. Returns whether it was set."""
        rang_us, self._rang_us = self._rang_us, None
        if not self.every_us or rang_us is None:
            return False
        self._arm(rang_us + ((now_us - rang_us) // self.every_us + 1) * self.every_us)
        return True

    def _arm(self, due_us: int) -> None:
        self.due_us = due_us
        self._control.alarm = 0 if due_us == NEVER_US else due_us
