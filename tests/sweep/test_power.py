"""Power failures: what was not synced when the machine was gone is missing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from internals import PythonHandler, disk_record
from sweep_internals import Guide, recorded_run
from sweeping import Deploy, each_run, each_run_with_a_server

from pytest_scf_async import Run, ScfRuntime, ScfUsageError, fault, power

# once: what is recorded does not depend on the version of Python
pytestmark = pytest.mark.once

SYSTEMS = ("posix", "ext4", "nfs")
SAVES = """
    import json, os, pathlib

    def sync(path):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def save(path, text):
        new = path.with_suffix(".new")
        new.write_text(text)
        SYNC_FILE
        new.replace(path)
        SYNC_NAME

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        saved = out / "state.json"
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        for number in range(state["done"], 2):
            save(out / f"page-{number}.txt", f"page {number}")
            state["done"] = number + 1
            save(saved, json.dumps(state))
        return state
"""
NEVER = SAVES.replace("SYNC_FILE", "pass").replace("SYNC_NAME", "pass")
FILES = SAVES.replace("SYNC_FILE", "sync(new)").replace("SYNC_NAME", "pass")
ALWAYS = SAVES.replace("SYNC_FILE", "sync(new)").replace("SYNC_NAME", "sync(path.parent)")


def missing(sweep: Any) -> list[str]:
    return [failure.earliest.point.missing for failure in sweep.failures]


def each_with_state(run: Run) -> Iterator[dict[str, str]]:
    """There is a state already, so that each rename takes the place of a file."""
    for name in ("state.json", "page-0.txt", "page-1.txt"):
        run.path.joinpath(name).write_text('{"done": 0}')
    yield {"OUT": str(run.path)}


@pytest.mark.parametrize(
    ("file_system", "found"),
    [
        (
            "posix",
            [
                "page-0.txt is never synced",
                "the rename of page-0.new to page-0.txt is never synced",
                "state.json is never synced",
            ],
        ),
        ("ext4", []),
        ("nfs", []),
    ],
)
def test_a_new_file_that_takes_the_place_of_another_one_without_a_sync(
    scf_runtime: ScfRuntime, deployed: Deploy, file_system: Any, found: list[str]
) -> None:
    sweep = scf_runtime.sweep(deployed(NEVER), each_run=each_with_state, how=power(file_system))
    assert missing(sweep) == found
    assert sweep.runs


def test_one_that_takes_a_new_name_is_not_safe_on_ext4(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(NEVER), each_run=each_run, how=power("ext4"))
    assert missing(sweep) == ["page-0.txt is never synced", "state.json is never synced"]


def test_a_file_that_is_synced_has_no_name_for_sure_on_posix(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(FILES)
    sweep = scf_runtime.sweep(function, each_run=each_run, how=(power("posix"), power("ext4"), power("nfs")))
    assert missing(sweep) == ["the rename of page-0.new to page-0.txt is never synced"]


@pytest.mark.parametrize("file_system", SYSTEMS)
def test_the_fixed_handler_survives(scf_runtime: ScfRuntime, deployed: Deploy, file_system: Any) -> None:
    sweep = scf_runtime.sweep(deployed(ALWAYS), each_run=each_run, how=power(file_system))
    sweep.assert_exactly_once()
    assert len(sweep.runs) > 3


def test_the_report_has_one_class_for_a_pattern_of_files(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    report = scf_runtime.sweep(deployed(NEVER), each_run=each_run, how=power("posix")).report.splitlines()
    at = report.index("LOST: power lost before job.py:11 opened page-1.new")
    assert report[at + 1 : at + 3] == ['  lost: line "page 0" of page-0.txt', "  page-*.txt is never synced:"]
    (lost,) = [line for line in report[at:] if "not on the disk" in line]
    assert lost.split()[:3] == ["effect#2", "write", "page-0.new"]
    assert any(line.endswith("<- power lost here") for line in report[at:])
    assert "  Fix:     flush and os.fsync() the file before it is renamed" in report
    assert any(line.endswith(" --scf-async-replay='power,posix@effect#7-2'") for line in report)


def test_a_report_says_that_power_failures_were_not_tried(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(ALWAYS)
    not_tried = "Power loss not tried."
    assert scf_runtime.sweep(function, each_run=each_run, how="forced").report.splitlines()[1].endswith(not_tried)
    assert not_tried not in scf_runtime.sweep(function, each_run=each_run, how=("forced", "power")).report
    assert not_tried not in scf_runtime.sweep(function, each_run=each_run, how="timeout").report


def test_a_key_repeats_its_state(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path) -> None:
    function = deployed(NEVER)
    first = scf_runtime.sweep(function, each_run=each_run, how=power("posix")).failures[0].earliest
    with ScfRuntime(base_temp=tmp_path, sweep_guide=lambda: Guide(replay=first.key)) as runtime:
        copy = runtime.deploy(f"{tmp_path / 'code' / 'job.py'}:main_handler")
        (again,) = runtime.sweep(copy, each_run=each_run, how=power("posix")).runs
    assert (again.key, again.came_to, again.outcome.written) == (first.key, first.came_to, first.outcome.written)


def test_workers_find_the_same(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function, how = deployed(NEVER), ("forced", power("posix"), power("ext4"))
    alone, by_workers = (scf_runtime.sweep(function, each_run=each_run, how=how, workers=count) for count in (1, 2))
    assert [(run.key, run.came_to) for run in by_workers.runs] == [(run.key, run.came_to) for run in alone.runs]


def test_the_event_ends_as_by_a_forced_termination_and_the_next_is_cold(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    for run in scf_runtime.sweep(deployed(NEVER), each_run=each_run, how=power("posix")).runs:
        first, second, *_ = run.outcome.attempts
        assert (first.status, first.status_code, second.cold) == ("ABORTED", 499, True)


APPENDS = """
    import os, pathlib

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        done = int((out / "done").read_text()) if (out / "done").exists() else 0
        log = (out / "log").open("a")
        for number in range(done, 3):
            log.write(f"row {number}\\n")
            log.flush()
            AFTER
            new = os.open(out / "new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_SYNC)
            os.write(new, str(number + 1).encode())
            os.close(new)
            os.replace(out / "new", out / "done")
"""


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("pass", ["posix", "ext4", "nfs"]),
        ("log.close(); log = (out / 'log').open('a')", ["posix", "ext4"]),
        ("log.close(); log = (out / 'log').open('r+'); log.seek(0, 2)", ["posix", "ext4"]),
        ("os.dup2(os.open(os.devnull, os.O_WRONLY), log.fileno()); log = (out / 'log').open('a')", ["posix", "ext4"]),
        ("os.fdatasync(log.fileno())", []),
        ("os.sync()", []),
    ],
)
def test_an_append(scf_runtime: ScfRuntime, deployed: Deploy, after: str, found: list[str]) -> None:
    systems = [power("posix"), power("ext4"), power("nfs")]
    sweep = scf_runtime.sweep(deployed(APPENDS.replace("AFTER", after)), each_run=each_run, how=systems)
    lost = [run for each in sweep.failures for run in each.runs if run.point.missing.startswith("log ")]
    assert {run.how.removeprefix("power,") for run in lost} == {*found}


DATABASE = """
    import os, sqlite3

    def main_handler(event, context):
        rows = sqlite3.connect(os.path.join(os.environ["OUT"], "rows.db"), isolation_level=None)
        rows.execute("pragma journal_mode=MODE")
        rows.execute("pragma synchronous=SYNC")
        rows.execute("create table if not exists rows (id integer primary key, text)")
        rows.execute("begin")
        for number in range(12):
            rows.execute("insert or ignore into rows values (?, ?)", (number, "x" * 900))
        rows.execute("commit")
        rows.execute("update rows set text = 'y' || text where text not like 'y%'")
        assert rows.execute("pragma integrity_check").fetchall() == [("ok",)]
        rows.close()
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_database_survives_if_it_syncs(scf_runtime: ScfRuntime, deployed: Deploy, mode: str) -> None:
    function = deployed(DATABASE.replace("MODE", mode).replace("SYNC", "FULL"))
    systems = [power("posix"), power("ext4"), power("nfs")]
    sweep = scf_runtime.sweep(function, each_run=each_run, how=systems, limit=150)
    sweep.assert_exactly_once()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_one_that_does_not_sync_is_found(scf_runtime: ScfRuntime, deployed: Deploy, mode: str) -> None:
    function = deployed(DATABASE.replace("MODE", mode).replace("SYNC", "OFF"))
    sweep = scf_runtime.sweep(function, each_run=each_run, how=power("posix"), limit=150)
    assert [text for text in missing(sweep) if text.startswith("rows.db")]


JOB = """
    cd "$OUT"
    number=$(cat done 2>/dev/null || echo 0)
    while [ "$number" -lt 2 ]; do
        echo "row $number" > "row-$number"
        SYNC
        number=$((number + 1))
        echo "$number" > new
        SYNC
        mv new done
        SYNC
    done
"""


@pytest.mark.parametrize("sync", [":", "sync"])
def test_a_job_in_another_language(scf_runtime: ScfRuntime, tmp_path: Path, sync: str) -> None:
    path = tmp_path / "job.sh"
    path.write_text(textwrap.dedent(JOB).replace("SYNC", sync))
    function = scf_runtime.deploy_image(command=["bash", str(path)], port=-1, timeout=600)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="power")
    assert {run.how for run in sweep.runs} == {"power,posix"}
    assert ("row-0 is never synced" in missing(sweep)) == (sync == ":")
    if sync == "sync":
        sweep.assert_exactly_once()


