"""An image's program that is Python: it runs in the instance itself, on its main thread, on simulated time.

Its server is one like any other: it waits on a listening socket, which is the process's own. The platform's side of the
connection is in the same process, and belongs to the door: whatever thread comes to wait looks whether the program
listens by now, or has answered. No thread of ours is needed for that.
"""

from __future__ import annotations

import _socket
import builtins
import os
import runpy
import select
import socket
import sys
from types import ModuleType
from typing import Any

from ..protocol import messages
from . import loading, members, process_ends
from .event_invoke import CLIENT, LOCALHOST, EventInvoke, only_localhost
from .patches import children, signals, socket_waits
from .patches import select as multiplexed
from .scheduler.door import door
from .scheduler.waiters import Watch, real_poll

CLIENT_PORT = 50_000
"""The port that the first event comes from; programs write it to their logs, which are the same in every run."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = ("", "0.0.0.0", "::")


def is_platform(address: Any) -> bool:
    """Whether a connection from *address* is one of ours."""
    return isinstance(address, tuple) and str(address[0]).removeprefix("::ffff:") == CLIENT


class Gateway:
    """The platform's side of a program's connections. The door calls it with its lock."""

    def __init__(self, talk: EventInvoke, invocation: messages.JsonObject) -> None:
        self._talk = talk
        self._invocation: messages.JsonObject | None = invocation
        """The first event, until the program listens."""
        self._next: messages.JsonObject | None = None
        """A later event, which stands at a gate."""
        self._end: tuple[int, int] | None = None
        """The program's end of the connection, once it has accepted that: the descriptor and its inode."""

    def begin(self, invocation: messages.JsonObject) -> None:
        """The next event on the warm instance; it stands at a gate first that waits for a listener which is there."""
        self._next = invocation
        gate = signals.take_gate_of_listener()
        if gate is None:
            self.open_gate()
        else:
            door.send_locked(messages.json_frame(messages.GATED, {"id": gate["id"], "main": False}))

    def open_gate(self) -> None:
        invocation, self._next = self._next, None
        if invocation is None:
            return
        if self._talk.ask(invocation):
            self._has_asked()
        else:
            self._answer({"fact": "PORT_NOT_BOUND", "trace": "the program listens on its port no more"})

    def look(self) -> bool:
        """All threads wait: see how far the program is; whether its event has ended with that."""
        if self._invocation is not None and not self._is_listening(self._invocation):
            return self._invocation is None  # it listens where nobody can reach it, and its event has ended
        answer = self._talk.hear()
        if answer is None and self._invocation is None:
            self._await_what_was_said()
            answer = self._talk.hear()
        if answer is not None and answer["fact"] == "BROKEN":
            answer = {"fact": "RAISED", "trace": answer["why"]}
        if answer is None:
            return False
        self._answer(answer)
        return True

    def hear_last_words(self) -> None:
        if self._invocation is not None:
            return
        self._await_what_was_said()
        answer = self._talk.hear_last_words()
        if answer is not None:
            self._answer({**answer, "ends": True})

    def _answer(self, answer: messages.JsonObject) -> None:
        door.end_event()
        door.send_locked(messages.json_frame(messages.RESULT, {**answer, "rss": peak_rss()}))

    def _is_listening(self, invocation: messages.JsonObject) -> bool:
        ready = self._talk.is_ready()
        only = bound_to if bound_to in _LOOPBACK else "" if ready else self._talk.only_host()
        if not ready and not only:
            return False
        self._invocation = None
        fact, why = None, ""
        if only:
            fact, why = "PORT_NOT_BOUND", only_localhost(only, self._talk.shown_port)
            door.end_event()
        door.tell_locked(messages.json_frame(messages.INIT_DONE, {"fact": fact, "trace": why, "rss": peak_rss()}))
        if only:
            return False
        self._talk.ask(invocation)
        self._has_asked()
        return True

    def _has_asked(self) -> None:
        """The event is on its way."""
        self._end = None
        self._talk.await_arrival()

    def accepted(self, fd: int, address: Any) -> None:
        """The program has accepted a connection from *address*."""
        if is_platform(address) and self._talk.client is not None and address[1] == self._talk.client[1]:
            self._end = fd, os.fstat(fd).st_ino

    def _await_what_was_said(self) -> None:
        """What the program has sent, or that it has hung up, may be on its way: time does not pass it."""
        if self._end is None:
            return
        fd, inode = self._end
        try:
            is_open = os.fstat(fd).st_ino == inode
        except OSError:
            is_open = False
        if not is_open:
            if not self._talk.await_what_was_said(None):
                self._end = None  # another process has it as well
            return
        borrowed = multiplexed.borrow(fd)
        try:
            self._talk.await_what_was_said(borrowed)
        finally:
            borrowed.detach()


