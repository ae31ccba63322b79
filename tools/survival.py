"""Sweeps the rows of examples/survival/, and writes docs/survival.md: which ways to keep state survive what.

Run: python tools/survival.py (`make survival`). `--rows sqlite3` runs those whose names begin so and prints them;
`--kills 30` starts each job as a bare process, kills it at 30 random moments and compares with the page's verdict.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parent.parent
SURVIVAL = TREE / "examples" / "survival"
sys.path.insert(0, str(SURVIVAL))
from rows import Row  # noqa: E402

PAGE = TREE / "docs" / "survival.md"
BUILT = TREE / "build" / "survival"
"""What `build` of a row has made."""
BEGIN, END = "<!-- [survival] -->", "<!-- [end] -->"
KILLS = ("graceful", "forced")
EVERYTHING = (*KILLS, "power,posix", "power,ext4")
TWICE = "killed twice"
STATES = 6
"""Of the states that a kill leaves at least so many, and less than twice as many, are killed once more."""
COLUMNS = {
    "SIGTERM": "graceful",
    "killed": "forced",
    "within a write": "forced",
    "power, posix": "power,posix",
    "power, ext4": "power,ext4",
}
WORDS = {
    "never finishes": "never opens again",
    "lost": "lost",
    "diverged": "other data",
    "late": "late",
    "doubled": "doubled",
}
"""What the page says of each kind of finding, the worst first."""
WELL = "all well"
NONE = "—"
"""Where nothing could be tried: no write is longer than a page."""


def rows() -> list[Row]:
    """All rows, in the order of the page."""
    found: list[Row] = []
    for name in ("rows_of_python", "rows_of_programs", "rows_of_libraries"):
        if importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).ROWS
    return found


def lacks(row: Row) -> str:
    """What is not installed of that which *row* needs; empty: nothing."""
    for need in row.needs:
        distribution, _, version = need.partition("==")
        if version:
            try:
                has = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                return need
            if has != version:
                return f"{need} ({has} is installed)"
        elif shutil.which(need) is None and not _is_module(need):
            return need
    return ""


def _is_module(name: str) -> bool:
    try:
        return bool(importlib.import_module(name))
    except ImportError:
        return False


@dataclass
class Result:
    """What the sweeps of a row have found."""

    name: str
    tried: dict[str, int] = field(default_factory=dict)
    """By column, how many interruptions there were, ..."""
    failed: dict[str, int] = field(default_factory=dict)
    """... after how many of them something is wrong, ..."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """... and the worst of that, in the words of the page."""
    first: str = ""
    """The first bad line, or function of a library, ..."""
    key: str = ""
    """... and the key of the run, for ``--replay``."""
    listens: bool = True
    """Whether it has a handler of SIGTERM."""
    error: str = ""
    """Why it could not be swept."""
    left_out: int = 0
    """How many points ``limit`` of the row leaves out."""
    without_repro: list[str] = field(default_factory=list)
    """Of each class of findings of which there is no repro, why."""


def command_of(row: Row) -> list[str]:
    """The command of *row*; its program is built first, where it has to be."""
    program = BUILT / row.directory
    if row.build and not program.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        given = [word.replace("{program}", str(program)) for word in row.build]
        subprocess.run(given, cwd=SURVIVAL / row.directory, env={**os.environ, "GO111MODULE": "off"}, check=True)
    return [word.replace("{program}", str(program)) for word in row.command]


@contextmanager
def job_of(row: Row, seed: str = "survival") -> Iterator[tuple[Any, Any]]:
    """A runtime, and the job of *row* in it; the working directory is the job's meanwhile."""
    from pytest_scf_async import ScfRuntime, ScfSettings  # noqa: PLC0415  what else this does starts quickly

    before, there = Path.cwd(), SURVIVAL / row.directory
    os.chdir(there)
    try:
        with ScfRuntime(ScfSettings(preload=row.preload), seed=seed, lookup=[there], root=there) as runtime:
            is_python = row.command[0] == "python" and not row.traced
            yield runtime, runtime.deploy_image(command_of(row), port=-1, in_process=is_python)
    finally:
        os.chdir(before)


