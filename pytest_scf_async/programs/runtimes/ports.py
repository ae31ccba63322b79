"""Ports of the machine's network that one instance has to itself, among those of all test processes."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

from ...linux import procfs
from ...protocol.real_time import REAL
from ...protocol.shortening import real_seconds

_CHOSEN = range(20_000, 32_768)
"""Where a port is looked for that may be any: below those that Linux gives to connections."""
_OWN = "end the event of that one and advance the clock past idle_reclaim"
_OTHERS = "have that test end sooner, or real_timeout be longer"
_own: dict[int, ClaimedPort] = {}
"""Claimed by this process."""


class PortInUseError(Exception):
    """Who has the port, and what releases it."""

    def __init__(self, by: str, what_to_do: str) -> None:
        super().__init__(by)
        self.what_to_do = what_to_do


class ClaimedPort:
    """A port that no other instance without a network of its own gets, in no process of the machine, until its release.

    A listening Unix socket with an abstract name marks it as claimed: as ports do, such names belong to a network
    namespace, and the kernel drops one with its process. Who waits for the port is connected to it.
    """

    def __init__(self, number: int, word: socket.socket) -> None:
        self.number = number
        self._word = word
        _own[number] = self

    def release(self) -> None:
        _own.pop(self.number, None)
        self._word.close()


def _after_fork() -> None:
    """In a fork of the test process: the ports are its parent's, and free once that releases them."""
    for claimed in tuple(_own.values()):
        claimed.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def claim(number: int, limit: float) -> ClaimedPort:
    """Claim the port *number*; where another process has it, as soon as that releases it, within *limit* real seconds.

    Raises ``PortInUseError``: another instance of this process has it, or one of another for longer, or no instance.
    """
    deadline = REAL.monotonic() + limit
    while (claimed := _try(number)) is None:
        if number in _own:
            raise PortInUseError("by another instance", _OWN)
        if not _released(number, deadline - REAL.monotonic()) or REAL.monotonic() > deadline:
            raise PortInUseError(f"by an instance of another test process, for {real_seconds(limit)}", _OTHERS)
    try:
        _probe(number)
    except OSError as error:
        claimed.release()
        raise PortInUseError(f"by {procfs.listeners_on(number)}: {error.strerror}", "end that program") from None
    return claimed


def claim_any() -> ClaimedPort:
    """Claim a port that nothing uses, and that Linux gives to no connection meanwhile."""
    for number in _candidates():
        claimed = _try(number)
        if claimed is None:
            continue
        try:
            _probe(number)
        except OSError:
            claimed.release()
            continue
        return claimed
    raise PortInUseError(f"as are all from {_CHOSEN[0]} to {_CHOSEN[-1]}", "end programs that listen there")


def _candidates() -> Iterator[int]:
    first, last = procfs.ports_given_out()
    yield from (number for number in _CHOSEN if not first <= number <= last)
    yield from (number for number in _CHOSEN if first <= number <= last)  # where Linux gives out all that there are


def _name(number: int) -> str:
    return f"\0pytest-scf-async-port-{number}"


def _try(number: int) -> ClaimedPort | None:
    word = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        word.bind(_name(number))
        word.listen()
    except OSError:
        word.close()
        return None
    return ClaimedPort(number, word)


def _released(number: int, seconds: float) -> bool:
    """Wait until whoever has claimed *number* has it no more, at most *seconds*; whether that is so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiting:
        waiting.setblocking(False)
        try:
            waiting.connect(_name(number))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:  # hundreds wait already
            return False
        poller = select.poll()
        poller.register(waiting, 0)
        return bool(poller.poll(max(seconds, 0) * 1000))


def _probe(number: int) -> None:
    """Raises ``OSError`` where a program has the port already, on whichever address of either family."""
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue  # a machine without that family
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, number))
