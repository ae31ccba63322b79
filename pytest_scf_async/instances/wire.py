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

NEVER = -1

# instance -> harness
PARKED = 1
GATED = 2
SIGNAL_ENTERED = 3
SIGNAL_LEFT = 4
LISTENING = 5
INIT_DONE = 6
RESULT = 7
NOTE = 8

# harness -> instance
INVOKE = 32
TURN = 33
OPEN_GATE = 34
ARM_GATES = 35
ASK = 36
"""Report: the thread that has the turn does not, and others may be ready."""

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

PAGE_BYTES = 4096
STACKS_OFFSET = PAGE_BYTES
"""Behind the control page, the same file takes the stacks that ``faulthandler`` writes on STACKS_SIGNAL."""

UPTIME_US = 3_600_000_000
"""``monotonic`` at the runtime's start: an hour, as of a machine that has been up for a while."""

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


MARKED = frozenset({SIGNAL_ENTERED, SIGNAL_LEFT, LISTENING, NOTE})
"""Frames after which the sender computes on: each has a mark in the output pipe, so that lines keep their place."""


def mark_of(nonce: str) -> bytes:
    """The bytes that stand in the output pipe where a marked frame was sent; *nonce* is random, one a session."""
    return b"\0" + nonce.encode("ascii") + b"\0"
