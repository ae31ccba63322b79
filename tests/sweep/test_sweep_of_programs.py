"""Programs in any language are killed at each effect, by the record that their supervisor makes."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from sweeping import each_run, each_run_with_a_server

from pytest_scf_async import Function, ScfRuntime

# once: a program is recorded in the same way, whatever Python the test has
pytestmark = pytest.mark.once

LOOP = """
    cd "$OUT"
    number=$(cat done 2>/dev/null || echo 0)
    while [ "$number" -lt 3 ]; do
        sleep 1
        number=$((number + 1))
        printf '%s\\n' "row $number" > "row-$number"
        SAVE
        echo "saved $number"
    done
"""
IN_PLACE = 'echo "$number" > done'
RENAMED = 'echo "$number" > new; mv new done'
LISTENS = """
    cd "$OUT"
    stop=
    trap 'stop=1' TERM
    number=$(cat done 2>/dev/null || echo 0)
    while [ "$number" -lt 3 ]; do
        sleep 1 & wait $!
        if [ "$stop" ]; then
            SAVE
            exit 3
        fi
        number=$((number + 1))
        printf '%s\\n' "row $number" > "row-$number"
    done
    SAVE
"""
SIMULATED = """
    import json, os, pathlib, subprocess, time

    def main_handler(event, context):
        saved = pathlib.Path(os.environ["OUT"], "state.json")
        state = json.loads(saved.read_text()) if saved.exists() else {"done": 0}
        for number in range(state["done"], 2):
            subprocess.run(["sleep", "60"], check=True)
            state["done"] = number + 1
            SAVE
        return state
"""
WRITTEN = "saved.write_text(json.dumps(state))"
MOVED = 'new = saved.with_suffix(".new"); new.write_text(json.dumps(state)); new.replace(saved)'


def job(scf_runtime: ScfRuntime, tmp_path: Path, script: str, save: str) -> Function:
    path = tmp_path / "job.sh"
    path.write_text(textwrap.dedent(script).replace("SAVE", save))
    return scf_runtime.deploy_image(command=["bash", str(path)], port=-1, timeout=600)


def keys(runs: Any) -> list[str]:
    return [run.key for run in runs]


@pytest.mark.sandbox
def test_a_script_that_saves_in_place_is_killed_between_open_and_write(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    sweep = scf_runtime.sweep(job(scf_runtime, tmp_path, LOOP, IN_PLACE), each_run=each_run, how="forced")
    (failure,) = sweep.failures
    assert str(failure.earliest.point.text) == "write done"
    assert "kills at effects" not in sweep.report
    assert re.search(
        r"\n  lost: .*\n(.*\n)*  Replay:  pytest .* --scf-async-replay='forced@effect#\d+'\n", sweep.report
    )


def test_one_that_renames_survives(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    sweep = scf_runtime.sweep(job(scf_runtime, tmp_path, LOOP, RENAMED), each_run=each_run)
    sweep.assert_survives()
    tried = keys(sweep.runs)
    assert sum(key.startswith("forced@effect#") for key in tried) >= 9  # a row, what is new and the rename, three times
    assert {"forced@wait#2", "graceful@wait#2", "forced@log#2"} <= {*tried}


@pytest.mark.parametrize("save", [IN_PLACE, RENAMED])
def test_a_script_that_saves_when_it_is_stopped_is_killed_while_it_saves(
    scf_runtime: ScfRuntime, tmp_path: Path, save: str
) -> None:
    function = job(scf_runtime, tmp_path, LISTENS, save)
    sweep = scf_runtime.sweep(function, each_run=each_run)
    after = [key for key in keys(sweep.runs) if re.fullmatch(r"graceful>forced@wait#\d>effect#\d+", key)]
    assert after
    if save == RENAMED:
        sweep.assert_survives()
    else:
        failed = [run.key for failure in sweep.failures for run in failure.runs]
        assert {*failed} & {*after}
        assert keys(scf_runtime.sweep(function, each_run=each_run).runs) == keys(sweep.runs)


TRAPPED = """
    cd "$OUT"
    trap '[ -e b ] && touch broken; exit 3' TERM
    [ -e broken ] && exit 4
    echo 1 > a
    echo 2 > b
    rm b
    echo "ready"
"""
TRACES = """
import faulthandler, os, signal
path = os.path.join(os.environ["OUT"], "a")
a = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
faulthandler.register(signal.SIGTERM, a, all_threads=False)
for each in (b"one|", b"two|"):
    os.write(a, each)
