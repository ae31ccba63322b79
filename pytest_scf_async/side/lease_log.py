"""Records of the waits of an instance that moves the clock itself, under a lease.

They are in shared memory, so that the timeline has them though the process may be killed. Equal waits in a row are one
record, as a loop of sleeps would fill the memory otherwise.
"""

from __future__ import annotations

from typing import Any

from ..protocol import shared_page
from ..protocol.shared_page import LEASE_COUNT, LEASE_FIRST, LEASE_LAST, ControlPage


class LeaseLog:
    """The records of leased waits; the harness has read all of them when it resumes the instance."""

    __slots__ = ("_control", "_last", "_places", "_reads", "_texts", "_texts_used", "record", "sleep")

    def __init__(self, control: ControlPage) -> None:
        self._control = control.slots
        self._texts = control.texts
        self._texts_used = 0
        self._places: dict[str, int] = {}
        """By text: where it is in the page of texts, and its length."""
        self._last = ""
        self._reads = 0
        """What CONTROL_READS was at the last look."""
        self.record = 0
        """The slot of the record to which an equal wait is added; 0 if the next wait begins one."""
        self.sleep: tuple[Any, ...] = ()
        """Of a record of sleeps: where in user code they are, and how long each is."""

    def note(self, description: str, now_us: int, sleep: tuple[Any, ...] = (), *, main: bool = True) -> bool:
        """Record a wait that begins now; False if there is no room, so that it has to be reported by message.

        *sleep* tells a leased sleep from others: where the next one is the same, the scheduler counts it in the record
        itself. *main*: it is a wait of the main thread, or of a program.
        """
        if not description:
            return True
        self.sleep = sleep
        if self.record == 0 or description != self._last:
            return self._begin(description, now_us, main)
        self._control[self.record + LEASE_LAST] = now_us
        self._control[self.record + LEASE_COUNT] += 1
        return True

    def _begin(self, description: str, now_us: int, main: bool) -> bool:
        control = self._control
        used = control[shared_page.CONTROL_RECORDS]
        place = self._places.get(description)
        if place is None:
            place = self._keep(description.encode("utf-8", "replace"))
            if place is not None:
                self._places[description] = place
        if place is None or used == shared_page.LEASE_RECORDS:
            return False
        record = shared_page.LEASE_LOG + used * shared_page.LEASE_RECORD
        control[record], control[record + LEASE_FIRST] = place | main << shared_page.LEASE_MAIN, now_us
        control[record + LEASE_LAST], control[record + LEASE_COUNT] = now_us, 1
        control[shared_page.CONTROL_RECORDS] = used + 1
        self._last = description
        self.record = record
        return True

    def _keep(self, text: bytes) -> int | None:
        start = self._texts_used
        if start + len(text) > shared_page.TEXTS_BYTES:
            return None
        self._texts[start : start + len(text)] = text
        self._texts_used += len(text)
        return start << 16 | len(text)

    def follow_reads(self) -> None:
        """Begin a new record with the next wait if the harness has read output: it stands between the two."""
        reads = self._control[shared_page.CONTROL_READS]
        if reads != self._reads:
            self._reads = reads
            self.record = 0

    def records_to_report(self) -> int:
        """How many records there are, for a report; the next wait begins a new one."""
        self.record = 0
        return int(self._control[shared_page.CONTROL_RECORDS])

    def clear(self) -> None:
        """Forget the records: the harness has read them."""
        self.record = 0
        if self._control[shared_page.CONTROL_RECORDS]:
            self._control[shared_page.CONTROL_RECORDS] = 0
            if self._texts_used > shared_page.TEXTS_BYTES // 2:
                self._texts_used = 0
                self._places.clear()
