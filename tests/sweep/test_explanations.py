"""What is known of a class of findings: what happened, the effects around it, the restarts, the cause and its repair.

A repair is named only where the facts prove the cause: each has a twin here of which they prove nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import seeded_set
from sweep_internals import explained_of
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime, ScfUsageError, fault, power

# once: what an effect does is the same on all Pythons, and which function makes it is in test_functions_of_effects.py
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]

HEAD = """
    import json, os, pathlib, signal, time
    out = pathlib.Path(os.environ["OUT"])
"""
STEPS = """
    def main_handler(event, context):
        state = json.loads((out / "state").read_text()) if (out / "state").exists() else 0
        for step in range(state, 2):
            time.sleep(1)
            SAVE
        return "done"
"""
ONCE = """
    def main_handler(event, context):
        if not (out / "done").exists():
            SAVE
            (out / "done").touch()
        return "done"
"""
WRITES_ONCE = """
    import subprocess, threading

    def main_handler(event, context):
        if not (out / "row").exists():
            SAVE
        return "done"
"""

TASKS = """
    async def save():
        if not (out / "done").exists():
            (out / "done").touch()
            await asyncio.sleep(1)
            (out / "row").touch()
        return "done"

    def main_handler(event, context):
        return asyncio.run(save())
"""


@pytest.fixture
def sweep_of(scf_runtime: ScfRuntime, deployed: Deploy) -> Callable[..., Any]:
    """Sweeps a handler that does this."""

    def sweep(template: str, code: str, **options: Any) -> Any:
        lines = f"\n{' ' * 12}".join(code.splitlines())
        source = HEAD + template.replace("SAVE", lines)
        if "asyncio." in source:  # else each cold start would import it, in more time than all the rest takes
            source = source.replace("import json", "import asyncio, json")
        function = deployed(source)
        return scf_runtime.sweep(function, **{"each_run": each_run, "how": "forced", **options})

    return sweep


@pytest.fixture
def test_id(request: pytest.FixtureRequest) -> str:
    """What ``Replay:`` calls the test."""
    directory = os.path.relpath(request.path, request.config.invocation_params.dir)
    return f"{directory}::{request.node.name}"


def test_the_facts_of_a_file_that_is_written_in_place(sweep_of: Callable[..., Any], test_id: str) -> None:
    (found,) = explained_of(sweep_of(STEPS, '(out / "state").write_text(json.dumps(step + 1))'))

    assert found.title == "NEVER FINISHES: killed while job.py:9 was writing state"
    assert (found.kinds, found.how, found.runs, found.key) == (("never finishes",), "forced", 2, "forced@effect#2")
    assert found.explanation == "Path.write_text empties the file before filling it"
    shown = [(each.name, each.call, each.what, each.result, each.place) for each in found.effects]
    assert shown == [
        ("effect#1", "open", "state", "0 bytes", "job.py:9"),
        ("effect#2", "write", "state", "1 byte", "job.py:9"),
    ]
    assert (found.interrupted_after, found.interruption) == (1, "killed here")
    assert found.source is not None
    assert (found.source.file, found.source.line) == ("job.py", 9)
    assert found.source.text == '(out / "state").write_text(json.dumps(step + 1))'
    assert Path(found.source.path).name == "job.py"
    assert [(each.status, each.status_code, each.place) for each in found.attempts] == [
        ("ABORTED", 499, ""),
        *[("FAILED", 430, "job.py:6")] * 5,
    ]
    assert found.restarts == "Restarted 5 times, failed 5 times (430)"
    assert found.errors == ("job.py:6  JSONDecodeError: Expecting value: line 1 column 1 (char 0)",)
    assert found.survival == "Killed before open or after write, it survives"
    assert found.alike == "Passes 1 and 2 fail alike"
    assert found.fix == "write state.new, then os.replace() it"
    assert found.replay == f"pytest {test_id} --scf-async-replay='forced@effect#2'"
    assert found.files == ("state (0 bytes)",)
    assert found.others == ("forced@effect#4",)
    assert (found.repro, found.failed) == ("", ())


@pytest.mark.parametrize(
    ("template", "code", "options", "cause"),
    [
        pytest.param(
            STEPS,
            'file = open(out / "state", "w")\ntime.sleep(1)\nfile.write(json.dumps(step + 1))\nfile.close()',
            {},
            (
                "open at job.py:9 creates the file empty, and it is filled later",
                "write state.new, then os.replace() it",
            ),
            id="emptied at one line and filled at another",
        ),
        pytest.param(
            STEPS,
            'import fcntl\nwith open(out / "empty", "w") as empty, open(out / "state", "w") as file:\n'
            "    try:\n        fcntl.ioctl(file, 0x40049409, empty.fileno())\n    except OSError:\n        pass\n"
            "    file.write(json.dumps(step + 1))",
            {},
            (
                "open at job.py:10 creates the file empty, and it is filled later",
                "write state.new, then os.replace() it",
            ),
            id="a clone between the two, which leaves nothing in it",
        ),
        pytest.param(
            ONCE,
            'import sqlite3\nassert not (out / "a.db").exists() or (out / "a.db").stat().st_size\n'
            'database = sqlite3.connect(out / "a.db")\ndatabase.execute("CREATE TABLE IF NOT EXISTS rows (id)")\n'
            "database.commit()\ndatabase.close()",
            {},
            (
                "a.db is empty until its first transaction is committed",
                "at the start remove a.db if it is empty",
            ),
            id="a database whose first transaction is not committed",
        ),
        pytest.param(
            ONCE,
            '(out / "done").write_text("")\n(out / "row").touch()',
            {},
            (
                "done is changed before row is, and the two belong together",
                "change row before done, or keep both in one file",
            ),
            id="a mark before the row",
        ),
        pytest.param(
            ONCE,
            'with open(out / "rows", "a") as rows:\n    rows.write("row\\n")',
            {"exactly_once": True},
            (
                "rows is changed before done is, and the two belong together",
                "keep both in one file that a rename puts in place, or in one transaction",
            ),
            id="a row before the mark",
        ),
        pytest.param(
            STEPS,
            'rows = open(out / "rows", "a")\nrows.write(f"{step}\\n")\n(out / "new").write_text(json.dumps(step + 1))\n'
            'os.replace(out / "new", out / "state")\nrows.close()',
            {},
            (
                (
                    "rows has been open since effect#1, and effect#5 at job.py:13 is the first write to it: what the "
                    "code writes before is in a buffer of the process until then, unless it calls flush()"
                ),
                "",
            ),
            id="a buffer that is not flushed",
        ),
        pytest.param(
            STEPS,
            'import threading\nrows, given = open(out / "rows", "a"), threading.Event()\n'
            'write = lambda: (given.wait(), rows.write(f"{step}\\n"), rows.close())\n'
            "writer = threading.Thread(target=write)\nwriter.start()\ngiven.set()\n"
            '(out / "new").write_text(json.dumps(step + 1))\nos.replace(out / "new", out / "state")\nwriter.join()',
            {},
            ("another thread writes to rows in effect#5: what it is still to write is in memory until then", ""),
            id="a thread that has not written yet",
        ),
        pytest.param(
            STEPS,
            'rows = open(out / "rows", "a")\nrows.write(f"{step}\\n")\nrows.close()\n'
            '(out / "new").write_text(json.dumps(step + 1))\nos.replace(out / "new", out / "state")',
            {"exactly_once": True},
            (
                "rows is changed before state is, and the two belong together",
                "keep both in one file that a rename puts in place, or in one transaction",
            ),
            id="a row that is written before the state",
        ),
        pytest.param(
            ONCE,
            'if not (out / "tree").exists():\n    (out / "tree").mkdir()\n    (out / "tree/a").touch()',
            {},
            (
                "tree is there before all that belongs into it is",
                "make tree.new as a whole, then os.replace() it",
            ),
            id="a directory before its files",
        ),
        pytest.param(
            ONCE,
            '(out / "new").write_text("row")\nos.replace(out / "new", out / "row")',
            {"how": ("forced", power("posix"))},
            (
                "row is never synced",
                "flush and os.fsync() the file before it is renamed",
            ),
            id="a file that is not synced",
        ),
        pytest.param(
            ONCE,
            'try:\n    (out / "row").write_text("row")\nexcept OSError:\n    pass',
            {"how": fault("enospc"), "include": ["effect#1"]},
            (
                "open row failed with ENOSPC, and the event ended as if it had not",
                "let the error end the event, or try again after it",
            ),
            id="an error that is ignored",
        ),
    ],
)
def test_why_it_fails_and_what_repairs_it(
    sweep_of: Callable[..., Any], template: str, code: str, options: dict[str, Any], cause: tuple[str, str]
) -> None:
    exactly_once = options.get("exactly_once", False)
    sweep = sweep_of(template, code, **{name: value for name, value in options.items() if name != "exactly_once"})
    found = explained_of(sweep, exactly_once=exactly_once)[0]
    assert (found.explanation, found.fix) == cause, sweep.report


EXITS = """
    import json, os, signal, sys

    def stop(*_):
        END

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        path, step = os.path.join(os.environ["OUT"], "state"), 0
        if os.path.exists(path):
            with open(path) as file:
                step = json.load(file)
        while step < 2:
            step += 1
            with open(path, "w") as file:
                file.write(json.dumps(step))
