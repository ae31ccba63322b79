"""Handlers of which the sweep has said the wrong thing, in both directions, each beside a twin with the other verdict.

Of some it said that nothing is lost, where a bare process loses something: a kill between two system calls of one line,
a lock that the listener takes again, what is kept in the instance, a backup that is the same file. Of others it said
that something is lost, where nothing is: what a forked copy of a process has and the process itself has not.
"""

from __future__ import annotations

import contextlib
import http.server
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime, ScfUsageError
from pytest_scf_async.sweep import undisturbed
from pytest_scf_async.sweep.states import SMALL_INODE

# once: what differs by Python are points, which have tests of their own
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]


@dataclass(frozen=True)
class Pair:
    """Two handlers that differ in a few lines, at ``HERE`` in their source: a wrong one and a right one."""

    source: str
    wrong: str
    right: str
    found: str
    """A pattern of the title of a class that the wrong one has."""
    how: tuple[str, ...] = ("graceful", "forced")

    def sweep(self, runtime: ScfRuntime, deployed: Deploy, lines: str) -> Any:
        return runtime.sweep(deployed(filled(self.source, lines)), each_run=each_run, how=self.how)


def filled(source: str, lines: str) -> str:
    """*source* with *lines* in the place of ``HERE``."""
    source, lines = textwrap.dedent(source), textwrap.dedent(lines).strip("\n")
    return re.sub(r"^( *)HERE$", lambda at: textwrap.indent(lines, at[1]), source, flags=re.MULTILINE)


# -- what it said was right, and is wrong ------------------------------------------------------------------------------

CHECKPOINT = """
    import json, os, time
    from pathlib import Path

    def main_handler(event, context):
        checkpoint = Path(os.environ["OUT"], "state.json")
        state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"done": 0}
        for number in range(state["done"], 2):
            time.sleep(1)
            state["done"] = number + 1
            HERE
        return state
"""
IN_THE_INSTANCE = """
    import json, os, signal, tempfile, time
    from pathlib import Path

    stopping = False
    rows = []

    def stop(signum, frame):
        global stopping
        stopping = True

    def replace(path, text):
        path.with_suffix(".new").write_text(text)
        os.replace(path.with_suffix(".new"), path)

    def main_handler(event, context):
        global stopping, rows
        stopping = False
        signal.signal(signal.SIGTERM, stop)
        out = Path(os.environ["OUT"])
        position = out / "position"
        first = int(position.read_text()) if position.exists() else 0
        HERE
        for number in range(first, 3):
            if stopping:
                replace(kept, json.dumps(rows))
                replace(position, str(number))
                return "later"
            time.sleep(1)
            rows = [*rows, number]
        (out / "rows").write_text(json.dumps(rows))
        for path in (position, kept):
            path.unlink(missing_ok=True)
        rows = []
        return "done"
"""
BACKUP = """
    import os, shutil
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        state, backup = out / "state", out / "backup"
        read = [path.read_text() for path in (state, backup) if path.exists()]
        whole = [text for text in read if text.endswith(".")]
        if len(read) == 2 and not whole:
            raise ValueError("the state is lost, and its backup, too")
        for number in range(int(whole[0][:-1]) if whole else 0, 3):
            if state.exists() and state.read_text().endswith("."):
                HERE
            (out / f"page-{number}").write_text("page")
            state.write_text(f"{number + 1}.")
        return 3
"""

CONTROLLED = """
    import os, socket, time
    from pathlib import Path

    def main_handler(event, context):
        os.chdir(os.environ["OUT"])
        with socket.socket(socket.AF_UNIX) as control:
            HERE
            control.listen()
            time.sleep(1)
            Path("row").write_text("row")
        os.unlink("control")
        return "done"
"""
NEXT_IN_ATTRIBUTE = """
    import os, time
    from pathlib import Path

    def main_handler(event, context):
        pages = Path(os.environ["OUT"], "pages")
        pages.mkdir(exist_ok=True)
        number = int(os.getxattr(pages, "user.next")) if os.listxattr(pages) else 0
        while number < 3:
            HERE
            number += 1
        return number
"""
SET_NEXT = 'os.setxattr(pages, "user.next", b"%d" % (number + 1))'
WRITE_PAGE = """
(pages / "new").write_text("page")
os.replace(pages / "new", pages / f"page-{number}")
"""

