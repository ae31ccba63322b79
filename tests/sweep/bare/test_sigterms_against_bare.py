"""What a SIGTERM leaves of a bare process is among the directories from which a sweep with ``how="graceful"`` goes on.

Each job is swept, and ``check=`` notes the directory of each run when its interrupted event has ended. Then a bare
process of the job gets a SIGTERM at random moments: each directory that is found has to be one of those.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sweep_internals import files_and_rows
from sweeping import each_run

from pytest_scf_async import ScfRuntime

# once: where a signal ends a process is the kernel's doing
pytestmark = pytest.mark.once
KILLS = int(os.environ.get("SCF_KILLS", "5"))
"""Random SIGTERMs of each job; `make kills` makes 100."""
SURVIVAL = Path(__file__).parents[3] / "examples" / "survival"
_SLOW = """
import dbm.dumb, os, pathlib, signal, sqlite3, sys, threading, time

CALLS = {"open", "write", "flush", "__exit__", "execute", "replace", "unlink"}

def pause(frame, event, function):
    if event == "c_call" and function.__name__ in CALLS:
        time.sleep(0.01)

del sys.argv[0]
with open(sys.argv[0]) as source:
    code = compile(source.read(), "job.py", "exec")
os.write(1, b"begins")
threading.setprofile(pause)
sys.setprofile(pause)
exec(code)
"""
"""Runs a job with a pause before each call in C that may change the directory, so that SIGTERM comes there as well."""
_BEGIN = """
import os, signal, sys
from pathlib import Path
out = Path(sys.argv[1])
"""
_LISTENS = """
stopping = False

def stop(*_):
    global stopping
    stopping = True

signal.signal(signal.SIGTERM, stop)
for number in range(2):
    if stopping:
        sys.exit(1)
    (out / f"handled-{number}").write_text("a row")
"""
JOBS = {
    "append": (SURVIVAL / "append" / "job.py").read_text(),
    "in place": """
for number in range(3):
    (out / "checkpoint").write_text(f"{number} " * 5000)
""",
    "dbm.dumb": """
import dbm.dumb
with dbm.dumb.open(str(out / "rows"), "c") as rows:
    for number in range(2):
        rows[f"row {number}"] = f"{number} " * 1000
        rows.sync()
""",
    "SQLite": """
import sqlite3
database = sqlite3.connect(out / "rows.db", isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER)")
for number in range(3):
    database.execute("INSERT INTO rows VALUES (?)", (number,))
""",
    "a thread": """
import threading
thread = threading.Thread(target=lambda: [(out / f"{number}").write_text("a row") for number in range(2)])
thread.start()
thread.join()
""",
    "listens late": f"""
(out / "claimed").write_text("both")
{_LISTENS}
""",
    "listens for a while": f"""{_LISTENS}
signal.signal(signal.SIGTERM, signal.SIG_DFL)
(out / "done").write_text("both")
""",
    "blocks": """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
(out / "handled").write_text("a row")
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
(out / "later").write_text("a row")
""",
    "ignores": """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(out / "handled").write_text("a row")
signal.signal(signal.SIGTERM, signal.SIG_DFL)
(out / "later").write_text("a row")
""",
}


def shown(name: str, directory: Path) -> Any:
    """What is in *directory*; of a database its rows, as the numbers in its journal differ from run to run."""
    if name == "SQLite":
        stored = files_and_rows(directory)
        return sorted(stored.files), sorted((*where, repr(rows)) for where, rows in stored.rows.items())
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def whole_rows(found: Any) -> list[bytes]:
    """What was written while a SIGTERM ended nothing: a process that ignores or handles it goes on with its write."""
    return [content for path, content in found.items() if path.startswith("handled")] if isinstance(found, dict) else []


def terminated(job: Path, directory: Path, after: float | None) -> float:
    """Run a bare process, which gets a SIGTERM some seconds after its begin; how long it was from there to its end."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    command = [sys.executable, "-c", _SLOW, str(job), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 6) == b"begins"
        began = time.monotonic()
        if not select.select([process.stdout], [], [], after)[0]:
            process.terminate()
        process.stdout.read()
        return time.monotonic() - began


@pytest.mark.parametrize("name", JOBS)
def test_each_directory_that_a_sigterm_leaves_is_tried(scf_runtime: ScfRuntime, tmp_path: Path, name: str) -> None:
    job = tmp_path / "code" / "job.py"
    job.parent.mkdir()
    job.write_text(_BEGIN + JOBS[name])
    tried: list[Any] = []

    def note(run: Any) -> None:
        found = shown(name, run.path)
        if run.how in (None, "graceful") and found not in tried:  # one SIGTERM, and no second one
            tried.append(found)

    function = scf_runtime.deploy_image(["python", job.name, "{path}"], cwd=job.parent, port=-1, in_process=True)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful", check=note, workers=1)
    assert sweep.runs
    assert not [found for found in tried if b"" in whole_rows(found)]

    whole = min(terminated(job, tmp_path / "bare", None) for _ in range(2))
    assert shown(name, tmp_path / "bare") in tried
    rng = random.Random(name)
    seen: list[Any] = []
    for number in range(KILLS):
        after = (number + rng.random()) * whole / KILLS  # one in each part of its life
        terminated(job, tmp_path / "bare", after)
        found = shown(name, tmp_path / "bare")
        assert found in tried, f"after {after:.4f} of {whole:.4f} s: {found!r:.2000} is none of {len(tried)}"
        seen += [found] * (found not in seen)
    print(f"{KILLS} SIGTERMs of a bare process have left {len(seen)} directories; {len(tried)} were tried")
    assert len(seen) > 1