"""


@pytest.mark.parametrize(
    ("end", "fix"),
    [
        ("sys.exit(143)", "write state.new, then os.replace() it"),
        ("os._exit(143)", "write state.new, then os.replace() it"),
        ("open(os.path.join(os.environ['OUT'], 'state'), 'w').close(); sys.exit(143)", ""),
    ],
    ids=["it raises", "it ends at once", "the listener itself empties it"],
)
def test_a_stop_between_the_call_that_empties_a_file_and_the_one_that_fills_it(
    scf_runtime: ScfRuntime, deployed: Deploy, end: str, fix: str
) -> None:
    sweep = scf_runtime.sweep(deployed(EXITS.replace("END", end)), each_run=each_run, how="graceful")
    found = explained_of(sweep)[0]
    explanation = "open at job.py:15 creates the file empty, and it is filled later; after SIGTERM it ended in between"
    assert found.fix == fix, sweep.report
    assert (found.explanation.replace("empties the file", "creates the file empty") == explanation) == bool(fix)


SEEDED = {
    "removed_before_written": "ledger is removed before the new one is there",
    "moved_to_a_backup": "ledger is moved away before the new one is there",
    "batch_removed_in_pieces": "inbox/batch-0 is removed piece by piece, and some of it is gone by then",
    "script_without_transaction": "bank.db is changed in more than one transaction, and not all of them are ",
    "rows_written_one_by_one": "open at rows_written_one_by_one.py:19 creates the file empty, and it is filled later",
    "half_a_record_appended": "FileIO.writelines appends to records in more than one write",
    "checkpoint_in_listener": "open at checkpoint_in_listener.py:16 creates the file empty, and it is filled later",
    "listener_too_late": "No SIGTERM handler had been installed by then, so SIGTERM ended the process at once",
    "swallowed_exception": "After SIGTERM it returned what it returns when its work is done, so nobody ",
    "rows_in_tmp": "It survives if the instance is used again: a new one lacks what was in a global, in /tmp or in an ",
}
"""How the cause of each begins."""


@pytest.mark.parametrize("name", SEEDED)
def test_the_causes_of_seeded_bugs(scf_runtime: ScfRuntime, name: str) -> None:
    """Each with a repair, as the facts prove the cause."""
    (seeded,) = [each for each in seeded_set.SEEDED if each.name == name]
    how = [each for each in seeded.how if each in ("graceful", "forced")]
    function = scf_runtime.deploy(f"{seeded_set.path_of(name)}:main_handler")
    sweep = scf_runtime.sweep(function, seeded.payload, each_run=each_run, how=how)
    found = explained_of(sweep)[0]
    assert found.explanation.startswith(SEEDED[name]), sweep.report
    assert found.fix, sweep.report


STOPPED = """
    def main_handler(event, context):
        stopped = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
        state = json.loads((out / "state").read_text()) if (out / "state").exists() else 0
        for step in range(state, 2):
            if stopped:
                return "stopped"
            (out / "state").write_text(json.dumps(step + 1))
            time.sleep(1)
            if stopped:
                return "stopped"
            SAVE
            time.sleep(1)
        return "done"
