"""Job images whose Python program the instance runs itself: the ends of a program, its lines, what it starts."""

from __future__ import annotations

import textwrap

import pytest
from internals import event_of
from process_support import is_gone, short_log, user_lines

from pytest_scf_async import assert_signal_received
from pytest_scf_async.report.cause import likely_cause

pytestmark = pytest.mark.interpreter  # it is the main module of the instance's Python


@pytest.fixture
def job(runtime, tmp_path):
    """Deploy a program of these lines."""

    def deploy(source, *arguments, **options):
        (tmp_path / "train.py").write_text(textwrap.dedent(source))
        return runtime.deploy_image(
            ["python", "train.py", *arguments], cwd=tmp_path, port=-1, in_process=True, **options
        )

    return deploy


def test_each_event_is_a_run_of_its_own(job):
    function = job(
        """
        import os, sys, time
        if __name__ == "__main__":
            print(os.environ["SCF_CUSTOM_CONTAINER_EVENT"], sys.argv, os.getcwd() == sys.path[0])
            time.sleep(3600)
        """,
        "--epochs",
        "3",
    )
    pids = []
    for rows in (1, 2):
        event = function.invoke_async({"rows": rows}).wait()
        assert (event.status, event.result, event.duration.total_seconds()) == ("FINISHED", None, 3600)
        line = f"{{\"rows\": {rows}}} ['train.py', '--epochs', '3'] True"
        assert short_log(event) == ["START", "INIT 0ms", line, "RESPONSE null", "END", "REPORT 3600000ms"]
        assert event.instance.cold
        assert event.instance.reclaimed
        pids.append(event.instance.pid)
    assert len(set(pids)) == 2
    assert all(map(is_gone, pids))
    assert function.name == "train"


ENDS_WELL = {
    "its last line": "",
    "exit": "raise SystemExit",
    "exit 0": "import sys; sys.exit(0)",
    "_exit": "import os; os._exit(0)",
    "another program": "import os; os.execv('/bin/true', ['true'])",
}
FAILS = {
    "exit 3": ("raise SystemExit(3)", "(exit code 3)"),
    "exit with a text": ("raise SystemExit('no data')", "(exit code 1)"),
    "an exception": ("raise ValueError('no data')", "ValueError: no data"),
    "_exit 3": ("import os; os._exit(3)", "(exit code 3)"),
    "another program": ("import os; os.execv('/bin/false', ['false'])", "(exit code 1)"),
    "a signal": ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
}


@pytest.mark.parametrize("source", ENDS_WELL.values(), ids=ENDS_WELL)
def test_it_is_finished_if_it_exits_with_0(job, source):
    event = job(source).invoke_async().wait()
    assert (event.status, event.status_code, event.result, event.instance.reclaimed) == ("FINISHED", 200, None, True)


@pytest.mark.parametrize(("source", "why"), FAILS.values(), ids=FAILS)
def test_another_end_is_a_failure(job, source, why):
    event = job(source).invoke_async().wait()
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert why in likely_cause(event_of(event))


LISTENS = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(CODE))
    try:
        time.sleep(3600)
    finally:
        print("stopping")
"""


@pytest.mark.parametrize(("code", "end"), [("0", ("FINISHED", 200)), ("143", ("FAILED", 439))])
def test_its_exit_code_counts_after_sigterm_too(job, runtime, code, end):
    event = job(LISTENS.replace("CODE", code)).invoke_async()
    runtime.clock.advance(600)
    event.terminate(grace_shutdown=True)
    event.wait()
    assert_signal_received(event)
    assert (event.status, event.status_code) == end
    assert (user_lines(event), event.duration.total_seconds()) == (["stopping"], 600)


def test_who_does_not_listen_is_ended_by_sigterm(job, runtime):
    event = job("import time; time.sleep(3600)").invoke_async()
    runtime.clock.advance(600)
    event.terminate(grace_shutdown=True)
    assert (event.status, event.status_code) == ("FAILED", 439)


def test_it_stops_at_its_lines_and_reports(job):
    function = job(
        """
        from pytest_scf_async.inside import record
        for epoch in range(3):
            record("epoch", number=epoch)
        """
    )
    event = function.invoke_async().run_to("train.py:4")
    assert event.records == []
    event.terminate()
    assert (event.status, function.invoke_async().wait().status) == ("ABORTED", "FINISHED")
    assert [each.fields for each in function.invoke_async().wait().records] == [{"number": n} for n in range(3)]


def test_what_runs_at_the_end_of_python_runs(job):
    event = (
        job(
            """
        import atexit, threading, time
        atexit.register(print, "at exit")
        def later():
            time.sleep(60)
            print("a thread")
        threading.Thread(target=later).start()
        """
        )
        .invoke_async()
        .wait()
    )
    assert (event.status, user_lines(event)) == ("FINISHED", ["a thread", "at exit"])
    assert event.duration.total_seconds() == 60


def test_children_do_not_end_it(job):
    event = (
        job(
            """
        import multiprocessing, os, subprocess
        def work(number):
            return number * 2
        if __name__ == "__main__":
            if os.fork() == 0:
                os._exit(0)
            os.wait()
            subprocess.run(["true"], check=True)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(work, range(3)))
            raise SystemExit(3)
        """
        )
        .invoke_async()
        .wait()
    )
    assert (event.status_code, user_lines(event)) == (439, ["[0, 2, 4]"])
