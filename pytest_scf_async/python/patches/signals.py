"""Signal handlers of user code: they run at once on the main thread, and are reported to the harness.

The operating system has one trampoline for all of them. In a wait it puts the signal into the scheduler's inbox, and
the handler is called at a safe point.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from ...linux import linux, procfs
from ...protocol import messages
from ..scheduler.callers import describe_caller
from ..scheduler.scheduler import Waiter, scheduler
from . import children, registry

_real_signal = signal.signal
_real_getsignal = signal.getsignal
_real_sigmask = signal.pthread_sigmask
_real_set_wakeup_fd = signal.set_wakeup_fd
_real_kill = os.kill
_real_pthread_kill = signal.pthread_kill
_real_raise_signal = signal.raise_signal
_real_register = faulthandler.register
_real_unregister: Any = faulthandler.unregister


class Awaited:
    """A thread that waits for signals by ``sigwait`` or its kin, and for which, as the kernel's mask."""

    __slots__ = ("mask", "task", "waiter")

    def __init__(self, signums: list[int]) -> None:
        self.mask = sum(1 << (signum - 1) for signum in set(signums))
        self.task = threading.get_native_id()
        self.waiter: Waiter | None = None

    def begins(self, waiter: Waiter) -> None:
        """It waits from here on."""
        self.waiter = waiter
        with scheduler.lock:
            awaited.append(self)
            scheduler.control.awaits_sigterm = waits_for(signal.SIGTERM)

    def ends(self) -> None:
        """It does not wait any more, if it did."""
        if self in awaited:
            awaited.remove(self)
            scheduler.control.awaits_sigterm = waits_for(signal.SIGTERM)


_ENDS = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
"""The signals by which user code ends its children."""
_handlers: dict[int, Any] = {}
"""The handlers that user code has installed, by signal."""
_gates: list[messages.ListeningGate] = []
"""Gates at the moment at which user code has installed a handler."""
handled: list[Callable[[], None]] = []
"""Called after the handler of a signal has returned; not when it has raised."""
before_kill: list[Callable[[Any, Any], None]] = []
"""Called with what ``os.kill`` was called with, before it does anything; raises nothing."""
before_pthread_kill: list[Callable[[Any, Any], None]] = []
"""The same for ``signal.pthread_kill``, and for ``signal.raise_signal``, which sends to the calling thread."""
changes = 0
"""How often this process has reported that something else becomes of SIGTERM."""
awaited: list[Awaited] = []
"""In the order in which they have begun to wait."""
_wakeup = -1
"""The end of the pipe of `watch` to which the kernel's signal handler writes."""


_call: Callable[[Any, int, FrameType | None], None] | None = None
"""Calls a handler, once there have been gates at lines; None: it is called as it is."""


def call_handlers_by(call: Callable[[Any, int, FrameType | None], None]) -> None:
    """Have *call* call each handler from here on, with the handler before its arguments."""
    global _call
    _call = call


def _trampoline(signum: int, frame: FrameType | None) -> None:
    if scheduler.active:
        scheduler.on_signal(signum, frame)
    else:
        handler = _handlers.get(signum)
        if handler is not None:
            handler(signum, frame)


def call_handler(signum: int, frame: FrameType | None) -> None:
    """Call user code's handler of *signum*, and report that it is entered and left."""
    if signum == signal.SIGALRM:
        scheduler.alarm_taken()
    handler = _handlers.get(signum)
    if handler is None:  # user code has removed it between the signal and the safe point
        _report_handled()
        return
    scheduler.send_marked(messages.pack(messages.SignalEntered(signum)))
    try:
        if _call is None:
            handler(signum, frame)
        else:
            _call(handler, signum, frame)
    except BaseException as error:
        scheduler.send_marked(messages.pack(messages.SignalLeft(signum, type(error).__name__, _text_of(error))))
        raise
    scheduler.send_marked(messages.pack(messages.SignalLeft(signum, None)))
    _report_handled()


def _report_handled() -> None:
    for call in handled:
        call()


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<no text>"


