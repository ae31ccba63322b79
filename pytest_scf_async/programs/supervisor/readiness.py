"""Whether what a thread would wait for is there already, as seen from outside while it stands before the call.

All other threads of the program wait, so nothing of it can change the answer before the call is made.
"""

from __future__ import annotations

import os
import select

from ...linux import linux
from ...side.originals import real_poll
from .tracee import Registers, read_memory
from .waits import Wait

_EPOLL_TARGET = "anon_inode:[eventpoll]"
_EPOLLS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})
IN_MILLISECONDS = frozenset({"epoll_wait", "epoll_pwait"})
"""Those whose timeout is in a register."""
_POLLS = frozenset({"poll", "ppoll", "select", "pselect6"})
_FUTEX_WAIT, _FUTEX_WAIT_BITSET = 0, 9
_MOST_EVENTS = 1 << 24
_LOW = 0xFFFFFFFF


class Readiness:
    """Looks it up. The last ``epoll`` that was asked for is kept: a loop asks for the same one again and again."""

    def __init__(self) -> None:
        self._key = (0, 0)
        self._copy = -1
        self._poller = real_poll()

    def is_there(self, pid: int, tid: int, wait: Wait, *, is_calm: bool) -> bool | None:
        """Whether it is, or may be; None: the kernel is to poll, with a timeout of 0.

        *is_calm*: since the last time nothing of the program has made a system call.
        """
        if wait.call.sleeps:
            return False
        if wait.name == "futex":
            return self._may_be_woken(tid, wait.arguments)
        if wait.name in _EPOLLS:
            return self._is_ready(pid, wait, is_calm=is_calm)
        return None if wait.name in _POLLS else True

    @staticmethod
    def _may_be_woken(tid: int, arguments: tuple[int, ...]) -> bool:
        operation = arguments[1] & 0x7F
        if operation not in (_FUTEX_WAIT, _FUTEX_WAIT_BITSET) or arguments[0] % 4:
            return True
        if operation == _FUTEX_WAIT_BITSET and not arguments[5] & _LOW:
            return True
        try:
            return int.from_bytes(read_memory(tid, arguments[0], 4), "little") != arguments[2] & _LOW
        except OSError:
            return True

    def _is_ready(self, pid: int, wait: Wait, *, is_calm: bool) -> bool | None:
        """An ``epoll`` can be polled itself: it is ready when there is something for who waits in it."""
        epoll, _, most, _, mask, _ = wait.arguments
        if not 0 < most & _LOW < _MOST_EVENTS or (wait.name != "epoll_wait" and mask):
            return None  # it may have to be refused, or other signals end it
        key = pid, epoll & _LOW
        if key != self._key or not (is_calm or linux.refers_to(pid, key[1], self._copy)):
            self._keep(*key)
        return None if self._copy < 0 else bool(self._poller.poll(0))

    def has_nothing(self, pid: int, name: str, registers: Registers) -> bool:
        """Whether a call that does not wait would find nothing, for certain; it is that of which `is_there` has said so
        last, and since then nothing of the program has made a system call."""
        if (
            name not in IN_MILLISECONDS
            or registers.argument(3) & _LOW
            or (name != "epoll_wait" and registers.argument(4))
        ):
            return False
        key = pid, registers.argument(0) & _LOW
        return key == self._key and 0 < registers.argument(2) & _LOW < _MOST_EVENTS and not self._poller.poll(0)

    def has_something(self) -> bool:
        """Whether there is something in the ``epoll`` of which `is_there` has said last that there is nothing."""
        return bool(self._poller.poll(0))

    def _keep(self, pid: int, epoll: int) -> None:
        self.forget()
        try:
            copy = linux.copy_of_descriptor(pid, epoll)
        except OSError:
            return
        if os.readlink(f"/proc/self/fd/{copy}") != _EPOLL_TARGET:
            os.close(copy)
            return
        self._key, self._copy = (pid, epoll), copy
        self._poller.register(copy, select.POLLIN)

    def forget(self) -> None:
        """Keep nothing of the program."""
        if self._copy >= 0:
            self._poller.unregister(self._copy)
            os.close(self._copy)
            self._key, self._copy = (0, 0), -1