"""


@pytest.mark.parametrize(
    ("save", "cause"),
    [
        (
            'with open(out / "rows", "a") as rows:\n    rows.write("row\\n")',
            (
                "After SIGTERM it has written nothing more, and SIGTERM does no harm once rows is written",
                "after SIGTERM write rows before it returns",
            ),
        ),
        (  # which of the two it takes is not known
            '(out / f"row{step}").touch()\n(out / f"mark{step}").touch()',
            ("After SIGTERM it has written nothing more", ""),
        ),
    ],
    ids=["one file", "two files"],
)
def test_what_is_to_be_saved_after_sigterm_is_named_where_the_effects_prove_it(
    sweep_of: Callable[..., Any], save: str, cause: tuple[str, str]
) -> None:
    sweep = sweep_of(STOPPED, save, how=("graceful", "forced"), include=["wait#*", "job.py:9"])
    found = next(each for each in explained_of(sweep) if each.how == "graceful")
    assert (found.explanation, found.fix) == cause, sweep.report
    assert "Init Report left out" in sweep.report
    assert "Init Report RequestId" in found.timeline


KEEPER = """
import os

def save(path, text):
    with open(path, "w") as file:
        file.write(text)

def remember(directory, text):
    save(directory / "output.bin", text)

def publish(path, text):
    path.unlink(missing_ok=True)
    save(path.with_suffix(".tmp"), text)
    os.replace(path.with_suffix(".tmp"), path)

