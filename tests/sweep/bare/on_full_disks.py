"""A program that is swept with faults, and run by itself on disks that are full: the two are compared."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bare_processes import listing
from full_disk import BLOCK, run_on_full_disks, run_with_error
from sweep_internals import DiskRecord, recorded_run

from pytest_scf_async import Function, Run, ScfRuntime, fault

DRIVER = """
import sys, traceback
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import job
try:
    job.main_handler({}, None)
except Exception as error:
    print(traceback.format_exception_only(type(error), error)[-1])
    sys.exit(1)
"""


VARIANTS = {
    "fsync": "fsync",
    "fdatasync": "fdatasync",
    "truncate": "truncate,ftruncate",
    "unlink": "?unlink,unlinkat",
    "mkdir": "?mkdir,mkdirat",
    "link": "?link,linkat",
    "symlink": "?symlink,symlinkat",
    "rename": "?rename,renameat,renameat2",
}
"""Calls that a program makes in its directory alone, with the system calls that they may be."""


class Tried:
    """A program that is swept, and run by itself on disks that are full."""

    def __init__(self, deploy: Callable[[ScfRuntime], Function], command: list[str], out: Path) -> None:
        self.deploy, self._command, self._out = deploy, command, out

    def swept(self, runtime: ScfRuntime, how: Any) -> dict[str, dict[str, Any]]:
        """What the sweep says becomes of it, by the point."""
        found: dict[str, dict[str, Any]] = {}

        def check(run: Run) -> None:
            found[run.point or ""] = {"after": listing(str(run.path))}

        def each(run: Run) -> Iterator[dict[str, str]]:
            yield {"OUT": str(run.path)}
            found[run.point or ""]["final"] = listing(str(run.path))

        sweep = runtime.sweep(self.deploy(runtime), each_run=each, check=check, how=how)
        for run in sweep.runs:
            first = run.outcome.attempts[0]
            known = found[run.point.label]
            known["ends well"], known["text"] = first.status == "FINISHED", first.message
            known["call"] = run.point.text.split()[0]
            assert bool(run.differences) == (known["final"] != found[""]["final"])
        del found[""]
        assert found.keys() == {point.label for point in sweep.points}
        return {point.label: found[point.label] for point in sweep.points}

    def on_full_disks(self) -> dict[str, dict[str, Any]]:
        """What becomes of it on a disk that is full when an effect begins, by the point: where there can be one."""
        self._out.mkdir(parents=True)
        with ScfRuntime() as runtime:
            record = recorded_run(runtime, self.deploy(runtime), self._out)
        cases = dict(_cases_in(record))
        found = run_on_full_disks(self._command, str(self._out), [*cases.values()])
        return dict(zip(cases, found, strict=True))

    def with_errors(self, points: Mapping[str, tuple[str, int]]) -> dict[str, dict[str, Any]]:
        """What becomes of it where another tracer has a call fail with EIO, by the point: each is the first, second, …
        one of its name."""
        self._out.mkdir(parents=True)
        found = {}
        for point, (call, number) in points.items():
            found[point] = run_with_error(self._command, str(self._out), VARIANTS[call], number, "EIO")
            shutil.rmtree(self._out)
            self._out.mkdir()
        return found


def _cases_in(record: DiskRecord) -> Iterator[tuple[str, tuple[int, int]]]:
    """The effects of which each fails, or is cut, on a disk with so many blocks and inodes, and none before it does.

    A ``tmpfs`` renames without an inode, and appends to a block that is not full.
    """
    most = [0, 0]
    for state, image in record.states():
        effect = state.effect
        if effect is None:
            break
        files = {inode: node.entry for inode, node in image.nodes.items() if node.entry.kind == "file"}
        blocks = {inode: -(-entry.size // BLOCK) for inode, entry in files.items()}
        used = [sum(blocks.values()), len(image.inodes) - 1]
        if state.cut is None:
            most = [max(both) for both in zip(most, used, strict=True)]
            fails = effect.takes_space and effect.start >= blocks.get(effect.inode, 0) * BLOCK
        else:
            fails = effect.may_end_at(state.cut)
        if fails and used[0] >= most[0] and used[1] >= most[1] and effect.call != "rename":
            yield state.name, (used[0], used[1])


def of_program(command: list[str], directory: Path) -> Tried:
    """A program."""

    def deployed(runtime: ScfRuntime) -> Function:
        return runtime.deploy_image(command=command, port=-1, timeout=600)

    return Tried(deployed, command, directory / "disk" / "run")


def compared(tried: Tried, runtime: ScfRuntime, given_back: str = "", *, lasting: bool = True) -> int:
    """At how many points a full disk could be had, once all that was compared with what the sweep says.

    A disk has room again when a file is removed, where a fault that lasts goes on: at the point *given_back* the
    program ends with another error.
    """
    swept, full = tried.swept(runtime, fault("enospc", lasting=lasting)), tried.on_full_disks()
    _require_same(swept, full, given_back)
    return len(full)


def compared_with_strace(tried: Tried, runtime: ScfRuntime) -> set[str]:
    """The calls that fail with EIO, once what strace makes of that was compared with what the sweep says."""
    swept = tried.swept(runtime, fault("eio"))
    numbers: Counter[str] = Counter()
    points = {}
    for point, known in swept.items():
        call = known["call"]
        if call in VARIANTS:
            numbers[call] += 1
            points[point] = call, numbers[call]
    _require_same(swept, tried.with_errors(points))
    return set(numbers)


def _require_same(swept: dict[str, dict[str, Any]], bare: dict[str, dict[str, Any]], but: str = "") -> None:
    assert bare.keys() <= swept.keys()
    for point, found in bare.items():
        code, output = found["first"]
        known = swept[point]
        assert known["ends well"] == (code == 0), point
        if output and point != but:
            assert known["text"].rpartition("/")[2] == output.strip().rpartition("/")[2], point
        assert (known["after"], known["final"]) == (found["after"], found["final"]), point


def of_handler(source: str, directory: Path) -> Tried:
    """The handler with that *source*."""
    path, driver = directory / "code" / "job.py", directory / "driver.py"
    path.parent.mkdir()
    path.write_text(textwrap.dedent(source))
    driver.write_text(DRIVER)
    command = [sys.executable, "-I", str(driver), str(path.parent)]
    return Tried(lambda runtime: runtime.deploy(f"{path}:main_handler"), command, directory / "disk" / "run")
