"""``write_repro``: what it writes fails where nothing of this package is, and says why where there can be no such."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from sweeping import Deploy, bare_repro, each_run

from pytest_scf_async import Function, ScfRuntime, ScfUsageError, fault, graceful, power

# once: what a repro does is decided by its files
pytestmark = pytest.mark.once

IN_PLACE = """
    out=$1
    page=$(cat "$out/page" 2> /dev/null || echo 0)
    while [ "$page" -lt 2 ]; do
        sleep 60
        page=$((page + 1))
        echo "$page" > "$out/page"
        echo "$GREETING $page" > "$out/row-$page"
    done
"""


def job(scf_runtime: ScfRuntime, directory: Path, script: str, **options: Any) -> Function:
    """A job in bash, with the directory of a run as its argument."""
    (directory / "job.sh").write_text(textwrap.dedent(script))
    return scf_runtime.deploy_image(["bash", "job.sh", "{path}"], cwd=directory, port=-1, **options)


def python_job(scf_runtime: ScfRuntime, directory: Path, script: str) -> Function:
    (directory / "train.py").write_text(textwrap.dedent(script))
    return scf_runtime.deploy_image(["python", "train.py", "{path}"], cwd=directory, port=-1, in_process=True)


OF_THE_PLATFORM = re.compile(r"\bevents?\b|FAILED|FINISHED|ABORTED|439|undisturbed run|diverged|after its start|\w#\d")
"""What only somebody who knows this project, or its platform, understands."""


def fails(repro: Path, found: str) -> None:
    """A repro fails, as what has that text is lost, and does not where the program is undisturbed.

    Its description is for somebody who knows nothing but the program."""
    issue, _, _ = (repro / "ISSUE.md").read_text().partition("## Versions")
    said = re.sub(r"(?s)```.*?```", "", issue)
    assert not OF_THE_PLATFORM.search(said), said
    code, printed = bare_repro(repro)
    assert (code, found in printed) == (1, True), printed
    code, printed = bare_repro(repro, "undisturbed")
    assert code == 0, printed


def files_of(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_of_a_job(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    # Seconds of sleep are real ones in a repro: here they are none.
    greeting = """it's "$HOME" """
    function = job(scf_runtime, tmp_path, IN_PLACE.replace("sleep 60", "sleep 0"), environment={"GREETING": greeting})
    (lost,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    repro = lost.write_repro(tmp_path / "a place" / "of its own")
    assert repro == tmp_path / "a place" / "of its own"
    found = files_of(repro)
    assert {name for name in found if name.startswith("state")} == {"state/page"}
    assert {name for name in found if name.startswith("expected")} == {
        "expected/page", "expected/row-1", "expected/row-2",
    }  # fmt: skip
    assert found["program/job.sh"] == (tmp_path / "job.sh").read_text()
    fails(repro, "Only in expected: row-1\n")
    issue = found["ISSUE.md"]
    assert issue.startswith("# lost: file row-1, after it was killed (SIGKILL)\n")
    assert (
        "The program was killed (SIGKILL) just before the system call `open row-1`. It was then started again" in issue
    )
    assert (
        "again until it had exited with 0, 5 times at most. What is wrong in the end:\n\n    lost: file row-1\n"
        in issue
    )
    assert "`state/` is the directory as it was\nafter the interruption: page (2 bytes)." in issue
    assert "bash job.sh DIRECTORY\n" in issue
    assert "PYTEST" not in found["repro.sh"]
    assert sorted(os.listdir(repro)) == ["ISSUE.md", "compared", "expected", "program", "repro.sh", "result", "state"]


def test_a_start_that_hangs_is_ended_by_the_limit_that_it_names(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    script = """
        while [ -e "$1/lock" ]; do echo locked; sleep 50; done
        : > "$1/lock"
        echo row > "$1/row"
        rm "$1/lock"
    """
    function = job(scf_runtime, tmp_path, script, timeout=300)
    (never,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    repro = never.write_repro(tmp_path / "repro")
    issue = (repro / "ISSUE.md").read_text()
    assert "it does not end well any more: start 1 has not ended after 60 s; its last line is: locked\n" in issue
    assert "A start that has not ended after 60 s is killed, and counts as one that never ends" in issue
    code, printed = bare_repro(repro, REPRO_LIMIT="1")
    assert (code, "start 1 has not ended after 1 s" in printed) == (1, True), printed
    assert bare_repro(repro, "undisturbed")[0] == 0


def test_of_one_that_computes_for_ever(make_runtime: Any, tmp_path: Path) -> None:
    runtime = make_runtime(real_timeout=1)
    script = """
        while [ -e "$1/lock" ]; do :; done
        : > "$1/lock"
        echo row > "$1/row"
        rm "$1/lock"
    """
    (never,) = runtime.sweep(
        job(runtime, tmp_path, script), each_run=each_run, how="forced", include="effect#2"
    ).failures
    repro = never.write_repro(tmp_path / "repro")
    issue = (repro / "ISSUE.md").read_text()
    assert "it does not end well any more: a start computes and does not end\n" in issue
    assert "has been run before this was written, and ended so; the first was not run to its end." in issue
    code, printed = bare_repro(repro, REPRO_LIMIT="1")
    assert (code, "start 1 has not ended after 1 s" in printed) == (1, True), printed


def test_a_start_may_take_ten_times_what_it_takes_undisturbed_and_at_least_a_minute(
    scf_runtime: ScfRuntime, tmp_path: Path
) -> None:
    function = job(scf_runtime, tmp_path, IN_PLACE)  # it waits for two minutes
    (lost,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    script = (lost.write_repro(tmp_path / "repro") / "repro.sh").read_text()
    limit = int(re.findall(r"REPRO_LIMIT:-(\d+)", script)[0])
    assert 1200 <= limit <= 1800


def test_of_a_full_disk(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    script = "set -e\n" + textwrap.dedent(IN_PLACE).replace("sleep 60", "sleep 0")
    function = job(scf_runtime, tmp_path, script, environment={"GREETING": "hello"})
    sweep = scf_runtime.sweep(function, each_run=each_run, how=fault("enospc"))
    (alike,) = (each for each in sweep.failures if any(run.point.text == "write page" for run in each.runs))
    repro = alike.write_repro(tmp_path / "repro")
    fails(repro, "Only in expected: row-1")
    issue = (repro / "ISSUE.md").read_text()
    assert re.search(r"The program was refused a system call \(ENOSPC\): `(open|write) [^`]*`\. It was", issue)


def test_of_a_handler_in_python(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path) -> None:
    function = deployed(
        """
        import os
        from pathlib import Path

        def main_handler(event, context):
            out = Path(os.environ["OUT"])
            if not (out / "mark").exists():
                (out / "mark").touch()
                (out / "row").write_text(f"{event['text']} {context['function_name']}")
            return {"path": str(out)}
        """
    )
    sweep = scf_runtime.sweep(function, {"text": "it's"}, each_run=each_run, how="forced")
    repro = sweep.failures[0].write_repro(tmp_path / "repro")
    fails(repro, "Only in expected: row\n")
    issue = (repro / "ISSUE.md").read_text()
    assert "The function `main_handler` of job, called with what is in `call.json`, was killed (SIGKILL) just" in issue
    assert "until it had returned what it returns where nothing interrupts it, 5 times at most" in issue


def test_of_one_that_never_finishes(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = python_job(
        scf_runtime,
        tmp_path,
        """
        import sys, time
        from pathlib import Path
        checkpoint = Path(sys.argv[1], "checkpoint")
        for epoch in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, 2):
            checkpoint.write_text(str(epoch + 1))
        """,
    )
    (never,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    repro = never.write_repro(tmp_path / "repro")
    issue = (repro / "ISSUE.md").read_text()
    assert issue.startswith("# it does not end well any more after it was killed (SIGKILL)\n")
    assert "`write checkpoint`, which line 6 of train.py makes in Path.write_text." in issue
    assert (
        "    it does not end well any more: each of 5 starts fails, the last one with exit code 1; the last line of "
        "the last one is: ValueError: invalid literal for int() with base 10: ''\n"
    ) in issue
    fails(repro, "it is not done after 5 starts: exit code 1")


def test_it_names_the_versions_of_what_the_program_has_imported(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = python_job(
        scf_runtime,
        tmp_path,
        """
        import json, sys
        from pathlib import Path
        import pluggy
        checkpoint = Path(sys.argv[1], "checkpoint")
        for epoch in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, 2):
            checkpoint.write_text(str(epoch + 1))
        """,
    )
    (never,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    repro = never.write_repro(tmp_path / "repro")
    versions = (repro / "ISSUE.md").read_text().partition("## Versions\n\n")[2].strip()
    python, distributions, system = versions.split(", ", 2)
    assert re.fullmatch(r"cpython \d+\.\d+\.\S+", python)
    assert distributions == f"pluggy {importlib.metadata.version('pluggy')}"
    assert system == f"{platform.system()} {platform.release()}, {platform.machine()}"
    assert not {"sitecustomize.py", "hidden"} & {path.name for path in repro.rglob("*")}


def test_of_a_program_in_another_language_it_names_no_python(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = job(scf_runtime, tmp_path, IN_PLACE.replace("sleep 60", ""))
    lost = scf_runtime.sweep(function, each_run=each_run, how="forced").failures[0]
    issue = (lost.write_repro(tmp_path / "repro") / "ISSUE.md").read_text()
    assert issue.endswith(f"## Versions\n\n{platform.system()} {platform.release()}, {platform.machine()}\n")


def test_of_one_that_was_stopped_with_grace_has_what_it_left_in_the_end(
    scf_runtime: ScfRuntime, tmp_path: Path
) -> None:
    function = job(
        scf_runtime,
        tmp_path,
        """
        trap 'echo 2 > "$1/page"; exit 143' TERM
        page=$(cat "$1/page" 2> /dev/null || echo 0)
        for each in 0 1; do
            [ "$page" -gt "$each" ] || echo "$each" > "$1/row-$each"
        done
        """,
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")
    repro = sweep.failures[0].write_repro(tmp_path / "repro")
    assert (repro / "state" / "page").read_text() == "2\n"
    fails(repro, "Only in expected: row-")
    assert "The program was stopped (SIGTERM) just before the system call `" in (repro / "ISSUE.md").read_text()


def test_of_a_power_failure(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    script = '[ -e "$1/row" ] || { echo row > "$1/new"; mv "$1/new" "$1/row"; }'
    function = job(scf_runtime, tmp_path, script)
    (never_synced,) = scf_runtime.sweep(function, each_run=each_run, how=power("posix")).failures
    repro = never_synced.write_repro(tmp_path / "repro")
    issue = (repro / "ISSUE.md").read_text()
    assert "after it was ended by a power failure" in issue
    assert (
        "ended by a power failure at its end, when the content of row was not on the disk: it is never synced." in issue
    )
    fails(repro, "diff -r expected/row compared/row\n")


def test_of_one_that_is_stopped_twice(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = python_job(
        scf_runtime,
        tmp_path,
        """
        import signal, sys, time
        from pathlib import Path

        def stop(*_):
            print("stopping")
            time.sleep(0.1)
            Path(sys.argv[1], "half").unlink(missing_ok=True)
            sys.exit(143)

        signal.signal(signal.SIGTERM, stop)
        if not Path(sys.argv[1], "half").exists():
            Path(sys.argv[1], "half").touch()
            time.sleep(0.1)
            Path(sys.argv[1], "row").touch()
        """,
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how=graceful(then="forced", after=0), include="wait#1")
    repro = sweep.failures[0].write_repro(tmp_path / "repro")
    issue = (repro / "ISSUE.md").read_text()
    stopped = "The program was stopped (SIGTERM) while line 14 of train.py waited in sleep(0.1)"
    assert f"{stopped}, and then killed (SIGKILL) 0 s later." in issue
    fails(repro, "Only in expected: row\n")


def test_of_a_database_whose_rows_are_compared_beside_what_is_not(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = python_job(
        scf_runtime,
        tmp_path,
        """
        import datetime, os, sqlite3, sys
        out = sys.argv[1]
        with open(os.path.join(out, "started"), "w") as file:
            file.write(f"started at {datetime.datetime.now()}")
        with open(os.path.join(out, "own.log"), "a") as file:
            file.write("started\\n")
        database = sqlite3.connect(os.path.join(out, "rows.db"), isolation_level=None)
        database.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text)")
        if not database.execute("SELECT * FROM rows").fetchall():
            database.execute("INSERT INTO rows (text) VALUES ('one')")
            database.execute("INSERT INTO rows (text) VALUES ('two')")
        """,
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced", ignore="*.log")
    assert "rows.db:rows" in sweep.report
    repro = sweep.failures[0].write_repro(tmp_path / "repro")
    assert sorted(os.listdir(repro / "expected")) == ["rows.db.sql"]
    fails(repro, "< INSERT INTO \"rows\" VALUES(2,'two');\n")


def test_begins_with_what_each_run_has_put_there(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    def with_pages(run: Any) -> Any:
        (run.path / "pages").mkdir()
        for number in range(2):
            (run.path / "pages" / str(number)).write_text(f"page {number}\n")
        yield {}

    script = """
        for page in "$1"/pages/*; do
            [ -e "$page" ] || continue
            text=$(cat "$page")
            rm "$page"
            echo "$text" >> "$1/all"
        done
    """
    function = job(scf_runtime, tmp_path, script)
    sweep = scf_runtime.sweep(function, each_run=with_pages, how="forced")
    repro = sweep.failures[0].write_repro(tmp_path / "repro")
    assert sorted(os.listdir(repro / "start" / "pages")) == ["0", "1"]
    fails(repro, "< page 0\n")


def test_of_a_program_that_needs_more_than_its_file_starts_it_where_it_is(
    scf_runtime: ScfRuntime, tmp_path: Path
) -> None:
    project = tmp_path / "my project"
    project.mkdir()
    (project / "empty").mkdir()
    function = job(scf_runtime, project, "[ -d empty ] || exit 1\n" + IN_PLACE.replace("sleep 60", ""))
    (lost,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    repro = lost.write_repro(tmp_path / "repro")
    assert not (repro / "program").exists()
    fails(repro, "Only in expected: row-1\n")
    project.rename(tmp_path / "elsewhere")
    assert bare_repro(repro)[0] == 2
    command = ["env", f"PROJECT={tmp_path}/elsewhere", "sh", f"{repro}/repro.sh"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert f"The program is started in `{project}`" in (repro / "ISSUE.md").read_text()


LOSES_IN_PYTHON = {
    "job.py": """
        import os, sys
        import steps

        steps.work(sys.argv[1] if len(sys.argv) > 1 else os.environ["OUT"])

        def main_handler(event, context):
            steps.work(os.environ["OUT"])
        """,
    "steps/__init__.py": """
        from pathlib import Path
        from .names import NAMES
        TEXT = (Path(__file__).parent.parent / "data" / "text.txt").read_text()

        def work(out):
            if Path(out, "mark").exists():
                import after_a_start
                return after_a_start.say(out)
            Path(out, "mark").touch()
            for name in NAMES:
                Path(out, name).write_text(TEXT)
        """,
    "steps/names.py": "NAMES = ['one', 'two']\n",
    "steps/unused.py": "SECRET = 'of the user'\n",
    "data/text.txt": "a text",
    "data/other.txt": "another text",
    "after_a_start.py": "def say(out):\n    print('started again')\n",
}
LOSES_IN_BASH = {
    "job.sh": '. ./parts/work.sh\nwork "$1"\n',
    "parts/work.sh": """
        work() {
            [ ! -e "$1/mark" ] || return 0
            : > "$1/mark"
            cat data.txt > "$1/one"
        }
        """,
    "parts/unused.sh": "exit 3\n",
    "data.txt": "a text",
}
LOSES_IN_NODE = {
    "job.js": 'require("./parts/work").work(process.argv[2]);\n',
    "parts/work.js": """
        const fs = require("fs");
        exports.work = (out) => {
            if (fs.existsSync(`${out}/mark`)) return;
            fs.writeFileSync(`${out}/mark`, "");
            fs.writeFileSync(`${out}/one`, "a text");
        };
        """,
    "parts/unused.js": "process.exit(3);\n",
}


@pytest.mark.parametrize(
    ("command", "files", "unused"),
    [
        (None, LOSES_IN_PYTHON, {"steps/unused.py", "data/other.txt"}),
        (["python", "job.py", "{path}"], LOSES_IN_PYTHON, {"steps/unused.py", "data/other.txt"}),
        (["python", "HERE/job.py", "{path}"], LOSES_IN_PYTHON, {"steps/unused.py", "data/other.txt"}),
        (["bash", "job.sh", "{path}"], LOSES_IN_BASH, {"parts/unused.sh"}),
        pytest.param(["node", "job.js", "{path}"], LOSES_IN_NODE, {"parts/unused.js"}, marks=pytest.mark.nodejs),
    ],
    ids=["handler", "python", "absolute", "bash", "node"],
)
def test_it_has_what_the_program_opens_of_its_directory_and_runs_anywhere(
    scf_runtime: ScfRuntime, tmp_path: Path, command: list[str] | None, files: dict[str, str], unused: set[str]
) -> None:
    project = tmp_path / "project"
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(textwrap.dedent(text).lstrip())
    if command is None:
        source = files["job.py"].replace('steps.work(sys.argv[1] if len(sys.argv) > 1 else os.environ["OUT"])\n', "")
        (project / "job.py").write_text(textwrap.dedent(source))
        function = scf_runtime.deploy(project, handler="job.main_handler")
    else:
        words = [word.replace("HERE", str(project)) for word in command]
        function = scf_runtime.deploy_image(words, cwd=project, port=-1)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    written = sweep.failures[0].write_repro(tmp_path / "written")

    copied = {str(path.relative_to(written / "program")) for path in (written / "program").rglob("*") if path.is_file()}
    assert copied == files.keys() - unused
    assert str(tmp_path) not in (written / "repro.sh").read_text()
    assert str(project) not in (written / "ISSUE.md").read_text()
    shutil.rmtree(project)
    moved = written.rename(tmp_path / "moved")
    fails(moved, "Only in expected: ")
    assert f"The program is in `program/`: {', '.join(sorted(copied))}." in (moved / "ISSUE.md").read_text()


SPEAKS = """
    import os, socket
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))):
            pass
        if not (out / "mark").exists():
            (out / "mark").touch()
            (out / "row").touch()
"""
KEEPS_ITS_PATH = """
    import os
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        if not (out / "mark").exists():
            (out / "mark").write_text(str(out))
            (out / "row").touch()
"""
NEEDS_US = """
    import os
    from pathlib import Path
    from pytest_scf_async.inside import record

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        if not (out / "mark").exists():
            (out / "mark").touch()
            record("row", number=1)
            (out / "row").touch()
"""
IN_GLOBALS = """
    import os, signal
    from pathlib import Path
    stopped = False

    def stop(signum, frame):
        global stopped
        stopped = True

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        if not stopped:
            Path(os.environ["OUT"], "row").touch()
        return "done"
"""


def refused(sweep: Any, tmp_path: Path, why: str) -> None:
    """Its first class has no repro."""
    with pytest.raises(ScfUsageError) as raised:
        sweep.failures[0].write_repro(tmp_path / "repro")
    text = str(raised.value)
    assert text.startswith(f"no repro of {sweep.failures[0].earliest.key}: ")
    assert why in text
    assert not (tmp_path / "repro").exists()


def test_none_where_it_speaks_to_another_process(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def with_port(run: Any) -> Any:
            yield {"OUT": str(run.path), "PORT": str(server.getsockname()[1])}

        sweep = scf_runtime.sweep(deployed(SPEAKS), each_run=with_port, how="forced")
        refused(sweep, tmp_path, f"it talks to another process (127.0.0.1:{server.getsockname()[1]}), whose state")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (KEEPS_ITS_PATH, "what it writes contains the path of the run's directory, which is another one in a repro"),
        (NEEDS_US, "ImportError: a repro has nothing of pytest_scf_async"),
        (IN_GLOBALS, "so nobody starts it again, and no start can fail"),
    ],
)
def test_none_of_a_handler_where_the_files_are_not_all(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, source: str, why: str
) -> None:
    how = "graceful" if source == IN_GLOBALS else "forced"
    refused(scf_runtime.sweep(deployed(source), each_run=each_run, how=how), tmp_path, why)


def test_none_where_the_test_itself_says_what_is_wrong_or_done(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    def check(run: Any) -> None:
        assert run.point is None or not list(run.path.iterdir()), "half"

    function = deployed(KEEPS_ITS_PATH.replace("str(out)", '"mark"').replace("if not", "if True or not"))
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced", check=check)
    refused(sweep, tmp_path, "what is wrong is not in the files: check failed: ")


def test_none_where_its_place_is_taken_or_the_runtime_is_closed(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = job(scf_runtime, tmp_path, IN_PLACE)
    (lost,) = scf_runtime.sweep(function, each_run=each_run, how="forced").failures
    with pytest.raises(ScfUsageError, match=r"write_repro\('.*'\): .* already exists"):
        lost.write_repro(tmp_path)
    scf_runtime.close()
    with pytest.raises(ScfUsageError, match=r"what the sweep kept was deleted with its runtime"):
        lost.write_repro(tmp_path / "repro")


def test_by_workers_it_is_the_same(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    function = job(scf_runtime, tmp_path, IN_PLACE.replace("sleep 60", "sleep 0"))
    (lost,) = scf_runtime.sweep(function, each_run=each_run, how="forced", workers=2).failures
    fails(lost.write_repro(tmp_path / "repro"), "Only in expected: row-1\n")
