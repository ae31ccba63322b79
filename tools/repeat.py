"""Runs the tests that carry the marker `repeat` many times, with every core kept busy if asked.

One pytest process runs about ten rounds, and after it comes a fresh one. The first failure ends it all, and its output
is shown.
Run: python tools/repeat.py --times 200 --load
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLES = PROJECT / "examples"
PR_SET_PDEATHSIG = 1

# A burner ends with this tool, however this tool ends: killed outright, it leaves its children to another parent.
BURNER = """
import os
os.sched_setaffinity(0, {{{core}}})
while os.getppid() == {parent}:
    for _ in range(1_000_000):
        pass
"""


class Rounds:
    """The pytest plugin of one process: every selected test `count` times, in rounds, and how many ran and failed."""

    def __init__(self, first: int, count: int, report: Path) -> None:
        self.names = [f"round{number}" for number in range(first, first + count)]
        self.report = report
        self.ran = 0
        self.failed = 0

    @pytest.fixture
    def scf_repeat_round(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        # Only what may be selected: rounds of everything would take longer to collect than the selected tests to run.
        # Examples get their mark from a list, after this.
        if metafunc.definition.get_closest_marker("repeat") or metafunc.definition.path.is_relative_to(EXAMPLES):
            metafunc.fixturenames.append("scf_repeat_round")
            metafunc.parametrize("scf_repeat_round", self.names, indirect=True)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        def round_of(item: pytest.Item) -> int:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            return self.names.index(parameters.get("scf_repeat_round", self.names[0]))

        items.sort(key=round_of)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        self.failed += report.failed

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self.report.write_text(f"{self.ran} {self.failed}")


def run_rounds(first: int, count: int, report: Path, arguments: list[str]) -> int:
    """What the child process does: ends as after Ctrl-C if this tool is killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    os.chdir(PROJECT)
    plugin = Rounds(first, count, report)
    return int(pytest.main(["-m", "repeat", "-x", "-q", "-p", "no:cacheprovider", *arguments], plugins=[plugin]))


@contextlib.contextmanager
def burners(wanted: bool) -> Iterator[int]:
    """One process on every core that does nothing but compute; none is left afterwards."""
    cores = sorted(os.sched_getaffinity(0)) if wanted else []
    running: list[subprocess.Popen[bytes]] = []
    try:
        for core in cores:
            code = BURNER.format(core=core, parent=os.getpid())
            running.append(subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.DEVNULL))
        yield len(running)
        for core, burner in zip(cores, running, strict=True):
            if burner.poll() is not None:
                raise SystemExit(f"repeat: the load on core {core} ended early, with {burner.returncode}")
    finally:
        for burner in running:
            burner.kill()
        for burner in running:
            burner.wait()


def chunk(first: int, count: int, arguments: list[str]) -> tuple[int, int, int, str]:
    """Runs `count` rounds in a pytest process of their own: its exit code, tests run, failures, output."""
    with tempfile.TemporaryDirectory(prefix="repeat-") as directory:
        report, output = Path(directory, "report"), Path(directory, "output")
        command = [sys.executable, __file__, "--child", str(first), str(count), str(report), *arguments]
        # A file and not a pipe: a process that a test left behind would keep a pipe open, and this tool waiting.
        with output.open("wb") as sink:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
            try:
                code = process.wait()
            except BaseException:
                stop(process)
                raise
        ran, failed = map(int, report.read_text().split()) if report.exists() else (0, 0)
        return code, ran, failed, output.read_text(errors="replace")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Lets pytest end as after Ctrl-C, and kills it if it does not."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def repeat(times: int, per_process: int, load: bool, arguments: list[str]) -> int:
    started = time.monotonic()
    rounds = tests = failures = code = 0
    with burners(load) as burning:
        while rounds < times and not code:
            count = min(per_process, times - rounds)
            code, ran, failed, output = chunk(rounds + 1, count, arguments)
            tests, failures = tests + ran, failures + failed
            if code == pytest.ExitCode.NO_TESTS_COLLECTED:
                print("repeat: no test carries the marker `repeat`")
            elif code:
                print(output)
                failures = max(failures, 1)
            else:
                rounds += count
                print(f"repeat: {rounds} of {times} rounds, {time.monotonic() - started:.1f} s", flush=True)
    seconds = time.monotonic() - started
    loaded = f"{burning} busy cores" if burning else "no load"
    print(f"repeat: {rounds} rounds, {tests} tests run, {failures} failures, {loaded}, {seconds:.1f} seconds")
    return 1 if code else 0


def terminated(_signum: int, _frame: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/repeat.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=200, help="rounds (%(default)s)")
    parser.add_argument("--per-process", type=int, default=10, help="rounds in one pytest process (%(default)s)")
    parser.add_argument("--load", action="store_true", help="keep every core busy meanwhile")
    parser.add_argument("pytest_arguments", nargs="*", metavar="-- pytest's arguments", help="such as -k name")
    options = parser.parse_args()
    if options.times < 1 or options.per_process < 1:
        parser.error("--times and --per-process are 1 or more")
    signal.signal(signal.SIGTERM, terminated)
    try:
        return repeat(options.times, options.per_process, options.load, options.pytest_arguments)
    except KeyboardInterrupt:
        print("repeat: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        first_round, round_count, report_path, *rest = sys.argv[2:]
        sys.exit(run_rounds(int(first_round), int(round_count), Path(report_path), rest))
    sys.exit(main())
