"""The clock page: the interpreter's calls of libc for the wall clock are answered from the runtime's shared page.

CPython reads the wall clock through two functions of libc, ``clock_gettime`` and ``time``. Their addresses are in the
relocation table of the interpreter (the executable, or ``libpython``). `install` replaces these addresses by those of
machine code that answers CLOCK_REALTIME and CLOCK_REALTIME_COARSE from a page of memory. So ``time.time``,
``datetime.now`` and ``date.today`` show simulated time, and they are still the genuine functions and classes, which C
extensions were compiled against.

Only the interpreter's imports are redirected. Libraries in C keep the kernel's clock, because their waits are due on
the kernel's clock. The alternative, patching the vDSO, makes every wait for an absolute CLOCK_REALTIME hang or return
at once. For the same reason all other clocks are left to libc.

A deadline that the interpreter computes from CLOCK_REALTIME is simulated, so it is translated to the kernel's clock
before libc waits for it (``sem_timedwait``, in builds for a C library without ``sem_clockwait``). CPython uses
``gettimeofday`` only to compute deadlines, in ``_multiprocessing.SemLock``. Where that is built into the interpreter,
``gettimeofday`` is redirected, because ``SemLock`` then waits through the redirected ``sem_timedwait``.

The zygote installs the machine code once, and its forks inherit it. The page is at a fixed address, and each instance
maps its runtime's page over it. Mappings are raw and are never removed: code in another thread may be about to read
them.
"""

from __future__ import annotations

import ctypes
import datetime as datetime_module
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from ..protocol.shared_page import CLOCK_NOW

