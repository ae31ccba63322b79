"""Interrupts a handler as a bare process, starts it again until it is done, and says what is there in the end.

It is what the sweep's verdicts are compared with, so it shares no code with the package, and nothing of what it does is
like what the sweep does: there is no simulated time and no record. A process of Python runs the handler. It is killed
for real, or gets a real SIGTERM, before the instruction, in the sleep or at the change of the directory that is asked
for. What it leaves stays where it is, and the next process is started on it. Of the platform's
rules these are here: a process that has ended an event is used for the next one, if that comes within five minutes, and
one whose event has failed is not.

Where a place is counted (the third pass of an instruction), the process counts by itself with ``sys.settrace``. Changes
of the directory are found by a tracer, which looks at the directory before each system call of the process, of its
threads and of its children, whatever call that is.

As a script, it reads a ``Job`` as JSON from its standard input, and writes its answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

ATTEMPTS = 5
"""How often the function is invoked again."""
_PRELOADED = (
    fcntl,
    pathlib,
    subprocess,
    threading,
)  # what handlers import is there before the fork, as that takes most of their time
WARM = 3
"""For how many of these what lives on is used: the caller waits for 1, 2, 4 and 8 minutes, and it is kept for five."""
_LOOK_AGAIN_MS = 20
_MAGIC = b"SQLite format 3\0"
_BESIDE = ("-journal", "-wal", "-shm")

Listing = dict[str, Any]
"""By path: ``["file", content]``, ``["link", target]``, ``["directory"]``, or ``["database", rows by table]``."""


def run_bare(job: dict[str, Any]) -> dict[str, Any]:
    """What bare processes come to in a job of `Bench`."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__],
        input=json.dumps(job),
        env={"OUT": job["out"], "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


# What is in the directory


def listing(directory: str) -> Listing:
    """What is in *directory*; a database as the rows that SQLite finds after a crash."""
    found: Listing = {}
    databases = []
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            shown = os.path.relpath(path, directory)
            if os.path.islink(path):
                found[shown] = ["link", os.readlink(path)]
            elif os.path.isdir(path):
                found[shown] = ["directory"]
            elif not os.path.isfile(path):
                found[shown] = ["special file"]
            else:
                with open(path, "rb") as file:
                    content = file.read()
                if content.startswith(_MAGIC) or (not content and os.path.exists(f"{path}-journal")):
                    databases.append((shown, path))
                found[shown] = ["file", without_inodes(content)]
    for shown, path in databases:
        with contextlib.suppress(sqlite3.DatabaseError):  # what cannot be read is a file like any other
            found[shown] = ["database", _rows_of(path)]
            for each in _BESIDE:
                found.pop(shown + each, None)
    return found


def without_inodes(content: bytes) -> str:
    """*content* as text, where inode numbers, which are others in each run, are all the same."""
    return re.sub(r"inode-\d+", "inode-0", content.decode("latin-1"))


def _rows_of(path: str) -> dict[str, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as scratch:
        copy = os.path.join(scratch, "copy")
        for end in ("", "-journal", "-wal"):
            if os.path.exists(path + end):
                shutil.copyfile(path + end, copy + end)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.row_factory = sqlite3.Row
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for (name,) in tables}


def _emptied(directory: str) -> None:
    for name in os.listxattr(directory):
        if name.startswith("user."):
            os.removexattr(directory, name)
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


# A server that handlers speak to


def keep(listener: socket.socket, items: list[str]) -> None:
    """Serve connections until ``end``: ``put`` adds an item, ``clear`` forgets all. Who spoke first is served first.

    One that stays open and says nothing holds nobody up, as its process may be stuck.
    """
    spoken: dict[socket.socket, bytes] = {}
    command = b""
    while command != b"end":
        for each in select.select([*spoken, listener], [], [])[0]:
            if each is listener:
                spoken[listener.accept()[0]] = b""
                continue
            read = b""
            with contextlib.suppress(ConnectionError):
                read = each.recv(1000)
            *lines, spoken[each] = (spoken[each] + read).split(b"\n")
            for line in lines:
                command, _, item = line.partition(b" ")
                if command == b"put":
                    items.append(item.decode())
                elif command == b"clear":
                    items.clear()
                with contextlib.suppress(ConnectionError):
                    each.sendall(json.dumps(items).encode() + b"\n")
            if not read:
                each.close()
                del spoken[each]
    for each in spoken:
        each.close()


def asked(port: int, command: str) -> Any:
    """What the server says to *command*, once it has served those that have spoken to it before."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile() as lines:
        connection.sendall(command.encode() + b"\n")
        return json.loads(lines.readline())


# A process that runs the handler


class Place(NamedTuple):
    """Where the first event is interrupted, and how."""

    how: str
    """``"graceful"`` or ``"forced"``."""
    code: tuple[str, int] = ("", 0)
    """The name and the first line of a code object of the handler's file."""
    offset: int = -1
    """Before the instruction there."""
    number: int = 0
    """At its pass with this number, or in the wait with this number."""
    line: int = 0
    """In which line that has to be."""
    wait: str = ""
    """Which kind of wait: ``"sleep"``, the ``"start"`` of a thread, or its ``"join"``."""
    in_library: bool = False
    """The places that are counted are those of libraries where Python looks for signals: a function begins, or one in C
    has returned."""
    order: str = "early"
    """``"early"``: another thread is through when its start returns; ``"late"``: it begins when the main thread joins
    it, and was interrupted before, if that is the place."""

    @classmethod
    def of(cls, fields: list[Any]) -> Place:
        how, code, *rest = fields
        return cls(how, tuple(code), *rest)


class _Interrupter:
    """Interrupts the process that it is in at a place."""

    def __init__(self, file: str, place: Place) -> None:
        self._file, self._place, self._passes = file, place, 0

    def begin(self) -> None:
        if self._place.offset >= 0:
            sys._getframe().f_trace_opcodes = True  # Python 3.12 looks whether it is wanted when this is set,
            sys.settrace(self._on_call)
        if self._place.in_library:
            sys.setprofile(self._on_event)

    def _on_event(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_return", "c_exception") and frame.f_code.co_filename not in (self._file, __file__):
            self._passes += 1
            if self._passes == self._place.number:
                self.interrupt()

    def _on_call(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if (code.co_filename, code.co_name, code.co_firstlineno) != (self._file, *self._place.code):
            return None
        frame.f_trace = self._on_instruction  # and Python 3.13 whether there is a function
        frame.f_trace_opcodes = True
        return self._on_instruction

    def _on_instruction(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode" and frame.f_lasti == self._place.offset:
            self._passes += 1
            if self._passes == self._place.number:
                if self._place.line not in (0, frame.f_lineno):
                    os.write(2, f"at line {frame.f_lineno}, not {self._place.line}".encode())
                    os._exit(70)
                self.interrupt()
        return self._on_instruction

    def patch(self) -> None:
        """Have sleeps take no time, and threads run in the order of the place."""
        late = self._place.order == "late"
        start, join, run = threading.Thread.start, threading.Thread.join, threading.Thread.run
        gates: dict[threading.Thread, threading.Event] = {}

        def slept(seconds: float) -> None:
            self._waits("sleep")

        def gated_run(thread: threading.Thread) -> None:
            gates[thread].wait()
            run(thread)

        def started(thread: threading.Thread) -> None:
            gates[thread] = threading.Event()
            start(thread)
            if not late:
                gates[thread].set()
                join(thread)
            self._waits("start")

        def joined(thread: threading.Thread, timeout: float | None = None) -> None:
            self._waits("join")
            gates[thread].set()
            join(thread)

        time.sleep = slept
        threading.Thread.start, threading.Thread.join, threading.Thread.run = started, joined, gated_run

    def _waits(self, kind: str) -> None:
        if kind == self._place.wait and threading.current_thread() is threading.main_thread():
            self._passes += 1
            if self._passes == self._place.number:
                self.interrupt()

    def passes(self) -> int | None:
        """How often it has come to such a place; None: not to the one that was asked for."""
        return self._passes if not self._place.how or self._passes >= self._place.number else None

    def interrupt(self) -> None:
        """This thread has the signal when this returns: a listener of it has run."""
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM if self._place.how == "graceful" else signal.SIGKILL)


def _serve(file: str, commands: int, answers: int, *, traced: bool) -> None:
    """Run the handler as often as it is asked for."""
    handler: Callable[[Any, None], object] | None = None
    with os.fdopen(commands) as lines:
        for line in lines:
            payload, place = json.loads(line)
            interrupter = _Interrupter(file, Place("") if place is None else Place.of(place))
            if place is not None or handler is None:
                interrupter.patch()
            if traced:
                _ptrace(_TRACEME, 0)
                os.kill(os.getpid(), signal.SIGSTOP)
            try:
                interrupter.begin()
                if handler is None:
                    handler = _loaded(file)
                answer = ["finished", handler(payload, None)]
            except Exception as error:
                answer = ["failed", f"{type(error).__name__}: {error}"]
            finally:
                sys.settrace(None)
                sys.setprofile(None)
            os.write(answers, json.dumps([*answer, interrupter.passes()]).encode() + b"\n")
            if traced:
                return


def _loaded(file: str) -> Callable[[Any, None], object]:
    with open(file, encoding="utf-8") as source:
        code = compile(source.read(), file, "exec")
    names: dict[str, Any] = {"__name__": "index", "__file__": file}
    exec(code, names)  # noqa: S102  (the tests' own handler)
    handler: Callable[[Any, None], object] = names["main_handler"]
    return handler


class Instance:
    """A process that has not run the handler yet."""

    def __init__(self, file: str, *, traced: bool = False) -> None:
        theirs, self._commands = os.pipe()
        self._answers, ours = os.pipe()
        self.lives = True
        self.passes = 0
        """How often its last event has come to a place like the one that was asked for."""
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setsid()
                os.close(self._commands)
                os.close(self._answers)
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(null, 1)
                _serve(file, theirs, ours, traced=traced)
                status = 0
            except SystemExit:
                status = 0
            finally:
                os._exit(status)
        os.close(theirs)
        os.close(ours)

    def ask(self, payload: object, place: Place | None = None) -> None:
        os.write(self._commands, json.dumps([payload, place]).encode() + b"\n")

    def answer(self) -> tuple[str, Any]:
        """What has become of the event: finished, failed, died or hung."""
        found = b""
        while not found.endswith(b"\n"):
            if not select.select([self._answers], [], [], _LOOK_AGAIN_MS / 1000)[0]:
                if _waits_for_itself(self.pid):
                    self.end()
                    return "hung", None
                continue
            read = os.read(self._answers, 1 << 16)
            if not read:
                self.end()
                return "died", None
            found += read
        how, value, passes = json.loads(found)
        if passes is None:
            raise AssertionError("it did not come to the place")
        self.passes = passes
        if how == "failed":
            self.end()
        return how, value

    def end(self, *, is_reaped: bool = False) -> None:
        """Kill it, with all that it has started, as the platform does."""
        if self.lives:
            self.lives = False
            if not is_reaped:
                os.killpg(self.pid, signal.SIGKILL)
                status = os.waitpid(self.pid, 0)[1]
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 70:
                    raise AssertionError("a place is not in its line")
            os.close(self._commands)
            os.close(self._answers)


def _waits_for_itself(pid: int) -> bool:
    """Whether a process waits for a lock of a file that it has itself: it does so for ever."""
    with open("/proc/locks", encoding="ascii") as file:
        locks = [line.split()[1:] for line in file]
    waited = [lock[5] for lock in locks if lock[0] == "->" and int(lock[4]) == pid]
    return any(lock[0] != "->" and lock[4] in waited and int(lock[3]) == pid for lock in locks)


# The tracer: the states of the directory

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_OPTIONS = 1 | 2 | 4 | 8 | 16 | 0x100000  # calls are marked; fork, vfork, clone and exec are followed; dies with us
_WALL = 0x40000000
_CALL_STOP = signal.SIGTRAP | 0x80
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(request, pid, None, data) == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _seen(directory: str) -> list[tuple[object, ...]]:
    """What is in *directory*, as it is: what SQLite shares in memory beside a database is not."""
    found: list[tuple[object, ...]] = [_attributes_of(directory)]
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink():
                found.append((entry.name, os.readlink(entry.path)))
            elif entry.is_file() and not entry.name.endswith("-shm"):
                with open(entry.path, "rb") as file:
                    found.append((entry.name, entry.inode(), file.read(), *_attributes_of(entry.path)))
            elif not entry.is_file():
                found.append((entry.name, stat.S_IFMT(entry.stat().st_mode)))
    return sorted(found, key=str)


def _attributes_of(path: str) -> tuple[object, ...]:
    return tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))


def _states(file: str, payload: object, see: Callable[[], object], until: int = 0) -> Iterator[int]:
    """Run the handler, traced; at each new state of what it may change, which *see* looks at, its number.

    The process is stopped meanwhile. It is killed at the state with the number *until*.
    """
    instance = Instance(file, traced=True)
    instance.ask(payload)
    begun = number = 0
    last: object = None
    inside: dict[int, bool] = {}
    while True:
        try:
            tid, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            break
        if not os.WIFSTOPPED(status):
            if tid == instance.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(instance.pid, signal.SIGKILL)  # what it has started
            continue
        signum, event = os.WSTOPSIG(status), status >> 16
        if not begun:
            begun = 1
            _ptrace(_SETOPTIONS, tid, _OPTIONS)
            signum = 0
        elif signum == _CALL_STOP:
            signum = 0
            inside[tid] = not inside.get(tid, False)
            if inside[tid] and (now := see()) != last:
                last, number = now, number + 1
                yield number
                if number == until:
                    os.killpg(instance.pid, signal.SIGKILL)
        elif event or (signum == signal.SIGSTOP and tid not in inside):
            signum = 0
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            _ptrace(_SYSCALL, tid, signum)
    instance.end(is_reaped=True)


# What is asked


class Bench:
    """Runs of one handler in one directory, with one server."""

    def __init__(self, file: str, out: str, payload: object, port: int) -> None:
        self.file, self.out, self.payload, self.port = file, out, payload, port
        self.expected = self._until_done(None, [])
        self.result = self.expected["result"]

    def _begin(self) -> None:
        _emptied(self.out)
        os.truncate(os.environ["TOLD"], 0)
        asked(self.port, "clear")

    def _found(self) -> list[Any]:
        return [listing(self.out), self._told()]

    def _seen(self) -> object:
        return _seen(self.out), self._told()

    def _told(self) -> list[str]:
        """What the server has, and each record."""
        with open(os.environ["TOLD"], encoding="utf-8") as told:
            return [*asked(self.port, "get"), *told.read().splitlines()]

    def interrupted(self, place: Place, *, cold: bool = False) -> dict[str, Any]:
        """Interrupt the first event at *place*; with *cold* a process that lives on is not used again."""
        self._begin()
        instance = Instance(self.file)
        instance.ask(self.payload, place)
        answer = instance.answer()
        lives = instance.lives
        if cold:
            instance.end()
        after = self._found()
        attempts = [(*answer, True)]
        return {"after": after, "lives": lives and not self._is_done(attempts), **self._until_done(instance, attempts)}

    def warm_and_cold(self, place: Place) -> list[dict[str, Any]]:
        """What comes of it where a process that lives on is used again, and where it is not, if one does."""
        found = self.interrupted(place)
        return [found, self.interrupted(place, cold=True)] if found["lives"] else [found]

    def in_libraries(self, most: int) -> list[dict[str, Any]]:
        """What comes of a SIGTERM at each place in libraries, or at so many of them, as far apart as possible."""
        self._begin()
        instance = Instance(self.file)
        instance.ask(self.payload, Place("", in_library=True))
        instance.answer()
        instance.end()
        numbers = range(1, instance.passes + 1)
        chosen = numbers[:: -(-len(numbers) // most) if most else 1]
        return [
            found for each in chosen for found in self.warm_and_cold(Place("graceful", number=each, in_library=True))
        ]

    def killed_at_each_state(self) -> list[dict[str, Any]]:
        """Kill it at each state of the directory and of the server, one after the other."""
        self._begin()
        whole = sum(1 for _ in _states(self.file, self.payload, self._seen))
        found = []
        for number in range(1, whole + 1):
            self._begin()
            reached = list(_states(self.file, self.payload, self._seen, number))
            if reached[-1] != number:
                raise AssertionError(f"killed at state {number} of {whole}, it came to {reached[-1]}")
            after = self._found()
            found.append({"after": after, **self._until_done(None, [("died", None, True)])})
        return found

    def _until_done(self, instance: Instance | None, attempts: list[tuple[str, Any, bool]]) -> dict[str, Any]:
        while not self._ends(attempts):
            if instance is not None and len(attempts) > WARM:
                instance.end()
            cold = instance is None or not instance.lives
            if instance is None or not instance.lives:
                instance = Instance(self.file)
            instance.ask(self.payload)
            answer = instance.answer()
            attempts.append((*answer, cold))
        if instance is not None:
            instance.end()
        return {
            "attempts": attempts,
            "done": self._is_done(attempts),
            "result": attempts[-1][1],
            "final": self._found(),
        }

    def _ends(self, attempts: list[tuple[str, Any, bool]]) -> bool:
        if not attempts:
            return False
        return self._is_done(attempts) or len(attempts) > ATTEMPTS

    def _is_done(self, attempts: list[tuple[str, Any, bool]]) -> bool:
        return attempts[-1][0] == "finished" and (not hasattr(self, "result") or attempts[-1][1] == self.result)


def main() -> None:
    """Be the server of a process that does what was asked: that has no other children than those it traces."""
    job = json.load(sys.stdin)
    descriptor, os.environ["TOLD"] = tempfile.mkstemp()
    os.close(descriptor)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.environ["PORT"] = str(listener.getsockname()[1])
        bench = os.fork()
        if bench:
            keep(listener, [])
            os.unlink(os.environ["TOLD"])
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(bench, 0)[1]))
    try:
        print(json.dumps(_answer(job)), flush=True)
    finally:
        asked(int(os.environ["PORT"]), "end")


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    bench = Bench(job["file"], job["out"], job["payload"], int(os.environ["PORT"]))
    return {
        "undisturbed": bench.expected,
        "places": [bench.warm_and_cold(Place.of(place)) for place in job["places"]],
        "in_libraries": bench.in_libraries(job["most_in_libraries"]) if job["most_in_libraries"] is not None else [],
        "states": bench.killed_at_each_state(),
    }


if __name__ == "__main__":
    main()
