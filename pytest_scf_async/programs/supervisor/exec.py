"""What is done to a program at its exec: its clock reads are answered from a page that the supervisor writes.

The functions of the vDSO are overwritten in place, in the process's own copy of it: so C, Go, Node.js and Java read the
clock as fast as ever, without a system call. The page is a memfd that the process itself makes, by system calls that
are put under it: another user, or a mount namespace, could not open one of ours. Its forks inherit page and functions.

Where that cannot be done, the program is made not to find a vDSO: each read is a system call then, and traced.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from ...linux import linux, procfs
from ...linux.executables import language_of
from . import filter as seccomp
from .system_calls import NUMBERS
from .tracee import HERE, MACHINE, Registers, read_memory, write_code, write_memory

_X86_64: Final = """
clock_gettime:
    83 ff 0b                          ; cmp edi,0xb
    74 17                             ; je realtime
    83 ff 07                          ; cmp edi,0x7
    77 62                             ; ja kernel
    b8 d2 00 00 00                    ; mov eax,0xd2
    0f a3 f8                          ; bt eax,edi
    72 14                             ; jb monotonic
    f7 c7 fa ff ff ff                 ; test edi,0xfffffffa
    75 50                             ; jne kernel
realtime:
    49 b9 00 00 00 00 00 00 00 00     ; movabs r9,REALTIME
    eb 0a                             ; jmp read
monotonic:
    49 b9 00 00 00 00 00 00 00 00     ; movabs r9,MONOTONIC
read:
    49 b8 00 00 00 00 00 00 00 00     ; movabs r8,READS
    49 ff 00                          ; inc [r8]
    49 8b 00                          ; mov rax,[r8]
    49 3b 40 08                       ; cmp rax,[r8+0x8]
    77 24                             ; ja kernel
again:
    49 8b 50 10                       ; mov rdx,[r8+0x10]
    f6 c2 01                          ; test dl,0x1
    75 17                             ; jne pause
    49 8b 01                          ; mov rax,[r9]
    4d 8b 51 08                       ; mov r10,[r9+0x8]
    49 3b 50 10                       ; cmp rdx,[r8+0x10]
    75 ea                             ; jne again
    48 89 06                          ; mov [rsi],rax
    4c 89 56 08                       ; mov [rsi+0x8],r10
    31 c0                             ; xor eax,eax
    c3                                ; ret
pause:
    f3 90                             ; pause
    eb dc                             ; jmp again
kernel:
    b8 e4 00 00 00                    ; mov eax,228
    0f 05                             ; syscall
    c3                                ; ret
gettimeofday:
    48 85 ff                          ; test rdi,rdi
    74 20                             ; je done
    57                                ; push rdi
    56                                ; push rsi
    48 89 fe                          ; mov rsi,rdi
    31 ff                             ; xor edi,edi
    e8 7b ff ff ff                    ; call clock_gettime
    5e                                ; pop rsi
    5f                                ; pop rdi
    48 8b 47 08                       ; mov rax,[rdi+0x8]
    31 d2                             ; xor edx,edx
    b9 e8 03 00 00                    ; mov ecx,1000
    48 f7 f1                          ; div rcx
    48 89 47 08                       ; mov [rdi+0x8],rax
done:
    48 85 f6                          ; test rsi,rsi
    74 07                             ; je out
    48 c7 06 00 00 00 00              ; mov [rsi],0x0
out:
    31 c0                             ; xor eax,eax
    c3                                ; ret
time:
    57                                ; push rdi
    48 83 ec 10                       ; sub rsp,0x10
    48 89 e6                          ; mov rsi,rsp
    31 ff                             ; xor edi,edi
    e8 49 ff ff ff                    ; call clock_gettime
    48 8b 04 24                       ; mov rax,[rsp]
    48 83 c4 10                       ; add rsp,0x10
    5f                                ; pop rdi
    48 85 ff                          ; test rdi,rdi
    74 03                             ; je end
    48 89 07                          ; mov [rdi],rax
end:
    c3                                ; ret
"""
"""CLOCK_REALTIME and CLOCK_REALTIME_COARSE and CLOCK_TAI are one clock, the monotonic ones and CLOCK_BOOTTIME another;
every other one is the kernel's, and so is the read after too many reads in a row, for which the thread stops."""

