"""Kills are answered from the record of one run, and are what real ones are."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from seeded_set import SEEDED, path_of
from sweep_internals import Kills, recorded_run
from sweeping import Deploy, each_run, each_run_with_a_server

from pytest_scf_async import Run, ScfRuntime, ScfUsageError

# once: what differs between versions is in test_points.py and test_seeded.py
pytestmark = pytest.mark.once

SOME = (
    *("appended_without_key", "checkpoint_first", "counted_twice", "flushed_after_checkpoint", "generator_not_closed"),
    *("buffer_not_flushed", "exit_in_listener", "except_eats_stop"),
)
EACH = 1 if "SCF_KILLS" in os.environ else 3
"""Of which places one is tried with a real kill: every third, and with `make kills` all."""
IN_PLACE = """
    import json, os, pathlib, time

    def main_handler(event, context):
        saved = pathlib.Path(os.environ["OUT"], "state.json")
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        for number in range(state["done"], 3):
            time.sleep(1)
            state["done"] = number + 1
            saved.write_text(json.dumps(state))
        return state
"""
RENAMED = IN_PLACE.replace(
    "saved.write_text(json.dumps(state))",
    'saved.with_suffix(".new").write_text(json.dumps(state)); saved.with_suffix(".new").replace(saved)',
)


def timeline(run: Any) -> list[str]:
    """That of the interrupted event, which a run has where something is wrong with it, without its lines and waits.

    Of points at which a kill leaves the same it is that of the first one, which may stand before a line, or a wait.
    """
    lines = re.sub("MemUsage:.*", "", run.outcome.timeline).splitlines() if run.differences else []
    written = r"log +(START|Init Report|\[PLATFORM\]|ERROR|END|Report) "
    of_platform = rf"\+\S+ s  (status|signal|instance  (?!stopped at)|{written})"
    return [line for line in lines if re.match(of_platform, line)]


def outcomes(sweep: Any) -> dict[str, Any]:
    return {
        run.key: (
            sorted(kind.value for kind in run.kinds),
            [(attempt.status_code, attempt.seconds, attempt.cold) for attempt in run.outcome.attempts],
            timeline(run),
            run.outcome.written,
            run.outcome.effects.digest(),
        )
        for run in sweep.runs
    }


@pytest.mark.parametrize("seeded", [each for each in SEEDED if each.name in SOME], ids=lambda each: each.name)
def test_what_comes_of_a_kill_is_what_comes_of_a_real_one(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, seeded: Any
) -> None:
    function = scf_runtime.deploy(f"{path_of(seeded.name)}:main_handler")
    are_like_real_ones(scf_runtime, monkeypatch, function, seeded.payload)


def are_like_real_ones(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, function: Any, payload: Any = None
) -> None:
    """Kills from the record come to what real ones come to, at each line and wait, also by SIGTERM or a timeout."""
    how = ("graceful", "forced", "timeout")
    monkeypatch.setattr("pytest_scf_async.sweep.sweep._FIRST_STOPS", 0)
    monkeypatch.setattr("pytest_scf_async.sweep.sweep._Sweeper._follows_stops", False)
    recorded = outcomes(scf_runtime.sweep(function, payload, each_run=each_run, how=how))
    monkeypatch.setattr(
        Kills, "points", property(lambda self: [each for each in self._places if each.kind != "effect"][::EACH])
    )
    monkeypatch.setattr(Kills, "has", lambda *_: False)
    real = outcomes(scf_runtime.sweep(function, payload, each_run=each_run, how=how))
    assert len(real) > 10 / EACH
    cold = [outcome for key, outcome in recorded.items() if key.endswith(" cold")]
    for key, outcome in real.items():
        if key.endswith(" cold") and key not in recorded:  # one is made for each end, at the place that met it first
            assert outcome in cold, key
        else:
            assert recorded[key] == outcome, key


def test_a_sigterm_that_nobody_listens_to_is_a_kill_from_the_record(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, deployed: Deploy
) -> None:
    stages: list[str | None] = []

    def counted(run: Run) -> Iterator[dict[str, str]]:
        stages.append(run.point)
        yield {"OUT": str(run.path)}

    function = deployed(IN_PLACE.replace("return state", "return time.time() and state"))  # else fewer are resumed from
    forced = scf_runtime.sweep(function, each_run=counted, how="forced")
    both = scf_runtime.sweep(function, each_run=counted, how=("graceful", "forced"))
    assert len(both.runs) > 1.8 * len(forced.runs)
    assert {run.outcome.attempts[0].status_code for run in both.runs if run.how == "graceful"} == {439}
    half = stages.index(None, stages.index(None) + 3)
    assert len(stages) - half <= half + 3, "no resume is made for a SIGTERM that leaves what a kill leaves"
    are_like_real_ones(scf_runtime, monkeypatch, function)


def test_random_numbers_are_those_of_the_same_events(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, pathlib, random, time, uuid

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])
            for number in range(3):
                time.sleep(1)
                with (out / "drawn").open("a") as drawn:
                    drawn.write(f"{uuid.uuid4()} {os.urandom(4).hex()} {random.random()}\\n")
            (out / "done").write_text("done")
        """
    )
    are_like_real_ones(scf_runtime, monkeypatch, function)


