"""Faults at effects: what a sweep says of a full disk is what a disk does that is full."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from internals import PythonHandler
from on_full_disks import compared, compared_with_strace, of_handler, of_program
from sweep_internals import Guide
from sweeping import Deploy, each_run, labels

from pytest_scf_async import Run, ScfRuntime, ScfUsageError, fault

# once: what is recorded does not depend on the version of Python
pytestmark = pytest.mark.once

SQLITE = """
    import contextlib, os, sqlite3
    def main_handler(event, context):
        with contextlib.closing(sqlite3.connect(os.environ["OUT"] + "/orders.db")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, text TEXT)")
            for number in range(3):
                try:
                    with connection:
                        connection.execute("INSERT OR IGNORE INTO orders VALUES (?, ?)", (number, "x" * 5000))
                except sqlite3.OperationalError:
                    HANDLED
        return 3
"""
WAL = SQLITE.replace(
    'connection.execute("CREATE', 'connection.execute("PRAGMA journal_mode = WAL"); connection.execute("CREATE'
)
FILES = """
    import os, pathlib
    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        for number in range(2):
            try:
                (out / f"day-{number}").mkdir(exist_ok=True)
                new = out / "new"
                new.write_bytes(b"x" * 20_000)
                for name in ("link", "symlink"):
                    (out / f"{name}-{number}").unlink(missing_ok=True)
                os.link(new, out / f"link-{number}")
                os.symlink("new", out / f"symlink-{number}")
                new.replace(out / f"day-{number}" / "data")
            except OSError:
                HANDLED
        return 2
