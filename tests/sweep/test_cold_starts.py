"""After a graceful stop the next event may find the same instance, or none: both are tried, and judged as they are."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime

# once: what differs by Python are points, which have tests of their own
pytestmark = pytest.mark.once

BEGIN = """
    import json, logging, os, signal, tempfile, time, uuid
    from pathlib import Path

    stopping = False
    rows = []

    def stop(signum, frame):
        global stopping
        stopping = True

    def begin():
        global stopping
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        return Path(os.environ["OUT"])
"""

IN_A_GLOBAL = """
    def main_handler(event, context):
        out = begin()
        position = out / "position"
        first = int(position.read_text()) if position.exists() else 0
        for number in range(first, 3):
            if stopping:
                position.with_suffix(".new").write_text(str(number))
                os.replace(position.with_suffix(".new"), position)
                return "later"
            time.sleep(1)
            rows.append(f"row {number}\\n")
        (out / "rows").write_text("".join(rows))
        position.unlink(missing_ok=True)
        rows.clear()
        return "done"
"""
IN_TMP = """
    def main_handler(event, context):
        out = begin()
        position, kept = out / "position", Path(tempfile.gettempdir(), "rows")
        first = int(position.read_text()) if position.exists() else 0
        found = kept.read_text() if first and kept.exists() else ""
        for number in range(first, 3):
            if stopping:
                kept.write_text(found)
                position.with_suffix(".new").write_text(str(number))
                os.replace(position.with_suffix(".new"), position)
                return "later"
            time.sleep(1)
            found += f"row {number}\\n"
        (out / "rows").write_text(found)
        for each in (position, kept):
            each.unlink(missing_ok=True)
        return "done"
"""
FIXED = """
    def main_handler(event, context):
        out = begin()
        state = out / "state.json"
        found = json.loads(state.read_text()) if state.exists() else []
        for number in range(len(found), 3):
            if stopping:
                state.with_suffix(".new").write_text(json.dumps(found))
                os.replace(state.with_suffix(".new"), state)
                return "later"
            time.sleep(1)
            found.append(f"row {number}\\n")
        (out / "rows").write_text("".join(found))
        state.unlink(missing_ok=True)
        return "done"
