"""Connections that code in C makes: which of its calls the main thread has got an answer in.

A library in C calls libc past Python. As for the wall clock (``clock_page``), the addresses in its relocation table are
replaced by those of machine code. That notes, by descriptor, that the library has made a connection, has sent
something there since, and begins to receive. What is received first after something was sent, or at all, is an answer:
whether the library has to wait for it the machine's speed decides, so the call counts in any case. Where it is the main
thread that receives it, the machine code simulates a signal, whose handler the interpreter calls as soon as the library
has returned: so no Python runs within C, and the stack has the line of user code.

A callback of ``ctypes`` in place of the signal would take the GIL in the middle of C, for which a thread with a lock of
the library may wait. The kernel's counters (``TCP_INFO``) would need a look at all descriptors at each thing that a
thread does, and say nothing of a connection that is closed again. A notification of ``connect`` (``bind_filter``) would
hide that call from the tracer of a program.

Not seen are calls past the relocation tables: of the kernel itself (Go), and by addresses that a library has asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import struct
from collections.abc import Callable
from typing import Any, Final

from ..linux import linux
from .clock_page import ARCHITECTURES, Unavailable, address_of, assemble, clock_page, imports, shared_objects

_X86_64: Final = """
connect:
    4c 8b 1d 49 00 00 00 89 f8            ; mov r11,[data] / mov eax,edi
    3d 00 04 00 00 73 30                  ; cmp eax,0x400 / jae real
    41 80 0c 03 03                        ; or [r11+rax],0x3
    c1 e0 05 49 01 c3                     ; shl eax,0x5 / add r11,rax
    48 8b 06 49 89 83 00 08 00 00         ; mov rax,[rsi] / mov [r11+0x800],rax
    48 8b 46 08 49 89 83 08 08 00 00      ; mov rax,[rsi+0x8] / mov [r11+0x808],rax
    83 fa 18 72 0b                        ; cmp edx,0x18 / jb real
    48 8b 46 10 49 89 83 10 08 00 00      ; mov rax,[rsi+0x10] / mov [r11+0x810],rax
    ff 25 02 00 00 00 cc cc               ; jmp [real]
close:
    4c 8b 1d 21 00 00 00 89 f8            ; mov r11,[data] / mov eax,edi
    3d 00 04 00 00 73 05                  ; cmp eax,0x400 / jae real
    41 80 24 03 04                        ; and [r11+rax],0x4
    ff 25 05 00 00 00 cc cc cc cc cc      ; jmp [real]
send:
    4c 8b 1d 29 00 00 00 89 f8            ; mov r11,[data] / mov eax,edi
    3d 00 04 00 00 73 0c                  ; cmp eax,0x400 / jae real
    41 f6 04 03 01 74 05                  ; test [r11+rax],0x1 / je real
    41 80 0c 03 02                        ; or [r11+rax],0x2
    ff 25 06 00 00 00 cc cc cc cc cc cc   ; jmp [real]
receive:
    4c 8b 1d 61 00 00 00 89 f8            ; mov r11,[data] / mov eax,edi
    3d 00 04 00 00 73 49                  ; cmp eax,0x400 / jae real
    41 f6 04 03 02 74 42                  ; test [r11+rax],0x2 / je real
    41 80 24 03 05                        ; and [r11+rax],0x5
    64 4c 8b 14 25 00 00 00 00            ; mov r10,fs:0x0
    4d 3b 93 00 04 00 00 75 2b            ; cmp r10,[r11+0x400] / jne real
    41 80 0c 03 04                        ; or [r11+rax],0x4
    57 56 52 51 41 50 41 51 48 83 ec 08   ; push rdi, rsi, rdx, rcx, r8, r9 / sub rsp,0x8
    41 8b bb 08 04 00 00                  ; mov edi,[r11+0x408]
    41 ff 93 10 04 00 00                  ; call [r11+0x410]
    48 83 c4 08 41 59 41 58 59 5a 5e 5f   ; add rsp,0x8 / pop r9, r8, rcx, rdx, rsi, rdi
    ff 25 01 00 00 00 cc                  ; jmp [real]
thread:
    64 48 8b 04 25 00 00 00 00 c3         ; mov rax,fs:0x0 / ret