"""


@pytest.mark.tmpfs
@pytest.mark.parametrize(
    ("source", "handled", "points", "given_back"),
    [
        pytest.param(SQLITE, "raise", 10, "", id="sqlite-raise"),
        pytest.param(SQLITE, "pass", 10, "", id="sqlite-pass"),
        pytest.param(WAL, "raise", 27, "effect#6", id="wal-raise"),
        pytest.param(FILES, "pass", 16, "", id="files-pass"),
    ],
)
def test_a_handler_does_what_it_does_on_a_full_disk(
    scf_runtime: ScfRuntime,
    tmp_path: Path,
    source: str,
    handled: str,
    *,
    points: int,
    given_back: str,
) -> None:
    tried = of_handler(source.replace("HANDLED", handled), tmp_path)
    assert compared(tried, scf_runtime, given_back) >= points


SHORT = """
    import os
    def main_handler(event, context):
        fd = os.open(os.environ["OUT"] + "/data", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        data = b"x" * 20_000
        while data:
            written = os.write(fd, data)
            data = data[REST:]
        os.close(fd)
        return 1
"""


@pytest.mark.tmpfs
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize(("rest", "bad"), [("written", 0), ("20_000", 3)])
def test_a_full_disk_takes_a_part_of_a_write(
    scf_runtime: ScfRuntime, tmp_path: Path, rest: str, bad: int, *, lasting: bool
) -> None:
    tried = of_handler(SHORT.replace("REST", rest), tmp_path)
    assert compared(tried, scf_runtime, lasting=lasting) == 5
    function = tried.deploy(scf_runtime)
    sweep = scf_runtime.sweep(function, each_run=each_run, how=fault("enospc", lasting=lasting))
    assert {run.outcome.failed[0] for run in sweep.runs} == {"open data", "write data"}
    assert all(len(run.outcome.failed) == 1 + (rest == "written") for run in sweep.runs if run.point.cut)
    found = [run.point.text for run in sweep.runs if run.fails()]
    assert found == [f"write data, cut at byte {size}" for size in ("4,096", "12,288", "16,384")][:bad]


SYNCED = """
    import os, pathlib

    def sync(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        for number in range(2):
            new = out / "new"
            try:
                new.unlink(missing_ok=True)
                new.write_text(f"day {number}")
                sync(new)
                os.truncate(new, 5)
                new.replace(out / "day")
                sync(out)
            except OSError:
                HANDLED
        return 2
"""


@pytest.mark.strace
@pytest.mark.parametrize(
    ("source", "handled", "calls"),
    [
        pytest.param(SQLITE, "pass", {"unlink", "fdatasync"}, id="sqlite-pass"),
        pytest.param(FILES, "raise", {"mkdir", "unlink", "link", "symlink", "rename"}, id="files-raise"),
        pytest.param(SYNCED, "raise", {"unlink", "truncate", "rename", "fsync"}, id="synced-raise"),
        pytest.param(SYNCED, "pass", {"unlink", "truncate", "rename", "fsync"}, id="synced-pass"),
    ],
)
def test_an_error_does_what_it_does_where_another_tracer_makes_it(
    scf_runtime: ScfRuntime, tmp_path: Path, source: str, handled: str, *, calls: set[str]
) -> None:
    tried = of_handler(source.replace("HANDLED", handled), tmp_path)
    assert compared_with_strace(tried, scf_runtime) == calls


BASH = """
    SET
    cd "$OUT"
    for number in 0 1; do
        mkdir -p "day-$number"
        seq 3000 > "day-$number/data"
        echo "row $number" > "day-$number/row"
        ln -sf "day-$number" current
    done
"""
NODE = """
    const fs = require("fs");
    const out = process.env.OUT;
    for (const number of [0, 1]) {
        try {
            fs.mkdirSync(`${out}/day-${number}`, { recursive: true });
            fs.writeFileSync(`${out}/new`, "x".repeat(20000));
            fs.renameSync(`${out}/new`, `${out}/day-${number}/data`);
        } catch (error) {
            HANDLED
        }
    }
"""
GO = """
    package main

    import (
        "os"
        "strings"
    )

    func main() {
        day := os.Getenv("OUT") + "/day"
        os.Mkdir(day, 0o755)
        if err := os.WriteFile(day+"/data", []byte(strings.Repeat("x", 20000)), 0o644); err != nil {
            HANDLED
        }
        os.WriteFile(day+"/done", []byte("done"), 0o644)
    }
"""


@pytest.mark.tmpfs
@pytest.mark.parametrize("right", ["set -e", ":"])
def test_a_script_of_bash_does_what_it_does_on_a_full_disk(scf_runtime: ScfRuntime, tmp_path: Path, right: str) -> None:
    path = tmp_path / "job.sh"
    path.write_text(textwrap.dedent(BASH).replace("SET", right))
    assert compared(of_program(["bash", str(path)], tmp_path), scf_runtime) >= 18


@pytest.mark.tmpfs
@pytest.mark.nodejs
@pytest.mark.parametrize("handled", ["throw error;", ""])
def test_a_program_of_node_does_what_it_does_on_a_full_disk(
    scf_runtime: ScfRuntime, tmp_path: Path, handled: str
) -> None:
    path = tmp_path / "job.js"
    path.write_text(textwrap.dedent(NODE).replace("HANDLED", handled))
    assert compared(of_program(["node", str(path)], tmp_path), scf_runtime) >= 12


@pytest.mark.tmpfs
@pytest.mark.go
@pytest.mark.parametrize("handled", ["panic(err)", ""])
def test_a_program_of_go_does_what_it_does_on_a_full_disk(
    scf_runtime: ScfRuntime, tmp_path: Path, handled: str
) -> None:
    path = tmp_path / "job.go"
    path.write_text(textwrap.dedent(GO).replace("HANDLED", handled))
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0", "GO111MODULE": "off"}
    subprocess.run(["go", "build", "-o", tmp_path / "program", path], env=environment, check=True)
    assert compared(of_program([str(tmp_path / "program")], tmp_path), scf_runtime) == 8


CALLS = """
    import ctypes, mmap, os, shutil, subprocess

    def main_handler(event, context):
        os.chdir(os.environ["OUT"])
        for name in os.listdir():
            shutil.rmtree(name) if os.path.isdir(name) else os.unlink(name)
        with open("a", "wb", buffering=0) as a:  # a new name
            a.write(b"longer")
            a.seek(0)
            a.write(b"LONGER")  # what it has already
            a.truncate(3)
            a.truncate(8192)
            os.pwrite(a.fileno(), b"into a hole", 4096)
            os.posix_fallocate(a.fileno(), 0, 16384)
            os.fsync(a.fileno())
        with open("a", "wb"):  # a name that is there
            pass
        os.makedirs("d", exist_ok=True)
        os.makedirs("d", exist_ok=True)
        os.link("a", "link")
        os.symlink("a", "symlink")
        os.mkfifo("/tmp/fifo")
        os.rename("link", "a")  # both are the same file
        os.rename("symlink", "e")
        os.replace("a", "e")
        with open("source", "wb") as source:
            source.write(b"x" * 10_000)
        shutil.copyfile("source", "copy")
        subprocess.run(["sh", "-c", "echo by a child > child"], check=True)
        with open("map", "wb+", buffering=0) as file:
            file.write(bytes(4096))
            with mmap.mmap(file.fileno(), 4096) as memory:
                memory[0] = 7
                memory.flush()
        os.chmod("e", 0o600)
        os.utime("e", (1, 1))
        os.unlink("copy")
        os.rmdir("d")
        os.sync()
"""


def test_points_are_the_calls_that_the_kernel_may_refuse(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(CALLS), each_run=each_run, how=(fault("enospc"), fault("eio")))
    sweep.assert_survives()

    def cut(call: str) -> list[str]:
        return [call, f"{call}, cut at byte 4,096", f"{call}, cut at byte 8,192"]

    full = [run.point for run in sweep.runs if run.how == "fault,enospc"]
    assert [point.text for point in full] == [
        *("open a", "write a", "write a", "fallocate a", "mkdir d", "link a to link", "symlink symlink"),
        *("rename symlink to e", "open source", *cut("write source"), "open copy", *cut("sendfile copy")),
        *("open child", "write child", "open map", "write map"),
    ]
    broken = [run.point for run in sweep.runs if run.how == "fault,eio"]
    assert [point.text for point in broken if point.kind == "sync"] == ["fsync a", "msync map"]
    assert "mmap map" not in {point.text for point in broken}
    assert {point for point in full if not point.cut} < set(broken)
    assert [point.text for point in broken if point.kind == "effect" and point not in full] == [
        *("write a", "truncate a", "truncate a", "open a", "mkdir d", "rename link to a", "rename a to e"),
        *("sendfile copy", "chmod e", "utime e", "unlink copy", "rmdir d"),
    ]


SAVES = """
    import os, pathlib

    def save(path, text):
        with open(path, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        try:
            out.joinpath("rows").write_text("100")
            save(out / "total", "1")
        except OSError:
            print("not saved")
        return 2
"""


def test_a_finding_names_the_line_and_the_function(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(SAVES)
    sweep = scf_runtime.sweep(function, each_run=each_run, how=fault("enospc", lasting=True))
    with pytest.raises(AssertionError) as failure:
        sweep.assert_survives()
    lines = str(failure.value).splitlines()
    assert "  4 of 4 interruptions fail, all for one reason" in lines
    assert "LOST: disk full when job.py:13 opened rows" in lines
    assert any(line.endswith(" --scf-async-replay='fault,enospc,lasting@effect#1'") for line in lines)
    assert "  Calls that failed: open rows." in lines
    (here,) = [at for at, line in enumerate(lines) if line.endswith("<- fails here (ENOSPC)")]
    assert lines[here - 1].split() == ["effect#1", "open", "rows"]
    last = sweep.runs[-1]
    assert (last.point.label, last.point.text, last.point.line) == ("effect#4", "write total", 7)
    assert last.outcome.written == ("rows (3 bytes)", "total (0 bytes)")


def test_a_sync_fails_with_eio(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(
        deployed(SAVES.replace('print("not saved")', "raise")), each_run=each_run, how=fault("eio")
    )
    sweep.assert_survives()
    (run,) = [run for run in sweep.runs if run.point.kind == "sync"]
    assert run.key == "fault,eio@sync#1"
    assert run.outcome.attempts[0].message == "OSError: [Errno 5] Input/output error"
    assert run.outcome.written == ("rows (3 bytes)", "total (1 byte)")


def test_a_finding_at_a_sync_names_them_too(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib

        def main_handler(event, context):
            path = pathlib.Path(os.environ["OUT"], "total")
            with open(path, "wb", buffering=0) as file:
                file.write(b"1")
                try:
                    os.fsync(file.fileno())
                except OSError:
                    path.unlink()
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how=fault("eio"))
    (found,) = sweep.failures
    point = found.earliest.point
    assert (point.label, point.text, point.file, point.line) == ("sync#1", "fsync total", "job.py", 9)
    assert point.function == "os.fsync"
    assert ": I/O error when job.py:9 did fsync total\n" in sweep.report


@pytest.mark.parametrize("key", ["fault,enospc@effect#4", "fault,eio,lasting@effect#3", "fault,eio@sync#1"])
def test_a_key_makes_its_run_again(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, key: str) -> None:
    how = fault("enospc"), fault("eio", lasting=True), fault("eio")
    whole = scf_runtime.sweep(deployed(SAVES), each_run=each_run, how=how)
    (first,) = [run for run in whole.runs if run.key == key]
    with ScfRuntime(base_temp=tmp_path, sweep_guide=lambda: Guide(replay=key)) as runtime:
        function = runtime.deploy(f"{tmp_path / 'code' / 'job.py'}:main_handler")
        (again,) = runtime.sweep(function, each_run=each_run, how=how).runs
    assert again.key == key
    assert (again.differences, again.outcome.attempts) == (first.differences, first.outcome.attempts)


@pytest.mark.parametrize("lasting", [False, True])
def test_a_fault_lasts_for_the_event_or_for_one_effect(
    scf_runtime: ScfRuntime, deployed: Deploy, *, lasting: bool
) -> None:
    function = deployed(
        """
        import os
        def main_handler(event, context):
            written = 0
            for number in range(5):
                try:
                    open(f"{os.environ['OUT']}/{number}", "w").close()
                    written += 1
                except OSError as error:
                    print(number, error.errno)
            return written
        """
    )
    how = fault("enospc", lasting=lasting), fault("eio", lasting=lasting)
    sweep = scf_runtime.sweep(function, each_run=each_run, how=how, attempts=1)
    assert not sweep.failures  # it is invoked again, and writes all
    assert labels(sweep) == [f"effect#{number}" for number in range(1, 6)]
    first = scf_runtime.sweep(function, each_run=each_run, how=how, done=bool)
    found = [run.outcome.effects.result for run in first.runs if run.how.startswith("fault,enospc")]
    assert found == ([0, 1, 2, 3, 4] if lasting else [4, 4, 4, 4, 4])


def test_threads_and_children_of_any_kind_meet_them(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib, subprocess, threading

        def main_handler(event, context):
            os.chdir(os.environ["OUT"])
            failed = []
            threading.excepthook = lambda args: failed.append(args.exc_value.errno)
            thread = threading.Thread(target=pathlib.Path("a").write_text, args=["a"])
            thread.start()
            thread.join()
            child = subprocess.run(["sh", "-c", "test -s a && echo b > b"], stderr=subprocess.DEVNULL)
            return [failed, child.returncode == 0]
        """
    )
    seen = {}

    def check(run: Run) -> None:
        seen[run.point] = run.event.result

    sweep = scf_runtime.sweep(function, each_run=each_run, how=fault("enospc"), check=check)
    assert [run.point.text for run in sweep.runs] == ["open a", "write a", "open b", "write b"]
    found = [seen[point] for point in (None, *labels(sweep))]
    assert found == [[[], True], [[28], False], [[28], True], [[], False], [[], False]]


def test_they_meet_an_import_and_what_comes_after_a_connection(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib, socket

        OUT = pathlib.Path(os.environ["OUT"])
        OUT.joinpath("lock").touch()

        def main_handler(event, context):
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname()).sendall(b"hello")
            OUT.joinpath("row").touch()
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how=(fault("enospc"), fault("eio", lasting=True)))
    sweep.assert_exactly_once()
    assert [run.point.text for run in sweep.runs if run.how == "fault,enospc"] == ["open lock", "open row"]
    assert {run.outcome.attempts[0].status for run in sweep.runs} == {"FAILED"}


TOO_MANY = (
    "run.path has 10,001 files: a record has at most 10,000 files and 1 GB: each kill recreates them; keep what the "
    "handler only reads outside run.path"
)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("[os.symlink('x', os.environ['OUT'] + f'/{n}') for n in range(10_001)]", TOO_MANY),
        ("", "a container is not recorded"),
    ],
)
def test_without_a_record_they_are_refused(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch, made: str, why: str
) -> None:
    if not made:
        monkeypatch.setattr(PythonHandler, "can_be_recorded", False)
    function = deployed(f"import os\ndef main_handler(event, context):\n    {made or 'pass'}")
    with pytest.raises(ScfUsageError) as raised:
        scf_runtime.sweep(function, each_run=each_run, how=("forced", fault("eio")))
    needs = "sweep: how=fault('eio') needs a record of what function 'job' changes in run.path, and there is none"
    assert str(raised.value) == f"{needs}: {why}"


@pytest.mark.parametrize("in_process", [False, True])
def test_a_job_in_python(scf_runtime: ScfRuntime, tmp_path: Path, *, in_process: bool) -> None:
    path = tmp_path / "train.py"
    path.write_text(
        "import os, pathlib\n"
        "out = pathlib.Path(os.environ['OUT'])\n"
        "(out / 'new').write_text('1')\n"
        "(out / 'new').rename(out / 'state')\n"
    )
    function = scf_runtime.deploy_image([sys.executable, str(path)], port=-1, in_process=in_process)
    sweep = scf_runtime.sweep(function, each_run=each_run, how=fault("enospc"), workers=2)
    sweep.assert_exactly_once()
    assert [run.point.text for run in sweep.runs] == ["open new", "write new", "rename new to state"]
    assert {run.outcome.attempts[0].status for run in sweep.runs} == {"FAILED"}


def test_kills_are_what_they_are_without_faults(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(CALLS)
    alone = scf_runtime.sweep(function, each_run=each_run)
    both = scf_runtime.sweep(function, each_run=each_run, how=("graceful", "forced", fault("eio"), fault("enospc")))
    assert [run.key for run in both.runs if not run.how.startswith("fault")] == [run.key for run in alone.runs]
