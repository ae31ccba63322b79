"""Descriptors that are sent over a socket: no child inherits them, and what there is no room for is closed."""

from __future__ import annotations

import errno
import math
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from internals import linux, receive_descriptors


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("number", [0, 1, 3])
def test_they_come_with_the_bytes_and_belong_to_this_process_alone(ends, number: int) -> None:
    ours, theirs = ends
    with ExitStack() as opened:
        sent = [opened.enter_context(open(os.devnull)).fileno() for _ in range(number)]
        assert socket.send_fds(theirs, [b"word"], sent) == 4

        data, fds = receive_descriptors(ours, 100, 3)

        for fd in fds:
            opened.callback(os.close, fd)
        assert (data, len(fds)) == (b"word", number)
        assert not any(os.get_inheritable(fd) for fd in fds)
        assert all(os.path.samestat(os.fstat(fd), os.stat(os.devnull)) for fd in fds)


def test_more_than_there_is_room_for_are_closed(ends) -> None:
    ours, theirs = ends
    before = os.listdir("/proc/self/fd")
    with open(os.devnull) as file:
        socket.send_fds(theirs, [b"word"], [file.fileno()] * 5)

    data, fds = receive_descriptors(ours, 100, 2)

    assert data == b"word"
    assert len(fds) >= 2  # the kernel fills what the alignment leaves
    for fd in fds:
        os.close(fd)
    assert os.listdir("/proc/self/fd") == before


def test_the_end_of_the_other_side_is_no_bytes(ends) -> None:
    ours, theirs = ends
    theirs.close()
    assert receive_descriptors(ours, 100, 2) == (b"", [])


class FullKernel:
    """A connection whose kernel has too many descriptors of this user on their way, at the first *refusals* calls."""

    def __init__(self, connection: socket.socket, refusals: float) -> None:
        self.connection = connection
        self.refusals = refusals

    def sendmsg(self, *arguments: Any) -> int:
        self.refusals -= 1
        if self.refusals >= 0:
            raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))
        return self.connection.sendmsg(*arguments)


def test_they_are_sent_again_while_those_of_others_are_on_their_way(ends) -> None:
    ours, theirs = ends
    with open(os.devnull) as file:
        assert linux.send_descriptors(FullKernel(theirs, 3), b"word", [file.fileno()] * 2) == 4
    data, fds = receive_descriptors(ours, 100, 3)
    for fd in fds:
        os.close(fd)
    assert (data, len(fds)) == (b"word", 2)


def test_they_are_not_sent_again_for_ever(ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "SEND_LIMIT", 0.01)
    with open(os.devnull) as file, pytest.raises(OSError, match="Too many references"):
        linux.send_descriptors(FullKernel(ends[1], math.inf), b"word", [file.fileno()])


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_an_end_that_had_unread_data_is_an_end(kind: int) -> None:
    for receive in (lambda end: linux.receive(end, 10), lambda end: linux.receive_descriptors(end, 10, 1)[0]):
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        with ours, theirs:
            ours.send(b"unread")
            theirs.close()
            assert receive(ours) == b""
            assert receive(ours) == b""
