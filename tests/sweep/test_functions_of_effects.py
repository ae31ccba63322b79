"""A finding at an effect names the library's function that the handler's line has called."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from internals import messages
from sweep_internals import DiskRecord, Plan, Runner, collector_of_points, functions_of_effects, places_in_libraries
from sweeping import EXPORT, Deploy, each_run

from pytest_scf_async import CannotEndError, ScfRuntime

# interpreter: what a function is called, and what of a call the interpreter reports, depends on Python
# once: where that is shown does not

SAVES = """
    import json, os, pathlib, shutil, sys, tempfile, threading, time

    def main_handler(event, context):
        out = pathlib.Path(os.environ["OUT"])
        if not (out / "begun").exists():
            time.sleep(1)
            (out / "begun").write_text("x")
            row = out / "row"
            SAVE
        return "done"
"""


@pytest.fixture
def functions(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch, without_second_stops: None
) -> Callable[[str], list[str]]:
    """Sweeps a handler that does this, and gives its effects, with the function that each is in."""

    def sweep(save: str) -> list[str]:
        records: list[DiskRecord] = []
        monkeypatch.setattr(DiskRecord, "function_at", lambda self, *_: records.append(self) or ("", "", 0))
        function = deployed(SAVES.replace("SAVE", f"\n{' ' * 12}".join(save.splitlines())))
        assert scf_runtime.sweep(function, each_run=each_run, how="forced").failures
        return [f"{effect.text} in {effect.function.partition('@')[0] or '?'}" for effect in records[0].effects][2:]

    return sweep


@pytest.mark.interpreter
def test_the_line_is_that_of_the_call_where_a_listener_has_interrupted_it(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(f"{EXPORT}:main_handler")

    def check(_: object) -> None:
        """Who asks for the event has each kill made, also what is known from one without a SIGTERM."""

    sweep = scf_runtime.sweep(function, {"rows": 1}, each_run=each_run, include="export.py:30*", check=check)
    points = [run.point for run in sweep.runs if run.point.text == "open rows.txt" and run.point.function]
    assert {(point.function, point.file, point.line) for point in points} == {("open", "export.py", 30)}
    assert any(point.found.line != 30 for point in points), "a line of the listener is the last one before the call"


@pytest.mark.interpreter
@pytest.mark.parametrize(
    ("save", "line"),
    [
        pytest.param('with open(row, "w") as file:\n    file.write("row" * 2_000)\n    rows = 1', 10, id="its end"),
        pytest.param(
            'rows = 1\nwith open(out / "begun") as begun, open(row, "w") as file:\n    for _ in range(2_000):\n'
            "        file.write(begun.read() or 'row')",
            11,
            id="its end after a loop",
        ),
        pytest.param(
            'def save():\n    with open(row, "w") as file:\n        file.write("row" * 2_000)\n        return\nsave()',
            11,
            id="a return",
        ),
        pytest.param(
            'for number in range(1):\n    with (\n        open(row, "w") as file,\n    ):\n'
            '        file.write("row" * 2_000)\n        break',
            11,
            id="a break out of a loop",
        ),
    ],
)
def test_a_file_that_a_with_block_closes_is_written_at_the_with(
    scf_runtime: ScfRuntime, deployed: Deploy, without_second_stops: None, save: str, line: int
) -> None:
    function = deployed(SAVES.replace("SAVE", f"\n{' ' * 12}".join(save.splitlines())))
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced", include="effect#*+4096")
    (run,) = sweep.runs
    assert run.point.text == "write row, cut at byte 4,096"
    assert run.point.line - line in {0, int("(\n" in save)}  # where it has several lines, that of the item
    assert f"killed while job.py:{run.point.line} was writing row, of which 4,096 bytes were there\n" in sweep.report


@pytest.mark.once
def test_the_report_names_the_method_that_writes(
    scf_runtime: ScfRuntime, deployed: Deploy, without_second_stops: None
) -> None:
    sweep = scf_runtime.sweep(deployed(SAVES.replace("SAVE", "pass")), each_run=each_run, how="forced")
    first = "LOST: killed while job.py:8 was writing begun\n"
    assert first in sweep.report
    assert "\n  Path.write_text creates the file empty before filling it:\n" in sweep.report
    with pytest.raises(AssertionError, match=re.escape(first)):
        sweep.assert_survives()


@pytest.mark.parametrize(
    ("save", "expected"),
    [
        pytest.param(
            'with open(row, "w", 512) as file:\n    json.dump(["row"] * 2_000, file)',
            ["open row in open", "write row in json.dump", "write row in json.dump", "write row in ?"],
            id="a function in Python, and what is left for the end of a with block",
        ),
        pytest.param(
            'file = open(row, "w")\nfile.write("row")\nfile.close()\nrow.unlink()\nos.mkdir(row)\nos.rmdir(row)',
            [
                *("open row in open", "write row in TextIOWrapper.close", "unlink row in Path.unlink"),
                *("mkdir row in os.mkdir", "rmdir row in os.rmdir"),
            ],
            id="functions in C",
        ),
        pytest.param(
            'os.replace(out / "begun", row)\nopen(row, "w").write("row")\nos.replace(row, out / "begun")',
            [
                *("rename begun to row in os.replace", "open row in open", "write row in ?"),
                "rename row to begun in os.replace",
            ],
            id="a file that the interpreter closes",
        ),
        pytest.param(
            'shutil.copy(out / "begun", row)',
            ["open row in shutil.copy", "sendfile row in shutil.copy", "chmod row in shutil.copy"],
            id="a function that calls others",
        ),
        pytest.param(
            'json.dumps(object(), default=lambda _: row.write_text("row"))\nsorted([row], key=pathlib.Path.unlink)\n'
            "sorted([row], key=lambda each: each.mkdir())\nrow.rmdir()",
            [
                *("open row in Path.write_text", "write row in Path.write_text", "unlink row in sorted"),
                *("mkdir row in Path.mkdir", "rmdir row in Path.rmdir"),
            ],
            id="functions that call others of the handler",
        ),
        pytest.param(
            'shutil.make_archive(row, "zip", out, "begun")\nwith tempfile.NamedTemporaryFile(dir=out) as file:\n'
            '    file.write(b"row")',
            [
                *("open row.zip in shutil.make_archive", "write row.zip in shutil.make_archive"),
                *("open tmpNAME in tempfile.NamedTemporaryFile", "write tmpNAME in _TemporaryFileWrapper.__exit__"),
                "unlink tmpNAME in _TemporaryFileWrapper.__exit__",
            ],
            id="classes",
        ),
        pytest.param(
            'thread = threading.Thread(target=row.write_text, args=("row",))\nthread.start()\nthread.join()\n'
            "row.unlink()",
            ["open row in ?", "write row in ?", "unlink row in Path.unlink"],
            id="a thread",
        ),
        pytest.param(
            'pid = os.fork()\nif not pid:\n    row.write_text("row")\n    os._exit(0)\nos.waitpid(pid, 0)\n'
            "row.unlink()",
            ["open row in ?", "write row in ?", "unlink row in Path.unlink"],
            id="a child",
        ),
        pytest.param(
            "row.mkdir()\nseen = []\nsys.setprofile(lambda frame, event, _: seen.append(event))\nrow.rmdir()\n"
            "sys.setprofile(None)\nassert 'c_call' in seen\nos.mkdir(row)",
            ["mkdir row in Path.mkdir", "rmdir row in ?", "mkdir row in ?"],
            id="a profiler of the handler",
        ),
    ],
)
@pytest.mark.interpreter
def test_it_is_the_outermost_function_below_the_handler_and_nothing_where_none_is_known(
    functions: Callable[[str], list[str]], save: str, expected: list[str]
) -> None:
    found = [re.sub(r"tmp\w+", "tmpNAME", each) for each in functions(save)]
    found = [each.replace("copy_file_range", "sendfile") for each in found]  # Python 3.14
    assert list(dict.fromkeys(found)) == list(dict.fromkeys(expected))


@pytest.mark.interpreter
def test_a_profiler_in_c_counts_on(functions: Callable[[str], list[str]]) -> None:
    save = (
        "import cProfile\nprofile = cProfile.Profile()\nprofile.enable()\nrow.mkdir()\nprofile.disable()\n"
        'assert any("mkdir" in str(entry.code) for entry in profile.getstats())'
    )
    assert functions(save) in (["mkdir row in ?"], ["mkdir row in Path.mkdir"])  # that one lets others be since 3.12


STOPS = """
    import os, pathlib, signal, time

    def main_handler(event, context):
        begun = pathlib.Path(os.environ["OUT"], "begun")
        if not begun.exists():
            asked = []
            signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
            time.sleep(1)
            begun.write_text("x" if asked else "")
            begun.write_text("")
        return "done"