_X86_64: Final = """
clock_gettime:
    4c 8b 1d 89 01 00 00              ; mov r11,[data]
    85 ff                             ; test edi,edi
    74 09                             ; je clock_gettime+0x14
    83 ff 05                          ; cmp edi,0x5
    74 04                             ; je clock_gettime+0x14
    41 ff 63 38                       ; jmp [r11+0x38]
    49 8b 03                          ; mov rax,[r11]
    48 ff c0                          ; inc rax
    49 89 03                          ; mov [r11],rax
    49 3b 43 08                       ; cmp rax,[r11+0x8]
    7f 33                             ; jg slow
read:
    49 83 7b 10 00                    ; cmp [r11+0x10],0x0
    75 52                             ; jne running
    49 8b 43 28                       ; mov rax,[r11+0x28]
    48 8b 00                          ; mov rax,[rax]
    48 99                             ; cqo
    b9 40 42 0f 00                    ; mov ecx,0xf4240
    48 f7 f9                          ; idiv rcx
    48 85 d2                          ; test rdx,rdx
    79 06                             ; jns read+0x23
    48 01 ca                          ; add rdx,rcx
    48 ff c8                          ; dec rax
    69 d2 e8 03 00 00                 ; imul edx,edx,0x3e8
    48 89 06                          ; mov [rsi],rax
    48 89 56 08                       ; mov [rsi+0x8],rdx
    31 c0                             ; xor eax,eax
    c3                                ; ret
slow:
    57                                ; push rdi
    56                                ; push rsi
    41 53                             ; push r11
    41 ff 53 40                       ; call [r11+0x40]
    4c 8b 1c 24                       ; mov r11,[rsp]
    49 8b 7b 30                       ; mov rdi,[r11+0x30]
    85 ff                             ; test edi,edi
    74 0c                             ; je slow+0x20
    49 c7 43 30 00 00 00 00           ; mov [r11+0x30],0x0
    41 ff 53 48                       ; call [r11+0x48]
    41 5b                             ; pop r11
    5e                                ; pop rsi
    5f                                ; pop rdi
    eb a7                             ; jmp read
running:
    56                                ; push rsi
    31 ff                             ; xor edi,edi
    41 ff 53 38                       ; call [r11+0x38]
    5e                                ; pop rsi
    85 c0                             ; test eax,eax
    75 32                             ; jne running+0x3e
    4c 8b 1d 01 01 00 00              ; mov r11,[data]
    48 8b 06                          ; mov rax,[rsi]
    49 03 43 18                       ; add rax,[r11+0x18]
    48 8b 56 08                       ; mov rdx,[rsi+0x8]
    49 03 53 20                       ; add rdx,[r11+0x20]
    48 81 fa 00 ca 9a 3b              ; cmp rdx,0x3b9aca00
    7c 0a                             ; jl running+0x35
    48 81 ea 00 ca 9a 3b              ; sub rdx,0x3b9aca00
    48 ff c0                          ; inc rax
    48 89 06                          ; mov [rsi],rax
    48 89 56 08                       ; mov [rsi+0x8],rdx
    31 c0                             ; xor eax,eax
    c3                                ; ret
time:
    57                                ; push rdi
    48 83 ec 10                       ; sub rsp,0x10
    48 89 e6                          ; mov rsi,rsp
    31 ff                             ; xor edi,edi
    e8 36 ff ff ff                    ; call clock_gettime
    48 8b 04 24                       ; mov rax,[rsp]
    48 83 c4 10                       ; add rsp,0x10
    5f                                ; pop rdi
    48 85 ff                          ; test rdi,rdi
    74 03                             ; je time+0x20
    48 89 07                          ; mov [rdi],rax
    c3                                ; ret
sem_timedwait:
    57                                ; push rdi
    56                                ; push rsi
    48 83 ec 28                       ; sub rsp,0x28
    4c 8b 1d a7 00 00 00              ; mov r11,[data]
    31 ff                             ; xor edi,edi
    48 89 e6                          ; mov rsi,rsp
    41 ff 53 38                       ; call [r11+0x38]
    4c 8b 1d 97 00 00 00              ; mov r11,[data]
    48 8d 74 24 10                    ; lea rsi,[rsp+0x10]
    e8 20 ff ff ff                    ; call read
    48 8b 74 24 28                    ; mov rsi,[rsp+0x28]
    48 8b 06                          ; mov rax,[rsi]
    48 2b 44 24 10                    ; sub rax,[rsp+0x10]
    48 03 04 24                       ; add rax,[rsp]
    48 8b 56 08                       ; mov rdx,[rsi+0x8]
    48 2b 54 24 18                    ; sub rdx,[rsp+0x18]
    48 03 54 24 08                    ; add rdx,[rsp+0x8]
    79 0a                             ; jns sem_timedwait+0x52
    48 81 c2 00 ca 9a 3b              ; add rdx,0x3b9aca00
    48 ff c8                          ; dec rax
    48 81 fa 00 ca 9a 3b              ; cmp rdx,0x3b9aca00
    7c 0a                             ; jl sem_timedwait+0x65
    48 81 ea 00 ca 9a 3b              ; sub rdx,0x3b9aca00
    48 ff c0                          ; inc rax
    48 89 04 24                       ; mov [rsp],rax
    48 89 54 24 08                    ; mov [rsp+0x8],rdx
    48 8b 7c 24 30                    ; mov rdi,[rsp+0x30]
    48 89 e6                          ; mov rsi,rsp
    4c 8b 1d 37 00 00 00              ; mov r11,[data]
    41 ff 53 50                       ; call [r11+0x50]
    48 83 c4 38                       ; add rsp,0x38
    c3                                ; ret
gettimeofday:
    48 85 ff                          ; test rdi,rdi
    74 23                             ; je gettimeofday+0x28
    57                                ; push rdi
    48 89 fe                          ; mov rsi,rdi
    4c 8b 1d 1e 00 00 00              ; mov r11,[data]
    e8 ac fe ff ff                    ; call read
    5f                                ; pop rdi
    48 8b 47 08                       ; mov rax,[rdi+0x8]
    31 d2                             ; xor edx,edx
    b9 e8 03 00 00                    ; mov ecx,0x3e8
    48 f7 f1                          ; div rcx
    48 89 47 08                       ; mov [rdi+0x8],rax
    31 c0                             ; xor eax,eax
    c3                                ; ret
    cc cc cc                          ; int3
"""