def swept(row: Row, how: Sequence[str], repros: Path | None = None) -> Result:
    """Sweep *row* with each of *how*; a repro of each class of findings goes into a directory below *repros*."""
    from pytest_scf_async.errors import ScfAsyncError  # noqa: PLC0415

    result = Result(row.name)
    keywords: dict[str, Any] = {"ignore": list(row.ignore) or None, "limit": row.limit}
    try:
        with job_of(row) as (runtime, job):
            # One sweep of each: a state that a kill leaves, too, would not be tried as one without power.
            powers = [[way] for way in how if way not in KILLS]
            for ways in filter(None, [[way for way in how if way in KILLS], *powers]):
                sweep = runtime.sweep(job, each_run=_runs(row), how=[*map(_way, ways)], **keywords)
                result.left_out += sweep._swept.left_out
                for way in ways:
                    runs = [run for run in sweep.runs if run.how.partition(">")[0] == way]
                    for column in (column for column, name in COLUMNS.items() if name == way):
                        cut = column == "within a write"
                        _judge(result, column, [run for run in runs if not cut or "+" in run.point.shown])
                    if way == "graceful":
                        result.listens = any(run.outcome.listened for run in runs)
                _name_the_first(result, sweep.failures)
                for number, found in enumerate(sweep.failures if repros else (), 1):
                    try:
                        found.write_repro(repros / f"{row.name}-{ways[-1]}-{number}")
                    except ScfAsyncError as error:  # its verdict stands
                        result.without_repro.append(str(error))
            if how == EVERYTHING:
                _kill_twice(result, row, runtime, job, keywords)
    except ScfAsyncError as error:
        result.error = str(error)
    if not result.listens and "SIGTERM" in result.verdicts and "killed" in result.verdicts:
        # Nobody listens, so the kernel ends the process wherever it is, within a system call, too.
        words = [*WORDS.values(), WELL]
        result.verdicts["SIGTERM"] = min(result.verdicts["SIGTERM"], result.verdicts["killed"], key=words.index)
    return result


def _runs(row: Row, state: Path | None = None) -> Any:
    """What is `each_run` of a sweep whose runs begin with *state*."""

    def each_run(run: Any) -> Iterator[Mapping[str, str]]:
        if state is not None:
            shutil.copytree(state, run.path, dirs_exist_ok=True, symlinks=True)
        yield dict(row.environment)
        if state is not None:  # where nothing is left to do, nothing else would be compared
            run.observe(ended=True)

    return each_run


