"""Run the Python program of an image in the instance itself, on its main thread and on simulated time.

Its server waits on a listening socket, which counts as the process's own. The platform's side of the connection is in
the same process and belongs to the scheduler: whenever all threads have parked, it looks whether the program listens by
now, or has answered. That needs no thread of the plugin.
"""

from __future__ import annotations

import _socket
import builtins
import os
import runpy
import socket
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from ..protocol import messages
from ..protocol.own_code import OWN_CODE
from ..python import clock, loading, process_ends
from ..python.patches import children, connections, registry, signals, socket_waits, sockets
from ..python.patches.c_code import is_of_standard_library
from ..python.role import used_memory
from ..python.scheduler.scheduler import scheduler
from .clients.event_invoke import CLIENT, CLIENT_PORT, LOCALHOST, EventInvokeClient, only_localhost
from .clients.program_client import Broken

_WHY = "the scheduler waits for the program's connections to the platform, which are its own"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = ("", "0.0.0.0", "::")


def is_platform(address: Any) -> bool:
    """Whether a connection from *address* is one of the platform's side."""
    return isinstance(address, tuple) and str(address[0]).removeprefix("::ffff:") == CLIENT


class Gateway:
    """The platform's side of the program's connections; the scheduler calls it with its lock."""

    def __init__(self, talk: EventInvokeClient, invocation: messages.Invoke) -> None:
        self._talk = talk
        self._invocation: messages.Invoke | None = invocation
        """The first event, until the program listens."""
        self._next: messages.Invoke | None = None
        """A later event, which is at a gate."""
        self._end: _socket.socket | None = None
        """The program's end of the connection, borrowed, once it has accepted the connection."""
        self._inode = 0
        """The inode of that end: once the program has closed it, its descriptor may become another's."""

    def begin(self, invocation: messages.Invoke) -> None:
        """Begin the next event of the warm instance, unless a gate waits for a handler of signals that is installed."""
        self._next = invocation
        gate = signals.take_gate_of_listener()
        if gate is None:
            self.open_gate()
        else:
            scheduler.send_locked(messages.pack(messages.Gated(gate.id, main=False)))

    def open_gate(self) -> None:
        invocation, self._next = self._next, None
        if invocation is None:
            return
        if self._talk.ask(invocation):
            self._has_asked()
        else:
            self._answer(messages.Result("PORT_NOT_BOUND", trace="the program no longer listens on its port"))

    def poll(self) -> bool:
        """See how far the program is, when all threads have parked; whether its event has ended."""
        if self._invocation is not None and not self._is_listening(self._invocation):
            return self._invocation is None  # it listens where it cannot be reached, and its event has ended
        if self.has_received_all():
            return False
        answer = self._talk.receive()
        if answer is None and self._invocation is None:
            self._await_what_was_said()
            answer = self._talk.receive()
        if isinstance(answer, Broken):
            answer = messages.Result("RAISED", trace=answer.why)
        if answer is None:
            return False
        self._answer(answer)
        return True

    def receive_final_response(self) -> None:
        if self._invocation is not None:
            return
        self._await_what_was_said()
        answer = self._talk.receive_final_response()
        if answer is not None:
            self._answer(answer._replace(ends=True))

    def _answer(self, answer: messages.Result) -> None:
        scheduler.end_event()
        scheduler.send_locked(messages.pack(answer._replace(rss=used_memory(), used_ns=clock.processor_ns())))

    def _is_listening(self, invocation: messages.Invoke) -> bool:
        ready = self._talk.is_ready()
        only = bound_to if bound_to in _LOOPBACK else "" if ready else self._talk.only_host()
        if not ready and not only:
            return False
        self._invocation = None
        fact, why = None, ""
        if only:
            fact, why = "PORT_NOT_BOUND", only_localhost(only, self._talk.shown_port)
            scheduler.end_event()
        scheduler.initialised()
        scheduler.send_marked_locked(messages.pack(messages.InitDone(fact, why, used_memory())))
        if only:
            return False
        self._talk.ask(invocation)
        self._has_asked()
        return True

    def _has_asked(self) -> None:
        """After the request was sent: wait until the kernel has brought it to the program."""
        self._end = None
        self._talk.await_arrival()

    def accepted(self, fd: int, address: Any) -> None:
        """Note that the program has accepted a connection from *address*."""
        if is_platform(address) and self._talk.client is not None and address[1] == self._talk.client[1]:
            self._end, self._inode = connections.borrow(fd), os.fstat(fd).st_ino

    def has_received_all(self) -> bool:
        """Whether the event goes on: the program has not answered, and nothing that it has sent is on its way."""
        end = self._end
        return end is not None and self._is_open(end) and self._talk.has_received_all(end)

    def _is_open(self, end: _socket.socket) -> bool:
        try:
            return os.fstat(end.fileno()).st_ino == self._inode
        except OSError:
            return False

    def _await_what_was_said(self) -> None:
        """Wait for what the program has sent, or for its hang-up: time must not pass what is on its way."""
        if self._end is None:
            return
        if self._is_open(self._end):
            self._talk.await_what_was_said(self._end)
        elif not self._talk.await_what_was_said(None):
            self._end = None  # another process has it as well


# -- the program's port ----------------------------------------------------------------------------------------------