_AARCH64: Final = """
clock_gettime:
    09 10 00 58  ; ldr x9, data
    a0 00 00 34  ; cbz w0, clock_gettime+0x18
    1f 14 00 71  ; cmp w0, #0x5
    60 00 00 54  ; b.eq clock_gettime+0x18
    30 1d 40 f9  ; ldr x16, [x9, #56]
    00 02 1f d6  ; br x16
    2a 01 40 f9  ; ldr x10, [x9]
    4a 05 00 91  ; add x10, x10, #0x1
    2a 01 00 f9  ; str x10, [x9]
    2b 05 40 f9  ; ldr x11, [x9, #8]
    5f 01 0b eb  ; cmp x10, x11
    2c 02 00 54  ; b.gt slow
read:
    2a 09 40 f9  ; ldr x10, [x9, #16]
    ca 03 00 b5  ; cbnz x10, running
    2a 15 40 f9  ; ldr x10, [x9, #40]
    4a 01 40 f9  ; ldr x10, [x10]
    0b 48 88 52  ; mov w11, #0x4240
    eb 01 a0 72  ; movk w11, #0xf, lsl #16
    4c 0d cb 9a  ; sdiv x12, x10, x11
    8d a9 0b 9b  ; msub x13, x12, x11, x10
    6d 00 f8 b6  ; tbz x13, #63, read+0x2c
    ad 01 0b 8b  ; add x13, x13, x11
    8c 05 00 d1  ; sub x12, x12, #0x1
    0b 7d 80 52  ; mov w11, #0x3e8
    ad 7d 0b 9b  ; mul x13, x13, x11
    2c 34 00 a9  ; stp x12, x13, [x1]
    00 00 80 52  ; mov w0, #0x0
    c0 03 5f d6  ; ret
slow:
    fd 7b be a9  ; stp x29, x30, [sp, #-32]!
    fd 03 00 91  ; mov x29, sp
    e0 07 01 a9  ; stp x0, x1, [sp, #16]
    30 21 40 f9  ; ldr x16, [x9, #64]
    00 02 3f d6  ; blr x16
    e9 0b 00 58  ; ldr x9, data
    20 19 40 f9  ; ldr x0, [x9, #48]
    80 00 00 34  ; cbz w0, slow+0x2c
    3f 19 00 f9  ; str xzr, [x9, #48]
    30 25 40 f9  ; ldr x16, [x9, #72]
    00 02 3f d6  ; blr x16
    29 0b 00 58  ; ldr x9, data
    e0 07 41 a9  ; ldp x0, x1, [sp, #16]
    fd 7b c2 a8  ; ldp x29, x30, [sp], #32
    e2 ff ff 17  ; b read
running:
    fd 7b be a9  ; stp x29, x30, [sp, #-32]!
    fd 03 00 91  ; mov x29, sp
    e1 0b 00 f9  ; str x1, [sp, #16]
    00 00 80 52  ; mov w0, #0x0
    30 1d 40 f9  ; ldr x16, [x9, #56]
    00 02 3f d6  ; blr x16
    e1 0b 40 f9  ; ldr x1, [sp, #16]
    fd 7b c2 a8  ; ldp x29, x30, [sp], #32
    a0 01 00 35  ; cbnz w0, running+0x54
    89 09 00 58  ; ldr x9, data
    2a 2c 40 a9  ; ldp x10, x11, [x1]
    2c b5 41 a9  ; ldp x12, x13, [x9, #24]
    4a 01 0c 8b  ; add x10, x10, x12
    6b 01 0d 8b  ; add x11, x11, x13
    0c 40 99 52  ; mov w12, #0xca00
    4c 73 a7 72  ; movk w12, #0x3b9a, lsl #16
    7f 01 0c eb  ; cmp x11, x12
    6b 00 00 54  ; b.lt running+0x50
    6b 01 0c cb  ; sub x11, x11, x12
    4a 05 00 91  ; add x10, x10, #0x1
    2a 2c 00 a9  ; stp x10, x11, [x1]
    c0 03 5f d6  ; ret
time:
    fd 7b bd a9  ; stp x29, x30, [sp, #-48]!
    fd 03 00 91  ; mov x29, sp
    e0 13 00 f9  ; str x0, [sp, #32]
    e1 43 00 91  ; add x1, sp, #0x10
    00 00 80 52  ; mov w0, #0x0
    ba ff ff 97  ; bl clock_gettime
    e0 0b 40 f9  ; ldr x0, [sp, #16]
    e1 13 40 f9  ; ldr x1, [sp, #32]
    fd 7b c3 a8  ; ldp x29, x30, [sp], #48
    41 00 00 b4  ; cbz x1, time+0x2c
    20 00 00 f9  ; str x0, [x1]
    c0 03 5f d6  ; ret
sem_timedwait:
    fd 7b bc a9  ; stp x29, x30, [sp, #-64]!
    fd 03 00 91  ; mov x29, sp
    e0 07 01 a9  ; stp x0, x1, [sp, #16]
    09 06 00 58  ; ldr x9, data
    00 00 80 52  ; mov w0, #0x0
    e1 83 00 91  ; add x1, sp, #0x20
    30 1d 40 f9  ; ldr x16, [x9, #56]
    00 02 3f d6  ; blr x16
    69 05 00 58  ; ldr x9, data
    e1 c3 00 91  ; add x1, sp, #0x30
    b5 ff ff 97  ; bl read
    e1 0f 40 f9  ; ldr x1, [sp, #24]
    2a 2c 40 a9  ; ldp x10, x11, [x1]
    ec 37 43 a9  ; ldp x12, x13, [sp, #48]
    4a 01 0c cb  ; sub x10, x10, x12
    6b 01 0d cb  ; sub x11, x11, x13
    ec 37 42 a9  ; ldp x12, x13, [sp, #32]
    4a 01 0c 8b  ; add x10, x10, x12
    6b 01 0d 8b  ; add x11, x11, x13
    0c 40 99 52  ; mov w12, #0xca00
    4c 73 a7 72  ; movk w12, #0x3b9a, lsl #16
    6b 00 f8 b6  ; tbz x11, #63, sem_timedwait+0x60
    6b 01 0c 8b  ; add x11, x11, x12
    4a 05 00 d1  ; sub x10, x10, #0x1
    7f 01 0c eb  ; cmp x11, x12
    6b 00 00 54  ; b.lt sem_timedwait+0x70
    6b 01 0c cb  ; sub x11, x11, x12
    4a 05 00 91  ; add x10, x10, #0x1
    ea 2f 02 a9  ; stp x10, x11, [sp, #32]
    e0 0b 40 f9  ; ldr x0, [sp, #16]
    e1 83 00 91  ; add x1, sp, #0x20
    89 02 00 58  ; ldr x9, data
    30 29 40 f9  ; ldr x16, [x9, #80]
    00 02 3f d6  ; blr x16
    fd 7b c4 a8  ; ldp x29, x30, [sp], #64
    c0 03 5f d6  ; ret
gettimeofday:
    a0 01 00 b4  ; cbz x0, gettimeofday+0x34
    fd 7b be a9  ; stp x29, x30, [sp, #-32]!
    fd 03 00 91  ; mov x29, sp
    e0 0b 00 f9  ; str x0, [sp, #16]
    e1 03 00 aa  ; mov x1, x0
    49 01 00 58  ; ldr x9, data
    95 ff ff 97  ; bl read
    e1 0b 40 f9  ; ldr x1, [sp, #16]
    2a 04 40 f9  ; ldr x10, [x1, #8]
    0b 7d 80 52  ; mov w11, #0x3e8
    4a 09 cb 9a  ; udiv x10, x10, x11
    2a 04 00 f9  ; str x10, [x1, #8]
    fd 7b c2 a8  ; ldp x29, x30, [sp], #32
    00 00 80 52  ; mov w0, #0x0
    c0 03 5f d6  ; ret
"""