"""


@pytest.mark.once
def test_it_is_said_of_a_kill_after_a_sigterm(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    sweep = scf_runtime.sweep(deployed(STOPS), each_run=each_run)
    (found,) = sweep.failures
    assert (found.earliest.how, found.earliest.point.function) == ("graceful>forced", "Path.write_text")
    assert "\nDIVERGED: killed before job.py:11 opened begun, after SIGTERM at job.py:8\n" in sweep.report


@pytest.mark.parametrize("key", ["forced@effect#2", "graceful>forced@wait#1>effect#3"])
@pytest.mark.once
def test_a_run_that_is_repeated_says_it_too(pytester: pytest.Pytester, key: str) -> None:
    source = STOPS if ">" in key else SAVES.replace("SAVE", "pass")
    pytester.makepyfile(job=textwrap.dedent(source))
    pytester.makepyfile(
        test_job="""
        def each_run(run):
            yield {"OUT": str(run.path)}

        def test_it(scf_runtime):
            function = scf_runtime.deploy("job.py:main_handler")
            scf_runtime.sweep(function, each_run=each_run).assert_survives()
        """
    )
    repeated = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", f"--scf-async-replay={key}")
    repeated.assert_outcomes(failed=1)
    repeated.stdout.fnmatch_lines([r"E * killed * job.py:*begun*", f"E *Replay: *'{key}'"])


@pytest.mark.once
def test_nothing_is_looked_up_where_no_finding_is_at_an_effect(
    scf_runtime: ScfRuntime, deployed: Deploy, without_second_stops: None
) -> None:
    made: list[Any] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        made.append(run.point)
        yield {"OUT": str(run.path)}

    function = deployed(SAVES.replace('write_text("x")', "mkdir()").replace("SAVE", "pass"))
    sweep = scf_runtime.sweep(function, each_run=each, how="forced")
    assert sweep.failures == []
    assert made.count(None) == 2


@pytest.mark.once
def test_the_library_of_a_function_in_c_is_known_unless_its_caller_says_how_a_file_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nameless = type("Handle", (io.FileIO,), {"__module__": "builtins"})  # as many types in C are
    module = types.ModuleType("keeper.handles")
    module.Handle = nameless  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keeper.handles", module)
    functions = functions_of_effects(())
    with nameless(tmp_path / "file", "w") as handle, closing(sqlite3.connect(tmp_path / "db")) as database:
        assert functions.library_in_c(handle.write) == "keeper"
        assert functions.library_in_c(handle.write) == "keeper"
        assert functions.library_in_c(database.commit) == "sqlite3"
        assert functions.library_in_c(sqlite3.connect) == "sqlite3"
    with open(tmp_path / "file", "w") as file:
        assert [functions.library_in_c(each) for each in (file.write, open, os.rename, [].append)] == [""] * 4


@pytest.mark.once
def test_the_report_says_so_where_the_run_that_names_functions_cannot_end(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch, without_second_stops: None
) -> None:
    run = Runner.run

    def computes(runner: Runner, plan: Plan, *given: Any) -> Any:
        """Each call is reported in that run, so it takes long."""
        if plan.functions:
            raise CannotEndError("wait() on event 1 could not end: the call took 120 real seconds.\nWhat to do: wait.")
        return run(runner, plan, *given)

    monkeypatch.setattr(Runner, "run", computes)
    sweep = scf_runtime.sweep(deployed(SAVES.replace("SAVE", "pass")), each_run=each_run, how="forced")
    assert "Path.write_text" not in sweep.report
    note = "no function of a library is named, as the run that would name them did not end: wait() on event 1 could "
    assert f"\nnote: {note}not end: the call took 120 real seconds.\n" in sweep.report


LIBRARY = """
def deep(times, more):
    if more:
        return deep(times, more - 1)
    for _ in range(times):
        len("")
        abs(0)
