"""All clocks of an instance: ``time.*`` read the simulated time from the runtime's shared page."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from ..protocol import messages
from .patches.builtin import stand_in

real_time_ns = time.time_ns
real_monotonic = time.monotonic
real_monotonic_ns = time.monotonic_ns
_real_localtime = time.localtime
_real_gmtime = time.gmtime
_real_ctime = time.ctime
_real_asctime = time.asctime
_real_strftime = time.strftime
_real_tzset = time.tzset
_real_clock_gettime = time.clock_gettime
_real_clock_gettime_ns = time.clock_gettime_ns
_real_get_clock_info = time.get_clock_info

LONGEST = 2**63 / 1e9
"""Seconds that can be slept; from here on the standard library says that it cannot convert the number."""
READ_WAIT_US = 1_000
"""What one clock read too many waits, in µs."""
_RESOLUTION = 1e-6
_OF_ASYNCIO = "asyncio.base_events"


class _FreeRunning(Sequence[int]):
    """A page whose time goes on at the real rate: the zygote's own, and that of a child which user code forked."""

    def __init__(self, now_us: int, boot_us: int) -> None:
        self._base = now_us
        self._boot = boot_us
        self._from = real_monotonic_ns()

    def __getitem__(self, index: Any) -> Any:
        if index == messages.CLOCK_NOW:
            return self._base + (real_monotonic_ns() - self._from) // 1_000
        return self._boot

    def __len__(self) -> int:
        return 3


