"""The clocks of an instance, which show the simulated time of the runtime's clock page.

The wall clock is the interpreter's own: ``clock_page`` redirects the functions of the C library that it calls. The
monotonic clocks are patched, as CPython itself relies on CLOCK_MONOTONIC. Where there is no clock page, the wall clock
is patched too, with freezegun's classes (``patches/datetime.py``); `fallback` says why.
"""

from __future__ import annotations

import mmap
import operator
import os
import sys
import time
import uuid
from collections.abc import Callable, MutableSequence, Sequence
from types import SimpleNamespace
from typing import Any

from ..protocol.messages import UPTIME_US
from ..protocol.own_code import OWN_CODE
from ..protocol.shared_page import CLOCK_BOOT, CLOCK_NOW, PAGE_BYTES, ControlPage
from .clock_page import INTERRUPT, LIMIT, NO_LIMIT, READS, Unavailable, clock_page
from .patches import builtin, registry

_REPLACED = (
    *("time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime", "tzset"),
    *("clock_gettime", "clock_gettime_ns", "get_clock_info"),
)
genuine: Any = SimpleNamespace(**{name: getattr(time, name, None) for name in _REPLACED})
"""The original functions of ``time``; in an object, as ``freeze_time`` replaces those that modules have."""
real_monotonic = time.monotonic
real_monotonic_ns = time.monotonic_ns
_real_times = os.times

READ_WAIT_US = 1_000
"""How long a clock read over the limit waits, in µs."""
_RESOLUTION = 1e-6
_OF_ASYNCIO = "asyncio.base_events"

wants_page = True
"""Whether `install` tries the clock page."""
fallback = ""
"""Why this process has freezegun's classes; empty if it has the clock page."""


class _FreeRunning(Sequence[int]):
    """A page whose time runs at the real rate, for the zygote and for children that user code forks."""

    def __init__(self, now_us: int, boot_us: int) -> None:
        self._base = now_us
        self._boot = boot_us
        self._from = real_monotonic_ns()

    def __getitem__(self, index: Any) -> Any:
        if index == CLOCK_NOW:
            return self._base + (real_monotonic_ns() - self._from) // 1_000
        return self._boot

    def __len__(self) -> int:
        return 3


