"""What an instance writes down while it moves the clock itself: its waits, where the harness finds them.

They lie in shared memory, so that they outlive the process: equal waits in a row are one record.
"""

from __future__ import annotations

from typing import Any

from ...protocol import shared_page
from ...protocol.shared_page import LEASE_COUNT, LEASE_FIRST, LEASE_LAST, ControlPage


class LeaseLog:
    """The records of leased waits; the harness has read all of them by the time it gives the instance a turn."""

    __slots__ = ("_control", "_last", "_places", "_texts", "_texts_used", "record", "sleep")

    def __init__(self, control: ControlPage) -> None:
        self._control = control.slots
        self._texts = control.texts
        self._texts_used = 0
        self._places: dict[str, int] = {}
        """By text: where it lies, and how long it is."""
        self._last = ""
        self.record = 0
        """The slot of the control page at which the record that goes on begins; 0 when the next wait begins one."""
        self.sleep: tuple[Any, ...] = ()
        """Where it was begun, and for how long, where it is one of sleeps."""

    def note(self, what: str, now_us: int, sleep: tuple[Any, ...] = ()) -> bool:
        """Write down a wait that begins now; False when there is no room: it has to go by message.

        *sleep* tells a leased sleep from others: where the next one is the same, the scheduler counts it in the record
        itself.
        """
        if not what:
            return True
        self.sleep = sleep
        if self.record == 0 or what != self._last:
            return self._begin(what, now_us)
        self._control[self.record + LEASE_LAST] = now_us
        self._control[self.record + LEASE_COUNT] += 1
        return True

    def _begin(self, what: str, now_us: int) -> bool:
        control = self._control
        used = control[shared_page.CONTROL_RECORDS]
        place = self._places.get(what)
        if place is None:
            place = self._keep(what.encode("utf-8", "replace"))
            if place is not None:
                self._places[what] = place
        if place is None or used == shared_page.LEASE_RECORDS:
            return False
        record = shared_page.LEASE_LOG + used * shared_page.LEASE_RECORD
        control[record], control[record + LEASE_FIRST] = place, now_us
        control[record + LEASE_LAST], control[record + LEASE_COUNT] = now_us, 1
        control[shared_page.CONTROL_RECORDS] = used + 1
        self._last = what
        self.record = record
        return True

    def _keep(self, text: bytes) -> int | None:
        start = self._texts_used
        if start + len(text) > shared_page.TEXTS_BYTES:
            return None
        self._texts[start : start + len(text)] = text
        self._texts_used += len(text)
        return start << 16 | len(text)

    def records_to_report(self) -> int:
        """How many records there are; the harness reads them, and none of them goes on."""
        self.record = 0
        return int(self._control[shared_page.CONTROL_RECORDS])

    def clear(self) -> None:
        """All of them have been read."""
        self.record = 0
        if self._control[shared_page.CONTROL_RECORDS]:
            self._control[shared_page.CONTROL_RECORDS] = 0
            if self._texts_used > shared_page.TEXTS_BYTES // 2:
                self._texts_used = 0
                self._places.clear()
