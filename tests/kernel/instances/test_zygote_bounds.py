"""The harness's side of the zygote: whatever the zygote does, no request to it waits without a bound."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from internals import Zygote, messages, procfs
from internals import zygote as zygotes

from pytest_scf_async import HarnessError

# once: a socket of this process, the same on all Pythons
pytestmark = pytest.mark.once


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Zygote, socket.socket]]:
    """A zygote that reads nothing, with its end of the connection, which is full."""
    monkeypatch.setattr(zygotes, "START_LIMIT", 0.05)
    zygote = Zygote.__new__(Zygote)
    zygote.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote.connection.setblocking(False)
    zygote.alive, zygote.pid, zygote._written = True, os.getpid(), b"importing the world"
    zygote.process = SimpleNamespace(pid=os.getpid())  # type: ignore[assignment]
    zygote._receiving = threading.RLock()
    zygote._log = -1
    with zygote.connection, theirs:
        while True:
            try:
                zygote.connection.send(messages.pack(messages.Reclaim(1)))
            except BlockingIOError:
                break
        yield zygote, theirs


def test_a_request_to_one_that_reads_nothing_fails_within_its_limit(pair: tuple[Zygote, socket.socket]) -> None:
    zygote, _ = pair
    with pytest.raises(
        HarnessError, match=r"the zygote \(pid \d+\).* has read no message for 0\.05 real seconds"
    ) as error:
        zygote._send(messages.pack(messages.Reclaim(2)))
    assert "importing the world" in str(error.value)


def test_a_request_is_sent_as_soon_as_there_is_room(
    pair: tuple[Zygote, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    zygote, theirs = pair
    monkeypatch.setattr(zygotes, "START_LIMIT", 60.0)
    receive_until = zygote.receive_until

    def reads_first(*given: object) -> bool:
        while theirs.recv(1 << 16, socket.MSG_DONTWAIT | socket.MSG_PEEK):
            theirs.recv(1 << 16)
            if zygote._has_room():
                break
        return receive_until(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(zygote, "receive_until", reads_first)
    zygote._send(messages.pack(messages.Reclaim(2)))


def test_a_request_to_one_that_is_gone_says_so(pair: tuple[Zygote, socket.socket]) -> None:
    zygote, theirs = pair
    theirs.close()
    with pytest.raises(HarnessError, match="the zygote, which instances are forked from, is gone"):
        zygote._send(messages.pack(messages.Reclaim(2)))
    assert not zygote.alive
    os.fstat(zygote.connection.fileno())


def test_a_stopped_process_that_only_has_the_number_of_the_zygote_gets_no_signal() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as another:
        os.kill(another.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, another.pid, os.WSTOPPED | os.WNOWAIT)
        zygote = Zygote.__new__(Zygote)
        zygote.alive, zygote.was_stopped, zygote.pid = True, False, another.pid
        zygote.process = SimpleNamespace(pid=os.getppid())  # type: ignore[assignment]  # the parent that it is to have

        zygote.go_on()

        assert (zygote.was_stopped, procfs.state_of(another.pid)) == (False, b"T")
        another.kill()
