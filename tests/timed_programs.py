"""Random programs of waits, as data for handlers/timed.py: run as bare processes in real time, and compared.

Some get SIGTERMs and a SIGKILL from outside at random moments, and some what a server of the test pushes.

Nothing here knows what a wait should come to: that is what the bare process says. Where small changes of the durations
change what a program comes to, it decides nothing: who is first there depends on the machine.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_scf_async.async_event import AsyncEvent
from pytest_scf_async.runtime import ScfRuntime

PROGRAM = Path(__file__).parent / "handlers" / "timed.py"
UNITS = (0.1, 0.2, 0.4, 0.8)
"""Real seconds that one unit of time has in a bare process: more of them where it came to something else with less."""
CHANGE = 0.12
"""Units by which durations are changed, to see whether that decides something."""
LATE = 0.35
"""Units by which a bare process may be later than simulated time has it, ..."""
LATER = 0.02
"""... and what is added for each unit since its beginning."""
TRIED = 50
"""Programs that are tried until one decides something."""
FAILED = (439, 499)
"""The status codes of an event whose process has ended, as it does where nothing listens to the SIGTERM, or was ended
by force."""
LISTENERS = ("raises", "returns", "waits", "in_loop", "in_thread", "ignores", "none")
"""What a program may do at a SIGTERM; see handlers/timed.py."""
LONG = 60
"""Real seconds that no bare process takes."""

Rows = list[list[Any]]
Said = dict[str, list[list[Any]]]
"""What each thread or task has said: the step, what it came to, and when, in units since the beginning."""


class _Duration(float):
    """A number of units, which may be changed."""


SIGTERM, SIGKILL = "SIGTERM", "SIGKILL"


@dataclass(frozen=True)
class Program:
    """Threads, and what comes from outside."""

    rows: Rows
    listener: str
    outside: list[list[Any]]
    """After how many units, and what: a signal, or to the connection of which row the server pushes."""

    @property
    def is_pushed(self) -> bool:
        return any(what not in (SIGTERM, SIGKILL) for _, what in self.outside)

    def event(self, unit: float, port: int) -> dict[str, Any]:
        """What handlers/timed.py gets; 0: there is no server."""
        return {"unit": unit, "rows": self.rows, "listener": self.listener, "port": port}

    def changed(self, chance: random.Random) -> Program:
        """The same program, with durations that are a little longer or shorter."""
        return Program(_changed(self.rows, chance), self.listener, _changed(self.outside, chance))

    def in_order(self) -> list[list[Any]]:
        """What comes from outside, as it comes."""
        return sorted(self.outside, key=lambda each: each[0])


class Server:
    """Pushes to the connections that a program has made."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(LONG)
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []

    def push(self, which: int, number: int) -> None:
        while len(self._connections) <= which:
            self._connections.append(self._listening.accept()[0])
        with contextlib.suppress(ConnectionError):  # the program has ended
            self._connections[which].send(f"{number},".encode())

    def close(self) -> None:
        for each in (*self._connections, self._listening):
            each.close()


@contextlib.contextmanager
def server_of(given: Program) -> Iterator[Server | None]:
    """The server of that program, if it has one."""
    if not given.is_pushed:
        yield None
        return
    with contextlib.closing(Server()) as server:
        yield server


def port_of(server: Server | None) -> int:
    """What the program is given."""
    return 0 if server is None else server.port


def ports(server: Server | None) -> dict[str, Any]:
    """What a function is deployed with to have such a connection."""
    return {} if server is None else {"ports": [server.port], "idle_ok": [f"127.0.0.1:{server.port}"]}


