"""``pytest --cov`` counts the lines that handlers run, in whatever way their processes end."""

from __future__ import annotations

import sys
import tempfile
import textwrap

import coverage
import pytest
from forked_pytest import run_forked
from plugin_support import PLAIN_OPTIONS

HANDLER = """

    import multiprocessing
    import os
    import signal
    import threading
    import time

    def main_handler(event, context):
        kind = event["kind"]
        if kind == "returns":
            return 12  # line 12
        if kind == "raises":
            raise ValueError("boom")  # line 14
        if kind == "exits":
            raise SystemExit(2)  # line 16
        if kind == "leaves":
            os._exit(3)  # line 18
        if kind == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)  # line 20
        if kind == "aborts":
            os.abort()  # line 22
        if kind == "sleeps":
            time.sleep(5000)  # line 24
            time.sleep(0)  # line 25
        if kind == "computes":
            while True:
                pass  # line 28
        if kind == "forks":
            if os.fork() == 0:
                os._exit(0)  # line 31
            os.wait()  # line 32
        if kind == "multiplies":
            process = multiprocessing.get_context("fork").Process(target=in_child)
            process.start()
            process.join()  # line 36
        if kind == "threads":
            threading.Thread(target=in_thread).start()
            time.sleep(5000)  # line 39
        if kind == "listens":
            signal.signal(signal.SIGTERM, on_term)
            time.sleep(5000)  # line 42
        if kind == "uses memory":
            kept = bytearray(140 << 20)  # line 44
            time.sleep(1)  # line 45

    def in_child():
        os.getpid()  # line 48

    def in_thread():
        time.sleep(1)
        time.sleep(5000)  # line 52

    def on_term(signum, frame):
        os._exit(1)  # line 55
"""
STEPS = {
    "returns": ("event.wait()", {12}),
    "raises": ("event.wait(); event.status", {14}),
    "exits": ("event.wait(); event.status", {16}),
    "leaves": ("event.wait(); event.status", {18}),
    "is killed": ("event.wait(); event.status", {20}),
    "aborts": ("event.wait(); event.status", {22}),
    "sleeps": ("event.settle(); event.terminate()", {24}),
    "computes": ("event.terminate()", {27, 28}),  # it computes until it is killed
    "forks": ("event.wait()", {30, 31, 32}),
    "multiplies": ("event.wait()", {34, 35, 36, 48}),
    "threads": ("event.settle(); clock.advance(2); event.terminate()", {38, 39, 51, 52}),
    "listens": ("event.settle(); event.terminate(grace_shutdown=True); event.wait(); event.status", {41, 42, 55}),
    "uses memory": ("event.wait(); assert event.status_code == 434", {44, 45}),
}
OTHER_ENDS = {
    "times out": ("sleeps", "event.wait(); assert event.status_code == 433", {24}),
    "does not listen": (
        "sleeps",
        "event.settle(); event.terminate(grace_shutdown=True); event.wait(); event.status",
        {24},
    ),
    "is left to the harness": ("sleeps", "event.settle()", {24}),
    "stands at a line": ("sleeps", "event.run_to('kinds.py:25'); event.terminate()", {24}),
    "goes on from a line": ("sleeps", "event.run_to('kinds.py:25'); event.wait()", {24, 25}),
}
ALL = {kind: (kind, *step) for kind, step in STEPS.items()} | OTHER_ENDS
ALWAYS = {3, 4, 5, 6, 7, 9, 10, 47, 50, 54}
# once: coverage's own options, and xdist's
ONCE = [
    pytest.param("ctrace", ["--cov-branch"], marks=pytest.mark.once),
    pytest.param("ctrace", ["--cov-branch", "-n2"], marks=pytest.mark.once),
]
OLD = [("ctrace", []), *ONCE]
NEW = [
    pytest.param("sysmon", [], marks=pytest.mark.interpreter),
    pytest.param("sysmon", ["--cov-branch"], marks=pytest.mark.once),
    *ONCE,
]
RUNS_HERE = NEW if sys.version_info >= (3, 12) else OLD
"""How coverage measures, and options: one run on each Python, by the newest way that it has."""


