"""How far an HTTP/1 answer has come, however it is cut."""

from __future__ import annotations

import pytest
from internals import MESSAGE, PING, PONG, Answer, Frames

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = {
    "a length": OK + b"content-length: 3\r\n\r\nabc",
    "no body": OK + b"Content-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na",
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_answer_is_owed_until_its_last_byte(kind: str, size: int) -> None:
    answer, data = Answer(without_body=False), WHOLE[kind]

    for start in range(0, len(data), size):
        assert answer.owed is (None if 0 < start < len(b"HTTP/1.") else True)
        answer.feed(data[start : start + size])

    assert (answer.owed, answer.ended) == (False, True)


def test_what_only_begins_like_an_answer_may_be_all_that_comes() -> None:
    answer = Answer(without_body=False)
    for byte in (b"H", b"T", b"T", b"P", b"/", b"2"):
        answer.feed(byte)
        assert answer.owed is None
    assert answer.ended


def test_what_head_asked_for_has_no_body() -> None:
    answer = Answer(without_body=True)
    answer.feed(OK + b"Content-Length: 100\r\n\r\n")
    assert answer.owed is False


def test_without_a_length_the_end_of_the_connection_ends_it() -> None:
    answer = Answer(without_body=False)
    answer.feed(OK + b"\r\nabc")
    assert answer.owed
    answer.feed(b"")
    assert answer.owed is False


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        WHOLE["a length"] + WHOLE["a length"],
        OK + b"Transfer-Encoding: chunked\r\n\r\nnone\r\n",
    ],
)
def test_of_what_has_no_end_of_its_own_nothing_is_known(data: bytes) -> None:
    answer = Answer(without_body=False)
    answer.feed(data)
    assert answer.owed is None
    assert answer.is_websocket is (b"websocket" in data)


def test_what_comes_behind_the_answer_is_not_lost() -> None:
    answer = Answer(without_body=False)
    answer.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
    assert (answer.is_websocket, answer.rest) == (True, b"\x81\x02hi")


FRAMES = [
    (b"\x89\x00", PING),
    (b"\x8a\x82mask12", PONG),
    (b"\x81\x02hi", MESSAGE),
    (b"\x01\x81maskh", MESSAGE),
    (b"\x88\x02\x03\xe8", MESSAGE),
    (b"\x82\x7e\x01\x00" + b"\x89" * 256, MESSAGE),
    (b"\x82\xff" + (70_000).to_bytes(8, "big") + b"mask" + b"\x8a" * 70_000, MESSAGE),
]


@pytest.mark.parametrize(("frame", "kind"), FRAMES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000, 1 << 20])
def test_a_frame_of_a_websocket_is_known_however_it_is_cut(frame: bytes, kind: int, size: int) -> None:
    frames = Frames()

    for _ in range(2):
        assert not frames.in_message
        for start in range(0, len(frame), size):
            assert frames.in_message is (start > 0 and kind == MESSAGE)
            assert frames.feed(frame[start : start + size]) == kind
    assert not frames.in_message


def test_several_frames_at_once() -> None:
    frames = Frames()
    assert frames.feed(b"\x8a\x00\x81\x02hi") == PONG | MESSAGE
    assert frames.copy().feed(b"\x89\x00") == PING
    assert frames.feed(b"\x89\x00\x8a\x01x\x81") == PING | PONG | MESSAGE
    assert frames.copy().in_message
    assert frames.in_message
    assert frames.feed(b"\x00") == MESSAGE
    assert not frames.in_message
    assert frames.feed(b"") == 0
