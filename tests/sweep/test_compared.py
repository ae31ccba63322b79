"""What a sweep compares is said first, and a sweep that compares nothing is refused with what to do."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_internals import facts_of
from sweeping import EXPORT, Deploy, each_run

from pytest_scf_async import Compared, ScfRuntime, ScfUsageError

# once: what is said of a sweep is the same on all Pythons
pytestmark = pytest.mark.once

READS = """
    import json, time
    def main_handler(event, context):
        time.sleep(1)
        return json.loads('[1, 2]')
    """
WRITES = """
    import os
    def main_handler(event, context):
        with open(os.path.join(os.environ["OUT"], "row"), "w") as file:
            file.write("row")
        return "done"
    """


def refusal_of(sweep: Callable[[], object]) -> str:
    with pytest.raises(ScfUsageError) as refusal:
        sweep()
    return str(refusal.value)


# -- nothing is compared -----------------------------------------------------------------------------------------------


def without_variables(run: Any) -> Iterator[dict[str, str]]:
    yield {"MODE": "fast"}


def with_input(run: Any) -> Iterator[dict[str, str]]:
    (run.path / "inbox").mkdir()
    (run.path / "inbox" / "order").write_text("7")
    with sqlite3.connect(run.path / "orders.db") as database:
        database.execute("create table orders (id)")
    database.close()
    yield {"OUT": str(run.path)}


NOT_READ = "each_run yields OUT, and the code that has run (job.py) does not have that name"
AS_GIVEN = "it has left run.path (OUT) as each_run gave it"
READS_INPUT = """
    import os
    def main_handler(event, context):
        return sorted(os.listdir(os.environ["OUT"]))
    """


@pytest.mark.parametrize(
    ("source", "given", "why"),
    [
        (READS, {}, "it records nothing, and without each_run= there is no directory whose files are compared"),
        (READS, {"each_run": without_variables}, "each_run yields no variable with run.path in it, so the handler"),
        (READS, {"each_run": each_run}, NOT_READ),
        (READS_INPUT, {"each_run": each_run}, AS_GIVEN),
        (READS_INPUT, {"each_run": with_input}, AS_GIVEN),
        (
            WRITES,
            {"each_run": each_run, "ignore": "r*w"},
            "all that it leaves is left out, by ignore= or as it differs from run to run: row",
        ),
    ],
    ids=["no each_run", "no variable", "not read", "nothing written", "only read", "ignored"],
)
def test_where_nothing_is_compared_the_sweep_is_refused_with_what_to_do(
    scf_runtime: ScfRuntime, deployed: Deploy, source: str, given: dict[str, Any], why: str
) -> None:
    function = deployed(source)
    text = refusal_of(lambda: scf_runtime.sweep(function, how="forced", **given))

    assert text.startswith(f"sweep: nothing that function 'job' does is compared: {why}")
    for advice in ("run.observe(", "check=", "compares_nothing=True", "yield a directory"):
        assert advice in text
    assert scf_runtime.sweep(function, how="forced", compares_nothing=True, **given).failures == []
    assert scf_runtime.sweep(function, how="forced", check=lambda _: None, **given).failures == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("open(out + '/new', 'w').close()", Compared(result=True, files=("new",))),
        ("open(out + '/inbox/order', 'w').close()", Compared(result=True, files=("inbox/order",))),
        ("os.remove(out + '/inbox/order')", Compared(result=True, files=("inbox/order",))),
        ("os.mkdir(out + '/empty')", Compared(result=True, files=("empty",))),
        ("sql('insert into orders values (1)')", Compared(result=True, tables=("orders.db:orders",))),
        ("sql('create table more (id)')", Compared(result=True, tables=("orders.db:more",))),
        ("record('mail', to='a')", Compared(result=True, records=("mail",))),
    ],
    ids=["new file", "changed file", "removed file", "directory", "row", "table", "record"],
)
def test_each_effect_of_the_handler_is_compared_and_none_of_each_run(
    scf_runtime: ScfRuntime, deployed: Deploy, body: str, expected: Compared
) -> None:
    function = deployed(
        f"""
        import os, sqlite3
        from pytest_scf_async.inside import record
        out = os.environ["OUT"]
        def sql(statement):
            with sqlite3.connect(out + "/orders.db") as database:
                database.execute(statement)
            database.close()
        def main_handler(event, context):
            try:
                {body}
            except (OSError, sqlite3.OperationalError):
                pass
        """
    )
    sweep = scf_runtime.sweep(function, each_run=with_input, how="forced", include="job.py:10")

    assert sweep.failures == []
    assert sweep.compared == expected
    assert facts_of(sweep).compared == expected
    named = ", ".join(expected.effects)
    refused = refusal_of(lambda: scf_runtime.sweep(function, each_run=with_input, how="forced", compares_nothing=True))
    assert f"compares_nothing=True, and something that function 'job' does is compared: {named}" in refused


def test_what_is_observed_is_compared(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(READS)

    def observing(run: Any) -> Iterator[None]:
        yield None
        run.observe(objects=[])

    sweep = scf_runtime.sweep(function, each_run=observing, how="forced", ignore="result")
    assert sweep.compared == Compared(result=False, observed=("objects",))
    assert "\n  Compared: objects.\n" in sweep.report


def test_a_handler_that_only_reads_is_late_or_gives_another_result(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    """And a right one does not."""
    function = deployed(
        """
        import os, signal, time
        stopping = False
        def stop(*_):
            global stopping
            stopping = True
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            time.sleep(10)
            return len("done") + stopping * (event == "differs")
        """
    )

    def kinds(payload: str, **keywords: Any) -> set[str]:
        sweep = scf_runtime.sweep(
            function, payload, how="graceful", points="waits", compares_nothing=True, attempts=1, **keywords
        )
        return {kind.value for alike in sweep.failures for kind in alike.kinds}

    assert kinds("right") == set()
    assert kinds("right", within=5) == {"late"}
    assert kinds("differs") == {"diverged"}


# -- a check that asserts nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("returned", [False, True, "text"])
def test_a_check_that_returns_something_is_refused(scf_runtime: ScfRuntime, deployed: Deploy, returned: object) -> None:
    function = deployed(READS)
    text = refusal_of(lambda: scf_runtime.sweep(function, check=lambda _: returned))

    assert text.startswith(f"check= returned {returned!r} at the end of the undisturbed run, and nothing reads what")
    assert "it must assert" in text


def test_a_check_that_returns_something_later_is_refused_there(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(READS)

    def check(run: Any) -> bool | None:
        return None if run.point is None else run.event.ended

    text = refusal_of(lambda: scf_runtime.sweep(function, how="forced", check=check))
    assert re.match(r"check= returned True at job\.py:2#1, ", text), text


# -- the head of the report --------------------------------------------------------------------------------------------


def test_the_head_says_what_is_compared_left_out_and_not_tried(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, sqlite3, time
        from pytest_scf_async.inside import record
        def main_handler(event, context):
            out = os.environ["OUT"]
            for name in ("row", "done"):
                if not os.path.exists(f"{out}/done"):
                    open(f"{out}/{name}", "w").close()
            with open(f"{out}/log", "w") as log:
                log.write(f"at {time.time()}")
            with sqlite3.connect(f"{out}/orders.db") as database:
                database.execute("create table if not exists orders (id)")
            database.close()
            record("mail", to="a")
            return "done"
        """
    )

    def observing(run: Any) -> Iterator[dict[str, str]]:
        (run.path / "input").write_text("x")
        yield {"OUT": str(run.path)}
        run.observe(objects=1, bucket=2)

    sweep = scf_runtime.sweep(function, each_run=observing, how="forced", limit=6)

    assert sweep.compared.files == ("done", "log", "row")
    head, _, _ = sweep.report.partition("\n\n")
    first, *others = head.splitlines()
    assert first.startswith("job survives all ")
    compared = r"  Compared: result; 3 files, 1 table; record mail, objects, bucket\."
    ignored = r"Not compared, as it differs from run to run: log: \d tokens? of 1 line\."
    assert re.fullmatch(rf"{compared} {ignored} Power loss not tried\.", others[0])
    assert re.fullmatch(r"  Not tried: \d+ points beyond limit=\.", others[1])
    assert len(others) == 2