"""


@pytest.mark.interpreter
def test_what_a_library_calls_asks_neither_the_stack_nor_the_patterns_of_files_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A library that copies or compiles makes a hundred thousand calls: they would take longer than all else."""
    asked: list[object] = []

    class Counted(functions_of_effects):
        def _under_way(self, frame: types.FrameType) -> str:
            asked.append(frame)
            return super()._under_way(frame)

    control = types.SimpleNamespace(function="", effects=0, recorded=0)
    for module in (functions_of_effects, collector_of_points, places_in_libraries):
        scheduler = types.SimpleNamespace(active=True, is_initialised=True, control=control)
        monkeypatch.setattr(sys.modules[module.__module__], "scheduler", scheduler)
    monkeypatch.delitem(sys.modules, "greenlet", raising=False)
    collector = collector_of_points(messages.Collect(["/user"], ["*_test.py"], functions=True))
    matched: list[str] = []
    is_users = collector.is_users
    monkeypatch.setattr(collector, "is_users", lambda file: matched.append(file) or is_users(file))
    naming = Counted(collector.files(frozenset()))
    library: dict[str, Any] = {"__name__": "library"}
    exec(compile(LIBRARY, "/library.py", "exec"), library)  # noqa: S102  its file is no real one
    deep = library["deep"]
    rows: list[list[object]] = []

    def looks(frame: types.FrameType, event: str, callee: Any) -> None:
        naming(frame, event, callee)
        if event == "c_return" and frame.f_code.co_filename == "/library.py":
            rows.append(collector._in_library(1, 1, frame)[3:5])

    def named(times: int) -> tuple[int, int]:
        asked.clear()
        matched.clear()
        rows.clear()
        user: dict[str, Any] = {"deep": deep, "sys": sys, "looks": looks, "times": times}
        source = compile("sys.setprofile(looks)\ndeep(times, 20)\nsys.setprofile(None)", "/user/job.py", "exec")
        exec(source, user)  # noqa: S102
        assert {tuple(row) for row in rows} == {("/user/job.py", 2)}
        assert len(rows) == 2 * times
        return len(asked), len(matched)

    named(1)
    once = named(1)
    assert named(1000) == once
    monkeypatch.setitem(sys.modules, "greenlet", types.ModuleType("greenlet"))
    assert named(1000)[0] > 2000  # which may have gone on with another stack