def test_an_undisturbed_run_with_a_record_is_like_one_without(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(IN_PLACE)
    sweeps = [
        scf_runtime.sweep(function, each_run=each_run, how="graceful", points="waits"),
        scf_runtime.sweep(function, each_run=each_run, how="forced"),
    ]
    assert [len(sweep.failures) for sweep in sweeps] == [0, 1]
    without, recorded = (sweep._swept.undisturbed for sweep in sweeps)
    assert (recorded.plan.recorded, without.plan.recorded) == (True, False)
    assert recorded.effects == without.effects
    assert recorded.attempts == without.attempts
    assert [(each.shown, each.kind, each.seconds) for each in recorded.points] == [
        (each.shown, each.kind, each.seconds) for each in without.points
    ]


def test_a_record_that_is_wrong_is_noticed(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, deployed: Deploy
) -> None:
    def put(kills: Kills, place: object, directory: Path) -> None:
        directory.joinpath("state.json").write_text("broken")

    monkeypatch.setattr(Kills, "_put", put)
    sweep = scf_runtime.sweep(deployed(RENAMED), each_run=each_run, how="forced")
    why = "kills were real runs, because a kill from the record came to something else than a real one (unless the "
    (note,) = [line for line in sweep.report.splitlines() if why in line]
    assert note.startswith(f"note: {len(sweep.runs)} kills ")
    assert "this is a defect of pytest-scf-async: please report it" in note
    sweep.assert_survives()


def test_a_timeout_is_a_kill_with_another_status(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(IN_PLACE)
    function.update(timeout=600)
    sweep = scf_runtime.sweep(function, each_run=each_run, how=("forced", "timeout"))
    kinds = {how: {run.point.label for run in sweep.runs if run.how == how} for how in ("forced", "timeout")}
    assert kinds["forced"] == kinds["timeout"]
    earliest = {failure.earliest.how: failure.earliest for failure in sweep.failures}
    assert {how: run.key for how, run in earliest.items()} == {
        "forced": "forced@effect#2",
        "timeout": "timeout@effect#2",
    }
    (attempt, again, *_) = earliest["timeout"].outcome.attempts
    assert (attempt.status, attempt.status_code, attempt.seconds, again.cold) == ("FAILED", 433, 600, True)


def test_a_timeout_of_the_init_is_tried_at_lines_alone(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib
        pathlib.Path(os.environ["OUT"], "imported").write_text("x")

        def main_handler(event, context):
            pathlib.Path(os.environ["OUT"], "done").write_text("x")
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="timeout")
    assert [point.text for point in sweep.points if point.kind == "effect"] == ["write done"]
    sweep.assert_survives()


def test_a_checkpoint_that_is_written_in_place_is_lost_between_its_calls(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    sweep = scf_runtime.sweep(deployed(IN_PLACE), each_run=each_run)
    (found,) = sweep.failures
    assert {kind.value for kind in found.kinds} == {"never finishes"}
    assert [run.key for run in found.runs] == [f"forced@effect#{number}" for number in (2, 4, 6)]
    assert "\nNEVER FINISHES: killed while job.py:10 was writing state.json\n" in sweep.report
    assert "\n    effect#1  open   state.json   0 bytes\n" in sweep.report


def test_a_new_file_that_takes_its_place_is_not(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(RENAMED), each_run=each_run)
    sweep.assert_survives()
    assert [point.shown for point in sweep.points if point.kind == "effect"] == [
        f"effect#{number}" for number in (2, 3, 5, 6, 8, 9)
    ]


def test_a_backup_that_is_a_hard_link_is_lost_with_the_file(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])
            state, backup = out / "state", out / "backup"
            read = [each.read_text() for each in (state, backup) if each.exists()]
            number = int(next((text for text in read if text), "0"))
            for number in range(number, 3):
                backup.unlink(missing_ok=True)
                if state.exists():
                    os.link(state, backup)
                (out / f"page-{number}").write_text("page")
                state.write_text(str(number + 1))
            if read and not any(read):
                raise ValueError("the state is lost, and its backup, too")
            return number
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    keys = {run.key for alike in sweep.failures for run in alike.runs}
    assert {"forced@effect#11", "forced@effect#17"} <= keys, sweep.report  # the backup is empty with the state
    assert "the state is lost" in sweep.report


def test_a_handler_is_killed_for_real_from_its_first_connect_on(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib, socket

        def main_handler(event, context):
            pathlib.Path(os.environ["OUT"], "first").write_text("first")
            socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))).sendall(b"hello")
            pathlib.Path(os.environ["OUT"], "done").write_text("done")
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run_with_a_server, how="forced")
    sweep.assert_survives()
    effects = {
        point.label: re.sub(r"127.0.0.1:\d+", "PORT", point.text) for point in sweep.points if point.kind == "effect"
    }
    assert effects == {"effect#2": "write first", "effect#4": "send 5 bytes to PORT", "effect#6": "write done"}
    runs = {run.key: run.outcome for run in sweep.runs}
    assert [runs[f"forced@{label}"].attempts[0].status for label in effects] == ["ABORTED"] * 3
    assert runs["forced@effect#6"].written == ("done (0 bytes)", "first (5 bytes)")
    after = [key for key, outcome in runs.items() if "done" in str(outcome.written) or key == "forced@effect#4"]
    real = re.search(
        r"\nnote: (\d+) kills after the first connect were real runs, because .*; they took \d+\.\d real s\n",
        sweep.report,
    )
    assert real is not None
    assert len(after) <= int(real[1]) < len(runs)


