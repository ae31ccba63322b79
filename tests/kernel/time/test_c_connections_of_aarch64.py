"""The machine code for aarch64 in front of the calls of libraries in C (``c_connections``), run by an emulator.

Each test makes a small program that calls one of these functions with eight arguments. The function of libc behind it
keeps what it is given; the one that raises a signal destroys all registers that it may.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from internals import assemble, c_connections
from test_clock_page_of_aarch64 import CODE, EMULATOR, LONG, MEMORY, elf

pytestmark = pytest.mark.qemu

SURROUNDINGS = """
_start:
    14 0a a0 d2  ; mov x20, #5242880
    89 52 40 f9  ; ldr x9, [x20, #160]
    49 d0 1b d5  ; msr tpidr_el0, x9
    bd 03 80 d2  ; mov x29, #29
    90 02 40 f9  ; ldr x16, [x20]
    80 86 40 a9  ; ldp x0, x1, [x20, #8]
    82 8e 41 a9  ; ldp x2, x3, [x20, #24]
    84 96 42 a9  ; ldp x4, x5, [x20, #40]
    86 9e 43 a9  ; ldp x6, x7, [x20, #56]
    00 02 3f d6  ; blr x16
    80 26 00 f9  ; str x0, [x20, #72]
    aa 77 00 d1  ; sub x10, x29, #29
    8a 56 00 f9  ; str x10, [x20, #168]
    20 00 80 d2  ; mov x0, #1
    e1 03 14 aa  ; mov x1, x20
    02 00 98 d2  ; mov x2, #49152
    08 08 80 d2  ; mov x8, #64
    01 00 00 d4  ; svc #0
    00 00 80 d2  ; mov x0, #0
    a8 0b 80 d2  ; mov x8, #93
    01 00 00 d4  ; svc #0
real:
    09 0a a0 d2  ; mov x9, #5242880
    20 05 05 a9  ; stp x0, x1, [x9, #80]
    22 0d 06 a9  ; stp x2, x3, [x9, #96]
    24 15 07 a9  ; stp x4, x5, [x9, #112]
    26 1d 08 a9  ; stp x6, x7, [x9, #128]
    e0 00 80 d2  ; mov x0, #7
    c0 03 5f d6  ; ret
raise:
    09 0a a0 d2  ; mov x9, #5242880
    20 49 00 f9  ; str x0, [x9, #144]
    ea 03 00 91  ; mov x10, sp
    4a 0d 40 92  ; and x10, x10, #0xf
    2a 4d 00 f9  ; str x10, [x9, #152]
    00 00 80 92  ; mov x0, #-1
    e1 03 00 aa  ; mov x1, x0
    e2 03 00 aa  ; mov x2, x0
    e3 03 00 aa  ; mov x3, x0
    e4 03 00 aa  ; mov x4, x0
    e5 03 00 aa  ; mov x5, x0
    e6 03 00 aa  ; mov x6, x0
    e7 03 00 aa  ; mov x7, x0
    e9 03 00 aa  ; mov x9, x0
    f0 03 00 aa  ; mov x16, x0
    f1 03 00 aa  ; mov x17, x0
    c0 03 5f d6  ; ret
"""
SIZE, DATA, ADDRESS = 0xC000, 4096, 512
"""Of the memory: its bytes; where in it are the data of the machine code, and the address of a connection."""
THREAD, SIGNAL = 0x1234, 60
FD = 7
PEER = struct.pack("<HH4s16s", 2, 0x1538, bytes((127, 0, 0, 1)), b"the rest of it")


class Called:
    """What a call has come to."""

    def __init__(self, data: bytes) -> None:
        words = struct.unpack(f"<{SIZE // 8}q", data)
        self.returned, self.given, self.raised = words[9], list(words[10:18]), words[18]
        self.is_aligned, self.keeps = words[19] == 0, words[21] == 0
        self.states = data[DATA : DATA + c_connections.DESCRIPTORS]
        self.peer = data[DATA + 2048 + 32 * FD :][: len(PEER)]


@pytest.fixture
def call(tmp_path: Path) -> Any:
    """Call a function for a descriptor that is in *state*, on the main thread or on another one."""

    def call(function: str, state: int, *, fd: int = FD, length: int = len(PEER), main: bool = True) -> Called:
        around, labels = assemble(SURROUNDINGS)
        code, functions = assemble(c_connections.LISTINGS["aarch64"])
        ends = [*functions.values(), len(code)]
        part = code[functions[function] : min(end for end in ends if end > functions[function])]
        begin = 64 + 2 * 56
        place = -(-(CODE + begin + len(around)) // 8) * 8
        arguments = (fd, MEMORY + ADDRESS, length, 3, 4, 5, 6, 7)
        memory = bytearray(SIZE)
        struct.pack_into("<9q", memory, 0, place, *arguments)
        struct.pack_into("<q", memory, 160, THREAD if main else THREAD + 1)
        memory[ADDRESS : ADDRESS + len(PEER)] = PEER
        if fd < c_connections.DESCRIPTORS:
            memory[DATA + fd] = state
        words = THREAD, SIGNAL, CODE + begin + labels["raise"]
        struct.pack_into("<3q", memory, DATA + c_connections.DESCRIPTORS, *words)
        real = struct.pack("<2q", CODE + begin + labels["real"], MEMORY + DATA)
        program = tmp_path / "program"
        program.write_bytes(elf(begin, around.ljust(place - CODE - begin, b"\0") + part + real, bytes(memory)))
        program.chmod(0o700)
        done = subprocess.run([*EMULATOR, str(program)], stdout=subprocess.PIPE, check=True, timeout=LONG)
        left = Called(done.stdout)
        assert (left.returned, left.given) == (7, list(arguments)), "the function of libc is called as it was asked"
        assert left.is_aligned
        assert left.keeps
        return left

    return call


KNOWN, ASKED, ANSWERED = 1, 2, 4


@pytest.mark.parametrize(
    ("function", "before", "after"),
    [
        ("connect", 0, KNOWN | ASKED),
        ("connect", ANSWERED, KNOWN | ASKED | ANSWERED),
        ("send", 0, 0),
        ("send", KNOWN, KNOWN | ASKED),
        ("send", KNOWN | ANSWERED, KNOWN | ASKED | ANSWERED),
        ("receive", 0, 0),
        ("receive", KNOWN, KNOWN),
        ("receive", KNOWN | ASKED, KNOWN | ANSWERED),
        ("close", KNOWN | ASKED, 0),
        ("close", KNOWN | ANSWERED, ANSWERED),
    ],
)
def test_what_a_call_makes_of_a_descriptor(call: Any, function: str, before: int, after: int) -> None:
    called = call(function, before)
    assert called.states[FD] == after
    assert called.raised == (SIGNAL if function == "receive" and before & ASKED else 0)


def test_another_thread_gets_the_answer(call: Any) -> None:
    called = call("receive", KNOWN | ASKED, main=False)
    assert (called.states[FD], called.raised) == (KNOWN, 0)


@pytest.mark.parametrize(("length", "kept"), [(24, PEER), (16, PEER[:16] + bytes(8))])
def test_the_other_end_of_a_connection_is_kept(call: Any, length: int, kept: bytes) -> None:
    assert call("connect", 0, length=length).peer == kept


@pytest.mark.parametrize("function", ["connect", "close", "send", "receive"])
@pytest.mark.parametrize("fd", [c_connections.DESCRIPTORS, 2**31, 2**32 - 1])
def test_a_descriptor_without_a_state_is_libcs_alone(call: Any, function: str, fd: int) -> None:
    called = call(function, 0, fd=fd)
    assert (any(called.states), called.raised) == (False, 0)
