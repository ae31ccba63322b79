"""Code that was imported before the patches, by the interpreter's own start, has simulated time all the same."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

import pytest
from internals import close_shared_zygote, remarks_of
from process_support import user_lines

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

STARTED = """
import asyncio, concurrent.futures, logging, multiprocessing.queues, queue, sched, selectors, socket, subprocess
import started_early
"""
"""What the interpreter imports as it starts: modules of the standard library, and a module of the user's."""

EARLY = """
import threading
from datetime import datetime
from queue import SimpleQueue
from select import select
from signal import alarm, pause, signal
from threading import Lock
from time import monotonic, sleep, time


class Session:
    def __init__(self):
        self.sleep = sleep


session = Session()


def by_default(seconds, sleep=sleep):
    sleep(seconds)


class Client:
    def retry(self, seconds, *, wait=sleep):
        wait(seconds)
"""


@pytest.fixture
def started_early(tmp_path, monkeypatch) -> Iterator[None]:
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(STARTED)
    (directory / "started_early.py").write_text(EARLY)
    monkeypatch.setenv("PYTHONPATH", str(directory))
    yield
    close_shared_zygote()


WAITS = {
    "time.sleep": "started_early.sleep(60)",
    "time.sleep as a default": "started_early.by_default(60)",
    "time.sleep as a default of a method": "started_early.Client().retry(60)",
    "sched": "s = sched.scheduler(); s.enter(60, 1, int); s.run()",
    "select": "started_early.select([os.pipe()[0]], [], [], 59.999999)",
    "alarm": "started_early.signal(signal.SIGALRM, lambda *_: None); started_early.alarm(60); started_early.pause()",
    "Event": "threading.Event().wait(59.999999)",
    "SimpleQueue": "started_early.SimpleQueue().get(timeout=59.999999)",
    "Lock": "both(started_early.Lock())",
    "a lock of logging": "both(logging.lastResort.lock)",
    "asyncio": "asyncio.run(asyncio.sleep(60))",
    "clocks": "came = started_early.time(), started_early.monotonic(); time.sleep(60); "
    "assert (time.time() - came[0], time.monotonic() - came[1]) == (60, 60)",
    "datetime": "came = started_early.datetime.now(); time.sleep(60); "
    "assert (started_early.datetime.now() - came).total_seconds() == 60",
}


@pytest.mark.usefixtures("started_early")
def test_each_wait_of_code_that_was_imported_first_is_simulated(deploy, make_runtime) -> None:
    source = textwrap.dedent(
        """
        import asyncio, logging, os, queue, sched, signal, threading, time
        import started_early

        def both(lock):
            lock.acquire()
            other = threading.Thread(target=lock.acquire)
            other.start()
            time.sleep(60)
            lock.release()
            other.join()

        def main_handler(event, context):
            for name, wait in event.items():
                came = time.time()
                try:
                    exec(wait, globals())
                except queue.Empty:
                    pass
                print(name, round(time.time() - came, 6))
        """
    )
    event = deploy(source, to=make_runtime(preload="wave", real_timeout=2)).invoke_async(WAITS)

    event.wait()

    assert user_lines(event) == [f"{name} 60.0" for name in WAITS]


@pytest.mark.usefixtures("started_early")
def test_a_sleep_that_such_code_keeps_in_an_object_is_real_and_reported(deploy, make_runtime) -> None:
    event = deploy(
        """
        import started_early

        def main_handler(event, context):
            started_early.session.sleep(1000)
        """,
        to=make_runtime(preload="wave"),
    ).invoke_async()

    event.settle()

    call = "clock_nanosleep()" if sys.version_info >= (3, 11) else "select() without descriptors"
    reported = remarks_of(event, "real-time")
    assert reported == [f"in {call}, a real-time sleep in C code: no simulated time passes in it"]


def test_a_preloaded_module_and_before_init_keep_simulated_functions(
    deploy, make_runtime, tmp_path, monkeypatch
) -> None:
    keeps = "from time import sleep, time\n"
    (tmp_path / "preloaded.py").write_text(keeps)
    (tmp_path / "fakes.py").write_text(keeps + "def install():\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    event = deploy(
        """
        import fakes, preloaded

        def main_handler(event, context):
            began = fakes.time()
            preloaded.sleep(10)
            fakes.sleep(20)
            return preloaded.time() - began
        """,
        to=make_runtime(preload="preloaded"),
        before_init=f"{tmp_path}/fakes.py:install",
    ).invoke_async()

    assert event.wait().result == 30
    close_shared_zygote()


@pytest.mark.repeat
def test_threads_wait_on_simulated_time_for_a_module_that_one_of_them_imports(deploy, tmp_path) -> None:
    (tmp_path / "connected.py").write_text("import time\ntime.sleep(5)\nready = time.time()\n")
    event = deploy(
        """
        import sys, threading, time

        def ready():
            import connected
            return connected.ready

        def main_handler(event, context):
            sys.path.append(event)
            came, found = time.time(), []
            threads = [threading.Thread(target=lambda: found.append(ready() - came)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return found
        """
    ).invoke_async(str(tmp_path))

    assert event.wait().result == [5, 5, 5]
    assert event.duration.total_seconds() == 5


def test_a_wait_of_a_property_that_is_kept_is_simulated(deploy) -> None:
    event = deploy(
        """
        import functools, threading, time

        class Settings:
            @functools.cached_property
            def region(self):
                time.sleep(5)
                return "ap-guangzhou"

        def main_handler(event, context):
            settings = Settings()
            threads = [threading.Thread(target=lambda: settings.region) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """
    ).invoke_async()

    assert event.wait().status == "FINISHED"
    assert event.duration.total_seconds() == 5
