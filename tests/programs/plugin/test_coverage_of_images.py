"""``pytest --cov`` counts the lines that the program of an image runs, in whatever way its events end."""

from __future__ import annotations

import textwrap

import coverage
import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS

# once: coverage of programs is the platform's side; test_coverage.py runs on the oldest and the newest
pytestmark = pytest.mark.once

PROGRAM = """
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, SERVER

def work(kind):
    if kind == "returns":
        return 7  # line 7
    if kind == "raises":
        raise ValueError("boom")  # line 9
    if kind == "leaves":
        os._exit(3)  # line 11
    if kind == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)  # line 13
    if kind == "sleeps":
        time.sleep(50)  # line 15
        time.sleep(0)  # line 16
    if kind == "listens":
        signal.signal(signal.SIGTERM, on_term) if threading.current_thread() is threading.main_thread() else None
        time.sleep(50)  # line 19

def on_term(signum, frame):
    os._exit(1)  # line 22

class Platform(BaseHTTPRequestHandler):
    def do_POST(self):
        kind = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["kind"]
        result = work(kind)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(result).encode())

    def log_message(self, *args):
        pass

SERVER(("0.0.0.0", 9000), Platform).serve_forever()
"""
STEPS = {
    "returns": ("event.wait()", {7}),
    "raises": ("event.wait(); assert event.status_code == 430", {9}),
    "leaves": ("event.wait(); assert event.status_code == 439", {11}),
    "is killed": ("event.wait(); assert event.status_code == 439", {13}),
    "sleeps": ("event.settle(); event.terminate()", {15}),
}
OTHER_ENDS = {
    "times out": ("sleeps", "event.wait(); assert event.status_code == 433", {15}),
    "does not listen": (
        "sleeps",
        "event.settle(); event.terminate(grace_shutdown=True); event.wait(); event.status",
        {15},
    ),
    "is left to the harness": ("sleeps", "event.settle()", {15}),
    "goes on from a line": ("sleeps", "event.run_to('app.py:16'); event.wait()", {15, 16}),
    "is the first of two": ("returns", "event.wait(); function.invoke_async({'kind': 'raises'}).wait().status", {7, 9}),
}
ALL = {kind: (kind, *step) for kind, step in STEPS.items()} | OTHER_ENDS


@pytest.mark.parametrize("server", ["HTTPServer", "ThreadingHTTPServer"])
def test_every_kind_of_end_keeps_its_lines(pytester: pytest.Pytester, server: str) -> None:
    pytester.makeini(f"[pytest]\nfilterwarnings = error::pytest.PytestWarning\naddopts = {PLAIN_OPTIONS}\n")
    program = pytester.mkdir("image") / "app.py"
    program.write_text(textwrap.dedent(PROGRAM).replace("SERVER", server), encoding="utf-8")
    tests = [
        f"""
def test_{number}(scf_runtime):
    timeout = 40 if {name!r} == "times out" else 80000
    function = scf_runtime.deploy_image(["python", "app.py"], cwd="image", timeout=timeout, in_process=True)
    event = function.invoke_async({{"kind": {kind!r}}})
    {steps}
    assert "overage" not in str(event.log)
"""
        for number, (name, (kind, steps, _)) in enumerate(ALL.items())
    ]
    pytester.makepyfile(test_kinds="".join(tests))

    result = run_forked(pytester, "--cov=image", "--cov-context=test")

    result.assert_outcomes(passed=len(ALL))
    data = coverage.CoverageData(basename=str(pytester.path / ".coverage"))
    data.read()
    ends = {line for _, _, own in ALL.values() for line in own} | {19, 22}
    for number, (name, (_, _, own)) in enumerate(ALL.items()):
        data.set_query_context(f"test_kinds.py::test_{number}|run")
        found = set(data.lines(str(program)) or ())
        assert found & ends == own, name
        assert {2, 35} <= found, name


def test_a_supervised_program_is_not_measured_and_that_is_said(pytester: pytest.Pytester) -> None:
    pytester.makeini(f"[pytest]\naddopts = {PLAIN_OPTIONS}\n")
    pytester.makepyfile("""
        def test_it(scf_runtime):
            for options in ({}, {}, {"in_process": True}):
                scf_runtime.deploy_image(["python", "-m", "http.server", "9000"], **options)
    """)

    result = run_forked(pytester, "--cov=.")

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*ScfAsyncWarning: coverage cannot measure the program 'python -m http.server 9000': use in_process=True"]
    )


def test_a_handler_whose_children_are_simulated_is_not_measured_and_that_is_said(pytester: pytest.Pytester) -> None:
    pytester.makeini(f"[pytest]\naddopts = {PLAIN_OPTIONS}\n")
    pytester.makepyfile(index="def main_handler(event, context): pass")
    pytester.makepyfile("""
        def test_it(scf_runtime):
            function = scf_runtime.deploy("index.py:main_handler")
            function.update(children="simulated")
            scf_runtime.deploy("index.py:main_handler", children="simulated")
    """)

    result = run_forked(pytester, "--cov=.")

    result.assert_outcomes(passed=1, warnings=1)
    text = 'coverage cannot measure a Python function with children="simulated": leave it out where lines are counted'
    result.stdout.fnmatch_lines([f"*ScfAsyncWarning: {text}"])