def fake_signal(signalnum: Any, handler: Any) -> Any:
    """``signal.signal``: the operating system gets the trampoline, which reports each call of the handler."""
    if callable(handler) and not isinstance(handler, signal.Handlers):
        known = _handlers.get(signalnum)
        _handlers[signalnum] = handler  # before the trampoline is there, which may be called at once
        try:
            previous = _real_signal(signalnum, _trampoline)
        except BaseException:
            if known is None:
                del _handlers[signalnum]
            else:
                _handlers[signalnum] = known
            if scheduler.active and threading.current_thread() is not threading.main_thread():
                refused = messages.Listening(int(signalnum), "refused", describe_caller("signal.signal"))
                scheduler.send_marked(messages.pack(refused))
            raise
        if signalnum == signal.SIGCHLD:
            children.ignore_stops_of_children()
        before = previous if known is None else known
    else:
        previous = _real_signal(signalnum, handler)
        before = _handlers.pop(int(signalnum), previous)
    if scheduler.active:
        kind = "handler" if _listens(int(signalnum)) else getattr(handler, "name", str(handler))
        _report(int(signalnum), kind)
        stand_if_listening()
    return before


def _listens(signum: int) -> bool:
    return _handlers.get(signum, signal.default_int_handler) is not signal.default_int_handler


def fake_register(signum: int, file: Any = None, all_threads: bool = True, chain: bool = False) -> None:
    """``faulthandler.register``: its handler is C's. Unless it is to chain, Python's is not called from here on."""
    _real_register(signum, file, all_threads, chain)
    if not chain:
        _report_outside(signum, "replaced")


def fake_unregister(signum: int) -> bool:
    """``faulthandler.unregister``: the signal has the handler again that it had before."""
    was_registered: bool = _real_unregister(signum)
    state = procfs.signal_state(os.getpid(), signum)
    if was_registered and state is not None and state.caught:
        _report_outside(signum, "handler")
    return was_registered


def _report_outside(signum: int, kind: str) -> None:
    """Report what code outside Python does to a handler of user code, which Python still knows."""
    if scheduler.active and _listens(signum):
        _report(int(signum), kind)


def _report(signum: int, kind: str) -> None:
    global changes
    changes += signum == signal.SIGTERM
    scheduler.send_marked(messages.pack(messages.Listening(signum, kind)))


def set_gates(gates: list[messages.ListeningGate]) -> None:
    _gates[:] = gates


def stand_if_listening() -> None:
    """Stop at the gates that wait for a handler which has been installed."""
    while (gate := take_gate_of_listener()) is not None:
        scheduler.gate(gate.id, "listening")


def take_gate_of_listener() -> messages.ListeningGate | None:
    """Remove and return a gate that waits for a handler which has been installed; None if there is none."""
    for gate in _gates:
        if _listens(gate.signum):
            _gates.remove(gate)
            return gate
    return None


def fake_getsignal(signalnum: Any) -> Any:
    """``signal.getsignal``: the handler that user code has installed, not the trampoline."""
    return _handlers.get(int(signalnum), _real_getsignal(signalnum))


def caught() -> list[int]:
    """The signals for which user code, or Python itself, has handlers."""
    return [int(signum) for signum in _handlers]


def blocked_by_main(signum: int) -> bool:
    return _blocks(os.getpid(), signum)


def _blocks(task: int, signum: int) -> bool:
    return bool(procfs.signal_masks("self", task).get(b"SigBlk", 0) >> (signum - 1) & 1)


def is_handled_at_once(signum: Any) -> bool:
    """Whether a handler of user code runs on the main thread as soon as *signum* is sent to this process."""
    if not scheduler.active or signum not in _handlers:
        return False
    return not (blocked_by_main(signum) and procfs.is_blocked("self", signum))


def waits_for(signum: int) -> int:
    """The kernel's number of the oldest thread that waits for *signum*; 0: none does."""
    waiting = {each.task for each in awaited if each.mask >> (signum - 1) & 1}
    return next((task for task in map(int, procfs.tasks_of("self") if waiting else ()) if task in waiting), 0)


def sent_to_waiter(signum: int) -> bool:
    """Send *signum* to the thread that waits for it, where the kernel would pass by it; False: nothing was sent."""
    taker = procfs.taker_of("self", signum, waits_for(signum)) if awaited and signum > 0 else 0
    return taker != 0 and linux.signal_thread(os.getpid(), taker, signum)


