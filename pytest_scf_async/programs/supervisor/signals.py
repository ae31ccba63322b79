"""What the main process of a traced program does with SIGTERM, and the gates that wait until it has a handler.

Its calls of ``rt_sigaction`` say so. The handler is that of the kernel: a shell and Python note there that the signal
has come, and call the trap, or the function, of the script some time later, which nothing shows.
"""

from __future__ import annotations

import signal
from typing import Final

from ...linux import procfs
from ...protocol import messages
from .tracee import read_memory

SIGTERM: Final = int(signal.SIGTERM)
DEFAULT: Final = "SIG_DFL"
IGNORED: Final = "SIG_IGN"
HANDLER: Final = "handler"
NATIVE: Final = "native"
"""It has one, and that is no word on whether the program listens: the runtime of its language has put it there."""
_BIT: Final = 1 << (SIGTERM - 1)


class Listener:
    """Whether the program listens."""

    def __init__(self) -> None:
        self.action = DEFAULT
        self._gates: list[messages.ListeningGate] = []

    def set_gates(self, gates: list[messages.ListeningGate]) -> None:
        """Take the whole of what is set now."""
        self._gates = [gate for gate in gates if gate.signum == SIGTERM]

    @property
    def waits(self) -> bool:
        """Whether a gate waits for a handler that is there."""
        return bool(self._gates) and self.action == HANDLER

    def take_gate(self) -> messages.ListeningGate | None:
        """A gate that waits for a handler which is there, and waits no more."""
        return self._gates.pop() if self.waits else None

    def set(self, action: str) -> messages.Listening | None:
        """Note what is done with the signal from here on; the message about it, where it is something else."""
        if action == self.action:
            return None
        self.action = action
        return messages.Listening(SIGTERM, action)


def action_at(tid: int, address: int, *, is_native: bool) -> str | None:
    """What ``rt_sigaction`` is given at *address* of a thread's memory; None: there is nothing."""
    try:
        handler = int.from_bytes(read_memory(tid, address, 8), "little")
    except OSError:
        return None
    if handler in (signal.SIG_DFL, signal.SIG_IGN):
        return signal.Handlers(handler).name
    return NATIVE if is_native else HANDLER


def may_take(pid: int, task: int) -> bool:
    """Whether a SIGTERM has come that nobody has taken yet, and the thread *task* of process *pid* could."""
    masks = procfs.signal_masks(pid, task)
    return bool(_pending(masks) & ~masks.get(b"SigBlk", 0))


def is_blocked(pid: int, task: int) -> bool:
    """Whether a thread lets no SIGTERM in."""
    return bool(procfs.signal_masks(pid, task).get(b"SigBlk", 0) & _BIT)


def has_come(pid: int) -> bool:
    """Whether a SIGTERM has come that nobody has taken yet."""
    return bool(_pending(procfs.signal_masks(pid, pid)))


def _pending(masks: dict[bytes, int]) -> int:
    return (masks.get(b"SigPnd", 0) | masks.get(b"ShdPnd", 0)) & _BIT