_GETRANDOM: Final = {
    "x86_64": """
getrandom:
    49 83 f8 ff                       ; cmp r8,-1
    74 08                             ; je refuse
    b8 3e 01 00 00                    ; mov eax,318
    0f 05                             ; syscall
    c3                                ; ret
refuse:
    48 c7 c0 da ff ff ff              ; mov rax,-38
    c3                                ; ret
""",
    "aarch64": """
getrandom:
    5f 24 03 d5                       ; bti c
    9f 04 00 b1                       ; cmn x4,#1
    80 00 00 54                       ; b.eq refuse
    c8 22 80 d2                       ; mov x8,#278
    01 00 00 d4                       ; svc #0
    c0 03 5f d6                       ; ret
refuse:
    a0 04 80 92                       ; mov x0,#-38
    c0 03 5f d6                       ; ret
""",
}
"""What takes the place of the vDSO's function: a system call. Who asks what memory the function needs, with -1 as the
fifth argument, is told that there is none (ENOSYS), and makes system calls from then on."""
_OF_VDSO: Final = ("__vdso_getrandom", "__kernel_getrandom")
RANDOM_BYTES: Final = 16
"""How many random bytes a program is given by the kernel at its exec (AT_RANDOM)."""

# The slots of the page, each of 64 bits.
_REALTIME, _MONOTONIC, _READS, _LIMIT, _SEQUENCE, _NOTHING = 0, 2, 4, 5, 6, 8
NO_LIMIT: Final = (1 << 64) - 1
_NS: Final = 1_000_000_000
_PAGE_BYTES: Final = 4096

_AT_IGNORE, _AT_RANDOM, _AT_VDSO = 1, 25, 33
_PROT_BOTH, _MAP_SHARED, _MFD_CLOEXEC = 3, 1, 1
SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1
BELOW_STACK: Final = 4096
"""So many bytes below its stack pointer a thread has no data."""
_ENTRIES: Final = {"x86_64": ("__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time")}
"""By machine: the functions that are overwritten; the first one has room for all of the code."""


class Page:
    """The clocks that a process reads, and those of its forks."""

    def __init__(self, file: int, address: int) -> None:
        self.address = address
        """Where the process has it."""
        self._map = mmap.mmap(file, _PAGE_BYTES)
        self._slots: Any = memoryview(self._map).cast("Q")
        self._limit: int | None = None
        """The limit of reads, while the next one is stopped at in any case."""

    @property
    def nothing_at(self) -> int:
        """Where the process finds a ``timespec`` of 0."""
        return self.address + 8 * _NOTHING

    def set(self, realtime_ns: int, monotonic_ns: int) -> None:
        """Show these times."""
        slots = self._slots
        slots[_SEQUENCE] += 1
        slots[_REALTIME], slots[_REALTIME + 1] = divmod(realtime_ns, _NS)
        slots[_MONOTONIC], slots[_MONOTONIC + 1] = divmod(monotonic_ns, _NS)
        slots[_SEQUENCE] += 1

    def limit(self, reads: int) -> None:
        """Stop at the read after so many from now on."""
        self._limit = None
        self._slots[_READS] = 0
        self._slots[_LIMIT] = reads

    def rest(self) -> None:
        """Stop at the next read: all threads wait, and this process does not hear of it if something else wakes one."""
        if self._limit is None:
            self._limit, self._slots[_LIMIT] = self._slots[_LIMIT], 0

    def end_rest(self) -> bool:
        """Stop there no more; whether it would have."""
        limit, self._limit = self._limit, None
        if limit is not None:
            self._slots[_LIMIT] = limit
        return limit is not None

    @property
    def is_over(self) -> bool:
        """Whether there have been more reads than that."""
        return bool(self._slots[_READS] > self._slots[_LIMIT])

    def close(self) -> None:
        self._slots.release()
        self._map.close()


def code_of(listing: str) -> tuple[bytes, dict[str, int]]:
    """The bytes of a listing, and where its labels are."""
    code, labels = bytearray(), {}
    for line in listing.strip().splitlines():
        if not line.startswith(" "):
            labels[line.rstrip(":")] = len(code)
        else:
            code += bytes.fromhex(line.partition(";")[0])
    return bytes(code), labels


_CODE, _LABELS = code_of(_X86_64)
_ADDRESS_IN_CODE: Final = re.compile(rb"\x49[\xb8\xb9]\0{8}")