def test_kills_of_a_program_are_what_they_are_without_power_failures(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text(textwrap.dedent(JOB).replace("SYNC", "sync; sleep 1"))
    function = scf_runtime.deploy_image(command=["bash", str(path)], port=-1, timeout=600)
    alone = scf_runtime.sweep(function, each_run=each_run, how="forced")
    both = scf_runtime.sweep(function, each_run=each_run, how=("forced", "power"))
    assert [run.key for run in both.runs if run.how == "forced"] == [run.key for run in alone.runs]


def test_power_of_a_function_is_that_of_a_file_system_in_a_network(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(NEVER), each_run=each_run, how=("power", power("nfs")))
    assert {run.how for run in sweep.runs} == {"power,nfs"}
    assert len({run.key for run in sweep.runs}) == len(sweep.runs)


def test_syncs_are_no_effects_and_leave_kills_as_they_are(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(ALWAYS)
    alone = scf_runtime.sweep(function, each_run=each_run, how="forced")
    both = scf_runtime.sweep(function, each_run=each_run, how=("forced", power("posix")))
    kills = [run for run in both.runs if run.how == "forced"]
    assert [(run.key, run.point.text) for run in kills] == [(run.key, run.point.text) for run in alone.runs]


def test_power_failures_end_where_others_were_spoken_to(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib, socket

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])
            (out / "first").write_text("first")
            socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))).sendall(b"hello")
            (out / "second").write_text("second")
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run_with_a_server, how=power("posix"))
    assert {run.point.missing for run in sweep.runs} == {"first is never synced", "the name first is never synced"}
    reason = "power loss after the first connect, as no record contains what others were told"
    assert f"  Not tried: {reason}." in sweep.report.splitlines()