@pytest.mark.parametrize(
    ("how", "status_code", "title"),
    [("forced", 499, "killed"), ("timeout", 433, "timed out"), ("graceful", 439, "SIGTERM")],
)
def test_each_way_to_end_it_is_tried_at_effects_after_its_first_connect(
    scf_runtime: ScfRuntime, deployed: Deploy, how: str, status_code: int, title: str
) -> None:
    connects = 'socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))).sendall(b"hello")\n'
    first = "saved = pathlib"
    source = IN_PLACE.replace("import json", "import socket, json").replace(first, f"{connects}        {first}")
    sweep = scf_runtime.sweep(deployed(source), each_run=each_run_with_a_server, how=how)
    (found,) = sweep.failures
    assert [run.key for run in found.runs] == [f"{how}@effect#{number}" for number in (4, 6, 8)]
    assert {run.outcome.attempts[0].status_code for run in sweep.runs if run.point.kind == "effect"} == {status_code}
    assert f"\nNEVER FINISHES: {title} while job.py:11 was writing state.json\n" in sweep.report


@pytest.mark.parametrize("how", ["forced", "timeout", "graceful"])
def test_one_that_takes_its_place_is_right_after_a_connect_too(
    scf_runtime: ScfRuntime, deployed: Deploy, how: str
) -> None:
    connects = 'socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))).sendall(b"hello")\n'
    first = "saved = pathlib"
    source = RENAMED.replace("import json", "import socket, json").replace(first, f"{connects}        {first}")
    scf_runtime.sweep(deployed(source), each_run=each_run_with_a_server, how=how).assert_survives()