MISSED = {
    "a checkpoint written in place": Pair(
        CHECKPOINT,
        "checkpoint.write_text(json.dumps(state))",
        """
        checkpoint.with_suffix(".new").write_text(json.dumps(state))
        os.replace(checkpoint.with_suffix(".new"), checkpoint)
        """,
        r"NEVER FINISHES: killed while job\.py:11 was writing state\.json",
    ),
    "a socket that a killed process leaves": Pair(
        CONTROLLED,
        'control.bind("control")',
        """
        Path("control").unlink(missing_ok=True)
        control.bind("control")
        """,
        r"NEVER FINISHES: killed before job\.py:9",
    ),
    "a position in an extended attribute": Pair(
        NEXT_IN_ATTRIBUTE,
        f"{SET_NEXT}\n{WRITE_PAGE}",
        f"{WRITE_PAGE}\n{SET_NEXT}",
        r"LOST: killed before job\.py:12",
    ),
    "state in a global": Pair(
        IN_THE_INSTANCE,
        'kept = out / "kept"  # nobody reads it',
        """
        kept = out / "kept"
        rows = json.loads(kept.read_text()) if first else []
        """,
        r"LOST: SIGTERM .*, then a new instance",
        how=("graceful",),
    ),
    "state in /tmp": Pair(
        IN_THE_INSTANCE,
        """
        kept = Path(tempfile.gettempdir(), "kept")
        rows = json.loads(kept.read_text()) if kept.exists() else []
        """,
        """
        kept = out / "kept"
        rows = json.loads(kept.read_text()) if first else []
        """,
        r"LOST: SIGTERM .*, then a new instance",
        how=("graceful",),
    ),
    "a hard link as backup": Pair(
        BACKUP,
        """
        backup.unlink(missing_ok=True)
        os.link(state, backup)
        """,
        """
        shutil.copy(state, out / "backup.new")
        os.replace(out / "backup.new", backup)
        """,
        r"NEVER FINISHES: killed while job\.py:17 was writing state",
    ),
}


@pytest.mark.parametrize("name", MISSED)
def test_what_a_bare_process_loses_is_found_and_named(scf_runtime: ScfRuntime, deployed: Deploy, name: str) -> None:
    is_found_and_named(scf_runtime, deployed, MISSED[name])


@pytest.mark.parametrize("name", MISSED)
def test_the_fixed_twin_of_it_survives(scf_runtime: ScfRuntime, deployed: Deploy, name: str) -> None:
    raises_no_alarm(scf_runtime, deployed, MISSED[name])


def is_found_and_named(runtime: ScfRuntime, deployed: Deploy, pair: Pair) -> None:
    sweep = pair.sweep(runtime, deployed, pair.wrong)
    assert sweep.failures
    assert re.search(rf"^{pair.found}", sweep.report, re.MULTILINE), sweep.report


def raises_no_alarm(runtime: ScfRuntime, deployed: Deploy, pair: Pair) -> None:
    sweep = pair.sweep(runtime, deployed, pair.right)
    assert {run.how for run in sweep.runs} == set(pair.how)
    sweep.assert_survives()


LOCKED = """
    import fcntl, os, signal, time
    from pathlib import Path

    stopping = False

    def stop(signum, frame):
        global stopping
        HERE

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        out = Path(os.environ["OUT"])
        with open(out / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for number in range(2):
                if stopping:
                    raise SystemExit(3)
                time.sleep(1)
                (out / f"row-{number}").write_text("row")
        return "done"
"""
TAKES_THE_LOCK = """
with open(os.path.join(os.environ["OUT"], "lock"), "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    stopping = True
"""


@pytest.mark.parametrize("listener", [TAKES_THE_LOCK, "stopping = True"], ids=["takes the lock", "sets a flag"])
def test_a_listener_that_takes_the_lock_of_the_main_code_hangs(
    scf_runtime: ScfRuntime, tmp_path: Path, listener: str
) -> None:
    path = tmp_path / "job.py"
    path.write_text(filled(LOCKED, listener))
    function = scf_runtime.deploy(f"{path}:main_handler", timeout=600)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful")

    if listener != TAKES_THE_LOCK:
        sweep.assert_survives()
        assert {run.key for run in sweep.runs} >= {"graceful@wait#1", "graceful@wait#2"}
        return
    (found,) = sweep.failures
    keys = [run.key for run in found.runs]
    assert {"graceful@wait#1", "graceful@wait#2"} < set(keys)
    assert re.search(r"^LATE: SIGTERM (within|before|while) job\.py:", sweep.report, re.MULTILINE)
    assert re.search(
        r"late: the event ended 6?\d\d s after SIGTERM, and not before the function's timeout", sweep.report
    )


# -- what it compared with nothing -------------------------------------------------------------------------------------