def test_what_syncs_is_recorded(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path) -> None:
    function = deployed(
        """
        import ctypes, mmap, os, subprocess

        def main_handler(event, context):
            os.chdir(os.environ["OUT"])
            fd = os.open("a", os.O_CREAT | os.O_RDWR)
            os.write(fd, b"a" * 4096)
            os.fsync(fd)
            os.fdatasync(fd)
            os.sync()
            with mmap.mmap(fd, 4096) as memory:
                memory[0] = 7
                memory.flush()
            ctypes.CDLL(None).syncfs(fd)
            os.pwritev(fd, [b"b"], 0, os.RWF_DSYNC)
            os.fsync(os.open(".", os.O_RDONLY))
            os.close(fd)
            with open("b", "w") as log:
                subprocess.run(["echo", "a row"], stdout=log)
                os.mkdir("c")
            with open("b", "a", opener=lambda path, flags: os.open(path, flags | os.O_DSYNC)) as log:
                log.write("more")
            os.mkdir("d")
        """
    )
    directory = tmp_path / "run"
    directory.mkdir()
    record = recorded_run(scf_runtime, function, directory, syncs=True)
    inodes = {item.inode: item.path for item, _ in record.items if isinstance(item, disk_record.Entry)}
    found = [
        f"{item.by} {inodes.get(item.inode, 'all')}" if isinstance(item, disk_record.Sync) else item.text
        for item, _ in record.items
        if isinstance(item, (disk_record.Effect, disk_record.Sync))
    ]
    assert found == [
        *("open a", "write a", "fsync a", "fdatasync a", "fsync all", "mmap a", "fsync a", "fsync all"),
        *("write a", "fsync a", "fsync ", "close a", "open b", "write b", "close b", "mkdir c"),
        *("open b", "write b", "fsync b", "close b", "mkdir d"),
    ]


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
def test_without_a_record_it_is_refused(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch, made: str, why: str
) -> None:
    if not made:
        monkeypatch.setattr(PythonHandler, "can_be_recorded", False)
    function = deployed(f"import os\ndef main_handler(event, context):\n    {made or 'pass'}")
    with pytest.raises(ScfUsageError) as raised:
        scf_runtime.sweep(function, each_run=each_run, how=("forced", "power"))
    needs = "sweep: how='power' needs a record of what function 'job' changes in run.path, and there is none"
    assert str(raised.value) == f"{needs}: {why}"


def test_what_is_no_file_system_is_refused() -> None:
    with pytest.raises(ScfUsageError, match=r"power\('zfs'\) is not valid: it must be 'posix' or 'ext4' or 'nfs'"):
        power("zfs")  # type: ignore[arg-type]
    assert power("ext4") != fault("eio")