@pytest.mark.parametrize("how", ["forced", "timeout"])
def test_kills_that_leave_the_same_are_resumed_from_once(scf_runtime: ScfRuntime, deployed: Deploy, how: str) -> None:
    stages: list[str | None] = []

    def counted(run: Run) -> Iterator[dict[str, str]]:
        stages.append(run.point)
        yield {"OUT": str(run.path)}

    lines = "\n".join(f"        number_{number} = {number}" for number in range(40))
    source = f"""
    import os, pathlib

    def main_handler(event, context):
{lines}
        pathlib.Path(os.environ["OUT"], "done").touch()
    """
    sweep = scf_runtime.sweep(deployed(source), each_run=counted, how=how)
    assert len(sweep.runs) > 40
    assert len(stages) < 12


SENDMMSG = """
        import ctypes, struct
        name = struct.pack("<H", socket.AF_INET) + struct.pack(">H", there[1]) + socket.inet_aton(there[0]) + bytes(8)
        named, text = ctypes.create_string_buffer(name, 16), ctypes.create_string_buffer(b"hello", 5)
        part = (ctypes.c_void_p * 2)(ctypes.addressof(text), 5)
        header = (ctypes.c_void_p * 8)(ctypes.addressof(named), 16, ctypes.addressof(part), 1)
        assert ctypes.CDLL(None).sendmmsg(peer.fileno(), header, 1, 0) == 1
"""
DATAGRAMS = {
    "sendto": "peer.sendto(b'hello', there)",
    "sendmsg": "peer.sendmsg([b'hel', b'lo'], [], 0, there)",
    "sendmmsg": SENDMMSG.strip(),
    "connect and send": "peer.connect(there), peer.send(b'hello')",
}


@pytest.mark.parametrize("way", DATAGRAMS)
def test_from_its_first_datagram_on_it_is_killed_for_real(scf_runtime: ScfRuntime, deployed: Deploy, way: str) -> None:
    source = """
        import os, pathlib, socket

        def main_handler(event, context):
            out, there = pathlib.Path(os.environ["OUT"]), ("127.0.0.1", int(os.environ["PORT"]))
            (out / "first").write_text("first")
            peer = socket.socket(type=socket.SOCK_DGRAM)
            WAY
            (out / "done").write_text("done")
    """

    def with_peer(run: Run) -> Iterator[dict[str, str]]:
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            yield {"OUT": str(run.path), "PORT": str(peer.getsockname()[1])}
            heard.append(peer.recv(100, socket.MSG_DONTWAIT) if run.point is None else b"")

    heard: list[bytes] = []
    lines = DATAGRAMS[way].replace("\n        ", "\n            ")
    sweep = scf_runtime.sweep(deployed(source.replace("WAY", lines)), each_run=with_peer, how="forced")
    sweep.assert_survives()
    assert heard[:2] == [b"hello"] * 2
    assert re.search(r"note: \d+ kills after the first connect were real runs, because the handler talks", sweep.report)


def test_the_head_says_all_that_was_not_tried_in_one_line(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, pathlib, threading, time

        def main_handler(event, context):
            out = pathlib.Path(os.environ["OUT"])
            writer = threading.Thread(target=lambda: (out / "a").write_text("a"))
            writer.start()
            writer.join()
            (out / "b").write_text("b")
            (out / "when").write_text(str(time.time()))
        """
    )
    head = scf_runtime.sweep(function, each_run=each_run, how="forced", limit=3).report.splitlines()
    compared = "  Compared: result; 3 files. Not compared, as it differs from run to run: "
    assert head[1].startswith(compared)
    assert head[1].endswith(". Power loss not tried.")
    not_tried = r"  Not tried: \d+ points? beyond limit=; other orders of the changes of 2 writers\."
    assert re.fullmatch(not_tried, head[2])
    assert head[3] == ""


def test_who_asks_the_event_that_was_killed_finds_its_log_and_its_records(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, pathlib, time
        from pytest_scf_async.inside import record

        def main_handler(event, context):
            for number in range(3):
                print("row", number)
                record("row", number=number)
                time.sleep(1)
            pathlib.Path(os.environ["OUT"], "done").write_text("done")
        """
    )
    seen: dict[str, Any] = {}

    def check(run: Any) -> None:
        if run.point is not None:
            event = run.event
            lines = [line.text for line in event.log if line.source == "Custom"]
            seen[run.point] = (
                lines,
                [each.fields["number"] for each in event.records],
                event.status_code,
                event.duration.total_seconds(),
            )
            run.resume()

    kills = scf_runtime.sweep(function, each_run=each_run, how="forced", check=check, ignore="row")
    kills.assert_survives()
    second = next(point for point in seen if point.startswith("job.py:8#2"))
    assert seen[second] == (["row 0", "row 1"], [0], 499, 1.0)
    assert seen["effect#5"] == (["row 0", "row 1", "row 2"], [0, 1, 2], 499, 3.0)