@pytest.fixture
def measured(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a handler that ends in many ways, and a test for each."""
    pytester.makeini(f"[pytest]\nfilterwarnings = error::pytest.PytestWarning\naddopts = {PLAIN_OPTIONS}\n")
    handlers = pytester.mkdir("handlers")
    handlers.joinpath("kinds.py").write_text(textwrap.dedent(HANDLER), encoding="utf-8")
    tests = [
        f"""
def test_{number}(scf_runtime):
    limits = {{"memory": 128}} if {kind!r} == "uses memory" else {{}}
    timeout = 4000 if {name!r} == "times out" else 80000
    function = scf_runtime.deploy("handlers/kinds.py:main_handler", timeout=timeout, **limits)
    event, clock = function.invoke_async({{"kind": {kind!r}}}), scf_runtime.clock
    {steps}
    assert "overage" not in str(event.log)
"""
        for number, (name, (kind, steps, _)) in enumerate(ALL.items())
    ]
    pytester.makepyfile(test_kinds="".join(tests))
    return pytester


def lines(pytester: pytest.Pytester, context: str | None = None) -> set[int]:
    data = coverage.CoverageData(basename=str(pytester.path / ".coverage"))
    data.read()
    if context is not None:
        data.set_query_context(context)
    found = data.lines(str(pytester.path / "handlers" / "kinds.py"))
    return {line for line in found or () if line > 0}


@pytest.mark.parametrize(
    ("core", "options"), RUNS_HERE, ids=lambda given: given if isinstance(given, str) else " ".join(given)
)
def test_every_kind_of_end_keeps_its_lines(
    measured: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, core: str, options: list[str]
) -> None:
    monkeypatch.setenv("COVERAGE_CORE", core)
    result = run_forked(measured, "--cov=handlers", "--cov-context=test", *options)
    result.assert_outcomes(passed=len(ALL))
    for number, (name, (kind, _, own)) in enumerate(ALL.items()):
        found = lines(measured, f"test_kinds.py::test_{number}|run") - ALWAYS
        conditions = {at + 1 for at, line in enumerate(HANDLER.split("\n")) if line.strip().startswith("if kind")}
        at_gate = {25} if name == "stands at a line" else set()  # the cores differ in whether it counts already
        assert found - conditions - at_gate == own, name
        assert conditions & found, kind
    assert "data was collected" not in result.stdout.str() + result.stderr.str()


@pytest.mark.once  # coverage's own command
def test_coverage_run_needs_nothing_to_be_combined(measured: pytest.Pytester) -> None:
    result = measured.run(sys.executable, "-m", "coverage", "run", "-m", "pytest", "-k", "test_0 or test_6")
    assert result.ret == 0
    assert {12, 24} <= lines(measured)
    assert not list(measured.path.glob(".coverage.*"))


@pytest.mark.once  # as above
def test_a_runtime_without_pytest_is_measured_too(measured: pytest.Pytester) -> None:
    measured.makepyfile(
        program="""
        from pytest_scf_async import ScfRuntime

        with ScfRuntime() as runtime:
            runtime.deploy("handlers/kinds.py:main_handler").run({"kind": "returns"})
        """
    )
    result = measured.run(sys.executable, "-m", "coverage", "run", "program.py")
    assert result.ret == 0
    assert 12 in lines(measured)


@pytest.mark.once  # what is lost when the kernel ends a process
def test_a_crash_loses_what_came_after_the_last_event(measured: pytest.Pytester) -> None:
    measured.path.joinpath("handlers", "kinds.py").write_text(
        "import ctypes\n\ndef main_handler(event, context):\n    if event:\n        print('crashes')\n"
        "        ctypes.string_at(0)\n    return 7\n",
        encoding="utf-8",
    )
    measured.makepyfile(
        test_kinds="""
        def test_crash(scf_runtime):
            function = scf_runtime.deploy("handlers/kinds.py:main_handler")
            function.run()
            assert function.invoke_async({"crash": True}).wait().status_code == 439
        """
    )
    run_forked(measured, "--cov=handlers").assert_outcomes(passed=1)
    assert lines(measured) == {1, 3, 4, 7}


@pytest.mark.once  # coverage's own options
def test_options_of_the_project_hold_in_instances(measured: pytest.Pytester) -> None:
    handlers = measured.path / "handlers"
    handlers.joinpath("left_out.py").write_text("unseen = 1\n", encoding="utf-8")
    text = handlers.joinpath("kinds.py").read_text(encoding="utf-8")
    handlers.joinpath("kinds.py").write_text("import left_out\n" + text, encoding="utf-8")
    measured.path.joinpath(".coveragerc").write_text(
        "[run]\nomit = */left_out.py\nsigterm = true\nparallel = true\npatch = _exit\n", encoding="utf-8"
    )
    not_listening = list(ALL).index("does not listen")
    result = run_forked(measured, "--cov=handlers", "-k", f"test_{not_listening} or test_0")
    result.assert_outcomes(passed=2, deselected=len(ALL) - 2)
    data = coverage.CoverageData(basename=str(measured.path / ".coverage"))
    data.read()
    assert {name.rpartition("/")[2] for name in data.measured_files()} == {"kinds.py"}


@pytest.mark.once  # as above
def test_options_of_a_file_below_tmp_hold_in_instances_and_those_of_plugins_too(measured: pytest.Pytester) -> None:
    """An instance has a /tmp of its own, and the file is not in it."""
    measured.makepyfile(
        names_contexts="""
        import coverage

        class Names(coverage.CoveragePlugin):
            def __init__(self, prefix):
                self.prefix = prefix

            def dynamic_context(self, frame):
                return self.prefix + frame.f_code.co_name if frame.f_code.co_name == "main_handler" else None

        def coverage_init(registry, options):
            registry.add_dynamic_context(Names(options["prefix"]))
        """
    )
    measured.makeini(f"[pytest]\naddopts = {PLAIN_OPTIONS}\n")  # it warns of a context where the test begins another
    with tempfile.NamedTemporaryFile("w", dir="/tmp", suffix=".ini") as file:
        file.write("[run]\nplugins = names_contexts\n[names_contexts]\nprefix = runs-\n")
        file.flush()
        options = ["--cov=handlers", f"--cov-config={file.name}", "-k", "test_0"]
        result = measured.run(sys.executable, "-m", "pytest", *options)
    result.assert_outcomes(passed=1, deselected=len(ALL) - 1)
    assert 12 in lines(measured, "runs-main_handler")


@pytest.mark.once  # pytest's side
def test_without_a_measured_session_nothing_of_coverage_is_loaded(measured: pytest.Pytester) -> None:
    measured.path.joinpath("handlers", "looks.py").write_text(
        "import os, sys\n\ndef main_handler(event, context):\n"
        "    return ['coverage' in sys.modules, os._exit.__module__]\n",
        encoding="utf-8",
    )
    measured.makepyfile(
        test_looks="""
        import os
        import sys

        def test_looks(scf_runtime):
            found = scf_runtime.deploy("handlers/looks.py:main_handler").run()
            assert found == [False, os._exit.__module__]
            assert "coverage" not in sys.modules
        """
    )
    result = measured.runpytest_subprocess("-p", "no:pytest_cov", "-k", "test_looks")
    result.assert_outcomes(passed=1, deselected=len(ALL))
