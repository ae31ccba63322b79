"""Random programs of waits, as data for handlers/timed.py: run as bare processes in real time, and compared.

Some get a SIGTERM from outside at a random moment.

Nothing here knows what a wait should come to: that is what the bare process says. Where small changes of the durations
change what a program comes to, it decides nothing: who is first there depends on the machine.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
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
PROCESS_EXITED = 439
"""The status code of an event whose process has ended, as it does where nothing listens to the SIGTERM."""
LISTENERS = ("raises", "returns", "waits", "in_loop", "in_thread", "ignores", "none")
"""What a program may do at a SIGTERM; see handlers/timed.py."""
LONG = 60
"""Real seconds that no bare process takes."""

Rows = list[list[Any]]
Said = dict[str, list[list[Any]]]
"""What each thread or task has said: the step, what it came to, and when, in units since the beginning."""


class _Duration(float):
    """A number of units, which may be changed."""


@dataclass(frozen=True)
class Program:
    """Threads, and the SIGTERM that somebody sends to them: after so many units, if at all."""

    rows: Rows
    listener: str
    sigterm: float | None = None

    def event(self, unit: float) -> dict[str, Any]:
        """What handlers/timed.py gets."""
        return {"unit": unit, "rows": self.rows, "listener": self.listener}

    def changed(self, chance: random.Random) -> Program:
        """The same program, with durations that are a little longer or shorter."""
        return Program(_changed(self.rows, chance), self.listener, _changed(self.sigterm, chance))


def program(seed: int, *, children: bool, listeners: Sequence[str] = ()) -> Program:
    """A random program; one of *listeners* gets a SIGTERM from outside."""
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

    def steps(kinds: list[Callable[[], list[Any]]]) -> list[Any]:
        return [["sleep", units(0.2, 2)], *(chance.choice(kinds)() for _ in range(chance.randint(3, 6)))]

    rows: Rows = []
    for number in range(chance.randint(2, 4)):
        if chance.random() < 0.25:
            rows.append([["loop"], *(steps(of_tasks) for _ in range(chance.randint(1, 3)))])
        else:
            rows.append(steps(every if number else [*every, *of_main]))
    if not listeners:
        return Program(rows, "raises")
    return Program(rows, chance.choice(listeners), units(0.3, 6))


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


def simulated(runtime: ScfRuntime, event: AsyncEvent, given: Program) -> Said:
    """What *event* says, which runs the program on simulated time, and gets its SIGTERM there."""
    if given.sigterm is not None:
        runtime.clock.advance(given.sigterm)
        if event.status == "RUNNING":
            event.terminate(grace_shutdown=True)
    event.wait()
    failed = event.status_code == PROCESS_EXITED
    assert failed or event.status in ("FINISHED", "ABORTED"), event.timeline
    return said_in((line.text for line in event.log), failed=failed)


def _bare_run(given: Program, unit: float) -> Said | None:
    command = [sys.executable, str(PROGRAM), json.dumps(given.event(unit))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            if given.sigterm is not None:
                try:
                    process.wait(given.sigterm * unit)
                except subprocess.TimeoutExpired:
                    process.terminate()
            out, error = process.communicate(timeout=LONG)
        except subprocess.TimeoutExpired:
            return None  # another thread took the signal for which the main thread pauses
        finally:
            process.kill()
    assert process.returncode in (0, 3, -signal.SIGTERM), error.decode()
    return said_in((first + out).decode().splitlines(), failed=process.returncode != 0)


def bare_runs(given: Program, seed: int, unit: float) -> list[Said | None]:
    """What bare processes say: of the program, and of two that are a little different, all at once; None: no end."""
    chance = random.Random(seed)
    programs = [given, given.changed(chance), given.changed(chance)]
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
    first: int, run: Callable[[Program], Said], *, children: bool = False, listeners: Sequence[str] = ()
) -> None:
    """Compare what *run* makes of a program: of the first one, from the seed *first* on, that decides something."""
    for seed in range(first, first + TRIED):
        given = program(seed, children=children, listeners=listeners)
        found = differences(given, seed, run(given))
        if found is not None:
            assert not found, "\n".join([f"seed {seed}: {given}", *found])
            return
    raise AssertionError(f"none of {TRIED} programs decides anything")