def test_done_and_retry_are_asked_about_the_event_that_was_killed_at_an_effect(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, pathlib
        from pytest_scf_async.inside import record

        def main_handler(event, context):
            for number in event["numbers"]:
                print("row", number)
                record("row", number=number)
            (pathlib.Path(os.environ["OUT"]) / "done").write_text("done")
        """
    )
    asked: list[tuple[str, Any]] = []

    def note(name: str, event: Any) -> None:
        lines = [line.text for line in event.log if line.source == "Custom"]
        asked.append(
            (name, (event.status, event.status_code, lines, [each.fields["number"] for each in event.records]))
        )

    def done(event: Any) -> bool:
        note("done", event)
        return bool(event.status == "FINISHED")

    def retry(event: Any) -> dict[str, list[int]]:
        note("retry", event)
        return {"numbers": [7]}

    sweep = scf_runtime.sweep(
        function,
        {"numbers": [1, 2]},
        each_run=each_run,
        how="forced",
        include=["effect#4"],
        done=done,
        retry=retry,
        ignore="row",
    )
    sweep.assert_survives()
    killed = "ABORTED", 499, ["row 1", "row 2"], [1, 2]
    assert [each for each in asked if each[1][0] != "FINISHED"] == [("done", killed), ("retry", killed)]
    assert asked[-1] == ("done", ("FINISHED", 200, ["row 7"], [7]))


def test_more_bytes_than_a_record_may_have_are_said_with_what_to_do(
    make_runtime: Callable[..., ScfRuntime], tmp_path: Path
) -> None:
    runtime = make_runtime(real_timeout=60)  # the recorder copies 1 GB
    code = tmp_path / "job.py"
    code.write_text(
        """
import os

def main_handler(event, context):
    with open(os.environ["OUT"] + "/data", "wb", 0) as file:
        for number in range(1, 18):
            os.pwrite(file.fileno(), bytes([number]) * (64 << 20), 0)
"""
    )
    record = recorded_run(runtime, runtime.deploy(f"{code}:main_handler"), tmp_path)
    most = "a record has at most 10,000 files and 1 GB: each kill recreates them"
    what = "run.path has changes of more than that"
    assert record.problems == [f"{what}: {most}; keep what the handler only reads outside run.path"]


MAILS = """
    import os, pathlib
    from pytest_scf_async.inside import record

    def main_handler(event, context):
        mark = pathlib.Path(os.environ["OUT"], "mark")
        if not mark.exists():
            BOTH
        return "done"
"""


@pytest.mark.parametrize("how", ["forced", "timeout"])
def test_a_record_is_an_effect_before_which_it_is_killed(scf_runtime: ScfRuntime, deployed: Deploy, how: str) -> None:
    wrong = deployed(MAILS.replace("BOTH", 'mark.touch(); record("mail", to="a")'))
    sweep = scf_runtime.sweep(wrong, each_run=each_run, how=how)
    (found,) = sweep.failures
    assert [run.key for run in found.runs] == [f"{how}@effect#3"]
    happened = "killed" if how == "forced" else "timed out"
    assert f"\nLOST: {happened} before job.py:8 recorded mail\n" in sweep.report
    assert "\n  mark is changed before mail is recorded, and the two belong together:\n" in sweep.report
    assert "\n  Fix:     record mail before mark is changed\n" in sweep.report
    assert "real runs" not in sweep.report


def test_a_record_that_comes_first_is_not_lost(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    right = deployed(MAILS.replace("BOTH", 'record("mail", to="a"); mark.touch()'))
    sweep = scf_runtime.sweep(right, each_run=each_run)
    assert {kind.value for run in sweep.runs for kind in run.kinds} == {"doubled"}
    sweep.assert_survives()


MOVES = """
    import os, pathlib, time

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        if not (out / "new").exists():
            IF_DONE
            (out / "new").touch()
        time.sleep(1)
        os.replace(out / "new", out / "final")
"""
IF_DONE = 'if (out / "final").exists():\n                '


@pytest.mark.parametrize(("how", "happened"), [("forced", "killed"), ("timeout", "timed out")])
def test_it_is_killed_when_all_is_done_too(scf_runtime: ScfRuntime, deployed: Deploy, how: str, happened: str) -> None:
    wrong = deployed(MOVES.replace("IF_DONE", f'{IF_DONE}raise RuntimeError("nothing is there to be moved")'))
    sweep = scf_runtime.sweep(wrong, each_run=each_run, how=how)
    (found,) = sweep.failures
    assert [run.key for run in found.runs] == [f"{how}@end"]
    assert f"\nNEVER FINISHES: {happened} when all was done, after job.py:11\n" in sweep.report


def test_one_that_finds_that_all_is_done_survives(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    right = deployed(MOVES.replace("IF_DONE", f"{IF_DONE}return"))
    sweep = scf_runtime.sweep(right, each_run=each_run)
    sweep.assert_survives()
    assert [run.key for run in sweep.runs if run.point.kind == "end"] == ["forced@end"]


def test_after_a_sigterm_too(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    source = """
        import os, pathlib, signal, time

        def main_handler(event, context):
            asked, final = [], pathlib.Path(os.environ["OUT"], "final")
            signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
            if final.exists():
                IF_DONE
            time.sleep(1)
            if asked:
                time.sleep(1)
            final.touch()
            if asked:
                return
            return
    """
    wrong = deployed(source.replace("IF_DONE", 'raise RuntimeError("it was done before")'))
    sweep = scf_runtime.sweep(wrong, each_run=each_run)
    found = {run.key: run for alike in sweep.failures for run in alike.runs}
    title = "killed when all was done, after job.py:14, after SIGTERM at job.py:6"
    assert f"\nNEVER FINISHES: {title}\n" in sweep.report
    assert found["graceful>forced@job.py:6+1#1>end"].point.label == "end"
    assert "note:" not in sweep.report


def test_a_job_is_killed_when_all_is_done_too(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text('cd "$OUT"\ntest -e final && exit CODE\necho row > new\nsleep 1\nmv new final\n')
    for code in (3, 0):
        script.write_text(script.read_text().replace("CODE", str(code)).replace("exit 3", f"exit {code}"))
        function = scf_runtime.deploy_image(["sh", str(script)], name=f"job-{code}", port=-1)
        sweep = scf_runtime.sweep(function, each_run=each_run, how="forced", done=0)
        assert [run.key for alike in sweep.failures for run in alike.runs] == ["forced@end"] * (code == 3)


DIFFERS = """
    import os, pathlib

    def main_handler(event, context):
        out, runs = pathlib.Path(os.environ["OUT"]), len(pathlib.Path(os.environ["COUNTED"]).read_text())
        os.makedirs(out / ("a/b" if runs % 2 else "a"), exist_ok=True)
        (out / "rows").write_text("rows")
"""


@pytest.mark.parametrize(("third", "is_refused"), [("xx", False), ("xxx", True)])
def test_another_sequence_of_effects_is_refused_if_it_is_in_the_same_run_made_again(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, third: str, *, is_refused: bool
) -> None:
    counted = tmp_path / "counted"
    contents = iter(["", "x", third])

    def each_run(run: Any) -> Iterator[dict[str, str]]:
        counted.write_text(next(contents, ""))
        yield {"OUT": str(run.path), "COUNTED": str(counted)}

    function = deployed(DIFFERS)
    if not is_refused:
        scf_runtime.sweep(function, each_run=each_run, how="forced").assert_survives()
        return
    difference = r"effect#2: open rows in run 1, mkdir a/b in run 2\. What it reads from outside"
    with pytest.raises(ScfUsageError, match=rf"run 1 had 3 effects, run 2 4; the first difference is {difference}"):
        scf_runtime.sweep(function, each_run=each_run, how="forced")


WRITERS = """
    import os, pathlib, threading

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])

        def work(names):
            for name in names:
                (out / name).write_text("x")

        for names in os.environ["OF_THREADS"].split():
            thread = threading.Thread(target=work, args=(names,))
            thread.start()
            thread.join()
        work(os.environ["OF_MAIN"])