class Store:
    def __init__(self, path):
        self.file = open(path, "r+" if path.exists() else "w+")

    def put(self, text):
        self.file.seek(0)
        self.file.truncate()
        self.file.write(text)
        self.file.flush()

    def get(self):
        self.file.seek(0)
        return self.file.read()
"""
LIBRARY = """
    import sys, zipfile
    sys.path.insert(0, KEEPERS)
    import keeper

    def main_handler(event, context):
        path = out / "state"
        if (out / "begun").exists():
            READ
        for step in range(2):
            time.sleep(1)
            SAVE
            (out / "begun").touch()
        return "done"
"""
DECIDES = "{} decides how {} is written: see whether an option of it makes it survive this"


@pytest.mark.parametrize(
    ("read", "save", "fix"),
    [
        pytest.param(
            "json.loads(path.read_text())",
            "keeper.save(path, json.dumps(step))",
            "have keeper.save write state.new, then os.replace() it",
            id="a function that writes what it is told to",
        ),
        pytest.param(
            "json.loads(next(out.glob('out*')).read_text())",
            "keeper.remember(out, json.dumps(step))",
            DECIDES.format("keeper", "output.bin"),
            id="a function that chooses the name",
        ),
        pytest.param(
            "json.loads(keeper.Store(path).get())",
            "keeper.Store(path).put(json.dumps(step))",
            DECIDES.format("keeper", "state"),
            id="an object that has the file open",
        ),
        pytest.param(
            "json.loads(path.read_text())",
            "keeper.publish(path, json.dumps(step))",
            DECIDES.format("keeper", "state"),
            id="a file that is removed first",
        ),
        pytest.param(
            "zipfile.ZipFile(path).testzip()",
            "with zipfile.ZipFile(path, 'a') as archive:\n    archive.writestr(str(step), str(step) * 20_000)",
            "change a copy of state, then os.replace() it",
            id="an archive",
        ),
    ],
)
def test_the_fix_of_a_file_that_a_library_writes_is_one_that_its_user_can_make(
    sweep_of: Callable[..., Any], tmp_path: Path, read: str, save: str, fix: str
) -> None:
    (tmp_path / "keepers").mkdir()
    (tmp_path / "keepers" / "keeper.py").write_text(KEEPER)
    template = LIBRARY.replace("KEEPERS", repr(str(tmp_path / "keepers"))).replace("READ", read)
    found = explained_of(sweep_of(template, save))[0]
    assert found.fix == fix, (found.title, found.explanation)


def test_who_waited_at_an_await_is_in_the_title(sweep_of: Callable[..., Any]) -> None:
    (found, *_) = explained_of(sweep_of(TASKS, "", include=["wait#1"]))
    assert found.title == "LOST: killed while Task-1 was at the `await` on job.py:8"


@pytest.mark.parametrize(
    ("save", "who"),
    [
        pytest.param("(out / 'row').write_text('row')", "while job.py:9 was writing row", id="the main thread"),
        pytest.param(
            "thread = threading.Thread(target=(out / 'row').write_text, args=['row']); thread.start(); thread.join()",
            "before another thread wrote row, the main thread at job.py:9",
            id="another thread",
        ),
        pytest.param(
            "subprocess.run('echo row > row', shell=True, cwd=out)",
            "before a child process wrote row, the main thread at job.py:9",
            id="a child process",
        ),
    ],
)
def test_what_others_do_is_not_said_of_the_line_at_which_the_main_thread_is(
    sweep_of: Callable[..., Any], save: str, who: str
) -> None:
    (found, *_) = explained_of(sweep_of(WRITES_ONCE, save))
    assert found.title == f"LOST: killed {who}"


@pytest.mark.parametrize(
    ("template", "code"),
    [
        pytest.param(TASKS, "", id="two files, and no point beside them at which it survives"),
    ],
)
def test_no_repair_is_named_where_the_cause_is_not_proven(
    sweep_of: Callable[..., Any], template: str, code: str
) -> None:
    (found, *_) = explained_of(sweep_of(template, code, include=["wait#1"]))
    assert (found.kinds, found.explanation, found.fix) == (("lost",), "", "")


def test_the_report_shows_each_fact_once(sweep_of: Callable[..., Any], test_id: str) -> None:
    sweep = sweep_of(STEPS, '(out / "state").write_text(json.dumps(step + 1))')
    with pytest.raises(AssertionError) as failure:
        sweep.assert_survives()
    text = str(failure.value)
    head, shown, *_ = text.split("\n\n")
    assert head.splitlines()[0] == "job does not survive being killed:"
    assert re.fullmatch(r"  2 of \d+ interruptions fail, all for one reason", head.splitlines()[1])
    assert shown.splitlines() == [
        "NEVER FINISHES: killed while job.py:9 was writing state",
        "  Path.write_text empties the file before filling it:",
        "    effect#1  open   state  0 bytes",
        "                                     <- killed here",
        "    effect#2  write  state   1 byte",
        '  >   9    (out / "state").write_text(json.dumps(step + 1))',
        "  Restarted 5 times, failed 5 times (430):",
        "    job.py:6  JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "  Killed before open or after write, it survives. Passes 1 and 2 fail alike.",
        "  Fix:     write state.new, then os.replace() it",
        f"  Replay:  pytest {test_id} --scf-async-replay='forced@effect#2'",
        "  Repro:   sweep.failures[0].write_repro(path)",
    ]


def test_a_handler_that_raises_undisturbed_is_named_with_its_exception(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed("def main_handler(event, context):\n    raise ValueError('no rows')\n")
    sentence = (
        "the undisturbed run of function 'job' ended FAILED (430) at job.py:2 with ValueError: no rows; it has to be "
    )
    with pytest.raises(ScfUsageError, match=re.escape(f"{sentence}FINISHED, as all other runs are compared with it")):
        scf_runtime.sweep(function, compares_nothing=True)


def test_a_place_is_that_of_user_code_and_not_of_a_library(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed("import json\ndef main_handler(event, context):\n    return json.loads('')\n")
    with pytest.raises(ScfUsageError, match=r"ended FAILED \(430\) at job\.py:3 with "):
        scf_runtime.sweep(function, compares_nothing=True)


@pytest.mark.parametrize(
    ("save", "how", "harm"),
    [
        ('(out / "row").open("a").write("row")', "forced", "changes what comes out"),
        ('(out / "row").open("a").write("row\\n")', "forced", "has work done twice"),
        ('(out / "row").open("a").write("row\\n")', "graceful", "has work done twice"),
        ('(out / "start").touch(exist_ok=False)', "forced", "keeps it from finishing"),
    ],
    ids=["diverged", "doubled", "doubled, and late as well", "never finishes"],
)
def test_what_an_interruption_does_is_said_in_the_words_of_its_class(
    sweep_of: Callable[..., Any], save: str, how: str, harm: str
) -> None:
    code = f"""
    def stop(*_):
        if (out / "row").exists() and not (out / "done").exists():
            time.sleep(20)
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)

    def main_handler(event, context):
        time.sleep(1)
        if not (out / "done").exists():
            {save}
            time.sleep(1)
            (out / "done").touch()
        time.sleep(1)
        return "done"
    """
    sweep = sweep_of(code, "", how=how, points="waits", within=10)
    (found,) = explained_of(sweep, exactly_once=True)
    around = r"An interruption between waited#1 and (wait#3|waited#2)"
    assert re.fullmatch(f"{around} {harm}; at these two it does no harm", found.survival), sweep.report
