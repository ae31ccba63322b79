"""The runs that several workers make are those of one process, and nothing of the workers is left, however they end."""

from __future__ import annotations

import os
import re
import select
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest
from internals import procfs, zygote
from process_support import eventually
from sweep_internals import Guide, Swept, sweep_of_function
from sweeping import Deploy, each_run
from test_bugs_at_sockets import running

from pytest_scf_async import Function, HarnessError, ScfRuntime, ScfSettings, ScfUsageError, Sweep, graceful

# once: what differs by Python are points, which have tests of their own
pytestmark = pytest.mark.once

KILLED = """
    import os, pathlib, time

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        for number in range(3):
            (out / f"row-{number}").write_text("row")
            time.sleep(1)
        return "done"
"""
SECOND_WAIT = "job.py:8#2"
SAVES = """
    import json, os, pathlib, signal, time

    stopping = False

    def stop(signum, frame):
        global stopping
        stopping = True

    def main_handler(event, context):
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        out = pathlib.Path(os.environ["OUT"])
        saved = out / "state.json"
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        for number in range(state["done"], 2):
            if stopping:
                saved.write_text(json.dumps(state))
                return state
            time.sleep(1)
            with open(out / "rows", "a") as rows:
                rows.write(f"row {number}\\n")
            state["done"] = number + 1
        saved.write_text(json.dumps(state))
        return state
"""
STORES = """
    import os, sqlite3, time

    def main_handler(event, context):
        store = sqlite3.connect(os.path.join(os.environ["OUT"], "rows.db"), isolation_level=None)
        store.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT)")
        (done,) = store.execute("SELECT count(*) FROM rows").fetchone()
        for number in range(done, 2):
            store.execute("BEGIN")
            store.execute("INSERT INTO rows VALUES (?, ?)", (number, f"row {number}"))
            time.sleep(1)
            store.execute("COMMIT")
        store.close()
        return "done"
"""
READS_THE_CLOCK = """
    import os, pathlib, time

    def main_handler(event, context):
        began = pathlib.Path(os.environ["OUT"], "began")
        if not began.exists():
            began.write_text("")
        time.sleep(1)
        for _ in range(2):
            time.sleep(1)
            time.time()
        began.write_text("done")
        return "done"
"""
ASKS = """
    import os, pathlib, socket

    def main_handler(event, context):
        connection = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
        answers = connection.makefile()
        while True:
            connection.sendall(b"POP queue\\n")
            item = answers.readline().strip()
            if item == "-":
                break
            pathlib.Path(os.environ["OUT"], item).write_text("an item")
        answers.close()
        connection.close()
        return "done"
"""
SCRIPT = """
    cd "$OUT"
    trap 'exit 3' TERM
    number=$(cat done 2>/dev/null || echo 0)
    while [ "$number" -lt 2 ]; do
        sleep 1 & wait $!
        number=$((number + 1))
        printf '%s\\n' "row $number" > "row-$number"
        echo "$number" > done
        echo "saved $number"
    done
"""


def check(run: Any) -> None:
    rows = sorted(path.name for path in run.path.glob("row-*"))
    assert rows == [f"row-{number}" for number in range(len(rows))]
    assert len(rows) != 2, "two rows"


def with_a_server(run: Any) -> Iterator[dict[str, str]]:
    with running() as server:
        yield {"OUT": str(run.path), "PORT": str(server.server_address[1])}
        run.observe(queue=server.queue)


def facts(sweep: Sweep) -> list[object]:
    """All that two sweeps of one handler share: not real seconds, memory, and the ports of servers of the test."""
    runs = [
        (run.key, run.differences, without_measures(repr(run.outcome)), without_measures(run.outcome.timeline))
        for run in sweep.runs
    ]
    return [without_measures(sweep.report), sweep.points, runs]


def without_measures(text: str) -> str:
    # two notes that are there where the machine is busy
    text = re.sub(r"note: (.* took [\d.,]+ real s: |[\d.]+ s of each cold start goes into ).*\n", "", text)
    text = re.sub(r"[\d.,]+ real s(: [\d.,]+ ms)?", "… real s", text)
    return re.sub(r"(MemUsage: ?|127\.0\.0\.1:)[\d.]+", r"\1…", text)


