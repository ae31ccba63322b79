"""What a handler with ``children="simulated"`` says to its supervisor, which reads it in the handler's memory.

That is which call of user code starts a child, connects or locks a file, as a row of the timeline names the call: it is
read when the system call follows. And it is what a library logs at the level DEBUG, right before it is written.
"""

from __future__ import annotations

from typing import Final

REGISTER: Final = 0x5343_4601
"""The ``ioctl`` that tells the supervisor the address of the memory."""
DEBUG: Final = 0x5343_4602
"""The ``ioctl`` with the address of what a library is about to write, which it logs at the level DEBUG."""
BYTES: Final = 2048
"""Of the memory, in which a text ends with a zero.

Python copies what it gives to an ``ioctl`` if it has no more than 1,024.
"""
