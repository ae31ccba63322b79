"""Calls that make a thread or a process: none is made that is not traced.

An untraced one would have the filter of system calls, and no tracer that answers: each call at which the filter stops
would fail with ENOSYS. So CLONE_UNTRACED is taken out of the flags, and is there again once the call is over.
"""

from __future__ import annotations

from typing import NamedTuple

from .system_calls import CLONE_UNTRACED
from .tracee import HERE, Registers, read_memory, write_code


class Clone(NamedTuple):
    """A ``clone`` or a ``clone3`` that is made without CLONE_UNTRACED, which the program has among its flags."""

    flags: int
    """Those of the program."""
    place: int
    """Where in its memory; 0: in a register."""


def begin(tid: int, name: str, registers: Registers) -> Clone | None:
    """Have the call at whose entry a thread stands make what is traced; None: it does so as it is.

    ``OSError``: the flags cannot be changed where they are.
    """
    place = registers.argument(0) if name == "clone3" else 0
    try:
        flags = int.from_bytes(read_memory(tid, place, 8), "little") if place else registers.argument(0)
    except OSError:
        flags = 0  # the kernel refuses it
    if not flags & CLONE_UNTRACED:
        return None
    traced = flags & ~CLONE_UNTRACED
    if place:
        write_code(tid, place, traced.to_bytes(8, "little"))
    else:
        registers.set_argument(0, traced)
        registers.write(tid)
    return Clone(flags, place)


def end(tid: int, clone: Clone, registers: Registers) -> None:
    """The call is over: its flags are those of the program again."""
    if clone.place:
        write_code(tid, clone.place, clone.flags.to_bytes(8, "little"))
    elif HERE.arguments[0] != HERE.result:
        registers.read(tid)
        registers.set_argument(0, clone.flags)
        registers.write(tid)