WRITES = """
    import os, time
    def main_handler(event, context):
        time.sleep(1)
        with open(os.environ["OUT"] + "/row", "w") as file:
            file.write("row")
        return "done"
"""
READS_NOTHING = """
    import time
    def main_handler(event, context):
        time.sleep(1)
        return "done"
"""


@pytest.mark.parametrize(
    ("source", "given", "why"),
    [
        (READS_NOTHING, {}, "without each_run= there is no directory whose files are compared"),
        (READS_NOTHING, {"each_run": each_run}, "each_run yields OUT, and the code that has run .* does not have that"),
        (
            WRITES,
            {"each_run": each_run, "check": lambda _: False},
            "check= returned False at the end of the undisturbed run",
        ),
    ],
    ids=["no each_run", "a variable that is not read", "a check that returns"],
)
def test_a_sweep_that_would_compare_nothing_is_refused(
    scf_runtime: ScfRuntime, deployed: Deploy, source: str, given: dict[str, Any], why: str
) -> None:
    function = deployed(source)
    with pytest.raises(ScfUsageError, match=why):
        scf_runtime.sweep(function, how="forced", **given)


def test_its_twin_that_compares_something_is_not(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    def check(run: Any) -> None:
        assert run.event.result == "done" if run.point is None else run.event.status == "ABORTED"

    sweep = scf_runtime.sweep(deployed(WRITES), each_run=each_run, how="forced", check=check)
    sweep.assert_survives()
    assert sweep.compared.files == ("row",)


# -- programs ----------------------------------------------------------------------------------------------------------

TRAIN = """
    import os, time
    from pathlib import Path

    def main_handler(event, context):
        position = Path(os.environ["OUT"], "position")
        first = int(position.read_text()) if position.exists() else 0
        for step in range(first, 2):
            time.sleep(60)
            HERE
        return "trained"

    if __name__ == "__main__":
        main_handler(None, None)
"""
MOVE = """
position.with_suffix(".new").write_text(str(step + 1))
os.replace(position.with_suffix(".new"), position)
"""
WRITE = """
with open(position.with_name("losses"), "a") as losses:
    losses.write(f"step {step}\\n")
"""
BOOTSTRAP = f"""#!{sys.executable} -S
import os, socket, train

def ask(method, path, body=""):
    with socket.create_connection((os.environ["SCF_RUNTIME_API"], int(os.environ["SCF_RUNTIME_API_PORT"]))) as api:
        head = f"{{method}} /runtime/{{path}} HTTP/1.0\\r\\nContent-Length: {{len(body)}}\\r\\n\\r\\n"
        api.sendall((head + body).encode())
        while api.recv(65536):
            pass

ask("POST", "init/ready")
while True:
    ask("GET", "invocation/next")
    ask("POST", "invocation/response", train.main_handler(None, None))
"""
STEPS = {
    "lost in a wait": MOVE + "time.sleep(1)" + WRITE,
    "lost between two calls": MOVE + WRITE,
    "right": WRITE + MOVE,
}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("runs_as", ["a handler", "an image", "a custom runtime"])
def test_of_a_program_it_does_not_say_that_all_is_well_where_the_handler_loses_a_line(
    scf_runtime: ScfRuntime, tmp_path: Path, runs_as: str, steps: str
) -> None:
    train, bootstrap = tmp_path / "code" / "train.py", tmp_path / "code" / "bootstrap"
    train.parent.mkdir()
    train.write_text(filled(TRAIN, STEPS[steps]))
    bootstrap.write_text(BOOTSTRAP)
    bootstrap.chmod(0o755)
    function = (
        scf_runtime.deploy(f"{train}:main_handler")
        if runs_as == "a handler"
        else scf_runtime.deploy_image(command=[sys.executable, "-S", train], port=-1)
        if runs_as == "an image"
        else scf_runtime.deploy(train.parent, handler="index.main_handler", runtime="CustomRuntime")
    )
    sweep = scf_runtime.sweep(function, each_run=each_run)

    if steps == "right":
        sweep.assert_survives()
    else:
        with pytest.raises(AssertionError, match=r"\n(E )? *lost: line \"step 0\" of losses\n"):
            sweep.assert_survives()
    assert "kills at effects" not in sweep.report


# -- what it said was wrong, and is right ------------------------------------------------------------------------------


class Store(http.server.BaseHTTPRequestHandler):
    """An object store: PUT and GET."""

    objects: ClassVar[dict[str, str]] = {}
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(200, b"")

    def do_GET(self) -> None:
        found = self.objects.get(self.path)
        self._answer(404 if found is None else 200, (found or "").encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # who sent the request was killed
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Nothing: what is printed would be of no use."""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of one store for all runs of all sweeps."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server, contextlib.ExitStack() as at_end:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        at_end.callback(thread.join)
        at_end.callback(server.shutdown)
        yield f"http://127.0.0.1:{server.server_address[1]}"


UPLOADS = """
    import os, time
    from http.client import HTTPConnection
    from pathlib import Path
    from urllib.parse import urlsplit

    def main_handler(event, context):
        store = HTTPConnection(urlsplit(os.environ["STORE"]).netloc)
        position = Path(os.environ["OUT"], "position")
        first = int(position.read_text()) if position.exists() else 0
        for step in range(first, 2):
            time.sleep(1)
            HERE
        store.close()
        return "done"
"""
PUT = """
store.request("PUT", f"/row-{step}", f"row {step}")
store.getresponse().read()
"""


@pytest.mark.parametrize("lines", [MOVE + PUT, PUT + MOVE], ids=["position first", "object first"])
def test_one_store_for_all_runs_says_what_is_true(
    scf_runtime: ScfRuntime, deployed: Deploy, store: str, lines: str
) -> None:
    def with_the_store(run: Any) -> Iterator[dict[str, str]]:
        Store.objects.clear()
        yield {"OUT": str(run.path), "STORE": store}
        run.observe(objects=dict(Store.objects))

    function = deployed(filled(UPLOADS, lines))
    sweep = scf_runtime.sweep(function, each_run=with_the_store)

    if lines == PUT + MOVE:
        sweep.assert_exactly_once()
    else:
        with pytest.raises(AssertionError, match=r"\n *lost: observed objects \['/row-0'\] \(undisturbed: "):
            sweep.assert_survives()


FORK_GUARD = """
    import os, time
    from pathlib import Path

    OWNER = os.getpid()

    def main_handler(event, context):
        if os.getpid() != OWNER:
            raise RuntimeError("this process has not loaded the handler")
        out = Path(os.environ["OUT"])
        HERE
        for number in range(2):
            time.sleep(1)
            (out / f"row-{number}").write_text("row")
        (out / "owner").unlink()
        return "done"
"""
ONE_LOG = """
    import os, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        HERE
        os.lseek(log, 0, os.SEEK_END)
        other = os.dup(log)
        position = out / "position"
        first = int(position.read_text()) if position.exists() else 0
        for number in range(first, 2):
            time.sleep(1)
            os.write(log, b"row %d\\n" % number)
            os.write(other, b"its length: 5\\n")
            position.with_suffix(".new").write_text(str(number + 1))
            os.replace(position.with_suffix(".new"), position)
        os.close(log)
        os.close(other)
        return "done"
"""
BY_A_SHELL = """
    import os, subprocess, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        for number in range(2):
            time.sleep(1)
            HERE
        return "done"
"""
PUBLISHED = """
    import os, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        for number in range(2):
            mail = out / f"mail-{number}"
            if mail.exists():
                continue
            time.sleep(1)
            new = out / "new"
            new.unlink(missing_ok=True)
            HERE
            new.unlink()
        return "done"
"""
BUDGET = """
    import os, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        began = time.process_time()
        position = out / "position"
        first = int(position.read_text()) if position.exists() else 0
        for step in range(first, 2):
            time.sleep(1)
            if time.process_time() < began or time.process_time() - began > 60:
                raise RuntimeError("it computes for too long")
            HERE
        return "done"
"""
ROW = '(out / f"row-{step}").write_text("row")'

TAIL = """
    import os, struct, time
    from pathlib import Path

    def main_handler(event, context):
        out = Path(os.environ["OUT"])
        log, registry = out / "app.log", out / "registry"
        if not log.exists():
            (out / "new").write_text("three lines")
            os.replace(out / "new", log)
        inode, done = log.stat().st_ino, 0
        if registry.exists():
            seen, done = READ
            if seen != inode:
                raise RuntimeError("app.log was rotated before it was read to its end")
        while done < 3:
            time.sleep(1)
            done += 1
            entry = WRITTEN
            HERE
        registry.unlink()
        return done
"""
AS_TEXT = TAIL.replace("READ", "map(int, registry.read_text().split())").replace("WRITTEN", 'b"%d %d" % (inode, done)')
AS_NUMBERS = TAIL.replace("READ", 'struct.unpack("QQ", registry.read_bytes())').replace(
    "WRITTEN", 'struct.pack("QQ", inode, done)'
)
SAVED = """
(out / "new").write_bytes(entry)
os.replace(out / "new", registry)
"""

ALARMED = {
    "a guard against forks": Pair(
        FORK_GUARD,
        """
        owner = out / "owner"
        if owner.exists() and owner.read_text() != str(OWNER):
            raise RuntimeError("another process is at work")
        owner.write_text(str(OWNER))
        """,
        '(out / "owner").write_text(str(OWNER))',
        r"NEVER FINISHES: killed while job\.py:14 was writing owner",
    ),
    "two descriptors of one file": Pair(
        ONE_LOG,
        'log = os.open(out / "log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)',
        'log = os.open(out / "log", os.O_CREAT | os.O_WRONLY)',
        r"LOST: killed before job\.py:12",
    ),
    "> log 2>&1": Pair(
        BY_A_SHELL,
        """
        if not (out / f"log-{number}").exists():
            with open(out / f"log-{number}", "w") as log:
                subprocess.run(["sh", "-c", "echo row; echo warning >&2"], stdout=log, stderr=subprocess.STDOUT)
        """,
        """
        with open(out / f"log-{number}", "w") as log:
            subprocess.run(["sh", "-c", "echo row; echo warning >&2"], stdout=log, stderr=subprocess.STDOUT)
        """,
        r"LOST: killed before job\.py:11",
    ),
    "a hard link": Pair(
        PUBLISHED,
        """
        with open(new, "w") as file:
            os.link(new, mail)
            file.write("mail")
        """,
        """
        with open(new, "w") as file:
            file.write("mail")
        os.link(new, mail)
        """,
        r"LOST: killed before job\.py:16",
    ),
    "an inode number": Pair(
        AS_TEXT,
        "registry.write_bytes(entry)",
        SAVED,
        r"NEVER FINISHES: killed while job\.py:20 was writing registry",
    ),
    "an inode number that no text has": Pair(
        AS_NUMBERS,
        "registry.write_bytes(entry)",
        SAVED,
        r"NEVER FINISHES: killed while job\.py:20 was writing registry",
    ),
    "the time of the process": Pair(BUDGET, MOVE + ROW, ROW + MOVE, r"LOST: killed before job\.py:16"),
}


@pytest.mark.parametrize("name", ALARMED)
def test_what_only_a_copy_of_a_process_has_raises_no_alarm(
    scf_runtime: ScfRuntime, deployed: Deploy, name: str
) -> None:
    raises_no_alarm(scf_runtime, deployed, ALARMED[name])


MISLEADS = "were real runs, because a kill from the record came to something else"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("an inode number", "after the first inode number in a file were real runs, because the handler keeps inode"),
        ("an inode number that no text has", MISLEADS),
    ],
)
def test_where_a_record_misleads_kills_are_real_runs_and_the_report_says_so(
    scf_runtime: ScfRuntime, deployed: Deploy, name: str, why: str
) -> None:
    says_why(scf_runtime, deployed, ALARMED[name], why)


def test_a_small_number_is_that_of_a_file_where_two_runs_have_those_of_theirs(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inode numbers are small on a tmpfs that is new."""
    monkeypatch.setattr(undisturbed, "LARGE_INODE", 1 << 62)
    says_why(scf_runtime, deployed, ALARMED["an inode number"], "after the first inode number in a file were real runs")


def says_why(runtime: ScfRuntime, deployed: Deploy, pair: Pair, why: str) -> None:
    inodes = []

    def each_run_with_inodes(run: Any) -> Iterator[dict[str, str]]:
        inodes.append(run.path.stat().st_ino)
        yield {"OUT": str(run.path)}

    sweep = runtime.sweep(deployed(filled(pair.source, pair.right)), each_run=each_run_with_inodes, how=pair.how)
    whys = [why, MISLEADS] if min(inodes) < SMALL_INODE else [why]  # so small ones are not looked for
    assert re.search(rf"\d+ kills ({'|'.join(whys)})", sweep.report)
    (left_out,) = [line for line in sweep.report.splitlines()[:4] if "Not tried" in line] or [""]
    assert "power loss" not in left_out


def test_what_was_not_tried_elsewhere_keeps_no_record_from_being_checked(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    told = """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"done", ("127.0.0.1", 9))
        (out / "summary").write_bytes(bytes(9_000))
        return done
"""
    source = AS_NUMBERS.replace("import os,", "import os, socket,").replace("        return done\n", told[1:])
    pair = Pair(source, "", SAVED, "")
    sweep = pair.sweep(scf_runtime, deployed, pair.right)
    assert "Not tried: kills within a write where kills are real runs" in sweep.report
    assert MISLEADS in sweep.report


@pytest.mark.parametrize("name", ALARMED)
def test_a_bug_at_the_same_place_is_found(scf_runtime: ScfRuntime, deployed: Deploy, name: str) -> None:
    is_found_and_named(scf_runtime, deployed, ALARMED[name])