"""


@pytest.mark.parametrize(
    ("in_first", "in_others", "is_refused"),
    [
        (("", "ab"), ("", "ba"), True),
        (("ab", "c"), ("ba", "c"), True),
        (("a", "bc"), ("a", "cb"), True),
        (("ab c", "d"), ("c ab", "d"), False),
        (("ab c", "d"), ("b ca", "d"), False),  # a pool
        (("ab c", "de"), ("b ca", "ed"), True),
    ],
)
def test_another_order_of_the_effects_of_one_writer_is_refused(
    scf_runtime: ScfRuntime, deployed: Deploy, in_first: Any, in_others: Any, *, is_refused: bool
) -> None:
    made: list[Any] = []

    def each_run(run: Any) -> Iterator[dict[str, str]]:
        of_threads, of_main = in_others if made else in_first
        made.append(run)
        yield {"OUT": str(run.path), "OF_THREADS": of_threads, "OF_MAIN": of_main}

    function = deployed(WRITERS)
    if is_refused:
        with pytest.raises(
            ScfUsageError, match=r"does not behave the same in each run: .* the first difference is eff"
        ):
            scf_runtime.sweep(function, each_run=each_run, how="forced")
    else:
        scf_runtime.sweep(function, each_run=each_run, how="forced").assert_survives()


WAITS = """
    import calendar, datetime, os, pathlib, subprocess, sys, time

    def asked():
        return {asked}

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        if not (out / "began").exists():
            (out / "new").write_text(str(asked()))
            (out / "new").replace(out / "began")
        elif asked() > float((out / "began").read_text()) + 200:
            return  # it gives up, and nobody does the work
        for _ in range(5):
            time.sleep(60)
        (out / "done").touch()
