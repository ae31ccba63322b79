"""What all tests and examples share: their marks, what they need of the machine, and what is left out of a run."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest_plugins = ["pytester"]

REPEATED_EXAMPLES = frozenset(
    {
        "test_export.py::test_an_interrupted_export_keeps_its_checkpoint",
        "test_export.py::test_the_signal_arrives_at_the_very_row",
    }
)
"""Examples that ``make repeat`` runs as well, as ``file.py::test_name``: a user's tests carry no mark of ours."""
SAME_IN_ALL_SANDBOXES = frozenset(
    {"test_all_waits.py", "test_endpoint_go.py", "test_endpoint_jest.py", "test_image_container.py", "test_train.py"}
)
"""Files of examples that do not depend on the sandbox, or have a shorter test that is marked `sandbox`, as a sweep of a
program has; the others are marked so."""
ON_THE_OLDEST = {
    "calls most modules: what the standard library of an old Python lacks, or writes in another way": (
        "tests/conformance/test_conformance_cases.py",
        "tests/endpoint/test_api_request.py",
        "tests/endpoint/test_api_signature.py",
        "tests/kernel/gates/test_places.py",
        "tests/kernel/instances/test_compiled_code.py",
        "tests/kernel/instances/test_immortal.py",
        "tests/kernel/instances/test_instance_output.py",
        "tests/kernel/instances/test_instance_starts.py",
        "tests/kernel/instances/test_packages.py",
        "tests/kernel/instances/test_zygote_bounds.py",
        "tests/kernel/model",
        "tests/kernel/processes/test_children_of_instances.py",
        "tests/kernel/protocol",
        "tests/kernel/reports",
        "tests/kernel/scheduler/test_lockstep_state.py",
        "tests/kernel/scheduler/test_real_bounds.py",
        "tests/kernel/scheduler/test_real_cost_counted.py",
        "tests/kernel/scheduler/test_shared_core.py",
        "tests/kernel/signals/test_interrupts.py",
        "tests/kernel/time/test_alarm.py",
        "tests/kernel/time/test_c_connections_of_aarch64.py",
        "tests/kernel/time/test_clock.py",
        "tests/kernel/time/test_clock_page_here.py",
        "tests/kernel/time/test_clock_page_of_aarch64.py",
        "tests/kernel/time/test_registry_of_patches.py",
        "tests/programs/images/test_container_supervisor.py",
        "tests/programs/images/test_http_answers.py",
        "tests/programs/images/test_image_programs.py",
        "tests/programs/runtimes/test_custom_code.py",
        "tests/programs/runtimes/test_executables.py",
        "tests/programs/runtimes/test_go_programs.py",
        "tests/programs/runtimes/test_gob.py",
        "tests/programs/runtimes/test_ports.py",
        "tests/programs/runtimes/test_runtime_api.py",
        "tests/programs/runtimes/test_runtimes.py",
        "tests/programs/supervisor/test_supervised_init.py",
        "tests/programs/supervisor/test_traced_calls.py",
        "tests/project/tools",
        "tests/sweep/parts",
        "tests/trace/test_trace_page.py",
    ),
    "the texts of exceptions, exits and failed imports are Python's": ("tests/kernel/events/test_ends_of_code.py",),
    "its HTTP server, TLS and JSON are those of that Python": ("tests/endpoint/test_endpoint.py",),
    "a file in TOML is read with tomli: tomllib came with Python 3.11": ("tests/endpoint/test_serve.py",),
    "reports name waits and places in code, which tracebacks give": (
        "tests/plugin/reports/test_catalogue_cannot_end.py",
        "tests/plugin/reports/test_catalogue_signals.py",
    ),
    "reports quote Python's exceptions and tracebacks": ("tests/plugin/reports/test_catalogue_mistakes.py",),
    "reports quote Python's exceptions, and values as Python prints them": (
        "tests/plugin/reports/test_catalogue_results.py",
    ),
}
"""What the oldest Python runs besides the tests marked `interpreter`: files, and folders of them, by the reason.

CI's leg `wheel` runs the examples there, and on the newest Python.
"""
LONG = {
    "sweeps of whole handlers, by the thousand": (
        "tests/project/pages/test_docs_report.py",
        "tests/sweep/bare/test_against_bare_processes.py",
        "tests/sweep/bare/test_faults.py",
        "tests/sweep/bare/test_jobs_against_bare.py",
        "tests/sweep/bare/test_sigterms_against_bare.py",
        "tests/sweep/parts/test_sweep_legitimate.py",
        "tests/sweep/plugin/test_sweep_command.py",
        "tests/sweep/plugin/test_sweep_command_programs.py",
        "tests/sweep/plugin/test_sweep_fix.py",
        "tests/sweep/plugin/test_sweep_options.py",
        "tests/sweep/plugin/test_sweep_reports.py",
        "tests/sweep/test_bugs_at_sockets.py",
        "tests/sweep/test_cold_starts.py",
        "tests/sweep/test_cold_starts_said.py",
        "tests/sweep/test_compared.py",
        "tests/sweep/test_every_kill_is_recorded.py",
        "tests/sweep/test_explanations.py",
        "tests/sweep/test_functions_of_effects.py",
        "tests/sweep/test_kills_after_stops.py",
        "tests/sweep/test_kills_from_record.py",
        "tests/sweep/test_layers.py",
        "tests/sweep/test_mutants.py",
        "tests/sweep/test_points.py",
        "tests/sweep/test_power.py",
        "tests/sweep/test_random_numbers.py",
        "tests/sweep/test_repairs.py",
        "tests/sweep/test_repairs_of_kinds.py",
        "tests/sweep/test_repairs_of_seeded.py",
        "tests/sweep/test_repros.py",
        "tests/sweep/test_seeded.py",
        "tests/sweep/test_seeded_model.py",
        "tests/sweep/test_survival.py",
        "tests/sweep/test_sweep.py",
        "tests/sweep/test_sweep_of_programs.py",
        "tests/sweep/test_verdicts_once_wrong.py",
        "tests/sweep/test_workers.py",
    ),
    "random requests, programs and orders, and many at a time": (
        "tests/endpoint/test_endpoint_concurrency.py",
        "tests/endpoint/test_endpoint_fuzz.py",
        "tests/kernel/instances/test_pool_growth.py",
        "tests/kernel/instances/test_size_of_events.py",
        "tests/kernel/instances/test_soak.py",
        "tests/kernel/scheduler/test_determinism_of_runs.py",
        "tests/kernel/scheduler/test_repeatable_runs.py",
        "tests/kernel/scheduler/test_time_stress.py",
        "tests/kernel/time/test_against_timed_processes.py",
        "tests/plugin/beside/test_beside_hypothesis.py",
        "tests/plugin/beside/test_beside_order.py",
        "tests/plugin/reports/test_report_size.py",
        "tests/programs/supervisor/test_programs_against_timed_processes.py",
    ),
    "kills of each process at each moment": (
        "tests/kernel/events/test_output_past_streams.py",
        "tests/kernel/instances/test_interrupted_calls.py",
        "tests/kernel/instances/test_kills.py",
        "tests/kernel/instances/test_zygote_killed.py",
        "tests/kernel/scheduler/test_nothing_gets_stuck.py",
        "tests/plugin/test_nothing_left.py",
        "tests/programs/plugin/test_no_traced_program_left.py",
    ),
    "each case for every runtime, sandbox or program": (
        "tests/conformance/test_conformance_command.py",
        "tests/endpoint/test_endpoint_official_hosts.py",
        "tests/endpoint/test_serve.py",
        "tests/kernel/processes/test_time_multiprocessing.py",
        "tests/plugin/test_clock_setting.py",
        "tests/plugin/test_sandbox_setting.py",
        "tests/programs/images/test_image_forks.py",
        "tests/programs/images/test_image_free_running.py",
        "tests/programs/images/test_image_gunicorn.py",
        "tests/programs/images/test_image_instances.py",
        "tests/programs/images/test_image_last_words.py",
        "tests/programs/images/test_image_processes.py",
        "tests/programs/images/test_image_servers.py",
        "tests/programs/images/test_network_loopback.py",
        "tests/programs/plugin/test_coverage_of_images.py",
        "tests/programs/plugin/test_programs_untraced.py",
        "tests/programs/runtimes/test_conformance_of_runtimes.py",
        "tests/programs/supervisor/test_connections_of_programs.py",
        "tests/programs/supervisor/test_idle_ok_of_programs.py",
        "tests/programs/supervisor/test_programs_that_compute.py",
        "tests/programs/supervisor/test_runs_of_programs.py",
        "tests/programs/supervisor/test_simulated_children.py",
        "tests/programs/supervisor/test_traced_compute_rate.py",
        "tests/programs/supervisor/test_traced_interruptions.py",
        "tests/programs/supervisor/test_traced_leases.py",
        "tests/programs/supervisor/test_traced_threads.py",
        "tests/programs/supervisor/test_waits_for_others_of_programs.py",
    ),
    "runs of whole checkers and of other tools": (
        "tests/plugin/beside/test_coverage.py",
        "tests/plugin/beside/test_debugging.py",
        "tests/plugin/beside/test_without_other_plugins.py",
        "tests/plugin/reports/test_events_never_run.py",
        "tests/plugin/test_editors.py",
        "tests/plugin/test_elsewhere.py",
        "tests/plugin/test_one_option_more.py",
        "tests/plugin/test_patched_option.py",
        "tests/plugin/test_plugin_cost.py",
        "tests/plugin/test_typed_project.py",
        "tests/project/ci/test_action.py",
        "tests/project/tools/test_check_tools.py",
    ),
    "waits that hold the clock for real seconds": (
        "tests/kernel/events/test_memory_limit.py",
        "tests/kernel/processes/test_children_at_rest.py",
        "tests/kernel/processes/test_children_hold_the_clock.py",
        "tests/kernel/sandbox/test_hostile_processes.py",
        "tests/kernel/scheduler/test_computing_is_waited_for.py",
        "tests/kernel/scheduler/test_real_cost.py",
        "tests/kernel/time/test_clock_patched.py",
        "tests/kernel/time/test_clock_running.py",
        "tests/kernel/waits/test_connections_hold_the_clock.py",
        "tests/kernel/waits/test_errors_change_nothing.py",
        "tests/kernel/waits/test_held_waits_reported.py",
    ),
}
"""The files that `make test` leaves out, by what takes long in them; their tests get the mark `long`."""
IN_TURN = (
    (
        "tests/kernel/instances/test_zygote_killed.py",
        "tests/plugin/test_nothing_left.py",
        "tests/programs/supervisor/test_programs_against_timed_processes.py",
        "tests/sweep/bare/test_against_bare_processes.py",
        "tests/sweep/test_repairs.py",
        "tests/sweep/test_repairs_of_seeded.py",
        "tests/sweep/test_seeded.py",
    ),
    (
        "tests/endpoint/test_endpoint_fuzz.py",
        "tests/kernel/instances/test_kills.py",
        "tests/kernel/scheduler/test_nothing_gets_stuck.py",
        "tests/kernel/time/test_against_timed_processes.py",
        "tests/sweep/bare/test_jobs_against_bare.py",
        "tests/sweep/test_bugs_at_sockets.py",
        "tests/sweep/test_survival.py",
        "tests/sweep/test_workers.py",
    ),
    (
        "tests/programs/plugin/test_no_traced_program_left.py",
        "tests/sweep/bare/test_faults.py",
        "tests/sweep/bare/test_sigterms_against_bare.py",
        "tests/sweep/test_every_kill_is_recorded.py",
        "tests/sweep/test_mutants.py",
        "tests/sweep/test_power.py",
        "tests/sweep/test_repairs_of_kinds.py",
        "tests/sweep/test_repros.py",
        "tests/sweep/test_sweep_of_programs.py",
    ),
)
"""The searches among the long files that take longest, in groups that take about as long as each other.

`.ci/run` without a leg's name runs one group, in turn, by the contents of the commit. A leg that is named, as each is
on GitHub, runs all of them, and so do `CI_ALL=1` and `make test-all`.
"""
MARKS = {
    "repeat": "one of the tests that `make repeat` runs 200 times under load",
    "interpreter": "its outcome can depend on Python's version or build: CI runs it on each Python, in turn in between",
    "sandbox": "its outcome can depend on mount namespaces or on who runs it: CI runs it without them, and as nobody",
    "leases": "its outcome can depend on leases or on the clocks of an instance: CI runs it without them, too",
    "oldest": "one of those that ON_THE_OLDEST lists, which alone gives this mark",
    "once": "its outcome cannot depend on Python: CI runs it on this machine's own, not on the newest",
    "long": "one of those that LONG lists: `make test` leaves it out unless its file is named",
}
"""Which runs have a test: one without a mark runs on the newest Python, and in `make test`."""

