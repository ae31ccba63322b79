"""What a runtime listens to: the channels and outputs of its instances, and the zygotes that they were forked from."""

from __future__ import annotations

import os
import select

from .instance import Instance
from .interrupts import exposed
from .zygote import Zygote


class Poller:
    """One ``epoll`` for a runtime. Descriptors are watched from an instance's start until it is dropped."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._channels: dict[int, Instance] = {}
        self._outputs: dict[int, Instance] = {}
        self._zygotes: dict[Zygote, int] = {}
        """Their connections, which are not closed before they are dead, but may be before that was received here."""
        self._children: dict[int, tuple[Instance, int]] = {}
        """By descriptor, a pidfd: whose child it is that holds the clock, and its process id."""

    def add(self, instance: Instance) -> None:
        """Listen to *instance*, and to its zygote."""
        self._watch(instance.channel.fileno())
        self._channels[instance.channel.fileno()] = instance
        self._watch(instance.output.fd)
        self._outputs[instance.output.fd] = instance
        if instance.zygote not in self._zygotes:
            self._zygotes[instance.zygote] = -1
            if instance.zygote.alive:  # else the next poll finds that
                connection = self._zygotes[instance.zygote] = instance.zygote.connection.fileno()
                self._watch(connection)

    def remove(self, instance: Instance) -> None:
        """Listen to *instance* no more; before its descriptors are closed."""
        for fd, known in ((instance.channel.fileno(), self._channels), (instance.output.fd, self._outputs)):
            if known.pop(fd, None) is not None:
                self._forget(fd)
        for fd in [fd for fd, (parent, _) in self._children.items() if parent is instance]:
            self._stop_awaiting(fd)

    def watch_again(self, instance: Instance) -> None:
        """Watch for room in the channel of *instance* while that is full, and of nothing to read while nobody reads."""
        if instance.output.fd in self._outputs:
            self._epoll.modify(instance.output.fd, 0 if instance.output.filled else select.EPOLLIN)
        fd = instance.channel.fileno()
        if fd in self._channels:
            events = 0 if instance.output.holds_back else select.EPOLLIN
            self._epoll.modify(fd, events | (select.EPOLLOUT if instance.full else 0))

    def poll(self, timeout: float) -> list[Instance | Zygote]:
        """Who has something to say within *timeout* real seconds, each once.

        The kernel may list a channel and not the output that was written before: one is read with the other.
        """
        speakers: dict[Instance | Zygote, None] = {}
        for fd, _ in exposed(self._epoll.poll, timeout, 1024) if timeout else self._epoll.poll(0, 1024):
            speaker = self._channels.get(fd) or self._outputs.get(fd) or self._zygote_at(fd)
            if speaker is not None:
                speakers[speaker] = None
            elif fd in self._children:
                speakers[self._stop_awaiting(fd)] = None
        for zygote in [each for each in self._zygotes if not each.alive]:
            speakers[zygote] = None  # another runtime may have received that first, and closed its connection
            if (watched := self._zygotes.pop(zygote)) == zygote.connection.fileno() >= 0:
                self._forget(watched)
        ready = list(speakers)
        for speaker in ready:
            if isinstance(speaker, Instance):
                self._drop_closed(speaker)
        return ready

    def await_ends(self, instances: list[Instance]) -> None:
        """Watch for the ends of the children that hold the clock, by the last look at those of *instances*."""
        for instance in instances:
            for child in instance.children.holding:
                if (instance, child.pid) in self._children.values():
                    continue
                try:
                    pidfd = os.pidfd_open(child.pid)
                except OSError:
                    continue  # it has just ended, or there is no descriptor left: the next look finds which
                self._children[pidfd] = instance, child.pid
                self._watch(pidfd)

    def close(self) -> None:
        for pidfd in list(self._children):
            self._stop_awaiting(pidfd)
        self._epoll.close()

    def _stop_awaiting(self, pidfd: int) -> Instance:
        instance, _ = self._children.pop(pidfd)
        self._forget(pidfd)
        os.close(pidfd)
        return instance

    def _drop_closed(self, instance: Instance) -> None:
        """An end that is closed would be ready for ever."""
        if not instance.output.open and self._outputs.pop(instance.output.fd, None) is not None:
            self._forget(instance.output.fd)
        if not instance.channel_open and self._channels.pop(instance.channel.fileno(), None) is not None:
            self._forget(instance.channel.fileno())

    def _zygote_at(self, connection: int) -> Zygote | None:
        return next((each for each, known in self._zygotes.items() if known == connection and each.alive), None)

    def _watch(self, fd: int) -> None:
        self._epoll.register(fd, select.EPOLLIN)

    def _forget(self, fd: int) -> None:
        self._epoll.unregister(fd)
