"""Ports of the machine that one instance has to itself, whichever process it belongs to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from free_ports import free_port
from internals import procfs
from program_internals import PortInUseError, claim, claim_any, ports

HOLD = """
import sys
from pytest_scf_async.programs.runtimes.ports import claim
claimed = claim(int(sys.argv[1]), 0)
print("claimed", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held_by_another_process(number: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def test_a_port_is_claimed_once_until_it_is_released():
    number = free_port()
    first = claim(number, 60)
    with pytest.raises(PortInUseError, match=r"^by another instance$"):  # at once: a wait here would release nothing
        claim(number, 60)
    first.release()
    claim(number, 60).release()


def test_a_port_that_another_process_has_is_waited_for():
    number = free_port()
    with held_by_another_process(number) as holder:
        with pytest.raises(PortInUseError, match=r"^by an instance of another test process, for 0.01 real seconds$"):
            claim(number, 0.01)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        claim(number, 60).release()
        assert holder.wait(60) == 0


def test_a_port_of_a_process_that_is_killed_is_free():
    number = free_port()
    with held_by_another_process(number) as holder:
        holder.kill()
        claim(number, 60).release()


def test_who_has_a_port_and_does_not_say_when_it_is_released_is_not_waited_for_for_ever():
    number = free_port()
    with socket.socket(socket.AF_UNIX) as not_listening:
        not_listening.bind(f"\0pytest-scf-async-port-{number}")
        with pytest.raises(PortInUseError, match=r"^by an instance of another test process, for 0.05 real seconds$"):
            claim(number, 0.05)


def test_a_fork_of_the_test_process_keeps_no_port():
    number = free_port()
    claimed = claim(number, 60)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        claimed.release()
        claim(number, 20).release()  # as soon as the fork has got as far as to let go
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_on_which_a_program_listens_is_not_claimed(
    family: socket.AddressFamily, host: str, monkeypatch: pytest.MonkeyPatch
):
    number = free_port()
    with socket.socket(family) as server:
        server.bind((host, number))
        server.listen()
        with pytest.raises(PortInUseError, match=rf"^by pid {os.getpid()} \(\S*python.*\): Address already in use$"):
            claim(number, 60)
        monkeypatch.setattr(procfs, "descriptors_of", lambda _: [])  # as those of another user
        with pytest.raises(PortInUseError, match=r"^by another program: Address already in use$"):
            claim(number, 60)
    claim(number, 60).release()


def test_any_port_is_none_that_another_has():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first, last = map(int, file.read().split())
    claimed = [claim_any() for _ in range(3)]
    numbers = [each.number for each in claimed]
    assert len(set(numbers)) == 3
    assert [number for number in numbers if first <= number <= last] == []  # a connection might have got that
    for each in claimed:
        each.release()


def test_any_port_is_none_on_which_a_program_listens(monkeypatch: pytest.MonkeyPatch):
    number = free_port()
    monkeypatch.setattr(ports, "_CHOSEN", [number])
    with socket.socket() as server:
        server.bind(("0.0.0.0", number))
        server.listen()
        with pytest.raises(PortInUseError):
            claim_any()
    claimed = claim_any()
    assert claimed.number == number
    claimed.release()


def test_any_port_is_none_of_another_process(monkeypatch: pytest.MonkeyPatch):
    number = free_port()
    monkeypatch.setattr(ports, "_CHOSEN", [number])
    with held_by_another_process(number), pytest.raises(PortInUseError):
        claim_any()