MarksOfItems = dict[tuple[str, str], set[frozenset[str]]]
"""The marks of each case that was collected, by its file and by the name of its test, or class of tests."""
MARKS_OF_ITEMS = pytest.StashKey[MarksOfItems]()


def command(*names: str) -> Callable[[], bool]:
    """Whether one of the commands *names* is on this machine."""
    return lambda: any(shutil.which(name) is not None for name in names)


def succeeds(*words: str, pattern: str = "") -> bool:
    """Whether the command *words* ends with 0 and prints what *pattern* is found in."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    return done.returncode == 0 and re.search(pattern, done.stdout) is not None


def starts_container() -> bool:
    """Whether podman starts a container. Where cgroups are in hybrid mode `crun`, which it prefers, starts none.

    A container has no program here, and podman says so with 127; what could not start it says 125 or 126.
    """
    with tempfile.TemporaryDirectory() as root:
        options = "--rm", "--network=none", "--read-only", "--rootfs"
        try:
            done = subprocess.run(
                ["podman", "run", *options, root, "/none"], capture_output=True, timeout=60, check=False
            )
        except OSError:
            return False
    return done.returncode == 127


def loads(*names: str) -> bool:
    """Whether one of the shared libraries *names* is on this machine."""
    for name in names:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


class Need(NamedTuple):
    """Something that a test needs and a machine may lack."""

    name: str
    cure: str
    """What to do about it."""
    is_here: Callable[[], bool]


def package(name: str, packages: str, is_here: Callable[[], bool]) -> Need:
    return Need(name, f"Debian and Ubuntu: apt-get install {packages}", is_here)


NEEDS = {
    "cc": package("a C compiler", "gcc libc6-dev", command("cc")),
    "chromium": package(
        "Chromium",
        "chromium",
        lambda: command("chromium", "chromium-browser", "google-chrome")() and find_spec("playwright") is not None,
    ),
    "curl": package("curl", "curl", command("curl")),
    "gdb": package("gdb", "gdb", command("gdb")),
    "go": package(
        "Go 1.18 or newer",
        "golang-go",
        lambda: succeeds("go", "env", "GOVERSION", pattern=r"^go(1\.(1[89]|[2-9]\d)|[2-9])"),
    ),
    "libcrypto": package("OpenSSL's libcrypto", "openssl", lambda: loads("libcrypto.so.3", "libcrypto.so.1.1")),
    "nodejs": package("Node.js", "nodejs", command("node")),
    "npm": package("npm and its registry", "nodejs npm", command("npm")),
    "podman": package("podman, and a runtime with which it starts containers", "podman runc crun-", starts_container),
    "postgresql": package(
        "PostgreSQL's server",
        "postgresql",
        lambda: command("postgres")() or any(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
    ),
    "qemu": package(
        "qemu-aarch64",
        "qemu-user",
        lambda: platform.machine() == "aarch64" or command("qemu-aarch64", "qemu-aarch64-static")(),
    ),
    "redis_server": package("redis-server", "redis-server", command("redis-server")),
    "root": Need("the rights of root", "run it as root", lambda: os.geteuid() == 0),
    "sphinx": Need(
        "Sphinx and what the site is built with",
        "make venv EXTRA=dev,docs",
        lambda: all(find_spec(name) is not None for name in ("sphinx", "furo", "myst_parser", "sphinx_llm")),
    ),
    "strace": package("strace", "strace", command("strace")),
    "tmpfs": Need(
        "a mount namespace with a tmpfs",
        "where the kernel lets users have none, run it as root",
        lambda: succeeds("unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"),
    ),
    "x86_64": Need("an x86-64 processor", "its programs are machine code", lambda: platform.machine() == "x86_64"),
}
"""Marks of what tests need of the machine: without it they are left out, and the last lines of a run say so."""
EXPLAINED = re.compile(r"Skipped: needs (?P<what>.+)", re.DOTALL)
"""The reason of a skip that a test decides itself, as only a system call tells: it says what the machine lacks."""


@functools.cache
def lacking(mark: str) -> str:
    """Why a test with *mark* cannot run here; empty if it can."""
    need = NEEDS[mark]
    return "" if need.is_here() else f"for want of {need.name} ({need.cure})"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the tests of this project marked `long`, too")
    parser.addoption(
        "--only",
        type=str.split,
        default=[],
        metavar="'FILE ...'",
        help="collect these files alone (pytest looks through a folder once for each file of it that it is given)",
    )
    parser.addoption("--may-be-empty", action="store_true", help="that no test is chosen is no failure (.ci/run)")


def pytest_configure(config: pytest.Config) -> None:
    for mark, text in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {text}")
    for mark, need in NEEDS.items():
        config.addinivalue_line("markers", f"{mark}: needs {need.name} ({need.cure})")
    config.pluginmanager.register(LeftOut(config), "left-out")
    if config.option.only:
        config.pluginmanager.register(Only(config), "only")


def pytest_collection_finish() -> None:
    """Freeze the objects of collection: a test that collects garbage does not visit thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    examples = f"{config.rootpath / 'examples'}/"
    oldest = [config.rootpath / name for names in ON_THE_OLDEST.values() for name in names]
    long = {config.rootpath / name for names in LONG.values() for name in names}
    by_path = defaultdict[Path, list[pytest.Item]](list)
    for item in items:
        by_path[item.path].append(item)
    for path, of_file in by_path.items():
        given = ["oldest"] if any(path.is_relative_to(listed) for listed in oldest) else []
        if path in long:
            given.append("long")
        if str(path).startswith(examples) and path.name not in SAME_IN_ALL_SANDBOXES:
            given.append("sandbox")
        for item in of_file:
            for mark in given:
                item.add_marker(mark)
            if f"{path.name}::{getattr(item, 'originalname', item.name)}" in REPEATED_EXAMPLES:
                item.add_marker("repeat")
    found = defaultdict[tuple[str, str], set[frozenset[str]]](set)
    for item in items:
        path, _, name = item.nodeid.partition("::")
        found[path, name.partition("::")[0].partition("[")[0]].add(frozenset(mark.name for mark in item.iter_markers()))
    config.stash[MARKS_OF_ITEMS] = found


