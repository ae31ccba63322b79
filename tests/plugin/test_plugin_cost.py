"""Installed and unused, the plugin imports next to nothing and starts nothing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from internals import pool_of
from plugin_support import PLAIN_OPTIONS

from pytest_scf_async import ScfRuntime

PROBE = """
import sys
import pytest
class Probe:
    def pytest_unconfigure(self):
        print("loaded:", *sorted(name for name in sys.modules if name.startswith("pytest_scf_async")))
code = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[Probe()])
"""


LOADED = [
    "pytest_scf_async",
    *(f"pytest_scf_async.{name}" for name in ("hookspecs", "plugin", "plugin.plugin", "session", "wings_at_start")),
]
"""What is imported of the package in each session, ``plugin`` being an empty package."""


@pytest.mark.once  # pytest's side; what is imported beside the package is in the test below
def test_a_session_that_does_not_use_it_loads_the_plugin_and_its_hooks_only(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", PLAIN_OPTIONS)  # a setting that is given is read
    project.makepyfile("def test_it(): pass")
    result = project.run(sys.executable, "-c", PROBE, "-p", "no:hypothesispytest", "-p", "no:xdist")
    line = next(line for line in result.outlines if line.startswith("loaded:"))
    assert line.split()[1:] == LOADED


def test_importing_the_plugin_adds_nothing_to_what_pytest_has_loaded() -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); "
        "import pytest_scf_async.plugin.plugin, pytest_scf_async.hookspecs; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == LOADED


def test_the_version_is_read_from_the_installed_metadata_when_it_is_asked_for() -> None:
    code = (
        "import sys, pytest_scf_async as package; "
        "print('importlib.metadata' in sys.modules, '__version__' in dir(package), package.__version__); "
        "from pytest_scf_async import *; "
        "print('__version__' in globals())"  # it would be taken for the version of the module that imports all
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", importlib.metadata.version("pytest-scf-async"), "False"]


def test_a_session_of_plain_handlers_imports_nothing_that_a_wing_needs(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        ROWS = "sweep.calls", "sweep.hooks", "sweep.kept_points"

        def test_it(scf_runtime):
            scf_runtime.deploy("handlers/echo.py:main_handler").run()
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"trustme", "cryptography", "werkzeug"}
            of_endpoint = {name for name in sys.modules if name.startswith("pytest_scf_async.endpoint.")}
            others = {name for name in of_endpoint if not name.startswith("pytest_scf_async.endpoint.operations")}
            assert others <= {f"pytest_scf_async.endpoint.{name}" for name in ("hooks", "served_answers")}  # its rows
            of_sweep = {name for name in sys.modules if name.startswith("pytest_scf_async.") and "sweep" in name}
            assert of_sweep <= {f"pytest_scf_async.{name}" for name in ("sweep", *ROWS)}
            of_programs = {name for name in sys.modules if name.startswith("pytest_scf_async.programs.")}
            assert of_programs == {f"pytest_scf_async.programs.{name}" for name in ("runtimes", "runtimes.calls")}
        """
    )
    project.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


@pytest.mark.once  # pytest's side: which modules of the package a process has
def test_the_tests_process_has_nothing_of_what_runs_in_other_processes(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import importlib, sys, time
        from pathlib import Path
        import pytest_scf_async

        INNER = {"side", "python", "zygote", "programs"}
        HERE = ("programs", "runtimes")  # a folder of the test's process in that one
        IN_INSTANCES = [(wing, "in_instance") for wing in ("sweep", "coverage", "debugger")]
        THERE = *IN_INSTANCES, ("wings", "in_zygote")  # and what others have of wings
        NOT_HERE = {"__init__", "__main__", "handlers"}  # the last are of the conformance cases, to be deployed

        def is_inner(parts):
            folder = tuple(parts[:2])
            return folder in THERE or (parts[0] in INNER and folder != HERE)

        def test_it(scf_runtime, scf_clock):
            function = scf_runtime.deploy("handlers/echo.py:main_handler")
            with scf_clock.patched():
                function.run()
                time.sleep(1)
            root = Path(pytest_scf_async.__file__).parent
            modules = [file.relative_to(root).with_suffix("").parts for file in root.rglob("*.py")]
            outer = [parts for parts in modules if not is_inner(parts) and not NOT_HERE & {*parts}]
            for parts in outer:
                importlib.import_module(".".join(("pytest_scf_async", *parts)))
            assert len(outer) > 100
            loaded = [name.split(".")[1:] for name in sys.modules if name.startswith("pytest_scf_async.")]
            assert [parts for parts in loaded if is_inner(parts)] == [["programs"]]  # an empty package
        """
    )
    project.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_a_session_inside_a_session_leaves_the_outer_ones_zygote_alone(
    project: pytest.Pytester, scf_runtime: ScfRuntime
) -> None:
    zygote = pool_of(scf_runtime).sandboxes.zygote()
    project.makepyfile("def test_it(scf_runtime): scf_runtime.deploy('handlers/echo.py:main_handler').run()")
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert pool_of(scf_runtime).sandboxes.zygote() is zygote
    assert zygote.process.poll() is None
