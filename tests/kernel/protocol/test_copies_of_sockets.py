"""Sockets of other processes, which may be closed between two reads of them."""

from __future__ import annotations

import os
import socket

from internals import copy_of_socket


def open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


def test_a_socket_is_copied() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        copy = copy_of_socket(os.getpid(), server.fileno())
        assert copy is not None
        with copy:
            assert copy.fileno() != server.fileno()
            assert copy.getsockname() == server.getsockname()


def test_where_a_file_is_by_now_there_is_none() -> None:
    read_end, write_end = os.pipe()
    try:
        before = open_descriptors()
        assert copy_of_socket(os.getpid(), read_end) is None
        assert open_descriptors() == before
    finally:
        os.close(read_end)
        os.close(write_end)
    assert copy_of_socket(os.getpid(), read_end) is None