def program(seed: int, *, children: bool, listeners: Sequence[str] = (), pushes: bool = False) -> Program:
    """A random program; one of *listeners* gets signals from outside; with *pushes* a server of the test pushes."""
    chance = random.Random(seed)

    def units(least: float = 0.4, most: float = 4) -> float:
        return _Duration(round(chance.uniform(least, most), 2))

    def which() -> int:
        return chance.randrange(2)

    every: list[Callable[[], list[Any]]] = [
        lambda: ["sleep", units()],
        lambda: ["sleep", units()],
        lambda: ["lock", which(), units(), units(0.4, 3)],
        lambda: ["lock", which(), units(), units(0.4, 3)],
        lambda: ["see", which(), units()],
        lambda: ["see", which(), units()],
        lambda: ["set", which()],
        lambda: ["clear", which()],
        lambda: ["acquire", which(), units()],
        lambda: ["release", which()],
        lambda: ["put", which(), chance.randrange(1000), units()],
        lambda: ["get", which(), units()],
        lambda: ["await_notice", units()],
        lambda: ["notify", 1 + which()],
        lambda: ["meet", units()],
        lambda: ["pipe", which()],
        lambda: ["poll_pipe", which(), chance.choice(["select", "poll", "epoll", "selector"]), units()],
        lambda: ["send", which()],
        lambda: ["receive", 0, units()],
        lambda: ["submit", units(), units()],
        lambda: ["first_of", units(), units(), units()],
        lambda: ["join", units(), units()],
        lambda: ["in_pool", units(), units(), units()],
        lambda: ["set_later", which(), units()],
        lambda: ["schedule", *(units() for _ in range(chance.randint(1, 3)))],
        lambda: ["signal", chance.randrange(3)],
        lambda: ["flock", units()],
        lambda: ["flock", units()],
        lambda: ["count"],
        lambda: ["await_count", chance.randint(1, 3), units()],
        lambda: ["accept", units()],
        lambda: ["connect", units()],
        lambda: ["completed", units(), units(), units()],
        lambda: ["tell_loop"],
        lambda: ["run_in_loop", units(), units()],
    ]
    of_main: list[Callable[[], list[Any]]] = [
        lambda: ["alarm", units()],
        lambda: ["alarms", units(), units(), units()],
        lambda: ["pause", units()],
        lambda: ["take_signal", units(), units()],
    ]
    with_children: list[Callable[[], list[Any]]] = [
        lambda: ["child", units(), units()],
        lambda: ["shell", units(0.4, 2), units(0.4, 2), units()],
        lambda: ["lines", units(0.4, 2), units(0.4, 2)],
        lambda: ["watch", units(), units(0.4, 2)],
        lambda: ["kill_child", units(2), units(0.4, 2)],
        lambda: ["fork", units()],
        lambda: ["process", units(), units()],
        lambda: ["from_process", units(), units()],
    ]
    of_tasks: list[Callable[[], list[Any]]] = [
        lambda: ["sleep", units()],
        lambda: ["lock", units(), units(0.4, 3)],
        lambda: ["see", units()],
        lambda: ["set"],
        lambda: ["clear"],
        lambda: ["put", chance.randrange(1000), units()],
        lambda: ["get", units()],
        lambda: ["gather", *(units() for _ in range(chance.randint(1, 3)))],
        lambda: ["first", units(), units(), units()],
        lambda: ["thread", units(), units()],
        lambda: ["later", units()],
        lambda: ["receive", 1, units()],
        lambda: ["send", which()],
        lambda: ["event", which()],
        lambda: ["cancel", units(), units()],
        lambda: ["shielded", units(), units()],
        lambda: ["answered", units(), units()],
        lambda: ["signal", which()],
    ]
    if children:
        of_tasks.append(lambda: ["child", units(), units()])
        every += with_children * 2

    if pushes:
        ways = ["select", "poll", "epoll", "selector"]
        every += [lambda: ["pushed", units()], lambda: ["poll_pushing", chance.choice(ways), units()]] * 6
        of_tasks += [lambda: ["pushed", units()]] * 4

    def steps(kinds: list[Callable[[], list[Any]]]) -> list[Any]:
        return [["sleep", units(0.2, 2)], *(chance.choice(kinds)() for _ in range(chance.randint(3, 6)))]

    rows: Rows = []
    for number in range(chance.randint(2, 4)):
        if chance.random() < 0.25:
            rows.append([["loop"], *(steps(of_tasks) for _ in range(chance.randint(1, 3)))])
        else:
            rows.append(steps(every if number else [*every, *of_main]))

    def moment(least: float, most: float) -> float:
        return _Duration(units(least, most) + 0.005)  # no wait ends just then

    outside: list[list[Any]] = []
    if pushes:
        outside += [[moment(0.3, 6), chance.randrange(len(rows))] for _ in range(chance.randint(1, 4))]
    if not listeners:
        return Program(rows, "raises", outside)
    listener = chance.choice(listeners)
    outside += [[moment(0.3, 6), SIGTERM] for _ in range(chance.choice([1, 1, 2]))]
    if chance.random() < 0.2:
        outside.append([moment(2, 8), SIGKILL])
    return Program(rows, listener, outside)


def _changed(rows: Any, chance: random.Random) -> Any:
    if isinstance(rows, _Duration):
        return round(rows + chance.uniform(-CHANGE, CHANGE), 3)
    return [_changed(each, chance) for each in rows] if isinstance(rows, list) else rows


