"""What a real SIGKILL leaves is among the states of the record of one run.

A handler is recorded once. Then a bare process does the same again and again, and is killed at random moments: each
directory that is found has to be a recorded state, or one with a write cut at a page.
"""

from __future__ import annotations

import itertools
import os
import random
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import recorded_programs
from internals import PAGE
from sweep_internals import DiskRecord, files_and_rows, record_of, recording_of

from pytest_scf_async import ScfRuntime

# once: what a kill leaves is the kernel's doing
pytestmark = pytest.mark.once
KILLS = int(os.environ.get("SCF_KILLS", "20"))
"""Random kills of each program; `make kills` makes 300."""
PROGRAMS = (
    *("in_place", "renamed", "copied", "in_pieces", "names", "by_children", "dumb"),
    *("sqlite_delete", "sqlite_truncate", "sqlite_persist", "sqlite_wal", "two_threads", "two_processes"),
)
_BARE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import recorded_programs
function = getattr(recorded_programs, sys.argv[2])
os.write(1, b"begins")
function({}, None)
os.write(1, b"ends")
"""

Listing = dict[str, tuple[object, ...]]
"""By path: its kind, mode, content or target, and the first path that leads to the same file."""


def listing(directory: Path) -> Listing:
    """What is in *directory*."""
    found: Listing = {}
    first: dict[int, str] = {}
    for path in sorted(directory.rglob("*")):
        name, status = str(path.relative_to(directory)), path.lstat()
        content = os.readlink(path) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        same = first.setdefault(status.st_ino, name)
        found[name] = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), content, same
    return found


def is_cut(found: object, before: object, after: object) -> bool:
    """Whether *found* is the listing *before* a write which was cut at some page, beside that *after* it."""
    if not (isinstance(found, dict) and isinstance(before, dict) and isinstance(after, dict)):
        return False
    for path in found.keys() & before.keys() & after.keys():
        if found[path] == before[path]:
            continue
        is_, was, is_to_be = (each[path][2] for each in (found, before, after))
        cut = 0
        while is_[cut : cut + PAGE] == is_to_be[cut : cut + PAGE] != b"":
            cut += PAGE
        rest = {other: what for other, what in found.items() if what[3] != found[path][3]}
        return is_ == is_to_be[:cut] + was[cut:] and rest == {
            other: what for other, what in before.items() if what[3] != found[path][3]
        }
    return False


def shown(name: str, found: Listing, directory: Path) -> list[object]:
    """What has to be in the record of the program *name*: all of it, its rows, or the part of each writer."""
    if name.startswith("sqlite"):  # random numbers are in its journals
        stored = files_and_rows(directory)
        return [(sorted(stored.files), sorted((*where, repr(rows)) for where, rows in stored.rows.items()))]
    if name.startswith("two_"):  # in which order two of them write is another one in each run
        return [{path: what for path, what in found.items() if path.startswith(writer)} for writer in ("one", "two")]
    return [found]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The directory of the runs, and another one."""
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "run", tmp_path / "other"


def emptied(directory: Path) -> Path:
    shutil.rmtree(directory)
    directory.mkdir()
    return directory


def killed(command: list[str], directory: Path, after: float | None) -> float:
    """Run the *command* bare, and kill it some seconds after its begin; how long it was from there to its end."""
    process = subprocess.Popen(
        command,
        env={**os.environ, "OUT": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process:
        assert os.read(process.stdout.fileno(), 6) == b"begins"
        began = time.monotonic()
        select.select([process.stdout], [], [], after)
        seconds = time.monotonic() - began
        os.killpg(process.pid, signal.SIGKILL)  # it is not reaped yet: the group is ours, with its children
        process.stdout.read()  # up to the end of the last one of them
    return seconds


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_directory_that_a_kill_leaves_is_in_the_record(
    scf_runtime: ScfRuntime, places: tuple[Path, Path], name: str
) -> None:
    run, _ = places
    recording = recording_of(scf_runtime, run)
    function = scf_runtime.deploy(getattr(recorded_programs, name), environment={"OUT": str(run)})
    function.run({})
    scf_runtime.close()
    command = [sys.executable, "-c", _BARE, os.path.dirname(recorded_programs.__file__), name]
    has_what_kills_leave(record_of(recording), places, name, command)


@pytest.mark.parametrize(
    "name", ["bash", pytest.param("node", marks=pytest.mark.nodejs), pytest.param("go", marks=pytest.mark.go)]
)
def test_so_is_each_that_a_kill_of_a_program_leaves(
    scf_runtime: ScfRuntime, places: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    run, _ = places
    source = Path(__file__).parent / "handlers" / f"changes_files.{ENDINGS[name]}"
    command = [name, str(source)]
    if name == "go":
        environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0", "GO111MODULE": "off"}
        subprocess.run(["go", "build", "-o", tmp_path / "program", source], env=environment, check=True)
        command = [str(tmp_path / "program")]
    recording = recording_of(scf_runtime, run)
    scf_runtime.deploy_image(command=command, port=-1, environment={"OUT": str(run)}).run({})
    scf_runtime.close()
    has_what_kills_leave(record_of(recording), places, name, command)


ENDINGS = {"bash": "sh", "node": "js", "go": "go"}


def has_what_kills_leave(record: DiskRecord, places: tuple[Path, Path], name: str, command: list[str]) -> None:
    """The *record* of a run has what is found after a kill of the *command*, a bare process, at random moments."""
    run, other = places
    assert not record.problems
    known: list[list[object]] = []
    seen: set[int] = set()
    for state, image in record.states():
        if image.digest in seen and state.effect is not None:
            continue
        seen.add(image.digest)
        image.put(emptied(other))
        known.append(shown(name, listing(other), other))
    assert known[-1] == shown(name, listing(run), run)  # the last one is what the run has left

    whole = sorted(killed(command, emptied(run), None) for _ in range(3))[1]
    rng = random.Random(name)
    for _ in range(KILLS):
        killed(command, emptied(run), rng.uniform(0, whole))
        for part, found in enumerate(shown(name, listing(run), run)):
            parts = [each for each, _ in itertools.groupby(each[part] for each in known)]
            assert found in parts or any(is_cut(found, *each) for each in itertools.pairwise(parts)), (
                f"not in the record of {len(known)} states: {found!r:.2000}"
            )