def fake_kill(pid: Any, signal: Any, /) -> None:
    for call in before_kill:
        call(pid, signal)
    if pid == os.getpid() and sent_to_waiter(signal):
        return
    if pid == os.getpid() and is_handled_at_once(signal):
        scheduler.signal_main(lambda: _real_kill(pid, signal))
        return
    if scheduler.active and signal in _ENDS and isinstance(pid, int):
        scheduler.send(messages.pack(messages.EndsProcess(pid)))
    _real_kill(pid, signal)


def fake_pthread_kill(thread_id: Any, signalnum: Any, /) -> None:
    for call in before_pthread_kill:
        call(thread_id, signalnum)
    _send_to(thread_id, signalnum, lambda: _real_pthread_kill(thread_id, signalnum))


def fake_raise_signal(signalnum: Any, /) -> None:
    for call in before_pthread_kill:
        call(threading.get_ident(), signalnum)
    _send_to(threading.get_ident(), signalnum, lambda: _real_raise_signal(signalnum))


def _send_to(ident: Any, signum: Any, send: Callable[[], None]) -> None:
    """Have *send* send *signum* to the thread *ident*; where it is handled, wait until the main thread has noticed."""
    to_main = ident == threading.main_thread().ident
    # before Python 3.11 a forked main thread's native_id is its parent's
    task = os.getpid() if to_main else next((e.native_id or 0 for e in threading.enumerate() if e.ident == ident), 0)
    if scheduler.active and task and isinstance(signum, int) and signum in _handlers and not _blocks(task, signum):
        if not to_main:
            scheduler.inbox.elsewhere.add(int(signum))
        scheduler.signal_main(send)
    else:
        send()


def fake_set_wakeup_fd(fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
    """``signal.set_wakeup_fd``: the descriptor of `watch` is set again when user code removes its own."""
    if not scheduler.active:
        return _real_set_wakeup_fd(fd, warn_on_full_buffer=warn_on_full_buffer)
    ours = fd == -1
    previous = _real_set_wakeup_fd(_wakeup if ours else fd, warn_on_full_buffer=warn_on_full_buffer and not ours)
    return -1 if previous == _wakeup else previous


def watch() -> tuple[int, int]:
    """Have each signal write to a pipe, which the main thread polls while it is parked; both ends of it.

    Without it a signal that comes between the interpreter's last look for signals and the ``poll`` would not end that.
    """
    global _wakeup
    read, _wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    _real_set_wakeup_fd(_wakeup, warn_on_full_buffer=False)
    return read, _wakeup


def leave_watch() -> None:
    """Leave the pipe to the parent, in a child that user code forked, before the scheduler closes its ends."""
    if scheduler.active:
        theirs = _real_set_wakeup_fd(-1)
        if theirs not in (-1, _wakeup):
            _real_set_wakeup_fd(theirs)


def reset() -> None:
    """Set default dispositions and an empty mask, whatever the process that started pytest had set."""
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ):
            continue  # the interpreter itself ignores the last two
        try:
            if _real_getsignal(number) in (signal.SIG_IGN, None):
                _real_signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # reserved by the C library
    _handlers[int(signal.SIGINT)] = signal.default_int_handler
    _real_signal(signal.SIGINT, _trampoline)
    _real_sigmask(signal.SIG_SETMASK, ())


def install() -> None:
    reported = "handlers are reported to the harness, and when each is called"
    registry.replace(signal, "signal", fake_signal, reported)
    registry.replace(signal, "getsignal", fake_getsignal, reported)
    registry.replace(signal, "set_wakeup_fd", fake_set_wakeup_fd, "ours wakes the main thread where there is no other")
    at_once = "the handler of a signal to this process is called at once"
    registry.replace(signal, "pthread_kill", fake_pthread_kill, at_once)
    registry.replace(signal, "raise_signal", fake_raise_signal, "a signal to another thread interrupts no wait")
    registry.replace(os, "kill", fake_kill, at_once)
    outside = "it is reported that a handler of C replaces Python's"
    registry.replace(faulthandler, "register", fake_register, outside)
    registry.replace(faulthandler, "unregister", fake_unregister, outside)
    _real_signal(linux.POKE_SIGNAL, lambda signum, frame: scheduler.on_poke(frame))