"""

RIGHT = {
    "uuid and logging": """
    def main_handler(event, context):
        out = begin()
        logging.getLogger().warning("run %s", uuid.uuid4())
        for number in range(2):
            if stopping:
                return "later"
            time.sleep(1)
            (out / f"row-{number}").write_text("row")
        return {"id": str(uuid.uuid4()), "rows": 2}
    """,
    "a cache in /tmp": """
    def main_handler(event, context):
        out = begin()
        cache = Path(tempfile.gettempdir(), "rates.json")
        if not cache.exists():
            time.sleep(1)
            cache.with_suffix(".new").write_text(json.dumps({"eur": 2}))
            os.replace(cache.with_suffix(".new"), cache)
        if stopping:
            return "later"
        (out / "sum").write_text(str(json.loads(cache.read_text())["eur"] * 21))
        return "done"
    """,
    "a purge": """
    def main_handler(event, context):
        out = begin()
        (out / "kept").write_text("kept")
        for path in sorted(out.glob("old-*")):
            if stopping:
                return "later"
            time.sleep(1)
            path.unlink(missing_ok=True)
        return "done"
    """,
    "read only": """
    def main_handler(event, context):
        out = begin()
        found = []
        for path in sorted(out.glob("old-*")):
            if stopping:
                return "later"
            time.sleep(1)
            found.append(path.read_text())
        return found
    """,
}
WRONG = {
    "uuid and logging": """
    KEY = str(uuid.uuid4())

    def main_handler(event, context):
        out = begin()
        logging.getLogger().warning("run %s", uuid.uuid4())
        position = out / "position"
        key, number = position.read_text().split() if position.exists() else (KEY, 0)
        for number in range(int(number) if key == KEY else 0, 2):
            if stopping:
                return "later"
            time.sleep(1)
            with (out / "rows").open("a") as file:
                file.write(f"row {number}\\n")
            position.write_text(f"{KEY} {number + 1}")
        position.unlink()
        return {"rows": 2}
    """,
    "a cache in /tmp": """
    def main_handler(event, context):
        out = begin()
        cache = Path(tempfile.gettempdir(), "rates.json")
        if not (out / "fetched").exists():
            time.sleep(1)
            cache.write_text(json.dumps({"eur": 2}))
            (out / "fetched").write_text("yes")
        if stopping:
            return "later"
        (out / "sum").write_text(str(json.loads(cache.read_text())["eur"] * 21))
        return "done"
    """,
    "a purge": """
    def main_handler(event, context):
        out = begin()
        for path in sorted(out.glob("old-*")):
            if stopping:
                return "later"
            time.sleep(1)
            path.unlink(missing_ok=True)
            rows.append(path.name)
        (out / "purged").write_text(json.dumps(rows))
        rows.clear()
        return "done"
    """,
    "read only": """
    def main_handler(event, context):
        out = begin()
        position = out / "position"
        first = int(position.read_text()) if position.exists() else 0
        for path in sorted(out.glob("old-*"))[first:]:
            if stopping:
                position.write_text(str(len(rows)))
                return "later"
            time.sleep(1)
            rows.append(path.read_text())
        found = [*rows]
        rows.clear()
        return found
    """,
}
"""The same with something in the instance that the next one does not have."""


def with_old_files(run: Any) -> Iterator[dict[str, str]]:
    for number in range(2):
        (run.path / f"old-{number}").write_text(f"{number}")
    yield {"OUT": str(run.path)}


def cold(sweep: Any) -> list[Any]:
    return [run for run in sweep.runs if run.key.endswith(" cold")]


@pytest.mark.parametrize("place", [IN_A_GLOBAL, IN_TMP], ids=["a global", "/tmp"])
@pytest.mark.usefixtures("without_second_stops")
def test_state_that_a_graceful_stop_leaves_in_the_instance_is_lost_on_the_next_cold_start(
    scf_runtime: ScfRuntime, deployed: Deploy, place: str
) -> None:
    sweep = scf_runtime.sweep(deployed(BEGIN + place), each_run=each_run, how="graceful")

    assert {alike.earliest.cold for alike in sweep.failures} == {True}
    with pytest.raises(AssertionError) as failure:
        sweep.assert_survives()
    text = str(failure.value)
    assert re.search(r"\nLOST: SIGTERM .*, then a new instance\n", text)
    assert (
        "  It survives if the instance is used again: a new one lacks what was in a global, in /tmp or in an open"
        in text
    )
    assert "  Fix:     keep it in a file that outlives the instance\n" in text
    assert 'lost: line "row 0" of rows' in text
    assert re.search(r"\n  Ended FINISHED after \d s; restarted once: FINISHED after \d s\.\n", text)
    assert re.search(r"Replay:  pytest .* --scf-async-replay='graceful@\S+ cold'", text)
    assert not any(run.kinds for run in sweep.runs if not run.cold)


@pytest.mark.usefixtures("without_second_stops")
def test_what_is_kept_where_the_next_instance_finds_it_survives(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(BEGIN + FIXED), each_run=each_run, how="graceful")

    sweep.assert_exactly_once()
    assert [run.outcome.attempts[1].cold for run in cold(sweep)] == [True] * len(cold(sweep))
    assert f"\n  {len(cold(sweep))} graceful stop" in sweep.report
    assert re.search(r" graceful (stop was|stops were) tried again with a cold start after (it|them)\.\n", sweep.report)


@pytest.mark.parametrize("kind", RIGHT)
@pytest.mark.usefixtures("without_second_stops")
def test_ordinary_right_handlers_are_right_after_a_cold_start_too(
    scf_runtime: ScfRuntime, deployed: Deploy, kind: str
) -> None:
    reads = kind == "read only"
    sweep = scf_runtime.sweep(deployed(BEGIN + RIGHT[kind]), each_run=with_old_files, compares_nothing=reads)

    sweep.assert_exactly_once()
    assert not [run for run in sweep.runs if run.kinds], sweep.report
    assert cold(sweep)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.usefixtures("without_second_stops")
def test_one_that_needs_the_same_instance_is_wrong_after_a_cold_start_alone(
    scf_runtime: ScfRuntime, deployed: Deploy, kind: str
) -> None:
    function = deployed(BEGIN + WRONG[kind])
    reads = kind == "read only"
    sweep = scf_runtime.sweep(function, each_run=with_old_files, how="graceful", compares_nothing=reads)

    with pytest.raises(AssertionError, match=r": SIGTERM .*, then a new instance\n"):
        sweep.assert_exactly_once()
    assert {run.cold for run in sweep.runs if {kind.value for kind in run.kinds} - {"left behind"}} == {True}


@pytest.mark.usefixtures("without_second_stops")
def test_an_end_that_is_the_same_again_is_resumed_by_one_cold_start(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(BEGIN + FIXED)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")

    ends = {(run.outcome.attempts[0], run.outcome.end) for run in sweep.runs if run.outcome.end is not None}
    warm = [run for run in sweep.runs if run.outcome.end is not None]
    assert len(cold(sweep)) == len(ends) < len(warm) / 2


CONNECTING = """
    import socket
    def main_handler(event, context):
        begin()
        for number in range(2):
            if stopping:
                return "later"
            time.sleep(1)
            SPEAK
        return "done"