def _code_for(page: int) -> bytes:
    """The code that reads the page at that address."""
    slots = iter((_REALTIME, _MONOTONIC, _READS))
    return _ADDRESS_IN_CODE.sub(lambda found: found[0][:2] + struct.pack("<Q", page + 8 * next(slots)), _CODE)


# -- in a process that stands at its first instruction -----------------------------------------------------------------


class Injector:
    """Has a stopped thread make system calls; *step* lets it go on for one instruction."""

    def __init__(self, tid: int, step: Callable[[int], None], trap_at: int) -> None:
        self._tid = tid
        self._step = step
        self._trap_at = trap_at
        self._before = Registers()
        self._before.read(tid)

    def call(self, name: str, *arguments: int) -> int:
        """The result of that system call; ``OSError`` with its error."""
        registers = self._before.copy()
        registers.set_call(NUMBERS[name], arguments)
        registers.set_number(self._tid, -1)
        registers.counter = self._trap_at
        registers.write(self._tid)
        self._step(self._tid)
        registers.read(self._tid)
        result = registers.result
        if -4096 < result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def restore(self) -> None:
        self._before.write(self._tid)


def add_filter(tid: int, registers: Registers, step: Callable[[int], None], instructions: bytes) -> None:
    """Install another filter in the process of the thread *tid*, which stands at a system call, and makes it again.

    *registers* are those of the thread. Of a process whose other threads are not all traced by this one only the thread
    has it, as theirs would fail. Raises ``OSError``.
    """
    again = registers.copy()
    again.make_call_again(registers.number(tid))
    registers.set_number(tid, -1)
    registers.write(tid)
    step(tid)
    again.write(tid)
    injector = Injector(tid, step, again.counter)
    place = again.stack - BELOW_STACK
    tracer = os.getpid()
    are_traced = all(procfs.tracer_of(int(task)) == tracer for task in procfs.tasks_of(procfs.thread_group_of(tid)))
    try:
        write_memory(tid, place, seccomp.in_memory(instructions, place))
        injector.call("seccomp", SET_MODE_FILTER, _ALL_THREADS if are_traced else 0, place)
    finally:
        injector.restore()


def injector_of(tid: int, step: Callable[[int], None]) -> Injector:
    """One for the thread *tid* that stands at the first instruction of a program."""
    vdso_at = _auxiliary(tid)[1].get(_AT_VDSO, 0)
    if not vdso_at:
        raise LookupError("the program has no vDSO")
    return Injector(tid, step, vdso_at + _image(tid, vdso_at).index(HERE.trap))


def give_clock(tid: int, pid: int, stack: int, step: Callable[[int], None]) -> Page | None:
    """Put the page under the process *pid*, whose only thread *tid* stands at its first instruction, with that *stack*.

    None: each of its reads will be a system call.
    """
    vector, auxiliary = _auxiliary(pid)
    if _AT_VDSO not in auxiliary:
        return None
    try:
        return _patch(tid, pid, auxiliary[_AT_VDSO], step)
    except (OSError, LookupError):
        before_strings = read_memory(pid, stack, auxiliary[_AT_RANDOM] - stack)
        kind_at = stack + before_strings.rindex(vector) + 16 * list(auxiliary).index(_AT_VDSO)
        write_memory(pid, kind_at, struct.pack("<Q", _AT_IGNORE))
        return None


def _patch(tid: int, pid: int, vdso_at: int, step: Callable[[int], None]) -> Page:
    if MACHINE not in _ENTRIES:
        raise LookupError(MACHINE)
    image = _image(pid, vdso_at)
    functions = dict(_functions(image))
    entry, *others = (functions[name] for name in _ENTRIES[MACHINE])
    if entry[1] < len(_CODE) or any(size < 5 for _, size in others):
        raise LookupError("the functions of the vDSO are too short")
    trap = image.index(HERE.trap)
    name = image.index(b"linux-vdso")
    injector = Injector(tid, step, vdso_at + trap)
    try:
        file = injector.call("memfd_create", vdso_at + name, _MFD_CLOEXEC)
        try:
            copy = linux.copy_of_descriptor(pid, file)
            try:
                os.ftruncate(copy, _PAGE_BYTES)
                address = injector.call("mmap", 0, _PAGE_BYTES, _PROT_BOTH, _MAP_SHARED, file, 0)
                page = Page(copy, address)
            finally:
                os.close(copy)
        finally:
            injector.call("close", file)
    finally:
        injector.restore()
    _write(pid, vdso_at + entry[0], _code_for(address))
    for (at, _), label in zip(others, ("gettimeofday", "time"), strict=True):
        jump = entry[0] + _LABELS[label] - (at + 5)
        _write(pid, vdso_at + at, b"\xe9" + struct.pack("<i", jump))
    return page