def peak_rss() -> int:
    """Bytes: the most that this process has had in memory above what it had at its fork."""
    import resource  # noqa: PLC0415

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(max(peak - door.control_page[messages.CONTROL_MEMORY_AT_FORK], 0))


# -- the program's port ----------------------------------------------------------------------------------------------

bound_to = ""
"""The host on which the program has bound its port, where it was given another port underneath."""


def _accept_in_door(gateway: Gateway) -> None:
    """Let a plain ``accept`` be a wait of the door, and tell the *gateway* of what was accepted."""
    real = socket.socket._accept  # type: ignore[attr-defined]

    def accept(self: Any) -> Any:
        timeout = self.gettimeout()
        if door.active and timeout != 0:
            watched = real_poll()
            watched.register(self.fileno(), select.POLLIN)

            def is_ready() -> bool:
                return bool(watched.poll(0))

            def prepare() -> tuple[Watch, list[str]]:
                return Watch({self.fileno(): select.POLLIN}, is_ready), []

            if not is_ready() and not multiplexed.wait(is_ready, timeout, "accept", prepare, []):
                raise TimeoutError("timed out")
        fd, address = real(self)
        if door.active:
            gateway.accepted(fd, address)
        return fd, address

    socket.socket._accept = accept  # type: ignore[attr-defined]


