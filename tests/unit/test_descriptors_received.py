"""Descriptors that come over a socket: no child inherits them, and what there is no room for is closed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from internals import receive_descriptors


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
