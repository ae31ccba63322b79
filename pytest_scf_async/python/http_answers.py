"""Follow HTTP/1 answers and WebSocket frames on a connection, to know whether the other side still owes a part of one.

`Answer` and `Frames` are fed with each piece of data that the process receives or sends. A piece may end anywhere.
"""

from __future__ import annotations

START = b"HTTP/1."
_LONGEST_HEAD = 1 << 18
_HEAD, _BODY, _SIZE, _CHUNK, _TRAILER, _UNTIL_CLOSED, _DONE, _OTHER = range(8)


class Answer:
    """One answer, fed with the data that the process receives. ``owed`` says whether more of it must follow.

    ``owed`` is None if that cannot be known, as with another protocol.
    """

    __slots__ = ("_held", "_is_interim", "_left", "_state", "_without_body", "is_websocket", "rest")

    def __init__(self, *, without_body: bool) -> None:
        """*without_body*: the request was HEAD; its answer may announce the length of a body that does not follow."""
        self._without_body = without_body
        self._state = _HEAD
        self._held = bytearray()
        """The start of a head, or of a line, that has not been received to its end."""
        self._left = 0
        self._is_interim = False
        """An interim (1xx) answer was received: the final one must follow."""
        self.is_websocket = False
        """The answer has switched the connection to WebSocket: frames follow."""
        self.rest = b""
        """The data after the end of the answer, in the last piece."""

    @property
    def owed(self) -> bool | None:
        if self._state == _OTHER:
            return None
        if self._state == _HEAD and 0 < len(self._held) < len(START) and not self._is_interim:
            return None  # another protocol may send an "H" and nothing more
        return self._state != _DONE

    @property
    def ended(self) -> bool:
        """Whether this object needs no further data: the answer has ended, or is not HTTP/1."""
        return self._state in (_DONE, _OTHER)

    def feed(self, data: bytes) -> None:
        """Take data that was received; empty *data* is the end of the connection."""
        if not data:
            self._state = _DONE
        while data and not self.ended:
            data = self._take(data)
        self.rest = data
        if data and self._state == _DONE:
            self._state = _OTHER  # more than one answer

    def _take(self, data: bytes) -> bytes:
        """Consume a part of *data*; returns the rest."""
        state = self._state
        if state == _UNTIL_CLOSED:
            return b""
        if state in (_BODY, _CHUNK):
            taken = min(self._left, len(data))
            self._left -= taken
            if not self._left:
                self._state = _DONE if state == _BODY else _SIZE
            return data[taken:]
        end = b"\r\n\r\n" if state == _HEAD else b"\n"
        self._held += data
        if state == _HEAD and not self._held.startswith(START[: len(self._held)]):
            self._state = _OTHER
            return b""
        at = self._held.find(end)
        if at < 0:
            if len(self._held) > _LONGEST_HEAD:
                self._state = _OTHER
            return b""
        text, rest = bytes(self._held[:at]), bytes(self._held[at + len(end) :])
        self._held.clear()
        if state == _HEAD:
            self._read_head(text)
        elif state == _SIZE:
            self._read_size(text.strip())
        elif not text.strip():
            self._state = _DONE  # the empty line after the trailers
        return rest

    def _read_head(self, text: bytes) -> None:
        status, *lines = text.split(b"\r\n")
        words = status.split(None, 2)
        code = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip().lower()
        length = fields.get(b"content-length", b"")
        self.is_websocket = code == 101 and fields.get(b"upgrade") == b"websocket"
        if code < 100 or code == 101 or fields.get(b"content-type", b"").startswith(b"text/event-stream"):
            self._state = _OTHER  # another protocol follows, or events that the server sends at any time
        elif code < 200:
            self._state = _HEAD
            self._is_interim = True
        elif self._without_body or code in (204, 304):
            self._state = _DONE
        elif fields.get(b"transfer-encoding", b"").endswith(b"chunked"):
            self._state = _SIZE
        elif length.isdigit():
            self._left = int(length)
            self._state = _BODY if self._left else _DONE
        else:
            self._state = _UNTIL_CLOSED

    def _read_size(self, text: bytes) -> None:
        if not text:
            return  # the line end after the previous chunk
        try:
            self._left = int(text.partition(b";")[0], 16)
        except ValueError:
            self._state = _OTHER
            return
        self._state = _CHUNK if self._left else _TRAILER


MESSAGE, PING, PONG = 1, 2, 4
_KINDS = {0x9: PING, 0xA: PONG}
_LONGER = {126: 2, 127: 8}
"""The number of bytes of the extended length, by the first length."""


class Frames:
    """One direction of a WebSocket, fed with the data that is sent in that direction."""

    __slots__ = ("_head", "_kind", "_left")

    def __init__(self) -> None:
        self._head = bytearray()
        """The start of a frame's head that is not complete yet."""
        self._kind = 0
        self._left = 0
        """How many bytes of the frame after its head are still to come."""

    def copy(self) -> Frames:
        made = Frames()
        made._head, made._kind, made._left = self._head[:], self._kind, self._left
        return made

    @property
    def in_message(self) -> bool:
        """Whether a part of the current frame is still to come, and that frame is neither a ping nor a pong."""
        return self._kind == MESSAGE and bool(self._head or self._left)

    def feed(self, data: bytes) -> int:
        """Take *data*; returns the kinds of the frames of which it contains a part, as a bit mask."""
        kinds = at = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
            else:
                self._head.append(data[at])
                at += 1
                self._read_head()
            kinds |= self._kind
        return kinds

    def _read_head(self) -> None:
        head = self._head
        self._kind = _KINDS.get(head[0] & 0x0F, MESSAGE)
        if len(head) < 2:
            return
        length = head[1] & 0x7F
        size = 2 + _LONGER.get(length, 0)
        if len(head) == size:
            mask = 4 if head[1] & 0x80 else 0
            self._left = mask + (length if size == 2 else int.from_bytes(head[2:], "big"))
            head.clear()