def said_in(lines: Iterable[str], *, failed: bool) -> Said:
    """What a process said that has printed *lines*; its last word is whether it *failed*: left early, or was killed."""
    said: Said = {}
    for line in lines:
        if line.startswith("said "):
            name, *row = json.loads(line.removeprefix("said "))
            said.setdefault(name, []).append(row)
    said["process"] = [["ended", "failed" if failed else "done", 0]]
    return said


def simulated(runtime: ScfRuntime, event: AsyncEvent, given: Program, server: Server | None) -> Said:
    """What *event* says, which runs the program on simulated time, and gets there what comes from outside."""
    passed = 0.0
    for number, (at, what) in enumerate(given.in_order()):
        runtime.clock.advance(round(at - passed, 6))
        passed = at
        if event.status != "RUNNING":
            break
        if what in (SIGTERM, SIGKILL):
            event.terminate(grace_shutdown=what == SIGTERM)
        elif server is not None:
            server.push(what, number)
    event.wait()
    failed = event.status_code in FAILED
    assert failed or event.status in ("FINISHED", "ABORTED"), event.timeline
    return said_in((line.text for line in event.log), failed=failed)


def _bare_run(given: Program, unit: float) -> Said | None:
    with server_of(given) as server:
        return _bare_run_with(given, unit, server)


def _bare_run_with(given: Program, unit: float, server: Server | None) -> Said | None:
    command = [sys.executable, str(PROGRAM), json.dumps(given.event(unit, port_of(server)))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            began = time.monotonic()
            for number, (at, what) in enumerate(given.in_order()):
                try:
                    process.wait(max(began + at * unit - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    if what in (SIGTERM, SIGKILL):
                        process.send_signal(signal.Signals[what])
                    elif server is not None:
                        server.push(what, number)
            out, error = process.communicate(timeout=LONG)
        except subprocess.TimeoutExpired:
            return None  # another thread took the signal for which the main thread pauses
        finally:
            process.kill()
    assert process.returncode in (0, 3, -signal.SIGTERM, -signal.SIGKILL), error.decode()
    return said_in((first + out).decode().splitlines(), failed=process.returncode != 0)


def bare_runs(given: Program, seed: int, unit: float) -> list[Said | None]:
    """What bare processes say: of the program, and of some that are a little different, all at once; None: no end."""
    chance = random.Random(seed)
    programs = [given, *(given.changed(chance) for _ in range(4 if given.outside else 2))]
    with ThreadPoolExecutor(len(programs)) as threads:
        return list(threads.map(_bare_run, programs, [unit] * len(programs)))


def came_to(said: Said) -> dict[str, list[list[Any]]]:
    """What it came to, without the times."""
    return {name: [[what, value] for what, value, _ in of] for name, of in sorted(said.items())}


def late(simulated: Said, bare: Said) -> list[str]:
    """Where the two differ in time."""
    return [
        f"{name}: {what} {value} at {at:g}, in a bare process at {really:g}"
        for name, of in simulated.items()
        for (what, value, at), (_, _, really) in zip(of, bare[name], strict=True)
        if not -LATE / 2 <= really - at <= LATE + LATER * at
    ]


def differences(given: Program, seed: int, simulated: Said) -> list[str] | None:
    """How what a simulated run said differs from what bare processes say; None: these differ among themselves."""
    found: list[str] = []
    for unit in UNITS:
        bare, *others = bare_runs(given, seed, unit)
        if bare is None or any(other is None or came_to(other) != came_to(bare) for other in others):
            return None
        if came_to(simulated) != came_to(bare):
            found = [
                f"{name}: simulated {simulated.get(name)}, bare {bare.get(name)}"
                for name in sorted({*simulated, *bare})
                if came_to(simulated).get(name) != came_to(bare).get(name)
            ]
        elif not (found := late(simulated, bare)):
            return []
    return found


def compare(
    first: int,
    run: Callable[[Program], Said],
    *,
    children: bool = False,
    listeners: Sequence[str] = (),
    pushes: bool = False,
) -> None:
    """Compare what *run* makes of a program: of the first one, from the seed *first* on, that decides something."""
    for seed in range(first, first + TRIED):
        given = program(seed, children=children, listeners=listeners, pushes=pushes)
        found = differences(given, seed, run(given))
        if found is not None:
            assert not found, "\n".join([f"seed {seed}: {given}", *found])
            return
    raise AssertionError(f"none of {TRIED} programs decides anything")