"""


def test_a_program_is_stopped_with_grace_before_each_effect(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = job(scf_runtime, tmp_path, TRAPPED, "")
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    assert keys(sweep.runs) == [f"graceful@effect#{number}" for number in range(1, 6)] + ["graceful@log#1"]
    (failure,) = sweep.failures
    assert keys(failure.runs) == ["graceful@effect#3", "graceful@effect#4"], "a shell runs its trap behind the command"
    assert failure.earliest.point.text == "open b"
    written = [run.outcome.written for run in sweep.runs]
    assert written[:4] == [(), ("a (0 bytes)",), ("a (2 bytes)",), ("a (2 bytes)", "b (0 bytes)")]
    assert not scf_runtime.sweep(function, each_run=each_run, how="graceful", points="log").failures


def test_the_handler_of_a_signal_runs_before_the_effect(scf_runtime: ScfRuntime) -> None:
    """It is a handler in C, which runs at once, and writes to the file that the program is about to write to."""
    function = scf_runtime.deploy_image(command=[sys.executable, "-I", "-c", TRACES], port=-1, timeout=600)
    found: dict[str | None, str] = {}

    def check(run: Any) -> None:
        text = "".join(path.read_text() for path in run.path.iterdir())
        found[run.point] = re.sub(r"(Current thread|Stack)(.*\n)*", "trace|", text)

    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful", check=check, ignore="a")
    sweep.assert_survives()
    assert found == {None: "one|two|", "effect#1": "", "effect#2": "trace|one|two|", "effect#3": "one|trace|two|"}


@pytest.mark.parametrize("save", [IN_PLACE, RENAMED])
def test_the_timeout_of_a_program_is_a_kill_at_its_effects(scf_runtime: ScfRuntime, tmp_path: Path, save: str) -> None:
    sweep = scf_runtime.sweep(job(scf_runtime, tmp_path, LOOP, save), each_run=each_run, how="timeout")
    assert {run.outcome.attempts[0].status_code for run in sweep.runs} == {433}
    assert sum(key.startswith("timeout@effect#") for key in keys(sweep.runs)) >= 6
    assert [failure.earliest.point.text for failure in sweep.failures] == ["write done"] * (save == IN_PLACE)


def test_who_asks_for_the_log_of_a_kill_gets_the_lines_up_to_its_effect(
    scf_runtime: ScfRuntime, tmp_path: Path
) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def check(run: Any) -> None:
        lines = [line.text for line in run.event.log if line.text.startswith("saved")]
        saved = run.path / "done"
        seen[f"{run.how}@{run.point}"] = len(lines), int(saved.read_text() or 0) if saved.exists() else 0

    function = job(scf_runtime, tmp_path, LOOP, RENAMED)
    sweep = scf_runtime.sweep(function, each_run=each_run, check=check, how="forced")
    sweep.assert_survives()
    at_effects = {key: both for key, both in seen.items() if "effect#" in key}
    assert len(at_effects) >= 9
    for key, (lines, saved) in at_effects.items():
        assert saved in (lines, lines + 1), key
    assert {lines for lines, _ in at_effects.values()} == {0, 1, 2}


@pytest.mark.parametrize("save", [WRITTEN, MOVED])
def test_a_handler_with_simulated_children_is_recorded(scf_runtime: ScfRuntime, tmp_path: Path, save: str) -> None:
    path = tmp_path / "index.py"
    path.write_text(textwrap.dedent(SIMULATED).replace("SAVE", save))
    function = scf_runtime.deploy(f"{path}:main_handler", children="simulated")
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    if save == MOVED:
        sweep.assert_survives()
    else:
        (failure,) = sweep.failures
        assert failure.earliest.point.label == "effect#2"
        assert failure.earliest.point.text == "write state.json"


def test_a_program_is_killed_for_real_from_its_first_connect_on(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text(f": > /dev/tcp/127.0.0.1/$PORT; {textwrap.dedent(LOOP).replace('SAVE', IN_PLACE)}")
    function = scf_runtime.deploy_image(command=["bash", str(path)], port=-1, timeout=600, network="all")
    sweep = scf_runtime.sweep(function, each_run=each_run_with_a_server, how="forced")
    (failure,) = sweep.failures
    assert failure.earliest.point.text == "write done"
    assert failure.earliest.outcome.attempts[0].status == "ABORTED"
    at_effects = [key for key in keys(sweep.runs) if key.startswith("forced@effect#")]
    assert f"\nnote: {len(at_effects)} kills after the first connect were real runs" in sweep.report


def test_a_program_that_nobody_answers_is_killed_from_the_record(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    script = f"(: > /dev/tcp/127.0.0.1/9) 2>/dev/null; {textwrap.dedent(LOOP)}"
    sweep = scf_runtime.sweep(job(scf_runtime, tmp_path, script, IN_PLACE), each_run=each_run, how="forced")
    (failure,) = sweep.failures
    assert failure.earliest.point.text == "write done"
    assert "were real runs" not in sweep.report


SERVER = f"""#!{sys.executable}
import http.server, json, os, pathlib, time

class Events(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        saved = pathlib.Path(os.environ["OUT"], "done")
        for number in range(int(saved.read_text() or 0) if saved.exists() else 0, 2):
            time.sleep(1)
            pathlib.Path(os.environ["OUT"], f"row-{{number}}").write_text("row")
            SAVE
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"done")

http.server.ThreadingHTTPServer(("0.0.0.0", 9000), Events).serve_forever()
"""
SAVES = {
    "in place": "saved.write_text(str(number + 1))",
    "too early": (
        'saved.with_suffix(".new").write_text(str(number + 2)); os.replace(saved.with_suffix(".new"), saved)'
    ),
    "renamed": 'saved.with_suffix(".new").write_text(str(number + 1)); os.replace(saved.with_suffix(".new"), saved)',
}


@pytest.mark.parametrize("save", SAVES)
def test_an_image_that_is_a_server_is_recorded(scf_runtime: ScfRuntime, tmp_path: Path, save: str) -> None:
    path = tmp_path / "server.py"
    path.write_text(SERVER.replace("SAVE", SAVES[save]))
    function = scf_runtime.deploy_image(command=[sys.executable, str(path)])
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    assert sum("effect#" in key for key in keys(sweep.runs)) >= 6
    if save == "renamed":
        sweep.assert_survives()
    elif save == "too early":
        assert "\n  lost: file row-1\n" in sweep.report
    else:  # an empty file is a beginning from nothing, and what is written again is the same
        sweep.assert_survives()