def _kill_twice(result: Result, row: Row, runtime: Any, job: Any, keywords: Mapping[str, Any]) -> None:
    """Begin with what a kill has left, and kill the job again while it goes on from there."""
    if result.verdicts["killed"] != WELL:
        result.verdicts[TWICE] = result.verdicts["killed"]
        return
    with tempfile.TemporaryDirectory() as directory:
        states: dict[str, Path] = {}
        done = set[str]()
        """What the undisturbed run leaves, with which nothing is left to do."""

        def keep(run: Any) -> None:
            digest = _digest(run.path)
            if run.point is None:
                done.add(digest)
            elif digest not in states:
                states[digest] = Path(directory, str(len(states)))
                shutil.copytree(run.path, states[digest], symlinks=True)

        runtime.sweep(job, each_run=_runs(row), how="forced", check=keep, workers=1, **keywords)
        found = [path for digest, path in states.items() if digest not in done]
        runs: list[Any] = []
        limited = {**keywords, "limit": row.limit_of_twice}
        # Other random numbers than those of the run that left the state: its temporary files have other names.
        with job_of(row, "twice") as (other, again):
            for state in found[:: max(1, len(found) // STATES)]:
                sweep = other.sweep(again, each_run=_runs(row, state), how="forced", **limited)
                result.left_out += sweep._swept.left_out
                runs += sweep.runs
        _judge(result, TWICE, runs)


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        found.update(f"{each.relative_to(path)}\0".encode())
        found.update(each.read_bytes() if each.is_file() else b"")
    return found.hexdigest()


def _way(name: str) -> Any:
    from pytest_scf_async import power  # noqa: PLC0415

    kind, _, file_system = name.partition(",")
    return power(file_system) if kind == "power" else kind


def _judge(result: Result, column: str, runs: Sequence[Any]) -> None:
    wrong = [{kind.value for kind in run.kinds} & WORDS.keys() for run in runs]
    result.tried[column] = len(runs)
    result.failed[column] = sum(map(bool, wrong))
    worst = next((text for kind, text in WORDS.items() if any(kind in kinds for kinds in wrong)), WELL)
    result.verdicts[column] = worst if runs else NONE


def _name_the_first(result: Result, failures: Sequence[Any]) -> None:
    """A kill says most: its line stays, whatever power failures find."""
    if not failures or result.key:
        return
    killed = [each for each in failures if each.earliest.how.startswith("forced")]
    earliest = (killed or failures)[0].earliest
    point = earliest.point
    result.key = earliest.key
    line = f"`{point.file}:{point.line}`" if point.line else ""
    result.first = f"`{point.function}`" if point.function else (point.missing or point.text or line)


# -- the page ----------------------------------------------------------------------------------------------------------


def line_of(row: Row, result: Result) -> str:
    """What the page's table has of *row*."""
    columns = [*COLUMNS, TWICE]
    tried = sum(count for column, count in result.tried.items() if column != "within a write")
    number = f"{tried:,}, and not at {result.left_out:,} points" if result.left_out else f"{tried:,}"
    cells = [row.title, *(result.verdicts.get(column, NONE) for column in columns), number, result.first or NONE]
    return f"| {' | '.join(cells)} |"


def line_of_promise(row: Row, result: Result) -> str:
    replay = f"`{row.name}` `{result.key}`" if result.key else NONE
    by = NONE if all(word in (WELL, NONE) for word in result.verdicts.values()) else row.survives_by or "nothing here"
    ignored = f"; not compared: {row.why_ignored}" if row.why_ignored else ""
    return f"| {row.title} | [{row.promise}]({row.page}){ignored} | {by} | {replay} |"


HEADS = (
    f"| way | {' | '.join([*COLUMNS, TWICE])} | interruptions | the first that fails |\n{'|---' * (len(COLUMNS) + 4)}|",
    "| way | its documentation | survives by | repro |\n|---|---|---|---|",
)


def lines_on(page: str) -> list[dict[str, str]]:
    """The lines of each table of the *page*, by the first cell."""
    block = page.partition(BEGIN)[2].partition(END)[0]
    tables = [part for part in block.split("\n\n") if part.strip().startswith("|")]
    return [{line.split(" | ")[0][2:]: line for line in table.strip().splitlines()[2:]} for table in tables]


def words_on(page: str, row: Row) -> dict[str, str]:
    """What the *page* says of *row*, by column; nothing where it does not have it."""
    line = (lines_on(page) or [{}])[0].get(row.title)
    return dict(zip([*COLUMNS, TWICE], line.split(" | ")[1:], strict=False)) if line else {}


def disagreements(page: str, row: Row, result: Result) -> list[str]:
    """What the *page* says of *row* that is not what was found; columns that were not tried are left out.

    How many interruptions there were is left out, too: the lines at which CPython stops, and what a library does
    between them, are those of a version.
    """
    said = words_on(page, row)
    return [
        f"{row.name}, {column}: the page says {said.get(column, 'nothing')!r}, and it is {word!r} (make survival)"
        for column, word in result.verdicts.items()
        if said.get(column) != word
    ]


def page_with(page: str, results: Mapping[str, Result]) -> str:
    """The *page* with what was found; of a row that was not swept it keeps what it has."""
    before = lines_on(page)
    tables = []
    for number, (head, made) in enumerate(zip(HEADS, (line_of, line_of_promise), strict=True)):
        kept = before[number] if number < len(before) else {}
        found = [kept.get(row.title) if row.name not in results else made(row, results[row.name]) for row in on_page()]
        tables.append("\n".join([head, *filter(None, found)]))
    return "\n\n".join([page.partition(BEGIN)[0] + BEGIN, *tables, versions(*tables), END + page.partition(END)[2]])


def versions(*tables: str) -> str:
    """The versions of what is installed here, and of the distributions that the rows of the *tables* pin."""

    def on(row: Row) -> bool:
        return any(f"| {row.title} |" in table for table in tables)

    found = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for command in ("git --version", "bash --version", "cp --version", "node --version", "go version"):
        if shutil.which(command.split()[0]):
            said = subprocess.run(command.split(), capture_output=True, text=True, check=False).stdout
            number = re.search(r"\d+(\.\d+)+", said)
            found.append(f"{command.split()[0]} {number[0] if number else said.strip()}")
    found += sorted({need.replace("==", " ") for row in on_page() for need in row.needs if "==" in need and on(row)})
    return f"Made with {', '.join(found)}."


def on_page() -> list[Row]:
    """The rows that may be on the page: those that wait are not, nor is what is not proven."""
    return [row for row in rows() if not row.waits and not row.unproven]


# -- bare processes ----------------------------------------------------------------------------------------------------


def killed_bare(row: Row, times: int, seed: int = 0) -> int:
    """Start the job *times* times, kill it at a random moment and start it again; how often it comes to another end."""
    chosen = random.Random(f"{row.name} {seed}")
    with tempfile.TemporaryDirectory() as directory:
        there = Path(directory, "undisturbed")
        began = time.monotonic()
        if _started(row, there).wait() != 0:
            raise RuntimeError(f"{row.name}: the job fails undisturbed")
        took, expected = time.monotonic() - began, _left(there, row)
        wrong = 0
        for number in range(times):
            there = Path(directory, str(number))
            process = _started(row, there)
            try:
                process.wait(chosen.uniform(0, took))
            except subprocess.TimeoutExpired:
                _kill(process)
            wrong += not _ends_well(row, there) or _left(there, row, expected) != expected
        return wrong


def _started(row: Row, there: Path) -> subprocess.Popen[bytes]:
    there.mkdir(exist_ok=True)
    words = [str(there) if word == "{path}" else word for word in command_of(row)]
    words = [sys.executable, *words[1:]] if words[0] == "python" else words
    environment = {"PATH": os.environ["PATH"], **dict(row.environment)}
    quiet = subprocess.DEVNULL
    directory = SURVIVAL / row.directory
    return subprocess.Popen(words, cwd=directory, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)


def _ends_well(row: Row, there: Path) -> bool:
    for _ in range(3):
        process = _started(row, there)
        try:
            if process.wait(20) == 0:
                return True
        except subprocess.TimeoutExpired:
            _kill(process)
            return False
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a job with what it has started, as what kills an instance does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _left(there: Path, row: Row, expected: Mapping[str, object] | None = None) -> dict[str, object]:
    """The files of a directory; more than is *expected* may be left."""
    found: dict[str, object] = {}
    for path in sorted(there.rglob("*")):
        name = str(path.relative_to(there))
        if path.is_dir() or any(re.fullmatch(each.replace("*", ".*"), name) for each in row.ignore):
            continue
        if expected and name not in expected:
            continue
        if path.read_bytes().startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(path)) as database:
                found[name] = [*database.iterdump()]
        else:
            found[name] = path.read_bytes()
    return found


# -- the command -------------------------------------------------------------------------------------------------------


def _swept_alone(row: Row, repros: str) -> Result:
    """Sweep it in a process of its own, as it may import anything."""
    words = [sys.executable, __file__, "--one", row.name, *(["--repros", repros] if repros else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return Result(row.name, error=(done.stderr.strip().splitlines() or ["it has ended"])[-1])
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="*", default=[], help="only those whose names begin so; the others stay")
    parser.add_argument("--kills", type=int, default=0, help="kill bare processes so many times, and write no page")
    parser.add_argument("--repros", default="", help="write a repro of each class of findings into this directory")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page that is written")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        (row,) = (row for row in rows() if row.name == given.one)
        print(json.dumps(asdict(swept(row, EVERYTHING, Path(given.repros).absolute() if given.repros else None))))
        return 0
    chosen = [row for row in rows() if not given.rows or row.name.startswith(tuple(given.rows))]
    left_out = {row.name: lacks(row) for row in chosen if lacks(row)}
    there = [row for row in chosen if row.name not in left_out]
    for name, need in left_out.items():
        print(f"left out: {name}, for want of {need}")
    if given.kills:
        return _killed(there, given.kills, given.page.read_text(encoding="utf-8"))
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for row, result in zip(there, pool.map(lambda row: _swept_alone(row, given.repros), there), strict=True):
            print(f"{row.name}: {result.error}" if result.error else line_of(row, result), flush=True)
            for why in result.without_repro:
                print(f"{row.name}: {why}", flush=True)
            if not result.error and row in on_page():
                results[row.name] = result
    given.page.write_text(page_with(given.page.read_text(encoding="utf-8"), results), encoding="utf-8")
    return int(len(results) < len([row for row in there if row in on_page()]))


def _killed(chosen: Sequence[Row], times: int, page: str) -> int:
    """Compare what the page says of kills with bare processes."""
    code = 0
    for row in chosen:
        said, wrong = words_on(page, row).get("killed", NONE), killed_bare(row, times)
        is_wrong = said == WELL and wrong > 0
        code |= is_wrong
        print(f"{row.name}: {wrong} of {times} kills lose something; the page: {said}{' WRONG' * is_wrong}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
