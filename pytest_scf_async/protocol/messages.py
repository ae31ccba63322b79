"""What the harness and an instance say to each other: frames on a channel, packets to the zygote, shared memory.

A channel is a stream socket; a frame is a length, a kind and a body. Hot bodies are packed numbers, the rest is JSON.
Both sides of every connection are processes of ours, but a handler lives in one of them: nothing here evaluates code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("<IB")
PARKED_BODY = struct.Struct("<qqHHI")
"""due (µs, or NEVER), order of registration, threads outside the door, threads in announced real waits, frames seen."""

LEASED_BODY = struct.Struct("<qI")

NEVER = -1

# harness -> zygote: a kind and a number in each packet. These are hot: each page that the zygote writes after a fork
# has to be copied, so it unpacks numbers and no JSON.
TO_ZYGOTE = struct.Struct("<BI")
SPAWN = 1
"""Fork a process; its four descriptors come along: channel, output, control page, attention."""
RECLAIM = 2
EXPECT = 3
"""What the next instances will be like: JSON follows."""

# zygote -> harness
FROM_ZYGOTE = struct.Struct("<BIqq")
READY = 1
"""It serves; its process id."""
SPAWNED = 2
"""The number, the process id; a pidfd comes along, and a descriptor of the ``/tmp`` in its mount namespace."""
GONE = 3
"""The number, the wait status, the peak RSS in bytes."""
REFUSED = 4
"""The number; why follows, in the kernel's words."""
NOT_PRELOADED = 6
"""A module cannot be imported for all instances; why follows."""
NO_NAMESPACES = 5
"""The kernel does not give what instances were to have; why follows."""

# instance -> harness
PARKED = 1
GATED = 2
SIGNAL_ENTERED = 3
SIGNAL_LEFT = 4
LISTENING = 5
INIT_DONE = 6
RESULT = 7
NOTE = 8
LEASED = 9
"""The time as the instance has moved it, and how many records of leased waits there are: ``LEASED_BODY``."""
SIGNALS_HEARD = 10
"""The answer to ASK_SIGNALS; no body."""

TERMINAL = 11
"""A debugger shows a text on the user's terminal, and waits for a TYPED."""

SIGNALS_KEPT = 12
"""Signals whose handlers are called once the wait of the main thread is over: it is one of C code."""

PROGRAM = 13
"""Of the agent: the process id of the program that it has started; 0, and ``at``: it has ended."""

FORKED = 14
"""Of an image's program: it has forked the process of that id, which is in lockstep; descriptors come along: channel,
output, control page, attention."""
KILLED = 15
"""Of an image's program: it sends a signal to the process of that id, a fork of its own or of its parent's; the harness
delivers it."""
ENDS_PROCESS = 16
"""User code is about to send a process the signal to end."""

BEFORE_INIT_RAISED = "BEFORE_INIT_RAISED"
"""The fact of an INIT_DONE that is no fact of the platform: the test's own function failed."""

# harness -> instance
INVOKE = 32
TURN = 33
OPEN_GATE = 34
ARM_GATES = 35
ASK = 36
"""Report: the thread that has the turn does not, and others may be ready."""
ASK_SIGNALS = 37
"""Say when the handlers of all signals that have come by now have been called, or wait themselves."""

SAVE_COVERAGE = 38
"""Save what was measured, say so in CONTROL_COVERED, and stop: the process is about to be ended."""

TYPED = 39
"""The line that was typed; None at the end of the input."""

BECOME = 37
"""The first frame: which function to be an instance of. Descriptors come with it, in this order: of the clock's page;
of the file that takes what instances measured, where the session is measured; of the socket that takes listening
sockets, where ports are relayed into the instance's network."""

FOR_AGENTS = frozenset({INVOKE, OPEN_GATE})
"""What the agent of a free-running program is told."""

# The clock's page, one a runtime: 64-bit integers.
CLOCK_NOW = 0
"""The simulated time, in whole µs since the Unix epoch."""
CLOCK_SEQUENCE = 1
"""The number of waits registered so far in the runtime: the order in which waits with equal due times end."""
CLOCK_BOOT = 2
"""The simulated time, in µs since the epoch, at which ``monotonic`` was 0."""