class Architecture(NamedTuple):
    """The machine code for a processor, and the types of its relocations."""

    listing: str
    relocations: frozenset[int]
    """The types of relocation whose place holds the address of a function of another library."""


ARCHITECTURES: Final = {
    "x86_64": Architecture(_X86_64, frozenset({1, 6, 7})),  # R_X86_64_64, GLOB_DAT, JUMP_SLOT
    "aarch64": Architecture(_AARCH64, frozenset({257, 1025, 1026})),  # R_AARCH64_ABS64, GLOB_DAT, JUMP_SLOT
}
REDIRECTED: Final = ("clock_gettime", "time", "sem_timedwait", "gettimeofday")

# Indices of the slots of 64 bits in the data of the machine code. The listings contain them as offsets in bytes.
READS: Final = 0
"""The number of reads in a row without a wait or output."""
LIMIT: Final = 1
"""The machine code calls the function at CALLBACK when READS exceeds this."""
RUNNING: Final = 2
"""If not 0, the answer is the kernel's time plus the offset, in place of the page's time."""
OFFSET_SECONDS: Final = 3
OFFSET_NS: Final = 4
PAGE: Final = 5
"""The address of the page, whose first 64 bits are the time in µs since the epoch."""
INTERRUPT: Final = 6
"""The signal that is simulated in the interpreter (by RAISE) once CALLBACK has returned; 0: none."""
CLOCK_GETTIME: Final = 7
CALLBACK: Final = 8
RAISE: Final = 9
SEM_TIMEDWAIT: Final = 10
"""Addresses of these four functions: libc's, ours, ``PyErr_SetInterruptEx``, libc's."""
SLOTS: Final = 11

