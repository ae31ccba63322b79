"""Where a handler with ``children="simulated"`` says which call of user code starts a child, connects or locks a file.

Its supervisor reads that in its memory when the system call follows: a row of the timeline names the call.
"""

from __future__ import annotations

from typing import Final

REGISTER: Final = 0x5343_4601
"""The ``ioctl`` that tells the supervisor the address of the memory."""
BYTES: Final = 2048
"""Of the memory; Python copies what it gives to an ``ioctl`` if it has no more than 1,024."""