page: Any = _FreeRunning(real_time_ns() // 1_000, real_time_ns() // 1_000 - messages.UPTIME_US)
"""The runtime's clock page once the instance is attached."""

reads = 0
"""Clock reads in a row without a wait or output."""
reads_limit = 0
_too_many: Callable[[], None] | None = None

_user_freezes: list[Any] = [None]
_frozen_time: Callable[[], float] | None = None
"""Set by ``freezegun_classes``: freezegun's stack of freezes (the first is ours), and its reading of the last."""


def attach(clock_page: Any, limit: int, too_many: Callable[[], None] | None) -> None:
    """Read the time from *clock_page*; call *too_many* at each read after *limit* ones in a row."""
    global page, reads, reads_limit, _too_many
    page = clock_page
    reads = 0
    reads_limit = limit
    _too_many = too_many


def how_attached() -> tuple[int, Callable[[], None] | None]:
    """What `attach` was called with, beside the page."""
    return reads_limit, _too_many


def detach() -> None:
    """Let this process's time go on at the real rate from the simulated instant (a child that user code forked)."""
    global page, _too_many
    page = _FreeRunning(page[messages.CLOCK_NOW], page[messages.CLOCK_BOOT])
    _too_many = None


def honour_user_freezes(factories: list[Any], frozen_time: Callable[[], float]) -> None:
    """Let ``time.time`` follow a ``freeze_time`` of user code that is active on top of the simulated clock."""
    global _user_freezes, _frozen_time
    _user_freezes = factories
    _frozen_time = frozen_time


def microseconds(seconds: float) -> int:
    """Whole µs of *seconds*, rounded up, 1 at least; what the binary fraction adds by itself (1.1 s) is not counted."""
    return math.ceil(seconds * 1_000_000 - 0.001) or 1


def now_us() -> int:
    """The simulated time in whole µs since the epoch; not counted as a read."""
    return int(page[messages.CLOCK_NOW])


def _count() -> None:
    global reads
    reads += 1
    if reads > reads_limit and _too_many is not None:
        _too_many()


def fake_time() -> float:
    global reads
    reads += 1
    if reads > reads_limit and _too_many is not None:
        _too_many()
    if len(_user_freezes) > 1 and _frozen_time is not None:
        return _frozen_time()
    return page[0] / 1_000_000  # type: ignore[no-any-return]


def fake_monotonic() -> float:
    global reads
    reads += 1
    if reads > reads_limit and _too_many is not None:
        _too_many()
    return (page[0] - page[2]) / 1_000_000  # type: ignore[no-any-return]


def fake_time_ns() -> int:
    _count()
    if len(_user_freezes) > 1 and _frozen_time is not None:
        return int(_frozen_time() * 1_000_000) * 1_000
    return page[0] * 1_000  # type: ignore[no-any-return]


def fake_monotonic_ns() -> int:
    _count()
    return (page[0] - page[2]) * 1_000  # type: ignore[no-any-return]


def _uncounted_time() -> float:
    if len(_user_freezes) > 1 and _frozen_time is not None:
        return _frozen_time()
    return page[0] / 1_000_000  # type: ignore[no-any-return]


def _uncounted_time_ns() -> int:
    return round(_uncounted_time() * 1_000_000) * 1_000


_REAL_CLOCKS = {time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID}
_WALL_CLOCKS = {time.CLOCK_REALTIME, getattr(time, "CLOCK_TAI", time.CLOCK_REALTIME)}


def fake_clock_gettime(clock: int) -> float:
    if clock in _REAL_CLOCKS:
        return _real_clock_gettime(clock)
    return fake_time() if clock in _WALL_CLOCKS else fake_monotonic()


def fake_clock_gettime_ns(clock: int) -> int:
    if clock in _REAL_CLOCKS:
        return _real_clock_gettime_ns(clock)
    return fake_time_ns() if clock in _WALL_CLOCKS else fake_monotonic_ns()


def fake_get_clock_info(name: Any, /) -> Any:
    info = _real_get_clock_info(name)
    if name in _PATCHES:
        info.resolution = _RESOLUTION
        if sys._getframe(1).f_globals.get("__name__") == _OF_ASYNCIO:
            # It takes a timer for due that is within this, and years after the boot a float is off by more than the
            # real clock's; half of it, so that none goes off a whole µs early.
            info.resolution /= 2
    return info


def fake_localtime(seconds: float | None = None) -> time.struct_time:
    return _real_localtime(fake_time() if seconds is None else seconds)


def fake_gmtime(seconds: float | None = None) -> time.struct_time:
    return _real_gmtime(fake_time() if seconds is None else seconds)


def fake_ctime(seconds: float | None = None) -> str:
    return _real_ctime(fake_time() if seconds is None else seconds)


def fake_asctime(t: Any = None) -> str:
    return _real_asctime(fake_localtime() if t is None else t)


def fake_strftime(format: str, t: Any = None) -> str:
    return _real_strftime(format, fake_localtime() if t is None else t)


def fake_tzset() -> None:
    if "TZ" not in os.environ:
        os.putenv("TZ", "UTC")  # the platform's containers are in UTC; the host's zone must not show
    _real_tzset()


_PATCHES: dict[str, Callable[..., Any]] = {
    "time": fake_time,
    "time_ns": fake_time_ns,
    "monotonic": fake_monotonic,
    "monotonic_ns": fake_monotonic_ns,
    "perf_counter": fake_monotonic,
    "perf_counter_ns": fake_monotonic_ns,
    "clock_gettime": fake_clock_gettime,
    "clock_gettime_ns": fake_clock_gettime_ns,
    "get_clock_info": fake_get_clock_info,
    "localtime": fake_localtime,
    "gmtime": fake_gmtime,
    "ctime": fake_ctime,
    "asctime": fake_asctime,
    "strftime": fake_strftime,
    "tzset": fake_tzset,
}


def install() -> None:
    """Put the simulated clocks into the ``time`` module; before anything that binds its functions is imported."""
    for name, function in _PATCHES.items():
        function.__name__ = function.__qualname__ = name
        setattr(time, name, stand_in("time", name, function))


def spare_logging() -> None:
    """Let the clock reads of ``logging`` go uncounted: a record that no handler writes is no progress."""
    import logging  # noqa: PLC0415  (after the patches)

    spared = SimpleNamespace(**vars(time))
    spared.time = _uncounted_time
    spared.time_ns = _uncounted_time_ns
    logging.time = spared  # type: ignore[attr-defined]
