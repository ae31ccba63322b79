"""The clock page's machine code for aarch64, run by an emulator (``qemu-aarch64``) or by the processor itself.

Each test makes a small program: the bytes of the clock page, functions in the place of those that it calls, and a start
that calls one of its functions and writes all of its memory to stdout. What these functions are allowed to destroy they
destroy, and the tests check what the clock page has to keep.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from internals import ARCHITECTURES, SLOTS, assemble, clock_page

pytestmark = pytest.mark.qemu

NATIVE = os.uname().machine == "aarch64"
EMULATOR = [] if NATIVE else [shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or "qemu-aarch64"]
LONG = 120
"""Real seconds; for what does not hang."""

SURROUNDINGS = """
_start:
    14 0a a0 d2  ; mov x20, #0x500000
    73 02 80 d2  ; mov x19, #0x13
    b5 02 80 d2  ; mov x21, #0x15
    9c 03 80 d2  ; mov x28, #0x1c
    bd 03 80 d2  ; mov x29, #0x1d
    90 02 40 f9  ; ldr x16, [x20]
    80 06 40 f9  ; ldr x0, [x20, #8]
    81 0a 40 f9  ; ldr x1, [x20, #16]
    00 02 3f d6  ; blr x16
    80 0e 00 f9  ; str x0, [x20, #24]
    6a 4e 00 d1  ; sub x10, x19, #0x13
    ab 56 00 d1  ; sub x11, x21, #0x15
    4a 01 0b aa  ; orr x10, x10, x11
    8b 73 00 d1  ; sub x11, x28, #0x1c
    4a 01 0b aa  ; orr x10, x10, x11
    ab 77 00 d1  ; sub x11, x29, #0x1d
    4a 01 0b aa  ; orr x10, x10, x11
    8a 3a 00 f9  ; str x10, [x20, #112]
    20 00 80 d2  ; mov x0, #0x1
    e1 03 14 aa  ; mov x1, x20
    02 00 82 d2  ; mov x2, #0x1000
    08 08 80 d2  ; mov x8, #0x40
    01 00 00 d4  ; svc #0x0
    00 00 80 d2  ; mov x0, #0x0
    a8 0b 80 d2  ; mov x8, #0x5d
    01 00 00 d4  ; svc #0x0
clock_gettime:
    14 0a a0 d2  ; mov x20, #0x500000
    8a 3e 40 f9  ; ldr x10, [x20, #120]
    4a 05 00 91  ; add x10, x10, #0x1
    8a 3e 00 f9  ; str x10, [x20, #120]
    80 1a 00 f9  ; str x0, [x20, #48]
    8a 2e 42 a9  ; ldp x10, x11, [x20, #32]
    2a 2c 00 a9  ; stp x10, x11, [x1]
    11 00 00 14  ; b clobber
callback:
    14 0a a0 d2  ; mov x20, #0x500000
    8a 1e 40 f9  ; ldr x10, [x20, #56]
    4a 05 00 91  ; add x10, x10, #0x1
    8a 1e 00 f9  ; str x10, [x20, #56]
    8a 22 40 f9  ; ldr x10, [x20, #64]
    8a 1a 01 f9  ; str x10, [x20, #560]
    0a 00 00 14  ; b clobber
raise:
    14 0a a0 d2  ; mov x20, #0x500000
    80 26 00 f9  ; str x0, [x20, #72]
    07 00 00 14  ; b clobber
sem_timedwait:
    14 0a a0 d2  ; mov x20, #0x500000
    80 2a 00 f9  ; str x0, [x20, #80]
    2a 2c 40 a9  ; ldp x10, x11, [x1]
    8a ae 05 a9  ; stp x10, x11, [x20, #88]
    e0 00 80 d2  ; mov x0, #0x7
    02 00 00 14  ; b clobber_all_but_x0
clobber:
    00 00 80 d2  ; mov x0, #0x0
clobber_all_but_x0:
    ea 03 00 91  ; mov x10, sp
    4a 0d 40 92  ; and x10, x10, #0xf
    8b 36 40 f9  ; ldr x11, [x20, #104]
    4a 01 0b aa  ; orr x10, x10, x11
    8a 36 00 f9  ; str x10, [x20, #104]
    01 00 80 92  ; mov x1, #0xffffffffffffffff
    02 00 80 92  ; mov x2, #0xffffffffffffffff
    03 00 80 92  ; mov x3, #0xffffffffffffffff
    09 00 80 92  ; mov x9, #0xffffffffffffffff
    0a 00 80 92  ; mov x10, #0xffffffffffffffff
    0b 00 80 92  ; mov x11, #0xffffffffffffffff
    0c 00 80 92  ; mov x12, #0xffffffffffffffff
    0d 00 80 92  ; mov x13, #0xffffffffffffffff
    10 00 80 92  ; mov x16, #0xffffffffffffffff
    11 00 80 92  ; mov x17, #0xffffffffffffffff
    c0 03 5f d6  ; ret
"""
"""x20 is the memory. The functions check whether the stack is aligned, and destroy all registers that they may."""

CODE, MEMORY, PAGE_SIZE = 0x400000, 0x500000, 4096
DATA, PAGE, RESULT = 512, 1024, 1536
"""Where in the memory are the slots of the clock page, the page itself, and what is written for the caller."""
NAMES = (
    *("entry", "first", "second", "returned", "real_seconds", "real_ns", "asked_clock", "callbacks", "interrupt"),
    *("raised", "semaphore", "deadline_seconds", "deadline_ns", "misaligned", "not_kept", "asked"),
)

START_US = 1_767_225_600_123_456


class Memory:
    """The memory of the program when it ended."""

    def __init__(self, data: bytes) -> None:
        self.words = struct.unpack(f"<{PAGE_SIZE // 8}q", data)

    def __getattr__(self, name: str) -> int:
        return self.words[NAMES.index(name)]

    def slot(self, index: int) -> int:
        return self.words[DATA // 8 + index]

    @property
    def result(self) -> tuple[int, int]:
        return self.words[RESULT // 8], self.words[RESULT // 8 + 1]


@pytest.fixture
def run(tmp_path: Path):
    """Call a function of the clock page with two arguments; gives the memory afterwards."""

    def run(
        function: str,
        first: int,
        second: int = MEMORY + RESULT,
        *,
        us: int = START_US,
        slots: dict[int, int] | None = None,
        result: tuple[int, int] = (0, 0),
        **words: int,
    ) -> Memory:
        around, labels = assemble(SURROUNDINGS)
        code, functions = assemble(ARCHITECTURES["aarch64"].listing)
        begin = 64 + 2 * 56
        place = -(-(CODE + begin + len(around)) // 8) * 8
        memory = bytearray(PAGE_SIZE)

        def put(offset: int, *values: int) -> None:
            struct.pack_into(f"<{len(values)}q", memory, offset, *values)

        data = dict.fromkeys(range(SLOTS), 0) | {clock_page.LIMIT: clock_page.NO_LIMIT, clock_page.PAGE: MEMORY + PAGE}
        for slot, name in (
            (clock_page.CLOCK_GETTIME, "clock_gettime"),
            (clock_page.CALLBACK, "callback"),
            (clock_page.RAISE, "raise"),
            (clock_page.SEM_TIMEDWAIT, "sem_timedwait"),
        ):
            data[slot] = CODE + begin + labels[name]
        put(DATA, *(data | (slots or {})).values())
        put(PAGE, us)
        put(RESULT, *result)
        for name, value in {"entry": place + functions[function], "first": first, "second": second, **words}.items():
            put(8 * NAMES.index(name), value)
        text = around.ljust(place - CODE - begin, b"\0") + code + struct.pack("<q", MEMORY + DATA)
        program = tmp_path / "program"
        program.write_bytes(elf(begin, text, bytes(memory)))
        program.chmod(0o700)
        done = subprocess.run([*EMULATOR, str(program)], stdout=subprocess.PIPE, check=True, timeout=LONG)
        left = Memory(done.stdout)
        assert left.misaligned == 0, "a function was called with a stack that is not aligned to 16 bytes"
        assert left.not_kept == 0, "a register that the caller keeps was changed"
        return left

    return run


def elf(begin: int, text: bytes, memory: bytes) -> bytes:
    """A static program for Linux on aarch64: *text* from *begin* on at CODE, *memory* at MEMORY."""
    at = 0x10000
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 183, 1, CODE + begin, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, CODE, CODE, begin + len(text), begin + len(text), 0x10000)
    segments += struct.pack("<IIQQQQQQ", 1, 6, at, MEMORY, MEMORY, len(memory), len(memory), 0x10000)
    return (header + segments + text).ljust(at, b"\0") + memory


@pytest.mark.parametrize("clock", [0, 5])
@pytest.mark.parametrize("us", [START_US, 0, 1, 999_999, 1_000_000, -1, -1_000_000, -1_000_001, 2**62])
def test_the_wall_clock_is_the_pages(run, clock: int, us: int) -> None:
    left = run("clock_gettime", clock, us=us, slots={clock_page.READS: 4})

    assert left.result == (us // 1_000_000, us % 1_000_000 * 1_000)
    assert left.returned == 0
    assert left.slot(clock_page.READS) == 5
    assert (left.asked, left.callbacks) == (0, 0)


@pytest.mark.parametrize("clock", [1, 2, 4, 6, 7, 11])
def test_another_clock_is_libcs(run, clock: int) -> None:
    left = run("clock_gettime", clock, real_seconds=12, real_ns=34)

    assert left.result == (12, 34)
    assert (left.asked, left.asked_clock, left.slot(clock_page.READS)) == (1, clock, 0)


@pytest.mark.parametrize("signal", [0, 60])
def test_a_read_over_the_limit_calls_the_function_and_raises_its_signal(run, signal: int) -> None:
    left = run("clock_gettime", 0, slots={clock_page.READS: 3, clock_page.LIMIT: 3}, interrupt=signal)

    assert left.result == (START_US // 1_000_000, START_US % 1_000_000 * 1_000)
    assert (left.callbacks, left.raised, left.slot(clock_page.INTERRUPT)) == (1, signal, 0)


def test_a_read_at_the_limit_calls_nothing(run) -> None:
    assert run("clock_gettime", 0, slots={clock_page.READS: 2, clock_page.LIMIT: 3}).callbacks == 0


@pytest.mark.parametrize(
    ("real", "offset"),
    [((100, 5), (0, 0)), ((100, 999_999_999), (7, 1)), ((100, 600_000_000), (-50, 700_000_000)), ((100, 0), (-101, 0))],
)
def test_a_running_clock_is_libcs_and_an_offset(run, real: tuple[int, int], offset: tuple[int, int]) -> None:
    slots = {
        clock_page.RUNNING: 1,
        clock_page.OFFSET_SECONDS: offset[0],
        clock_page.OFFSET_NS: offset[1],
    }
    left = run("clock_gettime", 5, slots=slots, real_seconds=real[0], real_ns=real[1])

    assert left.asked_clock == 0
    assert left.result == divmod((real[0] + offset[0]) * 10**9 + real[1] + offset[1], 10**9)


def test_time_gives_whole_seconds_and_stores_them_where_it_should(run) -> None:
    stored = run("time", MEMORY + RESULT)
    plain = run("time", 0)

    assert stored.returned == stored.result[0] == plain.returned == START_US // 1_000_000
    assert plain.result == (0, 0)
    assert stored.slot(clock_page.READS) == 1


def test_gettimeofday_gives_microseconds_and_counts_no_read(run) -> None:
    left = run("gettimeofday", MEMORY + RESULT, 0)

    assert (left.returned, left.result) == (0, divmod(START_US, 1_000_000))
    assert left.slot(clock_page.READS) == 0
    assert run("gettimeofday", 0, 0).result == (0, 0)


@pytest.mark.parametrize("left_ns", [0, 1, 999_999_999, 1_500_000_000, -200_000_000, 86_400 * 10**9 + 7])
@pytest.mark.parametrize("real_ns", [0, 300_000_000, 999_999_999])
def test_a_deadline_on_the_wall_clock_becomes_one_on_libcs(run, left_ns: int, real_ns: int) -> None:
    now_ns = START_US * 1_000
    left = run("sem_timedwait", 77, result=divmod(now_ns + left_ns, 10**9), real_seconds=1_000_000, real_ns=real_ns)

    assert (left.returned, left.semaphore, left.callbacks, left.slot(clock_page.READS)) == (7, 77, 0, 0)
    assert (left.deadline_seconds, left.deadline_ns) == divmod(1_000_000 * 10**9 + real_ns + left_ns, 10**9)