def _send_in_door() -> None:
    """Let a ``send`` for which there is no room be a wait of the door, which has the platform's side read."""
    real_send, real_sendall = _socket.socket.send, _socket.socket.sendall

    def send(self: Any, data: Any, flags: int = 0, /) -> int:
        if not _is_to_platform(self):
            return real_send(self, data, flags)
        while True:
            _wait_for_room(self)
            try:
                return real_send(self, data, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue  # there was some room, and another thread has it

    def sendall(self: Any, data: Any, flags: int = 0, /) -> None:
        if not _is_to_platform(self):
            real_sendall(self, data, flags)
            return
        with memoryview(data) as view, view.cast("B") as rest:
            sent = 0
            while sent < len(rest):
                sent += send(self, rest[sent:], flags)

    real_sendfile = socket.socket.sendfile

    def sendfile(self: Any, file: Any, offset: int = 0, count: int | None = None) -> int:
        if not _is_to_platform(self):
            return real_sendfile(self, file, offset, count)
        sent: int = self._sendfile_use_send(file, offset, count)
        return sent

    socket.socket.sendfile = sendfile  # type: ignore[method-assign]
    socket.socket.send = send  # type: ignore[method-assign]
    socket.socket.sendall = sendall  # type: ignore[method-assign]


def _is_to_platform(connection: Any) -> bool:
    """Whether a ``send`` on *connection* blocks, and the event that runs came over it."""
    if not door.active or connection.gettimeout() == 0 or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        return is_platform(connection.getpeername())
    except OSError:
        return False


def _wait_for_room(connection: Any) -> None:
    watched = real_poll()
    fd = connection.fileno()
    watched.register(fd, select.POLLOUT)

    def has_room() -> bool:
        return bool(watched.poll(0))

    def prepare() -> tuple[Watch, list[str]]:
        return Watch({fd: select.POLLOUT}, has_room), []

    if not has_room() and not multiplexed.wait(has_room, connection.gettimeout(), "send", prepare, []):
        raise TimeoutError("timed out")


def _put_another_port_underneath(port: int, talk: EventInvoke) -> None:
    """Without a network of its own the instance shares the machine's: its *port* is one that is free there."""
    real_bind, real_name = socket.socket.bind, socket.socket.getsockname
    underneath: dict[tuple[int, int], tuple[Any, ...]] = {}
    """By family and real port: what the program believes it has bound."""
    talk.address = LOCALHOST, 0  # nothing: who has the port on this machine is not this program

    def bind(self: Any, address: Any, /) -> None:
        global bound_to
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        if not (door.active and internet and isinstance(address, tuple) and address[1:2] == (port,)):
            real_bind(self, address)
            return
        local = LOCALHOST
        if self.family == socket.AF_INET6:
            both = address[0] in ("", "::") and not self.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            local = f"::ffff:{LOCALHOST}" if both else "::1"
        reached = local != "::1"
        real_bind(self, (local, talk.address[1] if underneath and reached else 0))
        name = real_name(self)
        underneath[self.family, name[1]] = (*address, *name[2:])[: len(name)]
        if reached:
            talk.address = LOCALHOST, name[1]
            door.control_page[messages.CONTROL_PORT] = name[1]
        if reached or address[0] == "::1":
            bound_to = str(address[0])

    def getsockname(self: Any) -> Any:
        name = real_name(self)
        known = isinstance(name, tuple) and len(name) > 1 and underneath.get((self.family, name[1]))
        return known or name

    def underneath_of(self: Any, address: Any) -> Any:
        """Where *address* is, if it is the program's own port."""
        own = isinstance(address, tuple) and address[1:2] == (port,) and address[0] in (*_LOOPBACK, *_ANY)
        if not (own and door.active and talk.address[1] and self.family in (socket.AF_INET, socket.AF_INET6)):
            return address
        return (LOCALHOST if self.family == socket.AF_INET else f"::ffff:{LOCALHOST}", talk.address[1])

    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def connect(self: Any, address: Any, /) -> None:
        real_connect(self, underneath_of(self, address))

    def connect_ex(self: Any, address: Any, /) -> int:
        return real_connect_ex(self, underneath_of(self, address))

    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
    socket.socket.bind = bind  # type: ignore[method-assign]
    socket.socket.getsockname = getsockname  # type: ignore[method-assign]


# -- the program -----------------------------------------------------------------------------------------------------


def open_gateway(program: messages.JsonObject, invocation: messages.JsonObject) -> None:
    """From here on the door looks for the program's port, and speaks to it."""
    if not multiplexed.idle_peers:  # a server that hears nothing more on a connection of ours does not hold the clock
        socket_waits.install(())
    talk = EventInvoke(program["port"], program["headers"], CLIENT_PORT)
    gateway = Gateway(talk, invocation)
    _accept_in_door(gateway)
    _send_in_door()
    if not program["own_network"]:
        _put_another_port_underneath(program["port"], talk)
    members.install(children.real_fork)
    process_ends.do_first(lambda certain: door.hear_last_words() if certain else None)
    multiplexed.idle_hosts = frozenset({CLIENT})
    door.open_gateway(gateway)


def run(program: messages.JsonObject) -> None:
    """Be the program: what ``python script.py`` or ``python -m module`` does. Returns when it does."""
    sys.argv[:] = program["argv"]
    of_module = program["module"] is not None
    sys.orig_argv[:] = [sys.executable, *(["-m"] if of_module else []), *program["argv"]]
    os.chdir(program["directory"])
    if of_module:
        sys.path.insert(0, program["directory"])
        runpy.run_module(program["module"], run_name="__main__", alter_sys=True)
        return
    script = program["script"]
    sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    main = ModuleType("__main__")
    main.__dict__.update(__file__=script, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    loading.run_script(script, main.__dict__)
