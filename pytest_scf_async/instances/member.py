"""A fork of an image's program that is in lockstep too: one more process of the same instance."""

from __future__ import annotations

import os
import select
import signal
import socket

from ..protocol import messages, procfs
from ..protocol.shared_page import ControlPage
from .instance import Instance
from .output import Output
from .process_tree import Children

EXIT_MS = 200
"""Real milliseconds from when a process that ends has closed its descriptors to its end; it takes some µs."""


class Member(Instance):
    """A fork that an image's program has made: a process of the same instance, in lockstep as the instance is.

    It has no disk of its own, and ends with the instance at the latest. A program that it becomes by ``exec`` is in no
    lockstep: then only its output is heard.
    """

    is_root = False
    is_alone = False
    peer = messages.Peer.MEMBER

    def __init__(self, parent: Instance, pid: int, fds: list[int]) -> None:
        channel, output, control_file, attention = fds
        root = self._root = parent.root
        self.begun = False
        self.number = root.zygote.take_number()
        self.hint = root.hint
        self._disk = []
        self.pid = pid
        self.status = None
        self.refused = None
        self.listening = set(parent.listening)
        self.rss = 0
        self.zygote = root.zygote
        self.members, self.descriptors = [], []
        self.children = Children(self)
        self.output = Output(messages.mark_of(self.zygote.nonce), self._wrote, self._dated, output)
        self.attention, self.control_file = attention, control_file
        self.control = ControlPage(control_file)
        self.channel = socket.socket(fileno=channel)
        self.channel.setblocking(False)
        self._frames = messages.FrameReader()
        self._unsent = bytearray()
        self.full = False
        self.channel_open = True
        self.owner, self.runtime, self.sandbox, self.called = root.owner, root.runtime, root.sandbox, True
        self.user_process = self.runtime.user_process(self)
        self.takes_descriptors = True
        self.measured, self.takes_time = root.measured, root.takes_time
        self.pidfd = _own_pidfd(pid, root.pid)
        root.members.append(self)

    @property
    def root(self) -> Instance:
        return self._root

    def leave_group(self) -> None:
        self.output.finish()
        self._root.members.remove(self)

    @property
    def gone(self) -> bool:
        return self.released or self.status is not None  # a wait status is told to its parent, a process of the user's

    def pump(self) -> None:
        super().pump()
        if not self.channel_open and not self.left and not self.released:
            self.left = True
            self.owner.member_left(self, self.ends_soon)

    def ends_soon(self) -> bool:
        """Whether the process that has closed its channel has ended or is about to, by the kernel's word."""
        if self.pidfd is None:
            return True  # it had ended before there was one
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(EXIT_MS))

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def release(self) -> None:
        if not self.released:
            self.released = True
            self._close()
            self.user_process.close()


def _own_pidfd(pid: int, root: int) -> int | None:
    """A pidfd of the process *pid* of the instance whose first process is *root*; None: it has ended already."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    if procfs.is_below(pid, root):  # after the pidfd is open: the id cannot be another's any more
        return pidfd
    os.close(pidfd)  # the id is another's by now
    return None
