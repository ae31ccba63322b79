"""The same interruptions of one handler by the sweep and by bare processes, and in what they differ."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bare_processes import Listing, Place, asked, keep, listing, run_bare, without_inodes
from random_handlers import Handler, random_handler
from sweep_internals import facts_of

from pytest_scf_async import ScfRuntime

COLD = " cold"
WAITS = {"sleep": "sleep(", "start": "threading.start", "join": "join of "}
"""How the texts of points begin that are waits of a kind which a bare process counts."""


class Found(NamedTuple):
    """What is there."""

    files: Listing
    items: list[str]
    """What the server has, and after that each record."""


class Came(NamedTuple):
    """What a run has come to."""

    after: Found
    """What was there when its first event had ended."""
    attempts: list[tuple[bool, bool]]
    """Of each event after the first one: whether it was FINISHED, and whether it had a cold start."""
    done: bool
    final: Found
    result: Any
    has_hung: bool = False
    """Its first event waited for itself until the function's timeout."""

    @property
    def text(self) -> str:
        return json.dumps(self, sort_keys=True)


def as_items(records: Iterable[tuple[str, Any]]) -> list[str]:
    """Records as a bare process writes them to a file."""
    return [json.dumps([name, fields]) for name, fields in records]


def by_sweep(run: Any, after: Found | None) -> Came:
    outcome = run.outcome
    assert after is not None, outcome.stuck
    effects = outcome.effects
    files: Listing = {}
    for name, file in effects.files.items():
        content = without_inodes(file.content or b"")
        files[name] = {
            "file": ["file", content],
            "symbolic link": ["link", content],
            "directory": ["directory"],
            "special file": ["special file"],
            "database": ["database", {table: rows for (path, table), rows in effects.rows.items() if path == name}],
        }[file.kind]
    attempts = [(each.status == "FINISHED", each.cold) for each in outcome.attempts[1:]]
    final = Found(files, [*effects.observed.get("items", []), *as_items(effects.records)])
    has_hung = outcome.attempts[0].status_code == 433
    return Came(after, attempts, outcome.done, final, effects.result if outcome.done else None, has_hung)


def by_bare(found: dict[str, Any]) -> Came:
    attempts = [(how == "finished", cold) for how, _, cold in found["attempts"][1:]]
    result = found["result"] if found["done"] else None
    has_hung = found["attempts"][0][0] == "hung"
    return Came(Found(*found["after"]), attempts, found["done"], Found(*found["final"]), result, has_hung)