# The control page, one an instance: 64-bit integers.
CONTROL_MESSAGES = 0
"""Frames that the harness has sent: a computing thread compares, so that it reads only when there is something."""

CONTROL_LEASE = 1
"""The instance may move the clock itself to any time before this one, in µs since the epoch; 0: it may not."""
CONTROL_LEASED = 2
"""How many waits have ended in that way."""
CONTROL_RECORDS = 3
"""How many records of such waits there are."""
CONTROL_FORKS = 4
"""Changes before and after the instance starts a child process."""
CONTROL_CHILDLESS = 5
"""Set by the harness: what CONTROL_FORKS was when no child of the instance, nor of its children, lived any more."""
CONTROL_COVERED = 6
"""How many times what was measured was saved because the harness asked."""
CONTROL_WATCHES = 7
"""How many waits of the instance a descriptor ends, which a child process may hold the other end of."""
SETUP_FAILED = 113
"""The exit code of an instance that could not become one: our fault, never the user's."""

CONTROL_ALARM = 9
"""When the instance's alarm is due, in µs since the epoch; 0: none is set."""
CONTROL_MEMORY_AT_FORK = 8
"""Bytes that the instance had in memory when it was forked."""
CONTROL_PORT = 10
"""Of an image's program without a network of its own: the port that it has underneath; 0: none."""
LEASE_LOG = 64
"""Where their records begin: place of the text (offset << 16 | length), first and last beginning in µs, count."""
LEASE_RECORD = 4
LEASE_RECORDS = 100
PASSES = LEASE_LOG + LEASE_RECORD * LEASE_RECORDS
"""Where the passes of places in user code are counted, of each event anew, one slot a place."""
PLACES = 48
"""How many places of one event can be watched."""

PAGE_BYTES = 4096
TEXTS_OFFSET = PAGE_BYTES
"""Behind the control page, the same file has the texts of these records, ..."""
TEXTS_BYTES = 4096
THREADS_OFFSET = TEXTS_OFFSET + TEXTS_BYTES
"""... a row for each thread that user code has started: its identity in Python, the kernel's, and its name; and
the wait of the door that holds the clock, ..."""
THREAD_NAME = struct.Struct("<QIB51s")
THREAD_HOLDS = struct.Struct("<B191s")
THREAD_ROW = struct.Struct("<QIB51sB191s")
THREAD_ROWS = 64
STACKS_OFFSET = THREADS_OFFSET + THREAD_ROW.size * THREAD_ROWS
"""... and then takes the stacks that ``faulthandler`` writes on STACKS_SIGNAL."""

UPTIME_US = 3_600_000_000
"""``monotonic`` at the runtime's start: an hour, as of a machine that has been up for a while."""

COVERED = struct.Struct("<8sII")
"""What stands before each piece of what instances measured: a mark, the length, the checksum."""
COVERED_MARK = b"\xc0vered\r\n"

RELAYED = struct.Struct("<H")
"""What comes with each listening socket of a relayed port: its number."""

OWNER_MARK = "PYTEST_SCF_ASYNC_OWNER"
"""The environment variable that every process below the zygote inherits; its value names the session."""

JsonObject = dict[str, Any]


def frame(kind: int, body: bytes = b"") -> bytes:
    return HEADER.pack(len(body), kind) + body


def json_frame(kind: int, body: JsonObject) -> bytes:
    return frame(kind, json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode("ascii"))


class FrameReader:
    """Bytes in, whole frames out."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEADER.size:
            length, kind = HEADER.unpack_from(buffer)
            end = HEADER.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[HEADER.size : end])
            del buffer[:end]
            yield kind, body


MARKED = frozenset({INIT_DONE, PROGRAM, SIGNAL_ENTERED, SIGNAL_LEFT, LISTENING, NOTE, LEASED})
"""Frames after which the sender computes on: each has a mark in the output pipe, so that lines keep their place."""


def mark_of(nonce: str) -> bytes:
    """The bytes that stand in the output pipe where a marked frame was sent; *nonce* is random, one a session."""
    return b"\0" + nonce.encode("ascii") + b"\0"