"""

_AARCH64: Final = """
connect:
    89 02 00 58 1f 00 10 71 a2 01 00 54  ; ldr x9, data / cmp w0, #0x400 / b.hs real
    2a 49 60 38 4a 05 00 32 2a 49 20 38  ; ldrb w10, [x9, w0] / orr w10, w10, #0x3 / strb w10, [x9, w0]
    29 51 20 8b 2a 2c 40 a9 29 51 20 8b  ; add x9, x9, w0, uxtw #4 / ldp x10, x11, [x1] / add x9, x9, w0, uxtw #4
    2a 01 04 f9 2b 05 04 f9              ; str x10, [x9, #2048] / str x11, [x9, #2056]
    5f 60 00 71 63 00 00 54              ; cmp w2, #24 / b.lo real
    2a 08 40 f9 2a 09 04 f9              ; ldr x10, [x1, #16] / str x10, [x9, #2064]
    70 00 00 58 00 02 1f d6 1f 20 03 d5  ; ldr x16, real / br x16
close:
    49 01 00 58 1f 00 10 71 82 00 00 54  ; ldr x9, data / cmp w0, #0x400 / b.hs real
    2a 49 60 38 4a 01 1e 12 2a 49 20 38  ; ldrb w10, [x9, w0] / and w10, w10, #0x4 / strb w10, [x9, w0]
    50 00 00 58 00 02 1f d6              ; ldr x16, real / br x16
send:
    89 01 00 58 1f 00 10 71 a2 00 00 54  ; ldr x9, data / cmp w0, #0x400 / b.hs real
    2a 49 60 38 6a 00 00 36              ; ldrb w10, [x9, w0] / tbz w10, #0, real
    4a 01 1f 32 2a 49 20 38              ; orr w10, w10, #0x2 / strb w10, [x9, w0]
    70 00 00 58 00 02 1f d6 1f 20 03 d5  ; ldr x16, real / br x16
receive:
    09 04 00 58 1f 00 10 71 42 03 00 54  ; ldr x9, data / cmp w0, #0x400 / b.hs real
    2a 49 60 38 0a 03 08 36              ; ldrb w10, [x9, w0] / tbz w10, #1, real
    4b d0 3b d5 2c 01 42 f9 7f 01 0c eb  ; mrs x11, tpidr_el0 / ldr x12, [x9, #1024] / cmp x11, x12
    4b 01 00 12 6c 01 1e 32              ; and w11, w10, #0x1 / orr w12, w11, #0x4
    4b 79 1e 12 8a 01 8b 1a 2a 49 20 38  ; and w11, w10, #0xfffffffd / csel w10, w12, w11, eq / strb w10, [x9, w0]
    e1 01 00 54                          ; b.ne real
    fd 7b bb a9 fd 03 00 91 e0 07 01 a9  ; stp x29, x30, [sp, #-80]! / mov x29, sp / stp x0, x1, [sp, #16]
    e2 0f 02 a9 e4 17 03 a9 e6 1f 04 a9  ; stp x2, x3, [sp, #32] / stp x4, x5, [sp, #48] / stp x6, x7, [sp, #64]
    20 09 44 b9 30 09 42 f9 00 02 3f d6  ; ldr w0, [x9, #1032] / ldr x16, [x9, #1040] / blr x16
    e0 07 41 a9 e2 0f 42 a9 e4 17 43 a9  ; ldp x0, x1, [sp, #16] / ldp x2, x3, [sp, #32] / ldp x4, x5, [sp, #48]
    e6 1f 44 a9 fd 7b c5 a8              ; ldp x6, x7, [sp, #64] / ldp x29, x30, [sp], #80
    50 00 00 58 00 02 1f d6              ; ldr x16, real / br x16
thread:
    40 d0 3b d5 c0 03 5f d6              ; mrs x0, tpidr_el0 / ret
"""

LISTINGS: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}
"""By architecture: what stands before a function of libc. Behind each are two addresses: ``real`` and ``data``."""
KINDS: Final = {
    "connect": ("connect",),
    "close": ("close",),
    "send": ("send", "sendto", "sendmsg", "sendmmsg", "write", "writev", "sendfile", "sendfile64"),
    "receive": (
        *("recv", "recvfrom", "recvmsg", "recvmmsg", "read", "readv"),
        *("__recv_chk", "__recvfrom_chk", "__read_chk"),
    ),
}
"""Which machine code stands before which functions."""

# The data: a byte for each descriptor; three words, which are the main thread, the signal, and the function that
# simulates it; the address of each connection.
_ASKED, _ANSWERED = 2, 4
"""Of the byte: something was sent, or nothing received yet; the main thread has begun to receive after that. The bit 1
says that the library has made a connection of it."""
DESCRIPTORS: Final = 1024
_ADDRESSES, _ADDRESS_BYTES = 2048, 32
DATA_BYTES: Final = _ADDRESSES + DESCRIPTORS * _ADDRESS_BYTES
_LINK = struct.Struct("<QQQQ")
"""The beginning of ``struct link_map``: base address, name, dynamic section, next library."""
_STRINGS, _STRINGS_BYTES = 5, 10
_SPEAKS = b"connect\0", b"recv"
"""What is in the names of a library that may ask."""
_NOTHING = bytes(DESCRIPTORS)
_TO_NOTE = re.compile(b"[\4-\7]")

_data: Any = None
_functions: dict[str, int] = {}
_program = 0
"""The address of the first ``link_map``."""
_looked_at: set[int] = set()
"""Those of the libraries that are redirected, or need not be."""


def install() -> None:
    """Write the machine code, on the main thread of the zygote; where there is no clock page there is none."""
    global _data, _program
    if not clock_page.active:
        return
    code, labels = assemble(LISTINGS[os.uname().machine])
    ends = [*list(labels.values())[1:], len(code)]
    parts = {name: code[begin:end] for (name, begin), end in zip(labels.items(), ends, strict=True)}
    size = -(-DATA_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = clock_page.map_memory(size + mmap.PAGESIZE)
    libc = ctypes.CDLL(None)
    at = memory + size
    for kind, names in KINDS.items():
        for name in names:
            if hasattr(libc, name):
                written = parts[kind] + struct.pack("<QQ", address_of(getattr(libc, name)), memory)
                ctypes.memmove(at, written, len(written))
                _functions[name], at = at, at + len(written)
    ctypes.memmove(at, parts["thread"], len(parts["thread"]))
    try:
        clock_page.make_executable(memory + size)
    except Unavailable:
        return
    words = (ctypes.CFUNCTYPE(ctypes.c_uint64)(at)(), linux.POKE_SIGNAL)
    ctypes.memmove(
        memory + DESCRIPTORS, struct.pack("<QQQ", *words, address_of(ctypes.pythonapi.PyErr_SetInterruptEx)), 24
    )
    _data, _program = memoryview((ctypes.c_ubyte * DATA_BYTES).from_address(memory)).cast("B"), libc._handle


def redirect(passes_over: Callable[[str], bool]) -> None:
    """Redirect the calls of the libraries that were loaded since the last time, but of those that are passed over."""
    bases = set()
    at = _program
    while at:
        base, name, dynamic, following = _LINK.unpack(ctypes.string_at(at, _LINK.size))
        if at not in _looked_at:
            _looked_at.add(at)
            path = ctypes.string_at(name).decode("utf-8", "replace")
            names = b"" if passes_over(path) else _strings(base, dynamic)
            if any(each in names for each in _SPEAKS):
                bases.add(base)
        at = following
    if not bases:
        return
    libc = ctypes.CDLL(None)
    others = address_of(ctypes.pythonapi.PyErr_SetInterruptEx), address_of(libc.connect)
    for each in shared_objects(libc):
        if each.base in bases and not any(each.contains(address) for address in others):
            for function, place in imports(each, ARCHITECTURES[os.uname().machine].relocations, _functions):
                with contextlib.suppress(Unavailable):
                    clock_page.write(place, _functions[function], each.protected(place))


def _strings(base: int, dynamic: int) -> bytes:
    """The names of the symbols of a library."""
    found = {}
    while tag := int.from_bytes(ctypes.string_at(dynamic, 8), "little"):
        found[tag] = int.from_bytes(ctypes.string_at(dynamic + 8, 8), "little")
        dynamic += 16
    address = found.get(_STRINGS, 0)
    return ctypes.string_at(address if address >= base else base + address, found.get(_STRINGS_BYTES, 0))


def waited_for(fd: int) -> None:
    """Note that Python waits for *fd* itself: that is a wait of its own, and no answer to the library is."""
    if _data is not None and 0 <= fd < DESCRIPTORS:
        _data[fd] &= ~_ASKED


def any_made() -> bool:
    """Whether code in C may have made a connection."""
    return _data is not None and bytes(_data[:DESCRIPTORS]) != _NOTHING


def answered() -> list[tuple[int, bytes]]:
    """The connections on which the main thread has got answers in C since the last call: descriptor and other end."""
    if _data is None:
        return []
    found = []
    for each in _TO_NOTE.finditer(_data[:DESCRIPTORS]):
        fd = each.start()
        _data[fd] &= ~_ANSWERED
        address = _ADDRESSES + fd * _ADDRESS_BYTES
        found.append((fd, bytes(_data[address : address + _ADDRESS_BYTES])))
    return found
