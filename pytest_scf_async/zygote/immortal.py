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
from collections.abc import Iterator
from operator import attrgetter
from types import CodeType
from typing import Any

_STEP = 1_000
"""How many objects one step looks at: it takes about a millisecond."""
_references_of_code = attrgetter(
    *("co_consts", "co_names", "co_name", "co_qualname", "co_filename", "co_linetable", "co_exceptiontable")
)
"""What a code object refers to: the garbage collector does not know it."""


def make_immortal(tracked: list[Any]) -> Iterator[None]:
    """Make objects immortal, step by step: none of them is ever removed.

    These are the objects of *tracked*, which the garbage collector tracks, and what they refer to and it does not
    track: texts, numbers, code and the like. User code must not be able to see that one of them stays. Where this
    Python has no immortal objects, or counts in another way (without a global lock), there is no step.
    """
    if sys.version_info < (3, 12) or sys.maxsize < 1 << 32 or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return
    counts = memoryview((ctypes.c_uint32 * (1 << 60)).from_address(0)).cast("B").cast("I")
    # The lower half of the count. From Python 3.14 on some references are given back without a look. The next one is
    # counted then, so that the count stays about there.
    immortal = counts[id(None) >> 2]
    left = tracked
    while left:
        some = left[-_STEP:]
        del left[-_STEP:]
        counted = []
        for each in some:
            place = id(each) >> 2
            if counts[place] != immortal:
                counts[place] = immortal
                counted.append(each)
        references = gc.get_referents(*counted)
        for each in counted:
            if type(each) is CodeType:
                references += _references_of_code(each)
        left += [each for each in references if not gc.is_tracked(each)]
        yield