"""


def kills_with_runs(runtime: ScfRuntime, function: Any) -> tuple[Any, int]:
    """A sweep of kills, and how many runs it has made for them."""
    stages: list[str | None] = []

    def counted(run: Run) -> Iterator[dict[str, str]]:
        stages.append(run.point)
        yield {"OUT": str(run.path)}

    sweep = runtime.sweep(function, each_run=counted, how="forced")
    assert len([run for run in sweep.runs if run.point.kind == "wait"]) == 5
    return sweep, len([point for point in stages if point is not None])


def test_a_state_is_resumed_from_once_if_that_does_not_ask_for_the_time(
    scf_runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch, deployed: Deploy
) -> None:
    function = deployed(WAITS.replace("{asked}", "0"))
    sweep, runs = kills_with_runs(scf_runtime, function)
    assert not sweep.failures
    assert runs <= 6, "five states, each once though five minutes pass, and one more whose lines are collected"
    are_like_real_ones(scf_runtime, monkeypatch, function)


@pytest.mark.parametrize(
    "asked",
    [
        "time.time()",
        "time.monotonic()",
        "datetime.datetime.now().timestamp()",
        "calendar.timegm(time.gmtime())",
        "os.times().elapsed",
    ],
)
def test_one_that_asks_for_the_time_is_resumed_from_at_each(
    scf_runtime: ScfRuntime, deployed: Deploy, asked: str
) -> None:
    """From the third minute on it gives up: a kill in the first wait says nothing of one in the fourth."""
    sweep, runs = kills_with_runs(scf_runtime, deployed(WAITS.replace("{asked}", asked)))
    assert runs >= 8
    lost = {run.point.shown for run in sweep.runs if run.differences}
    assert lost >= {"wait#4", "wait#5"}
    assert not lost & {"wait#1", "wait#2"}


def test_one_that_starts_a_child_may_ask_for_the_time(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    _, runs = kills_with_runs(scf_runtime, deployed(WAITS.replace("{asked}", "float(subprocess.call(['true']))")))
    assert runs >= 8