def same_with_workers(sweep_with: Callable[..., Sweep], **keywords: object) -> Sweep:
    """Sweep by one process and by two workers: the findings are the same."""
    one, several = (sweep_with(each_run=each_run, **{**keywords, "workers": workers}) for workers in (1, 2))
    for alone, shared in zip(facts(one), facts(several), strict=True):
        assert alone == shared
    return several


KEEPS_INODES = """
    import os, struct, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        log, registry = out / "log", out / "registry"
        log.touch()
        done = 0
        if registry.exists():
            inode, done = struct.unpack("QQ", registry.read_bytes())
            assert inode == log.stat().st_ino
        while done < 2:
            time.sleep(1)
            done += 1
            registry.write_bytes(struct.pack("QQ", log.stat().st_ino, done))
        registry.unlink()
        return done
    """

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "nobody listens": (KILLED, {}),
    "a check": (KILLED, {"check": check}),
    "a checkpoint that is saved in place": (SAVES, {}),
    "a second SIGTERM and a kill": (SAVES, {"how": [graceful(again=1), graceful(then="forced", after=1), "timeout"]}),
    "fewer runs than there are points": (SAVES, {"limit": 40}),
    "a database": (STORES, {}),
    "kills that no record answers": (KEEPS_INODES, {"how": "forced"}),
    "resumes that ask for the time": (READS_THE_CLOCK, {"how": "forced"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_handler(scf_runtime: ScfRuntime, deployed: Deploy, name: str) -> None:
    source, keywords = CASES[name]
    function = deployed(source)
    same_with_workers(lambda **given: scf_runtime.sweep(function, **given), **keywords)


@pytest.mark.usefixtures("without_second_stops")
def test_a_handler_that_speaks_to_a_server_of_its_run(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(ASKS)
    found = same_with_workers(lambda **given: scf_runtime.sweep(function, **{**given, "each_run": with_a_server}))
    assert found.failures
    assert "kills after the first connect were real runs" in found.report


def test_a_program(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text(textwrap.dedent(SCRIPT))
    function = scf_runtime.deploy_image(command=["bash", str(path)], port=-1, timeout=600)
    same_with_workers(lambda **given: scf_runtime.sweep(function, **given))


def test_what_runs_print_is_printed_in_the_order_of_one_process(
    scf_runtime: ScfRuntime, deployed: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    function = deployed(KILLED)
    printed = []
    for workers in (1, 3):
        sweep = scf_runtime.sweep(
            function, each_run=each_run, check=lambda run: print(run.point, run.how), workers=workers
        )
        sweep.assert_survives()
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0].startswith("None None\nNone None\n")


def test_runs_are_made_by_several_processes_at_one_path(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    def noted_run(run: Any) -> Iterator[dict[str, str]]:
        assert list(run.path.iterdir()) == []
        with open(tmp_path / "made", "a") as made:
            made.write(f"{os.getpid()} {run.path}\n")
        yield {"OUT": str(run.path)}

    scf_runtime.sweep(deployed(KILLED), each_run=noted_run, workers=3).assert_survives()
    made = [line.split() for line in (tmp_path / "made").read_text().splitlines()]
    assert len({pid for pid, _ in made}) == 4
    assert len({path for _, path in made}) == 1


@pytest.mark.parametrize(
    "guide", [{"shard": (2, 3)}, {"first": ("graceful@wait#2", "forced@wait#1")}, {"replay": "graceful@wait#2"}]
)
@pytest.mark.usefixtures("without_second_stops")
def test_a_part_of_the_runs(tmp_path: Path, guide: dict[str, Any]) -> None:
    path = tmp_path / "job.py"
    path.write_text(textwrap.dedent(SAVES))
    with ScfRuntime(lookup=["/"], sweep_guide=lambda: Guide(**guide)) as runtime:
        function = runtime.deploy(f"{path}:main_handler")
        few = {} if "replay" in guide else {"limit": 40}
        same_with_workers(lambda **given: runtime.sweep(function, **given), **few)


def test_coverage_counts_what_runs_in_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(job=textwrap.dedent(KILLED))
    pytester.makepyfile(
        test_job="""
        import os

        PYTEST = os.getpid()

        def each_run(run):
            yield {"OUT": str(run.path)}
            if os.getpid() != PYTEST:
                run.observe()  # line 8

        def test_it(scf_runtime):
            sweep = scf_runtime.sweep(scf_runtime.deploy("job.py:main_handler"), each_run=each_run, workers=2)
            sweep.assert_survives()
        """
    )
    run = pytester.runpytest_subprocess("--cov=.", "-p", "no:cacheprovider", timeout=60)
    run.assert_outcomes(passed=1)
    data = coverage.CoverageData(basename=str(pytester.path / ".coverage"))
    data.read()
    assert 8 in (data.lines(str(pytester.path / "test_job.py")) or ())


# -- what goes wrong ---------------------------------------------------------------------------------------------------


class Left:
    """What workers have: their processes, those that clean up after them, and the directories of their zygotes."""

    def __init__(self, noted: Path) -> None:
        self._noted, self._pytest = noted, os.getpid()

    def __call__(self, run: Any) -> Iterator[dict[str, str]]:
        if self.is_worker():
            known = zygote.shared_zygote()
            with open(self._noted, "a") as noted:
                noted.write(f"{os.getpid()} {known.process.pid} {known.pid} {known.scratch()} {run.path}\n")
        yield {"OUT": str(run.path)}

    def is_worker(self) -> bool:
        return os.getpid() != self._pytest

    def require_nothing(self) -> None:
        lines = [line.split() for line in self._noted.read_text().splitlines()]
        assert lines
        for *pids, scratch, path in lines:
            assert [pid for pid in pids if procfs.state_of(int(pid)) not in (b"", b"Z")] == []
            assert not os.path.exists(scratch)
            assert not os.path.exists(path)


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path / "noted")


def test_nothing_is_left(scf_runtime: ScfRuntime, deployed: Deploy, left: Left) -> None:
    assert scf_runtime.sweep(deployed(KILLED), each_run=left, workers=3).runs
    left.require_nothing()


def test_a_worker_that_is_killed(scf_runtime: ScfRuntime, deployed: Deploy, left: Left) -> None:
    def check(run: Any) -> None:
        if left.is_worker() and run.point == SECOND_WAIT:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(HarnessError, match=r"^sweep: worker \d of 3 was killed by SIGKILL while it made the run '"):
        scf_runtime.sweep(deployed(KILLED), each_run=left, check=check, how="forced", workers=3)
    left.require_nothing()


def test_a_worker_that_is_stopped_goes_on(scf_runtime: ScfRuntime, deployed: Deploy, left: Left) -> None:
    def check(run: Any) -> None:
        if left.is_worker() and run.point == SECOND_WAIT:
            os.kill(os.getpid(), signal.SIGSTOP)

    scf_runtime.sweep(deployed(KILLED), each_run=left, check=check, how="forced", workers=2).assert_survives()
    left.require_nothing()


def test_ctrl_c_reaches_all_processes(deployed: Deploy, left: Left, tmp_path: Path) -> None:
    found: list[Swept] = []
    pytest_itself, counted = os.getpid(), tmp_path / "counted"

    def check(run: Any) -> None:
        if left.is_worker() and run.point == SECOND_WAIT:
            assert eventually(counted.exists)  # a result waits until all before it have counted
            for pid in os.getpid(), pytest_itself:
                os.kill(pid, signal.SIGINT)
            select.select([], [], [], 60)

    path = tmp_path / "job.py"
    path.write_text(textwrap.dedent(KILLED))
    with (
        ScfRuntime(
            lookup=["/"], sweep_guide=lambda: Guide(finished=found.append, progress=lambda *_: counted.touch())
        ) as runtime,
        pytest.raises(KeyboardInterrupt),
    ):
        runtime.sweep(runtime.deploy(f"{path}:main_handler"), each_run=left, check=check, how="forced", workers=3)
    (swept,) = found
    assert swept.incomplete == "Ctrl-C or SIGTERM arrived"
    assert 0 < len(swept.runs) < swept.planned
    left.require_nothing()


def test_the_time_of_a_test_is_limited(tmp_path: Path, left: Left) -> None:
    found: list[Swept] = []
    done: list[tuple[int, int, int]] = []
    guide = Guide(
        seconds_left=lambda: 1.0 if len(done) >= 3 else None,
        progress=lambda *given: done.append(given),
        finished=found.append,
    )
    path = tmp_path / "job.py"
    path.write_text(textwrap.dedent(KILLED))
    with ScfRuntime(lookup=["/"], sweep_guide=lambda: guide) as runtime:
        runtime.sweep(runtime.deploy(f"{path}:main_handler"), each_run=left, how="forced", workers=3)
    (swept,) = found
    assert swept.incomplete == "the time limit of the test was near"
    assert len(swept.runs) == len(done) == 3
    left.require_nothing()


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_none_is_one_a_core_where_the_runs_take_long(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(sweep_of_function, "_LONG", seconds)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    seen = tmp_path / "seen"

    def noted_run(run: Any) -> Iterator[dict[str, str]]:
        with seen.open("a") as file:
            file.write(f"{os.getpid()}\n")
        yield {"OUT": str(run.path)}

    scf_runtime.sweep(deployed(KILLED), each_run=noted_run, workers=None).assert_survives()
    assert len(set(seen.read_text().splitlines())) == (1 if seconds else 3)  # this one, and both workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_usage_error_of_a_run(scf_runtime: ScfRuntime, deployed: Deploy, left: Left, workers: int) -> None:
    def check(run: Any) -> object:
        return "a value" if run.point in (SECOND_WAIT, "job.py:8#3") else None

    with pytest.raises(ScfUsageError, match=r"^check= returned 'a value' at job.py:8#2, and nothing reads"):
        scf_runtime.sweep(deployed(KILLED), each_run=left, check=check, how="forced", workers=workers)
    if workers > 1:
        left.require_nothing()


class OwnError(Exception):
    """Of a test."""


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_of_each_run(scf_runtime: ScfRuntime, deployed: Deploy, workers: int) -> None:
    class LocalError(Exception):
        pass

    def raises(run: Any, error: type[Exception]) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}
        if run.point:
            raise error(f"after {run.point}")

    function = deployed(KILLED)
    first = scf_runtime.sweep(function, each_run=each_run, points="waits").runs[0].point.label
    with pytest.raises(OwnError, match=rf"^after {first}$") as raised:
        scf_runtime.sweep(function, each_run=lambda run: raises(run, OwnError), points="waits", workers=workers)
    if workers > 1:
        assert "in raises" in str(raised.value.__cause__)
        with pytest.raises(RuntimeError, match=rf"^LocalError: after {first}$"):
            scf_runtime.sweep(function, each_run=lambda run: raises(run, LocalError), points="waits", workers=workers)


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "2"])
def test_what_is_no_number_of_workers(scf_runtime: ScfRuntime, deployed: Deploy, workers: Any) -> None:
    with pytest.raises(ScfUsageError, match=rf"^workers={workers!r} is not valid: it must be a whole number of proc"):
        scf_runtime.sweep(deployed(KILLED), each_run=each_run, workers=workers)


@pytest.mark.sandbox
def test_without_mount_namespaces_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text(textwrap.dedent(KILLED))
    with ScfRuntime(ScfSettings(sandbox="none"), lookup=["/"]) as runtime:
        function: Function = runtime.deploy(f"{path}:main_handler")
        with pytest.raises(ScfUsageError, match=r"^workers=2 is not possible here: .*sandbox='none'.*; leave "):
            runtime.sweep(function, each_run=each_run, workers=2)


def test_a_worker_without_a_mount_namespace(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str, directory: str) -> None:
        raise OSError(28, "No space left on device (see /proc/sys/user/max_user_namespaces)")

    monkeypatch.setattr("pytest_scf_async.sweep.workers.find_at", refused)
    with pytest.raises(ScfUsageError, match=r"^workers=2 is not possible here: .*max_user_namespaces.*; leave "):
        scf_runtime.sweep(deployed(KILLED), each_run=each_run, workers=2)