NO_LIMIT: Final = 2**63 - 1
"""A limit that is never reached."""
_ANONYMOUS: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS if hasattr(mmap, "MAP_ANONYMOUS") else 0
_FIXED: Final = 0x10
_FAILED: Final = 2**64 - 1


class Unavailable(Exception):
    """The clock page cannot be installed in this process; the text says why."""


def assemble(listing: str) -> tuple[bytes, dict[str, int]]:
    """The bytes of *listing*, and the offsets of its labels. The caller appends the address of the data."""
    code = bytearray()
    labels: dict[str, int] = {}
    for line in listing.split("\n"):
        hexadecimal, separator, _ = line.partition(";")
        if separator:
            code += bytes.fromhex(hexadecimal)
        elif line:
            labels[line.rstrip(":")] = len(code)
    return bytes(code), labels


class _SharedObject(NamedTuple):
    """An executable or library in this process's memory: its base address and its program headers."""

    base: int
    headers: list[tuple[int, ...]]

    def segments(self, kind: int) -> Iterator[tuple[int, int]]:
        """The address and length of each segment of type *kind*."""
        for header in self.headers:
            if header[0] == kind:
                yield self.base + header[3], header[6]

    def contains(self, address: int) -> bool:
        return any(start <= address < start + length for start, length in self.segments(_PT_LOAD))

    def protected(self, address: int) -> bool:
        """Whether the dynamic linker made the page of *address* read-only after relocation."""
        page = address // mmap.PAGESIZE
        for start, length in self.segments(_PT_GNU_RELRO):
            if start // mmap.PAGESIZE <= page < (start + length) // mmap.PAGESIZE:
                return True
        return False


_PT_LOAD, _PT_DYNAMIC, _PT_GNU_RELRO = 1, 2, 0x6474E552
_DT_PLTRELSZ, _DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ = 2, 5, 6, 7, 8
_DT_STRSZ, _DT_JMPREL, _DT_RELACOUNT = 10, 23, 0x6FFFFFF9
_HEADER: Final = struct.Struct("<IIQQQQQQ")
_RELOCATION_BYTES: Final = 24
"""Three words: the place, the kind and the number of the symbol, and what is added to that."""
_SYMBOL_BYTES: Final = 24
"""The first 32 bits say where its name is."""