def draw_by_calls(pid: int, random: bytes = b"") -> None:
    """Have a stopped process draw each random number by a system call, from here on; *random* is what it begins with.

    Raises ``OSError`` or another exception for what is no program of this processor.
    """
    _, auxiliary = _auxiliary(pid)
    if random:
        write_memory(pid, auxiliary[_AT_RANDOM], random)
    vdso_at = auxiliary.get(_AT_VDSO, 0)
    if vdso_at:
        image = _image(pid, vdso_at)
        for name, (at, _) in _functions(image):
            if name in _OF_VDSO:
                _write(pid, vdso_at + at, code_of(_GETRANDOM[MACHINE])[0])


_ELF_CLASS, _32_BIT = 4, b"\x01"


class Kind(NamedTuple):
    """What a program is, as far as its runtime waits in ways of its own."""

    is_cpython: bool = False
    """Its library has loops that end only when their deadline is past."""
    is_go: bool = False
    """Threads of its runtime nap now and then, and poll for work."""
    is_32_bit: bool = False
    """Its system calls, and its memory, are not those of this module."""
    catches_signals: bool = False
    """The runtime of its language catches SIGTERM before the program's own code does, whether that listens or not."""
    lacks: str = ""
    """What its file would have given it, and a traced program does not get."""


def name_of(pid: int) -> str:
    """The name of the file that a process executes; ``OSError``: it has ended."""
    return os.path.basename(os.readlink(f"/proc/{pid}/exe"))


def kind_of(pid: int) -> Kind:
    """What the program of a process is."""
    path = f"/proc/{pid}/exe"
    try:
        name = name_of(pid)
        with open(path, "rb") as file:
            lacks = _lacks(pid, file.fileno())
            if file.read(_ELF_CLASS + 1)[_ELF_CLASS:] == _32_BIT:
                return Kind(is_32_bit=True, lacks=lacks)
    except OSError:
        return Kind()
    language = language_of(path)
    is_cpython = name.startswith("python")
    return Kind(is_cpython, language.is_go, catches_signals=language.catches_signals, lacks=lacks)


def _lacks(pid: int, file: int) -> str:
    """The rights of an executable *file* that the process *pid* would have but for its tracer (execve(2))."""
    state, owner = os.fstat(file), os.stat(f"/proc/{pid}")
    if state.st_mode & stat.S_ISUID and state.st_uid != owner.st_uid:
        return "set-uid"
    if state.st_mode & stat.S_ISGID and state.st_mode & stat.S_IXGRP and state.st_gid != owner.st_gid:
        return "set-gid"
    try:
        return "one with capabilities" if owner.st_uid != 0 and os.getxattr(file, "security.capability") else ""
    except OSError:
        return ""


def _write(pid: int, address: int, data: bytes) -> None:
    before = address % 8
    write_code(pid, address - before, read_memory(pid, address - before, before) + data if before else data)


def _auxiliary(pid: int) -> tuple[bytes, dict[int, int]]:
    """The auxiliary vector of a process: as it is in memory, and by kind."""
    with open(f"/proc/{pid}/auxv", "rb") as file:
        vector = file.read()
    return vector, dict(struct.iter_unpack("<QQ", vector))


def _image(pid: int, at: int) -> bytes:
    """The vDSO: its section headers are the last thing in it."""
    header = read_memory(pid, at, 64)
    (sections,) = struct.unpack_from("<Q", header, 40)
    size, count = struct.unpack_from("<HH", header, 58)
    return read_memory(pid, at, sections + size * count)


def _functions(image: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """The functions of a shared object: the name, where it begins, and how many bytes it has."""
    (sections,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    found = [struct.unpack_from("<IIQQQQIIQQ", image, sections + size * number) for number in range(count)]
    for _, kind, _, _, offset, length, link, _, _, each in found:
        if kind != 11:  # the table of symbols for the linker
            continue
        names = found[link][4]
        for at in range(offset, offset + length, each):
            name, information, _, _, value, bytes_ = struct.unpack_from("<IBBHQQ", image, at)
            if information & 15 == 2:
                end = image.index(b"\0", names + name)
                yield image[names + name : end].decode(), (value, bytes_)
