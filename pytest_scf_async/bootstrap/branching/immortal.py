"""Make objects immortal, so that forks share the memory in which they are.

Whoever uses an object counts its references, and so writes to it: in a forked process each page of memory with such an
object is copied at the first use. From Python 3.12 on the interpreter does not count the references of an object that
is immortal, as None is (PEP 683).
"""

from __future__ import annotations

import ctypes
import gc
import sys
import sysconfig
from types import CodeType
from typing import Any

_IMMORTAL = ctypes.string_at(id(None), 4)
"""What is in place of the lower half of the count in an immortal object of this Python.

From Python 3.14 on some references are given back without a look. The next one is counted then, so that the count stays
about there.
"""


def make_all_immortal() -> None:
    """Make all objects immortal that are reachable now: none of them is ever removed.

    It is for a process that has run no user code, so that whatever user code can see removed is not among them. Where
    this Python has no immortal objects, or counts in another way (without a global lock), nothing happens.
    """
    if sys.version_info < (3, 12) or sys.maxsize < 1 << 32 or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return
    write = ctypes.memmove
    seen: set[int] = set()
    left: list[Any] = gc.get_objects()
    ours = {id(left), id(seen)}
    while left:
        following: list[Any] = []
        for each in left:
            address = id(each)
            if address in seen or address in ours:
                continue
            seen.add(address)
            write(address, _IMMORTAL, 4)
            if type(each) is CodeType:  # the collector does not know what it refers to
                following += (each.co_consts, each.co_names, each.co_name, each.co_qualname, each.co_filename)
                following += (each.co_linetable, each.co_exceptiontable)
            else:
                following += gc.get_referents(each)
        left = following