class _ObjectInfo(ctypes.Structure):
    """The first fields of ``struct dl_phdr_info``; the others are not needed."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("count", ctypes.c_uint16),
    )


def shared_objects(libc: Any) -> list[_SharedObject]:
    found: list[_SharedObject] = []

    def note(info: Any, size: int, data: Any) -> int:
        each = info.contents
        raw = ctypes.string_at(each.headers, each.count * _HEADER.size)
        found.append(_SharedObject(each.base, list(_HEADER.iter_unpack(raw))))
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_ObjectInfo), ctypes.c_size_t, ctypes.c_void_p)
    libc.dl_iterate_phdr(kind(note), None)
    return found


def imports(
    of: _SharedObject, relocations: frozenset[int], wanted: Iterable[str] = REDIRECTED
) -> Iterator[tuple[str, int]]:
    """Each import of *of* that can be redirected: its name, and the place that holds the function's address."""
    table: dict[int, int] = {}
    for start, length in of.segments(_PT_DYNAMIC):
        table.update(struct.iter_unpack("<QQ", ctypes.string_at(start, length)))

    def address(tag: int) -> int:
        value = table.get(tag, 0)
        return value if value >= of.base else of.base + value  # musl's linker leaves the values of the file

    strings = ctypes.string_at(address(_DT_STRTAB), table[_DT_STRSZ])
    names = {name.encode(): name for name in wanted}
    for tag, size in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
        if tag not in table:
            continue
        relative = table.get(_DT_RELACOUNT, 0) * _RELOCATION_BYTES if tag == _DT_RELA else 0  # these come first
        entries = memoryview(ctypes.string_at(address(tag) + relative, table[size] - relative)).cast("Q").tolist()
        kinds = entries[1::3]  # the upper half is the number of the symbol
        numbers = {kind >> 32 for kind in kinds}
        symbols = ctypes.string_at(address(_DT_SYMTAB), (max(numbers, default=-1) + 1) * _SYMBOL_BYTES)
        places = memoryview(symbols).cast("I")[:: _SYMBOL_BYTES // 4]
        found = {}
        for number in numbers:
            name = names.get(strings[places[number] : strings.index(b"\0", places[number])])
            if name is not None:
                found.update({number << 32 | kind: name for kind in relocations})
        for offset, kind in zip(entries[::3], kinds, strict=True):
            if kind in found:
                yield found[kind], of.base + offset


def address_of(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class ClockPage:
    """The clock page of this process, from `install` on."""

    def __init__(self) -> None:
        self.active = False
        self.data: Any = None
        """The slots."""
        self.page: Any = None
        """The page at its fixed address, in units of 64 bits."""
        self.functions: dict[str, int] = {}
        """The address of each function of the machine code, by the name of the function that it replaces."""
        self._address = 0
        self._libc: Any = None
        self._kept: list[Any] = []
        self._slots: list[tuple[int, int, bool]] = []

    def install(self, too_many: Callable[[], None]) -> None:
        """Redirect the interpreter's clock, which shows real time until `follow_page`.

        *too_many* is called at each read over the limit, and must not raise an exception. If the clock cannot be
        redirected, or shows a wrong time afterwards, this raises `Unavailable` and undoes the redirection.
        """
        machine = os.uname().machine
        architecture = ARCHITECTURES.get(machine)
        if architecture is None or sys.maxsize != 2**63 - 1 or sys.byteorder != "little":
            raise Unavailable(f"there is no machine code for {machine}, only for {' and '.join(ARCHITECTURES)}")
        self._libc = libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_uint64
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        try:
            callback = ctypes.CFUNCTYPE(None)(too_many)
        except MemoryError:  # libffi needs executable memory for it
            raise Unavailable("this process may have no executable memory") from None
        self._kept.append(callback)
        code, labels = assemble(architecture.listing)
        memory = self.map_memory(3 * mmap.PAGESIZE)
        at, self._address = memory + mmap.PAGESIZE, memory + 2 * mmap.PAGESIZE
        self.data = _words(at, SLOTS)
        self.page = _words(self._address, mmap.PAGESIZE // 8)
        self.data[LIMIT] = NO_LIMIT
        self.data[RUNNING] = 1
        self.data[PAGE] = self._address
        self.data[CLOCK_GETTIME] = address_of(libc.clock_gettime)
        self.data[CALLBACK] = address_of(callback)
        self.data[RAISE] = address_of(ctypes.pythonapi.PyErr_SetInterruptEx)
        self.data[SEM_TIMEDWAIT] = address_of(libc.sem_timedwait)
        ctypes.memmove(memory, code + struct.pack("<Q", at), len(code) + 8)
        self.make_executable(memory)
        try:
            self.functions = {name: memory + labels[name] for name in REDIRECTED}
            self._redirect(architecture)
            self._prove()
        except BaseException:
            self.remove()
            raise
        self.active = True

    def make_executable(self, page: int) -> None:
        """Have the *page* hold machine code, and be written no more; raises `Unavailable` if that may not be."""
        if self._libc.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
            raise Unavailable(f"this process may have no executable memory ({os.strerror(ctypes.get_errno())})")

    def map_memory(self, length: int) -> int:
        """The address of *length* bytes that are mapped for good."""
        address: int = self._libc.mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, _ANONYMOUS, -1, 0)
        if address == _FAILED:
            raise Unavailable(f"no memory could be mapped ({os.strerror(ctypes.get_errno())})")
        return address

    @staticmethod
    def _is_redirected(name: str) -> bool:
        """Whether to redirect *name*.

        ``gettimeofday`` is redirected only where ``_multiprocessing`` is built into the interpreter, because only then
        the ``sem_timedwait`` that waits for its deadlines is redirected, too.
        """
        return name != "gettimeofday" or "_multiprocessing" in sys.builtin_module_names

    def _redirect(self, architecture: Architecture) -> None:
        """Redirect the imports of the interpreter, and of ``time`` and ``_datetime`` where these are separate files."""
        inside = [address_of(ctypes.pythonapi.PyErr_SetInterruptEx)]
        for name in ("time", "_datetime"):
            path = getattr(sys.modules.get(name), "__file__", None)
            if path is not None and not path.endswith(".py"):
                library = ctypes.PyDLL(path)
                self._kept.append(library)
                inside.append(address_of(getattr(library, f"PyInit_{name}")))
        redirected = set()
        for each in shared_objects(self._libc):
            if not any(each.contains(address) for address in inside):
                continue
            for name, place in imports(each, architecture.relocations):
                if not self._is_redirected(name):
                    continue
                self.write(place, self.functions[name], each.protected(place))
                redirected.add(name)
        missing = [name for name in ("clock_gettime", "time") if name not in redirected]
        if missing:
            raise Unavailable(f"this build of Python does not import {' and '.join(missing)} from the C library")

    def write(self, place: int, value: int, protected: bool) -> None:
        before = ctypes.c_uint64.from_address(place)
        page = place // mmap.PAGESIZE * mmap.PAGESIZE
        if protected and self._libc.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
            raise Unavailable(f"its table of functions is read-only ({os.strerror(ctypes.get_errno())})")
        self._slots.append((place, before.value, protected))
        before.value = value
        if protected:
            self._libc.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ)

    def remove(self) -> None:
        """Undo the redirection; the mappings stay."""
        slots, self._slots = self._slots, []
        for place, value, protected in slots:
            self.write(place, value, protected)
        self._slots.clear()
        self.active = False

    def _prove(self) -> None:
        """Check that the interpreter's clocks show the page's time, then return to real time.

        Raises `Unavailable` if one of them does not.
        """
        us = 5_000_000_000_123_456
        self.page[CLOCK_NOW] = us
        self.data[RUNNING] = 0
        shown = {
            "time.time_ns": time.time_ns() // 1_000,
            "time.clock_gettime": time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000,
            "time.gmtime": _seconds(time.gmtime()) * 1_000_000 + us % 1_000_000,
            "datetime.now": _since_epoch(datetime_module.datetime.now(datetime_module.timezone.utc)),
        }
        self.data[RUNNING] = 1
        wrong = [name for name, value in shown.items() if value != us]
        if wrong:
            raise Unavailable(f"{' and '.join(wrong)} of this build of Python read the clock in another way")

    def map(self, file: int, length: int) -> Any:
        """Map the page at the start of *file*, a descriptor, over the clock page; returns it in units of 64 bits."""
        flags = mmap.MAP_SHARED | _FIXED
        found = self._libc.mmap(self._address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)
        if found != self._address:
            error = ctypes.get_errno()
            raise OSError(error, f"the clock's page: {os.strerror(error)}")
        return self.page

    def follow_page(self, limit: int) -> None:
        """Show the page's time, and call ``too_many`` after *limit* reads in a row."""
        self.data[READS] = 0
        self.data[LIMIT] = limit
        self.data[RUNNING] = 0

    def run_from(self, us: int) -> None:
        """Show a time that starts at *us* and passes at the real rate; reads are no longer limited."""
        seconds, ns = divmod(us * 1_000 - self.real_time_ns(), 1_000_000_000)
        self.data[LIMIT] = NO_LIMIT
        self.data[OFFSET_SECONDS] = seconds
        self.data[OFFSET_NS] = ns
        self.data[RUNNING] = 1

    def real_time_ns(self) -> int:
        """The kernel's time in ns since the epoch."""
        result = (ctypes.c_int64 * 2)()
        self._libc.clock_gettime(0, result)  # libc's own function: ctypes uses no relocations
        return int(result[0]) * 1_000_000_000 + int(result[1])


def _words(address: int, count: int) -> Any:
    return memoryview((ctypes.c_int64 * count).from_address(address)).cast("B").cast("q")


def _seconds(broken_down: time.struct_time) -> int:
    days = datetime_module.date(*broken_down[:3]).toordinal() - datetime_module.date(1970, 1, 1).toordinal()
    return ((days * 24 + broken_down.tm_hour) * 60 + broken_down.tm_min) * 60 + broken_down.tm_sec


def _since_epoch(when: datetime_module.datetime) -> int:
    epoch = datetime_module.datetime(1970, 1, 1, tzinfo=datetime_module.timezone.utc)
    return (when - epoch) // datetime_module.timedelta(microseconds=1)


clock_page = ClockPage()
