"""Which reads of the clock are those of a loop that polls it: each of them waits, as such a loop would not end else.

A read counts at its place, the instruction of user code that is nearest to it, until something else than a read happens
(`clock.reads` is 0 then): a wait, something that is written, sent or received, a record. All reads in one pass of an
event loop count as one: a thousand tasks that start at once read the clock at one place, and none of them polls it.
What an event loop is, is seen from its waits for descriptors: its frame is one of those that have made the last one.

A read takes some nanoseconds, and to find its place a microsecond. So only one read in `_SHARE` of the limit is looked
at, and each one that may be over the limit: what lies between two looks at the same place counts there. The interval
is odd, else of a loop with reads at two places all looks would see the same one.
"""

from __future__ import annotations

import functools
import sys
from types import CodeType, FrameType
from typing import Final

from ..linux import procfs
from ..protocol.own_code import OWN_CODE
from . import clock
from .scheduler.callers import is_library, is_standard, user_frame

_SHARE: Final = 4
_LOOKED: Final = -(1 << 62)
"""From here `clock.reads` counts on after a look; where it is not negative, something else than reads has happened."""
_READS_IN_A_PASS: Final = 100
"""So many times the limit may the same frame read in one pass of an event loop: more are those of one that polls.

So many, because frames of callbacks that follow each other often have one identity."""

Place = tuple[int, int]
_LOOP: Final[Place] = (0, -1)
"""The place of all reads in the passes of an event loop."""
_NOBODY: Final[Place] = (0, 0)
"""That of reads under which there is no user code, as in a thread of a library."""
_is_library = functools.lru_cache(maxsize=1024)(is_library)


class Polls:
    """The reads at each place since something else than reads has happened."""

    def __init__(self) -> None:
        self._limit = 0
        self._interval = 1
        self._counts: dict[Place, int] = {}
        self._last: Place | None = None
        self._total = 0
        self._writes: int | None = None
        self._passes = self._last_pass = self._frame = self._in_pass = 0
        self._loops: dict[int, CodeType] = {}
        """The code of what waits for descriptors, by identity: code that is equal may be elsewhere."""

    def limit_to(self, limit: int) -> None:
        """From now on a read is a poll after *limit* reads at its place."""
        self._limit = limit
        self._interval = limit // _SHARE | 1
        clock.count_reads(0, self._interval)

    def begin_pass(self, frame: FrameType | None = None) -> None:
        """Note that *frame* waits for descriptors. If it is a loop, or called by one, another pass of that begins.

        None: that was a wait of no length, for nothing.
        """
        self._passes += 1
        if frame is not None and id(frame.f_code) not in self._loops:
            outer = frame.f_back
            self._loops[id(frame.f_code)] = frame.f_code
            if outer is not None and _is_library(outer.f_code.co_filename):
                self._loops[id(outer.f_code)] = outer.f_code

    def handed_over(self) -> None:
        """Note that the thread has let another one run, for which the scheduler writes: that is no output."""
        self._writes = None

    def look(self) -> Place | None:
        """Look at the read that is made just now: its place, if it is a poll, else None."""
        since = clock.reads[0]
        if since < 0:
            since -= _LOOKED
        else:
            self._counts.clear()
            self._last, self._total, self._in_pass = None, 0, 0
            if since <= self._interval:  # the first read since then
                clock.count_reads(since, self._interval)
                return None
            self._writes = None
        self._total += since
        place, frame = self._place()
        same, self._last = place == self._last, place
        passes, self._last_pass = self._passes - self._last_pass, self._passes
        self._in_pass = since + (self._in_pass if frame == self._frame and frame and not passes else 0)
        self._frame = frame
        if place is _LOOP:
            new = passes if same else 1
        else:
            new = since if same or not self._counts else 1
        count = self._counts[place] = self._counts.get(place, 0) + new
        polls = new > 0 and count > self._limit
        if self._writes is None and self._total * 4 > self._limit * 3:
            self._writes = procfs.writes_of("thread-self")
        elif polls and count - new <= self._limit and procfs.writes_of("thread-self") != self._writes:
            clock.count_reads(0, self._interval)  # code in C has written something
            return None
        if polls or (place is _LOOP and self._in_pass > self._limit * _READS_IN_A_PASS):
            return place
        is_exact = place is not _LOOP and self._total > self._limit
        self._look_after(1 if is_exact else max(1, min(self._interval, self._limit + 1 - count)))
        return None

    def waited(self, place: Place) -> None:
        """Note that the poll at *place* has waited, as a read: whatever other threads did, the next one is a poll."""
        self._last = place
        self._counts[place] = self._limit + 1
        self._look_after(1)

    @staticmethod
    def _look_after(reads: int) -> None:
        clock.count_reads(_LOOKED, _LOOKED + reads - 1)

    def _place(self) -> tuple[Place, int]:
        """The place of the read that is made just now, and which frame of user code a loop has called for it."""
        users, users_frame = _NOBODY, 0
        frame = user_frame(sys._getframe(4))  # a clock of ours has called what looks
        is_loops = frame is not None and is_standard(frame.f_code.co_filename)
        while frame is not None:
            code = frame.f_code
            library = _is_library(code.co_filename)
            is_own = code.co_filename.startswith(OWN_CODE)
            if id(code) in self._loops and not is_own and (library or users_frame):
                is_loops = True
                break
            if not users_frame and not library:
                users, users_frame = (id(code), frame.f_lasti), id(frame)
            elif is_own and users_frame:
                break
            frame = frame.f_back
        return _LOOP if is_loops else users, users_frame


polls = Polls()
