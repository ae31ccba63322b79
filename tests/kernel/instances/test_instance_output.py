"""In what order an instance's output and messages are taken in, and of which time each line is: without a process."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

import pytest
from internals import Instance, Output, messages, shared_page

MARK = messages.mark_of("nonce")
PARKED = messages.pack(messages.Parked(0, (0, 0, 0), 0, 0, 0, 0, 0, ""))


def wrote(time_us: int) -> bytes:
    return messages.pack(messages.Wrote(time_us, 0))


class Pumped:
    """An instance under a lease, the owner that gets its lines, and the ends that the process would write to."""

    def __init__(self, *, c_code: bool) -> None:
        self.clock_us = 0
        self.lines: list[tuple[str, int | None]] = []
        self.instance = Instance.__new__(Instance)
        self.instance.owner, self.instance.pid, self.instance.called = self, 1, True  # type: ignore[assignment]
        self.instance._unsent = bytearray()
        self.instance._frames = messages.FrameReader()
        self.instance.descriptors = []
        self.instance.channel, self.channel = socket.socketpair()
        self.instance.channel.setblocking(False)
        self.instance.output = Output(MARK, self.instance._wrote, self.instance._dated)
        self.control_file = shared_page.shared_memory("control", shared_page.CONTROL_BYTES)
        self.instance.control = shared_page.ControlPage(self.control_file)
        self.instance.control.c_code = c_code
        self.instance.reported_us = 0

    def close(self) -> None:
        for end in (self.instance.channel, self.channel):
            end.close()
        self.instance.control.release()
        for fd in (self.instance.output.fd, self.instance.output.theirs, self.control_file):
            os.close(fd)

    def write(self, data: bytes) -> None:
        os.write(self.instance.output.theirs, data)

    def pump(self) -> list[tuple[str, int | None]]:
        self.instance.pump()
        found, self.lines = self.lines, []
        return found

    def instance_said(self, instance: Instance, kind: int, body: bytes) -> None:
        if kind == messages.WROTE:
            wrote = messages.wrote_in(kind, body)
            assert wrote is not None
            instance.reported_us = wrote.time_us

    def instance_wrote(self, instance: Instance, line: str) -> None:
        self.lines.append((line, instance.reported_us))

    def instance_leased(self, instance: Instance, records: int) -> None: ...

    def instance_clock_us(self) -> int:
        return self.clock_us

    def instance_stirs(self, instance: Instance) -> None: ...


@pytest.fixture
def pumped():
    made: list[Pumped] = []

    def make(*, c_code: bool) -> Pumped:
        made.append(Pumped(c_code=c_code))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_what_code_in_c_wrote_after_a_message_without_a_mark_has_the_time_of_the_next_mark(pumped):
    it = pumped(c_code=True)
    it.channel.sendall(PARKED)
    it.write(b"10\n" + MARK + b"20\n" + MARK)
    it.channel.sendall(wrote(10) + wrote(20))
    assert it.pump() == [("10", 10), ("20", 20)]


def test_where_the_message_of_a_mark_is_still_to_come_the_lines_before_it_wait_for_it(pumped):
    it = pumped(c_code=True)
    it.channel.sendall(PARKED)
    it.write(b"10\n" + MARK)
    assert it.pump() == []
    it.channel.sendall(wrote(10))
    assert it.pump() == [("10", 10)]


def test_what_has_no_mark_behind_it_was_written_at_the_time_that_the_clock_stands_at(pumped):
    it = pumped(c_code=True)
    it.clock_us = 30
    it.write(b"10\n" + MARK + b"30\n")
    it.channel.sendall(wrote(10))
    assert it.pump() == [("10", 10), ("30", 30)]


def test_without_code_in_c_all_up_to_a_mark_is_of_the_time_that_was_reported(pumped):
    it = pumped(c_code=False)
    it.channel.sendall(PARKED)
    it.write(b"0\n" + MARK + b"10\n")
    it.channel.sendall(messages.frame(messages.NOTE, struct.pack("<q", 0)))
    assert it.pump() == [("0", 0), ("10", 0)]


def test_a_library_that_is_loaded_while_the_output_is_read_is_heeded(pumped, monkeypatch):
    it = pumped(c_code=False)
    read = Instance._read

    def load_and_read(instance: Instance) -> list[tuple[int, bytes]]:
        assert instance.control.reading
        instance.control.c_code = True
        it.write(b"10\n")
        it.clock_us = 10
        return read(instance)

    monkeypatch.setattr(Instance, "_read", load_and_read)
    assert it.pump() == [("10", 10)]
    assert not it.instance.control.reading


def test_an_instance_that_wrote_nothing_costs_one_look_at_its_output(pumped, monkeypatch):
    """Each wait by message does this: a pipe that was found empty needs no call that reads how much is in it."""
    instance = pumped(c_code=False)
    looks: list[str] = []
    for module, name in ((os, "read"), (fcntl, "ioctl")):
        genuine = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, of=genuine: (looks.append(of.__name__), of(*given))[1])
    instance.channel.send(PARKED)

    instance.pump()

    assert looks == ["read"]
    assert instance.instance.output.drained