"""
SPEAKS = {
    "a connection": "socket.create_connection(('127.0.0.1', int(os.environ['PORT']))).close()",
    "a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'row', ('127.0.0.1', int(os.environ['PORT'])))",
    "a child process": "__import__('subprocess').run(['true'])",
}


@pytest.mark.parametrize("how", SPEAKS)
@pytest.mark.usefixtures("without_second_stops")
def test_ends_of_runs_that_have_spoken_to_others_are_resumed_each_by_itself(
    scf_runtime: ScfRuntime, deployed: Deploy, how: str
) -> None:

    def served(run: Any) -> Iterator[dict[str, str]]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield {"OUT": str(run.path), "PORT": str(listener.getsockname()[1])}

    function = deployed(BEGIN + CONNECTING.replace("SPEAK", SPEAKS[how]))
    sweep = scf_runtime.sweep(function, each_run=served, how="graceful", points="waits", compares_nothing=True)

    resumed = [run for run in sweep.runs if not run.cold and len(run.outcome.attempts) > 1]
    spoken = [run for run in resumed if run.outcome.end == ""]
    assert spoken
    assert {run.key for run in cold(sweep)} >= {f"{run.key} cold" for run in spoken}


# -- bare processes ----------------------------------------------------------------------------------------------------

BARE = """
import json, os, sys, time

def sleep(seconds):
    print("waits", flush=True)
    sys.stdin.readline()

time.sleep = sleep
sys.path.insert(0, sys.argv[1])
import job

for line in sys.stdin:
    print("ends " + json.dumps(job.main_handler({}, None)), flush=True)
"""


class Bare:
    """The handler as a process of its own: no harness, no simulated time."""

    def __init__(self, code: Path, out: Path, tmp: Path) -> None:
        tmp.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-c", BARE, str(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OUT": str(out), "TMPDIR": str(tmp)},
        )

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def event(self, interrupted_at: int = 0) -> str:
        """Run one event, with SIGTERM in the wait of that number; its result."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        waits = 0
        process.stdin.write("begin\n")
        while True:
            process.stdin.flush()
            said = process.stdout.readline().split(maxsplit=1)
            if said[0] == "ends":
                return said[1].strip()
            waits += 1
            if waits == interrupted_at:
                os.kill(process.pid, signal.SIGTERM)
            process.stdin.write("go on\n")


def bare_verdict(code: Path, tmp_path: Path, interrupted_at: int, *, then_cold: bool) -> dict[str, str]:
    """The files that are there in the end."""
    name = f"{interrupted_at}-{then_cold}"
    out = tmp_path / f"out-{name}"
    out.mkdir()
    with Bare(code, out, tmp_path / f"tmp-{name}-1") as first:
        result = first.event(interrupted_at)
        if result != '"done"' and not then_cold:
            assert first.event() == '"done"'
    if result != '"done"' and then_cold:
        with Bare(code, out, tmp_path / f"tmp-{name}-2") as second:
            assert second.event() == '"done"'
    return {path.name: path.read_text() for path in out.iterdir()}


def observed(run: Any) -> Iterator[dict[str, str]]:
    """Ends are unknown where something is observed, so each is resumed by a cold start of its own."""
    yield {"OUT": str(run.path)}
    run.observe(files=sorted(path.name for path in run.path.iterdir()))


@pytest.mark.parametrize("handler", [IN_A_GLOBAL, IN_TMP, FIXED], ids=["a global", "/tmp", "fixed"])
@pytest.mark.usefixtures("without_second_stops")
def test_verdicts_are_those_of_bare_processes(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, handler: str
) -> None:
    function = deployed(BEGIN + handler)
    sweep = scf_runtime.sweep(function, each_run=observed, how="graceful", points="waits", include="wait#*")

    undisturbed = bare_verdict(tmp_path / "code", tmp_path, 0, then_cold=False)
    expected = {}
    for number in (1, 2, 3):
        for then_cold in (False, True):
            found = bare_verdict(tmp_path / "code", tmp_path, number, then_cold=then_cold)
            expected[f"graceful@wait#{number}{' cold' * then_cold}"] = found.get("rows") == undisturbed["rows"]
    ours = {run.key: "lost" not in {kind.value for kind in run.kinds} for run in sweep.runs}
    assert all(run.key in expected for run in sweep.runs)
    last = "graceful@wait#3 cold"
    assert {key: right for key, right in expected.items() if key != last or last in ours} == ours


def test_the_key_of_a_cold_resume_repeats_it_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(job=textwrap.dedent(BEGIN + IN_A_GLOBAL))
    pytester.makepyfile(
        """
        def each_run(run):
            yield {"OUT": str(run.path)}

        def test_it(scf_runtime):
            function = scf_runtime.deploy("job.py:main_handler")
            scf_runtime.sweep(function, each_run=each_run, how="graceful", points="waits").assert_survives()
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "no:asyncio", "--scf-async-replay=graceful@wait#2 cold"
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *job does not survive SIGTERM:",
            "E *1 of 1 interruption fails",
            "E *LOST: SIGTERM while job.py:* waited in sleep(*), then a new instance",
            "E *Replay: *--scf-async-replay='graceful@wait#2 cold'",
        ]
    )


def test_a_cold_resume_counts_in_the_limit(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(BEGIN + FIXED)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful", limit=20)

    listened = [run.key for run in sweep.runs if run.outcome.listened]
    assert len(listened) == 19  # one resume is shared by all points at which nobody listens
    assert len([run for run in sweep.runs if not run.outcome.listened]) == 10
    assert cold(sweep)