page: Any = _FreeRunning(genuine.time_ns() // 1_000, genuine.time_ns() // 1_000 - UPTIME_US)
"""The runtime's clock page once the instance is attached."""
_boot_us: int = page[CLOCK_BOOT]
"""The instant of the boot, from the page; it does not change."""

reads: MutableSequence[int] = [0]
"""Its first item: clock reads in a row without a wait or output. The clock page counts there, too."""
reads_limit = NO_LIMIT
_too_many: Callable[[], None] | None = None
_too_many_in_c: Callable[[], None] | None = None

computed: Callable[[], int] | None = None
"""Returns up to which instant this process has computed, in µs since the epoch; None: computing takes no time."""

_user_freezes: list[Any] = [None]
_frozen_time: Callable[[], float] | None = None
"""Set by ``patches/datetime.py``: freezegun's stack of freezes, of which the first is ours; its reading of the last."""


def map_page(file: int) -> Any:
    """Map the clock page in the descriptor *file*, in units of 64 bits."""
    if clock_page.active:
        return clock_page.map(file, PAGE_BYTES)
    return memoryview(mmap.mmap(file, PAGE_BYTES)).cast("q")


def attach(page_of_runtime: Any, limit: int, too_many: Callable[[], None], too_many_in_c: Callable[[], None]) -> None:
    """Read the time from *page_of_runtime*, which `map_page` has returned.

    At each read over the *limit* of reads in a row *too_many* is called by Python code, and *too_many_in_c* by C code.
    """
    global page, _boot_us, reads_limit, _too_many, _too_many_in_c
    page = page_of_runtime
    _boot_us = page[CLOCK_BOOT]
    reads_limit, _too_many, _too_many_in_c = limit, too_many, too_many_in_c
    reads[0] = 0
    if clock_page.active:
        clock_page.follow_page(reads_limit)


def count_reads(begin: int, limit: int) -> None:
    """Count reads from *begin* on, and have each one over *limit* looked at, which is one of a poll or not."""
    global reads_limit
    reads[READS] = begin
    reads_limit = limit
    if clock_page.active:
        reads[LIMIT] = limit


def notes_first_read() -> bool:
    """Have the next read looked at, if all reads are counted; whether they are."""
    global reads_limit
    if not clock_page.active or reads_limit == NO_LIMIT:
        return False
    reads_limit = reads[LIMIT] = 0
    return True


def detach() -> None:
    """Have time run at the real rate from the simulated instant on, in a child that user code has forked."""
    global page, reads_limit, computed
    now_us = page[CLOCK_NOW]
    computed = None
    page = _FreeRunning(now_us, page[CLOCK_BOOT])
    reads_limit = NO_LIMIT
    if clock_page.active:
        clock_page.run_from(now_us)


def _over_the_limit() -> None:
    """Called by the clock page at reads over the limit, from C code of the interpreter: nothing can be raised."""
    if _too_many_in_c is not None:
        _too_many_in_c()


def is_in_c(frame: Any) -> bool:
    """Whether *frame* is the plugin's, and called by the clock page."""
    while frame is not None and frame.f_code.co_filename.startswith(OWN_CODE):
        if frame.f_code is _over_the_limit.__code__:
            return True
        frame = frame.f_back
    return False


def interrupt(signum: int) -> None:
    """Have Python see signal *signum* as soon as the call of the clock page is over."""
    reads[INTERRUPT] = signum


def real_time_ns() -> int:
    """The machine's time, in ns since the epoch."""
    return clock_page.real_time_ns() if clock_page.active else int(genuine.time_ns())


def honour_user_freezes(factories: list[Any], frozen_time: Callable[[], float]) -> None:
    """Have ``time.time`` follow a ``freeze_time`` of user code on top of the simulated clock."""
    global _user_freezes, _frozen_time
    _user_freezes = factories
    _frozen_time = frozen_time


def real_number(seconds: Any) -> Any:
    """*seconds* as an int or a float, if this Python takes it as a time; else as it is, to be refused.

    Python 3.15 takes all real numbers, such as a Decimal.
    """
    if isinstance(seconds, (float, int)):
        return seconds
    kind = type(seconds)
    if hasattr(kind, "__index__"):
        return operator.index(seconds)
    return float(seconds) if _TAKES_REAL_NUMBERS and hasattr(kind, "__float__") else seconds


_TAKES_REAL_NUMBERS = sys.version_info >= (3, 15)


def now_us() -> int:
    """The simulated time in whole µs since the epoch, from which waits are counted; not counted as a read.

    Where computing takes time the page has that of the harness's last look: a wait that was counted from there would
    end too early by all that was computed since.
    """
    now = int(page[CLOCK_NOW])
    return now if computed is None else max(now, computed())


def let_computing_take_time(rate: float, control: Callable[[], ControlPage]) -> None:
    """Have a second of processor time take *rate* simulated seconds; *control* returns the control page."""
    global computed

    def computed_by_now() -> int:
        return control().computed + int(processor_ns() * rate / 1_000)

    computed = computed_by_now


def processor_ns() -> int:
    """The processor time of this process; other processes see that of a running thread up to its last tick only."""
    return int(genuine.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID))


def _count() -> None:
    count = reads[READS] + 1
    reads[READS] = count
    if count > reads_limit and _too_many is not None:
        _too_many()


def fake_time() -> float:
    _count()
    if len(_user_freezes) > 1 and _frozen_time is not None:
        return _frozen_time()
    return page[CLOCK_NOW] * 1_000 / 1e9  # type: ignore[no-any-return]  # rounded as CPython rounds it


def fake_monotonic() -> float:
    count = reads[0] + 1
    reads[0] = count
    if count > reads_limit and _too_many is not None:
        _too_many()
    return (page[CLOCK_NOW] - _boot_us) / 1_000_000  # type: ignore[no-any-return]


def fake_time_ns() -> int:
    _count()
    if len(_user_freezes) > 1 and _frozen_time is not None:
        return int(_frozen_time() * 1_000_000) * 1_000
    return page[CLOCK_NOW] * 1_000  # type: ignore[no-any-return]


def fake_monotonic_ns() -> int:
    _count()
    return (page[CLOCK_NOW] - _boot_us) * 1_000  # type: ignore[no-any-return]