bound_to = ""
"""The host to which the program has bound its port, if that is another one underneath."""


def _send_files_in_scheduler() -> None:
    """Have an answer that is a file sent in parts: there is room for the next once the scheduler has read."""
    real_sendfile = socket.socket.sendfile

    def sendfile(self: Any, file: Any, offset: int = 0, count: int | None = None) -> int:
        if not _is_to_platform(self):
            return real_sendfile(self, file, offset, count)
        sent: int = self._sendfile_use_send(file, offset, count)
        return sent

    registry.replace(socket.socket, "sendfile", sendfile, _WHY)


def _is_to_platform(connection: Any) -> bool:
    """Whether a ``send`` on *connection* blocks, and the current event has come over it."""
    if (
        not scheduler.active
        or connection.gettimeout() == 0
        or connection.family not in (socket.AF_INET, socket.AF_INET6)
    ):
        return False
    try:
        return is_platform(connection.getpeername())
    except OSError:
        return False


class PortUnderneath:
    """The program's *port* as another one that is free, for an instance that shares the machine's network."""

    def __init__(self, port: int, talk: EventInvokeClient) -> None:
        self._port = port
        self._talk = talk
        self._bound: dict[tuple[int, int], tuple[Any, ...]] = {}
        """The address that the program believes it has bound, by family and real port."""
        self._real_name = socket.socket.getsockname
        talk.use_port(0)  # none yet: whoever has the port on this machine is not this program
        sockets.put_underneath(self)
        real_name = self._real_name

        def getsockname(self_: Any, /) -> Any:
            name = real_name(self_)
            known = isinstance(name, tuple) and len(name) > 1 and self._bound.get((self_.family, name[1]))
            return known or name

        registry.replace(socket.socket, "getsockname", getsockname, "the program has bound its own port")

    def bind(self, of: Any, address: Any, bind: Callable[[Any, Any], None]) -> bool:
        global bound_to
        internet = of.family in (socket.AF_INET, socket.AF_INET6)
        if not (scheduler.active and internet and isinstance(address, tuple) and address[1:2] == (self._port,)):
            return False
        local = LOCALHOST
        if of.family == socket.AF_INET6:
            both = address[0] in ("", "::") and not of.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            local = f"::ffff:{LOCALHOST}" if both else "::1"
        reached = local != "::1"
        bind(of, (local, self._talk.address[1] if self._bound and reached else 0))
        name = self._real_name(of)
        self._bound[of.family, name[1]] = (*address, *name[2:])[: len(name)]
        if reached:
            self._talk.use_port(name[1])
            scheduler.control.port = name[1]
        if reached or address[0] == "::1":
            bound_to = str(address[0])
        return True

    def underneath(self, of: Any, address: Any) -> Any:
        own = isinstance(address, tuple) and address[1:2] == (self._port,) and address[0] in (*_LOOPBACK, *_ANY)
        port = self._talk.address[1]
        if not (own and scheduler.active and port and of.family in (socket.AF_INET, socket.AF_INET6)):
            return address
        return (LOCALHOST if of.family == socket.AF_INET else f"::ffff:{LOCALHOST}", port)


# -- its forks -------------------------------------------------------------------------------------------------------


def _refuse_fork(caller: FrameType) -> None:
    """Refuse a fork: the child would be on real time and the program would wait for it, so no event would come through.

    A fork that executes another program at once is a child process like any other, and is allowed.
    """
    if caller.f_code is not os._spawnvef.__code__:  # type: ignore[attr-defined]
        scheduler.refuse(messages.Forks(_forking_line()))


def _forking_line() -> str:
    """The line of user code that is about to fork, perhaps by ``multiprocessing``; empty if it is not known."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (
        frame.f_code.co_filename.startswith(OWN_CODE) or is_of_standard_library(frame.f_code.co_filename)
    ):
        frame = frame.f_back
    return "" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


# -- the program -----------------------------------------------------------------------------------------------------


def open_gateway(program: messages.ProgramConfig, invocation: messages.Invoke) -> None:
    """Have the scheduler look for the program's port from here on, and send events there."""
    talk = EventInvokeClient(program.port, CLIENT_PORT)
    gateway = Gateway(talk, invocation)
    socket_waits.after_accept.append(gateway.accepted)
    _send_files_in_scheduler()
    if not program.own_network:
        PortUnderneath(program.port, talk)
    children.before_fork.append(_refuse_fork)
    process_ends.do_first(lambda certain: scheduler.receive_final_response() if certain else None)
    connections.use_own_hosts(frozenset({CLIENT}))
    scheduler.open_gateway(gateway)


def run(program: messages.ProgramConfig) -> None:
    """Run the program, as ``python script.py`` or ``python -m module`` does; returns when it has ended."""
    sys.argv[:] = program.argv
    sys.orig_argv[:] = [sys.executable, *(["-m"] if program.module is not None else []), *program.argv]
    os.chdir(program.directory)
    if program.module is not None:
        sys.path.insert(0, program.directory)
        runpy.run_module(program.module, run_name="__main__", alter_sys=True)
        return
    script = program.script
    assert script is not None
    sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    main = ModuleType("__main__")
    main.__dict__.update(__file__=script, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    loading.run_script(script, main.__dict__)
