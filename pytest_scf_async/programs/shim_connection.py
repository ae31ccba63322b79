"""An instance's end of the connection to the shim of its container, which starts that outside the sandbox."""

from __future__ import annotations

import _socket
import json
import os
import signal
from collections.abc import Mapping
from typing import Any

from ..linux import linux
from ..protocol import messages

PACKET = 1 << 16
"""More bytes than a message of the shim has."""


class ShimConnection:
    def __init__(self, descriptor: int) -> None:
        self._socket = _socket.socket(fileno=descriptor)
        self.descriptor = descriptor
        self._ended: int | None = None

    def start(
        self,
        program: messages.ProgramConfig,
        environment: Mapping[str, str],
        invocation: messages.Invoke | None,
        *,
        traced: bool,
    ) -> None:
        """Have the container started; one that is to be *traced* waits before it executes its program.

        *environment* is what all its events have, *invocation* the first of them, which may have variables of its own.
        """
        given = {} if invocation is None else invocation.environment
        own = {name: value for name, value in given.items() if value is not None}
        network_of = os.getpid() if program.own_network else 0
        self._send(network_of=network_of, environment={**environment, **own}, traced=traced)

    def go_on(self) -> None:
        """Let the container execute its program, which is traced by now."""
        self._send(go_on=True)

    def _send(self, **message: object) -> None:
        self._socket.send(json.dumps(message).encode())

    def receive(self) -> dict[str, Any]:
        """A message of the shim: the process (``pid``), or how it has ``ended`` and whether it had ``started``."""
        data = linux.receive(self._socket, PACKET)
        if not data:
            os._exit(messages.SETUP_FAILED)  # it was killed, and the container is nobody's
        message: dict[str, Any] = json.loads(data)
        self._ended = message.get("ended", self._ended)
        return message

    def exit_code(self) -> int:
        """The exit code of the container, once it has ended."""
        while self._ended is None:
            self.receive()
        return self._ended

    def status(self) -> int:
        """How the container has ended, as ``waitpid`` says it of a process."""
        code = self.exit_code()
        signum = code - 128
        return signum if 0 < signum < signal.NSIG else code << 8