_REAL_CLOCKS = {time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID}
_WALL_CLOCKS = {time.CLOCK_REALTIME, 5, getattr(time, "CLOCK_TAI", time.CLOCK_REALTIME)}  # 5 is the coarse one


def fake_clock_gettime(clock: int) -> float:
    if clock in _REAL_CLOCKS:
        return float(genuine.clock_gettime(clock))
    return float(_wall_clock.time()) if clock in _WALL_CLOCKS else fake_monotonic()


def fake_clock_gettime_ns(clock: int) -> int:
    if clock in _REAL_CLOCKS:
        return int(genuine.clock_gettime_ns(clock))
    return int(_wall_clock.time_ns()) if clock in _WALL_CLOCKS else fake_monotonic_ns()


def fake_get_clock_info(name: Any, /) -> Any:
    info = genuine.get_clock_info(name)
    if name in _SIMULATED:
        info.resolution = _RESOLUTION
        if sys._getframe(1).f_globals.get("__name__") == _OF_ASYNCIO:
            # It takes a timer for due that is within this, and years after the boot a float is off by more than the
            # real clock's; half of it, so that none goes off a whole µs early.
            info.resolution /= 2
    return info


def fake_localtime(seconds: float | None = None) -> time.struct_time:
    return genuine.localtime(fake_time() if seconds is None else seconds)  # type: ignore[no-any-return]


def fake_gmtime(seconds: float | None = None) -> time.struct_time:
    return genuine.gmtime(fake_time() if seconds is None else seconds)  # type: ignore[no-any-return]


def fake_ctime(seconds: float | None = None) -> str:
    return genuine.ctime(fake_time() if seconds is None else seconds)  # type: ignore[no-any-return]


def fake_asctime(t: Any = None) -> str:
    return genuine.asctime(fake_localtime() if t is None else t)  # type: ignore[no-any-return]


def fake_strftime(format: str, t: Any = None) -> str:
    return genuine.strftime(format, fake_localtime() if t is None else t)  # type: ignore[no-any-return]


def fake_tzset() -> None:
    if "TZ" not in os.environ:
        os.putenv("TZ", "UTC")  # the platform's containers are in UTC; the host's zone must not show
    genuine.tzset()


def fake_times() -> os.times_result:
    real = _real_times()
    return os.times_result((*real[:4], fake_monotonic()))


_PATCHES: dict[str, Callable[..., Any]] = {
    "monotonic": fake_monotonic,
    "monotonic_ns": fake_monotonic_ns,
    "perf_counter": fake_monotonic,
    "perf_counter_ns": fake_monotonic_ns,
    "clock_gettime": fake_clock_gettime,
    "clock_gettime_ns": fake_clock_gettime_ns,
    "get_clock_info": fake_get_clock_info,
    "tzset": fake_tzset,
}
_WALL_CLOCK_PATCHES: dict[str, Callable[..., Any]] = {
    "time": fake_time,
    "time_ns": fake_time_ns,
    "localtime": fake_localtime,
    "gmtime": fake_gmtime,
    "ctime": fake_ctime,
    "asctime": fake_asctime,
    "strftime": fake_strftime,
}
"""What is patched where there is no clock page."""
_SIMULATED = {*_PATCHES, *_WALL_CLOCK_PATCHES}
_wall_clock: Any = SimpleNamespace(time=time.time, time_ns=time.time_ns)
"""The functions of ``time`` once it is patched."""


def install() -> None:
    """Patch the clocks, before anything is imported that binds functions of ``time``."""
    global fallback, reads
    try:
        if not wants_page:
            raise Unavailable("it was asked for")
        clock_page.install(_over_the_limit)
        reads = clock_page.data
        builtin.use_machine_code()  # the process may have some
    except Unavailable as error:
        fallback = str(error)
    why = "it returns the simulated time"
    for name, function in _PATCHES.items():
        registry.replace(time, name, function, why)
    if fallback:
        for name, function in _WALL_CLOCK_PATCHES.items():
            registry.replace(time, name, function, why)
    _wall_clock.time, _wall_clock.time_ns = time.time, time.time_ns
    registry.replace(os, "times", fake_times, why)
    registry.rebind(uuid, "_generate_time_safe", None, "uuid1() asks the machine's clock in C otherwise")