class Sides:
    """What the sweep says of a handler, and what bare processes come to."""

    def __init__(self, runtime: ScfRuntime, handler: Handler, directory: Path, in_libraries: int) -> None:
        self.handler = handler
        file, out = directory / "code" / "job.py", directory / "out"
        file.parent.mkdir()
        out.mkdir()
        file.write_text(handler.source)
        self._after: dict[str, Found] = {}
        self._port = 0
        function = runtime.deploy(f"{file}:main_handler")
        self.sweep = runtime.sweep(function, {}, each_run=self._each_run, check=self._check)
        self.runs = {run.key: run for run in self.sweep.runs}
        assert facts_of(self.sweep).planned == len(self.runs)
        assert "kills at effects" not in self.sweep.report
        assert "a kill from the record came to something else" not in self.sweep.report or "inode" in handler.parts
        # a kill that leaves what another one does is not made by itself, and its check is not called
        alike = {id(run.outcome.effects): self._after[key] for key, run in self.runs.items() if key in self._after}
        self._after |= {
            key: alike[id(run.outcome.effects)]
            for key, run in self.runs.items()
            if not (key in self._after or run.cold)
        }

        waits = dict(self._waits())
        places = {key: place for key, run in self.runs.items() if (place := self._place_of(run, waits)) is not None}
        orders = ("early", "late") if handler.has_threads else ("early",)
        self._bare = run_bare(
            {
                "file": str(file),
                "out": str(out),
                "payload": {},
                "most_in_libraries": None if handler.has_others else in_libraries,
                "places": [place._replace(order=order) for place in places.values() for order in orders],
            }
        )
        self._has_all = not in_libraries
        found = iter(self._bare["places"])
        self._at_places = {key: [[by_bare(each) for each in next(found)] for _ in orders] for key in places}
        """What has come of each order: warm, and cold if something has lived on."""

    # -- the sweep -----------------------------------------------------------------------------------------------------

    def _each_run(self, run: Any) -> Iterator[dict[str, str]]:
        environment = {"OUT": str(run.path)}
        if not self.handler.has_server:
            yield environment
            return
        items: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
            server = threading.Thread(target=keep, args=(listener, items))
            server.start()
            try:
                yield {**environment, "PORT": str(self._port)}
            finally:
                asked(self._port, "end")
                server.join()
        run.observe(items=items)

    def _check(self, run: Any) -> None:
        items = asked(self._port, "get") if self.handler.has_server else []
        records = as_items((record.name, record.fields) for event in run.events for record in event.records)
        self._after[f"{run.how}@{run.point}"] = Found(listing(str(run.path)), [*items, *records])

    # -- where bare processes are interrupted --------------------------------------------------------------------------

    def _waits(self) -> Iterator[tuple[int, Place]]:
        """By the numbers of waits: where that is in a bare process.

        What waits for the server is at the beginning of its line: in between the process does nothing that is seen.
        """
        counts = Counter[str]()
        lines: dict[tuple[str, int], Any] = {}
        for point in self.sweep.points:
            if point.kind in ("line", "both"):
                lines[point.file, point.line] = point.found
            elif point.kind == "wait":
                kind = next((kind for kind, begins in WAITS.items() if point.text.startswith(begins)), "")
                counts[kind] += 1
                begins = lines[point.file, point.line]
                at_line = Place("", (begins.name, begins.first), begins.offset, begins.number)
                yield point.found.number, Place("", wait=kind, number=counts[kind]) if kind else at_line

    def _place_of(self, run: Any, waits: dict[int, Place]) -> Place | None:
        """Where a bare process is interrupted for *run*; None: it has no place of its own."""
        point = run.point
        if run.cold or point.kind in ("effect", "end", "library"):
            return None
        if point.kind in ("wait", "waited"):
            return waits[point.found.number]._replace(how=run.how)
        found = point.found
        line = point.line if point.kind != "taken" else 0
        return Place(run.how, (found.name, found.first), found.offset, found.number, line)

    # -- in what they differ -------------------------------------------------------------------------------------------

    def differences(self) -> Iterator[str]:
        """A text each."""
        colds = {self.runs[key.removesuffix(COLD)].outcome.end: run for key, run in self.runs.items() if run.cold}
        for key, found in self._at_places.items():
            run = self.runs[key]
            yield from self._difference(run, key, [each[0] for each in found])
            lived = [each[1] for each in found if len(each) > 1]
            end = run.outcome.end
            if (end is None) != (not lived):
                yield f"{key}: after it an instance lives on {'in bare processes' if lived else 'in the sweep'} alone"
            elif end is not None:
                # of several stops with the same end one is resumed by a cold start
                cold = colds[end] if end else self.runs[key + COLD]
                yield from self._difference(cold, key, lived)
        yield from self._different_states()
        yield from self._different_in_libraries()

    def _different_in_libraries(self) -> Iterator[str]:
        """SIGTERMs in libraries: a bare process counts the places, and the sweep the effects between which they are."""
        found = {by_bare(each).text: by_bare(each) for each in self._bare["in_libraries"]}
        tried = {
            by_sweep(run, self._after.get(key.removesuffix(COLD))).text
            for key, run in self.runs.items()
            if run.how in ("graceful", "forced")
        }
        for text in found.keys() - tried:
            yield f"a SIGTERM in a library of a bare process comes to {text}, which no interruption of the sweep does"
        for key, run in self.runs.items():
            if run.point.kind == "library" and self._has_all:
                yield from self._difference(run, key.removesuffix(COLD), [*found.values()])

    def _different_states(self) -> Iterator[str]:
        states = defaultdict[str, list[Came]](list)
        for each in map(by_bare, self._bare["states"]):
            states[json.dumps(each.after, sort_keys=True)].append(each)
        tried = set()
        for key, run in self.runs.items():
            if run.how != "forced" or "+" in key:
                continue
            after = json.dumps(self._after[key], sort_keys=True)
            tried.add(after)
            if after not in states:
                yield f"{key}: no bare process that is killed leaves {after}"
            else:
                yield from self._difference(run, key, states[after])
        for after in states.keys() - tried:
            yield f"a bare process that is killed leaves {after}, which no kill of the sweep does"

    def _difference(self, run: Any, key: str, bare: list[Came]) -> Iterator[str]:
        """Where *run*, with what was there behind the interruption *key*, is none of *bare*."""
        one = by_sweep(run, self._after.get(key))
        named = f"{key}{COLD * run.cold}"
        if one.text not in {other.text for other in bare}:
            others = "\n        or: ".join(sorted({other.text for other in bare}))
            yield f"{named}\n    sweep: {one.text}\n    bare:  {others}"
        expected = self._bare["undisturbed"]
        is_right = one.done and one.final == Found(*expected["final"]) and one.result == expected["result"]
        is_right = is_right and not one.has_hung
        if is_right != (not run.kinds):
            yield f"{named}: it is called {sorted(run.kinds)}, and came to {one.text}"


def are_alike(
    runtime: ScfRuntime, directory: Path, seed: int, in_libraries: int = 0, *, checkpoint: str = "", work: str = ""
) -> None:
    """What the sweep says of each interruption of a random handler is what bare processes come to.

    With *in_libraries* a bare process gets a SIGTERM at so many places of libraries, and else at all of them.
    """
    handler = random_handler(seed, checkpoint, work)
    differences = list(Sides(runtime, handler, directory, in_libraries).differences())
    assert not differences, f"seed {seed} ({handler.parts})\n" + "\n".join(differences) + f"\n{handler.source}"