@pytest.fixture(scope="session")
def marks_of_items(pytestconfig: pytest.Config) -> MarksOfItems:
    """The marks of all that was collected: what -m has left out, too."""
    return pytestconfig.stash[MARKS_OF_ITEMS]


class Only:
    """Collects the files that ``--only`` names, and nothing else of the folders in which they are."""

    def __init__(self, config: pytest.Config) -> None:
        files = [config.rootpath / name for name in config.option.only]
        folders = [(config.invocation_params.dir / each.split("::")[0]).resolve() for each in config.args]
        for file in files:
            if not file.is_file() or not any(file.is_relative_to(folder) for folder in folders):
                raise pytest.UsageError(f"--only: {file} is not a file in any of the folders that are collected")
        self._wanted = {str(path) for file in files for path in (file, *file.parents)}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return None if str(collection_path) in self._wanted else True


class LeftOut:
    """Leaves out what a run cannot have or did not ask for, and says so in its last lines."""

    def __init__(self, config: pytest.Config) -> None:
        self._long = config.option.long
        named = (Path(each.split("::")[0]).resolve() for each in config.args)
        self._named = {path for path in named if path.is_file()}
        self._counts: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._unexplained: list[str] = []

    @pytest.hookimpl(trylast=True)  # of what -m and -k have selected
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        left_out = {item: reason for item in items if (reason := self._reason(item))}
        if left_out:
            self._counts.update(left_out.values())
            config.hook.pytest_deselected(items=list(left_out))
            items[:] = [item for item in items if item not in left_out]

    def _reason(self, item: pytest.Item) -> str:
        """Why *item* is not run; empty if it is."""
        marks = {mark.name for mark in item.iter_markers()}
        for mark in NEEDS:
            if mark in marks and lacking(mark):
                return lacking(mark)
        if "long" in marks and not self._long and item.path not in self._named:
            return "as long searches (make test-all runs them; CONTRIBUTING.md lists their files)"
        return ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            explained = EXPLAINED.match(reason)
            if explained is None:
                self._unexplained.append(f"{report.nodeid}: {reason}")
            else:
                self._skipped[f"for want of {explained['what']}"] += 1

    @pytest.hookimpl(tryfirst=True)  # before the last lines are written
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):  # a worker of pytest-xdist: each of them leaves out the same
            session.config.workeroutput["left_out"] = dict(self._counts)
        elif self._unexplained and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif session.config.option.may_be_empty and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._counts = Counter(getattr(node, "workeroutput", {}).get("left_out", self._counts))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for text in self._unexplained:
            terminalreporter.write_line(f"FAILED, as nothing explains this skip: {text}", red=True)
        for reason, count in (self._counts + self._skipped).most_common():
            terminalreporter.write_line(f"left out: {count:,} test{'s' * (count > 1)} {reason}")
