"""``pytest --cov`` counts the lines that the forks of an image's program run, however they end."""

from __future__ import annotations

import textwrap

import coverage
import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS

# once: as test_coverage_of_images.py
pytestmark = pytest.mark.once

PROGRAM = """\
import os, socket, time

def answer(connection):
    request = connection.recv(65_536)
    print("working", flush=True)
    time.sleep(5000)  # line 6
    if b"exit" in request:
        os._exit(3)  # line 8
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")  # line 9

listener = socket.create_server(("0.0.0.0", 9000))
if os.fork() == 0:
    while True:
        answer(listener.accept()[0])
time.sleep(50_000)
"""
TESTS = """
    def event(scf_runtime, payload):
        return scf_runtime.deploy_image(["python", "server.py"], cwd="image", in_process=True).invoke_async(payload)

    def test_returns(scf_runtime):
        event(scf_runtime, "return").wait()

    def test_exits(scf_runtime):
        assert event(scf_runtime, "exit").wait().status_code == 430

    def test_forced(scf_runtime, scf_clock):
        forced = event(scf_runtime, "return")
        forced.wait_for_log("working").settle()
        forced.terminate()
"""


LINES = {"returns": {5, 6, 7, 9}, "exits": {5, 6, 7, 8}, "forced": {5, 6}}
"""Those that the worker of each test runs."""


def test_the_lines_of_a_worker_are_counted(pytester: pytest.Pytester) -> None:
    pytester.makeini(f"[pytest]\naddopts = {PLAIN_OPTIONS}\n")
    pytester.mkdir("image").joinpath("server.py").write_text(PROGRAM, encoding="utf-8")
    pytester.makepyfile(test_image=textwrap.dedent(TESTS))

    done = run_forked(pytester, "--cov=image", "--cov-context=test", "-p", "no:cacheprovider")

    done.assert_outcomes(passed=len(LINES))
    data = coverage.CoverageData(str(pytester.path / ".coverage"))
    data.read()
    (file,) = (name for name in data.measured_files() if name.endswith("server.py"))
    for test, lines in LINES.items():
        data.set_query_context(f"test_image.py::test_{test}|run")
        assert set(data.lines(file) or ()) & {5, 6, 7, 8, 9} == lines, test
