"""Find, and stop at, the places in libraries where this Python looks for signals between two effects of one line.

User code has a point wherever Python looks for signals in it (``collecting``). A library that it calls may open a file,
return from that call, and write: a handler of a signal may run in between, where no line of user code begins or ends.
Of each two effects between which that may be, the first and the last such place are points. They are looked for while
functions are named, as the interpreter reports all calls of the main thread then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FrameType

from ...protocol.own_code import OWN_CODE
from ...python.scheduler.scheduler import scheduler

LOOKS = frozenset({"call", "c_return", "c_exception"})
"""What a profiler is told where this Python looks for signals next: a function begins, or one in C has returned."""
_gates: dict[int, str] = {}
"""The names of the gates, by the numbers of places."""
_EFFECTS = 1 << 32
"""The number of a place has the number of the effects before it, times this, and which place after them it is."""


def set_gates(gates: Mapping[int, str]) -> None:
    """Stop at the places with these numbers, and at no others; each gate has a name."""
    _gates.clear()
    _gates.update(gates)


class Places:
    """The places that the main thread comes to between points of user code.

    *add* makes a point of the number of a place, and of which one after an effect it is.
    """

    def __init__(
        self, add: Callable[[int, int, FrameType], list[object]], report: Callable[[list[object]], None]
    ) -> None:
        self._add, self._report = add, report
        self._of_user = self._effects = scheduler.control.effects
        """How many effects there had been at the last point of user code, and at the last place."""
        self._passed = 0
        """Places since the last effect, ..."""
        self._kept: list[list[object]] = []
        """... and points of the first and the last of them, which count if another effect follows."""

    def begin_anew(self) -> None:
        """User code is at a point."""
        self._follows(scheduler.control.effects)
        self._of_user, self._passed, self._kept = self._effects, 0, []

    def comes_to(self, frame: FrameType) -> None:
        """Code of a library in *frame* is where this Python looks for signals."""
        effects = scheduler.control.effects
        if effects == self._of_user or frame.f_code.co_filename.startswith(OWN_CODE):
            return
        self._follows(effects)
        self._passed += 1
        number = effects * _EFFECTS + self._passed
        self._kept[1:] = [self._add(number, self._passed, frame)]
        gate = _gates.pop(number, None)
        if gate is not None:
            scheduler.gate(gate, "point")

    def _follows(self, effects: int) -> None:
        if effects == self._effects:
            return
        for each in self._kept:
            self._report(each)
        self._effects, self._passed, self._kept = effects, 0, []