@pytest.mark.usefixtures("without_second_stops")
def test_the_docs_example_says_what_it_compares(scf_runtime: ScfRuntime) -> None:
    sweep = scf_runtime.sweep(scf_runtime.deploy(f"{EXPORT}:main_handler"), {"rows": 1}, each_run=each_run)

    with pytest.raises(AssertionError, match=r"(?m)^  Compared: result; 2 files\. Power loss not tried\.$"):
        sweep.assert_survives()


# -- a directory that something else changes ------------------------------------------------------------------------


def test_a_directory_that_something_else_changes_while_the_function_runs_is_refused(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    function = deployed(
        f"""
        import os
        def main_handler(event, context):
            with open(os.environ["OUT"] + "/row", "w") as file:
                file.write("row")
            os.mkdir(os.environ["OUT"] + "/last")  # until the next effect "row" counts as written by the handler
            return open({str(fifo)!r}).read()
        """
    )

    def changing(run: Any) -> Iterator[dict[str, str]]:
        def change() -> None:
            with fifo.open("w") as told:  # the handler opens it to read
                (run.path / "added").touch()
                (run.path / "row").write_text("another")
                told.write("done")

        thread = threading.Thread(target=change)
        thread.start()
        yield {"OUT": str(run.path)}
        os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
        thread.join()

    text = refusal_of(lambda: scf_runtime.sweep(function, each_run=changing, how="forced"))
    assert text.startswith("sweep: added, row in run.path is not as function 'job' has left it: something else, ")
    assert text.endswith("Have nothing else change run.path between the yield of each_run and the end of the event")


def test_a_mapped_file_that_gets_another_name_is_not_said_to_be_changed_by_something_else(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import mmap, os
        def main_handler(event, context):
            new = os.environ["OUT"] + "/new"
            with open(new, "wb+") as file:
                file.truncate(4096)
                with mmap.mmap(file.fileno(), 4096) as memory:
                    os.rename(new, os.environ["OUT"] + "/row")
                    memory[0] = 7  # no system call comes after it
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    sweep.assert_survives()
    assert "\n  Not tried: the states between system calls of what is mapped into memory (new)" in sweep.report


def test_a_server_may_keep_its_files_in_the_directory(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, socket
        def main_handler(event, context):
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as server:
                server.sendall(b"store")
                server.recv(1)
            with open(os.environ["OUT"] + "/mine", "w") as file:
                file.write("row")
        """
    )

    def storing(run: Any) -> Iterator[dict[str, str]]:
        def store() -> None:
            while not ended.is_set():
                there = listening.accept()[0]
                with there:
                    if there.recv(5):
                        (run.path / "object").write_text("stored")
                        there.sendall(b"1")

        ended = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=store)
            thread.start()
            yield {"OUT": str(run.path), "PORT": str(listening.getsockname()[1])}
            ended.set()
            socket.create_connection(listening.getsockname()).close()
            thread.join()

    sweep = scf_runtime.sweep(function, each_run=storing, how="forced", include="job.py:7")
    assert sweep.failures == []
    assert sweep.compared.files == ("mine", "object")
