"""Two runs of a traced program are the same: its timeline with all waits, its lines, the signal in its 600th second.

``SCF_RUNS=50`` makes as many as that of each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from image_support import program
from process_support import START, user_lines

from pytest_scf_async import ScfRuntime, ScfSettings

# once: what the platform does with a program is the same, whatever Python it runs on
RUNS = int(os.environ.get("SCF_RUNS", "2"))
pytestmark = [pytest.mark.once, pytest.mark.timeout(60 + 20 * RUNS)]

GO = """
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	http.HandleFunc("/event-invoke", func(answer http.ResponseWriter, request *http.Request) {
		begin := time.Now()
		minutes := time.NewTicker(time.Minute)
		for {
			select {
			case <-minutes.C:
				fmt.Println("minute", time.Since(begin))
			case <-signals:
				fmt.Println("stops", time.Since(begin))
				fmt.Fprint(answer, 1)
				return
			case <-time.After(time.Second):
			}
		}
	})
	http.ListenAndServe("0.0.0.0:9000", nil)
}
"""
NODE = """
const begin = performance.now()
const shown = () => Math.round(performance.now() - begin) + ' ' + new Date().toISOString()
let stopping = false
process.on('SIGTERM', () => { console.log('signal', shown()); stopping = true })
require('http').createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    let rows = 0
    const minutes = setInterval(() => console.log('minute', shown()), 60_000)
    const rest = setInterval(async () => {
      rows += 1
      await new Promise(later => setTimeout(later, 10))
      if (!stopping) return
      clearInterval(minutes)
      clearInterval(rest)
      response.end(String(rows))
    }, 1000)
  })
}).listen(9000, '0.0.0.0')
"""
SERVER = program("""
stopping = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: stopping.set())

def handle(event, request):
    begin = time.monotonic()
    while not stopping.wait(7):
        pass
    return round(time.monotonic() - begin, 3)
""")
BASH = """
python3 -I server.py &
server=$!
stopping=
trap 'echo "trap at $SECONDS"; stopping=yes' TERM
while [ -z "$stopping" ]; do
    (sleep 37; echo "child at $SECONDS") | while read -r line; do echo "read $line"; done &
    wait $!
    date -u +%T.%N
done
kill -USR1 "$server"
wait "$server"
"""
GUNICORN = """
import json, time

def app(environ, start_response):
    if environ["PATH_INFO"] != "/event-invoke":
        start_response("404 Not Found", [])
        return [b""]
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    begin = time.monotonic()
    for row in range(610):
        time.sleep(1)
        if not row % 60:
            print("row", row, time.time(), flush=True)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(time.monotonic() - begin).encode()]
"""
SEEDED = """
import random

bind = "0.0.0.0:9000"
random.seed(1)  # between the starts of its workers gunicorn waits for a time at random
"""


def one_run(command: Sequence[str], directory: Path, shown: str) -> tuple[str, str]:
    """What is to be seen of an event of the program that has a SIGTERM in its 600th second; *shown* begins a line."""
    with ScfRuntime(ScfSettings(start=START, compute_grace=60)) as runtime:
        event = runtime.deploy_image(command, cwd=directory, timeout=3600, port=9000).invoke_async()
        runtime.clock.advance(600)
        event.terminate(grace_shutdown=True)
        event.wait()
        assert any(line.startswith(shown) for line in user_lines(event)), event.timeline
        return comparable(event.timeline), comparable(str(event.log))


def comparable(text: str) -> str:
    """The text without what is real: memory, and the numbers of processes and events but for their order."""
    text = re.sub(r"MemUsage:\s?[\d.]+MB", "MemUsage", text)
    for pattern in (r"[0-9a-f]{8}-[0-9a-f-]{27}", r"(?<=[\[(])\d+(?=[\])])", r"(?<=pid[ :=])\s?\d+"):
        names = {name: f"<{number}>" for number, name in enumerate(dict.fromkeys(re.findall(pattern, text)))}
        text = re.sub(pattern, lambda found: names[found[0]], text)  # noqa: B023
    return text


def assert_all_runs_are_the_same(command: Sequence[str], directory: Path, shown: str, *, real: str = "\0") -> None:
    """*real* is in lines that are written after the answer: whether they are in the log of the event is real."""

    def seen() -> list[str]:
        lines = [text.splitlines() for text in one_run(command, directory, shown)]
        return [line for text in lines for line in text if real not in line]

    first = seen()
    for _ in range(RUNS - 1):
        assert seen() == first


@pytest.mark.go
def test_a_loop_in_go(tmp_path: Path, build_go) -> None:
    assert_all_runs_are_the_same([build_go(GO)], tmp_path, "stops 10m0s")


@pytest.mark.nodejs
def test_a_server_of_node(tmp_path: Path) -> None:
    (tmp_path / "server.js").write_text(NODE)
    assert_all_runs_are_the_same(["node", "server.js"], tmp_path, "signal 600")


def test_a_script_of_bash_with_a_trap_and_children(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "work.sh").write_text(BASH)
    assert_all_runs_are_the_same(["bash", "work.sh"], tmp_path, "00:10:")


def test_gunicorn_with_two_workers(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(GUNICORN)
    (tmp_path / "gunicorn.conf.py").write_text(SEEDED)
    command = [
        "python",
        "-I",
        "-m",
        "gunicorn",
        "--pythonpath",
        ".",
        "-w",
        "2",
        "-t",
        "0",
        "-b",
        "0.0.0.0:9000",
        "app:app",
    ]
    assert_all_runs_are_the_same(command, tmp_path, "row 600", real="Worker exiting")
