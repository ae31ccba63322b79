"""Children of a handler: real processes; after a fork their clocks go on from the simulated time, at the real rate."""

from __future__ import annotations

import pytest
from process_support import START, user_lines

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]


def test_a_forked_childs_clocks_go_on_at_the_real_rate_from_the_simulated_instant(deploy) -> None:
    event = deploy(
        """
        import datetime, json, os, time

        def main_handler(event, context):
            time.sleep(1000)
            read, write = os.pipe()
            real = time.process_time()
            pid = os.fork()
            if pid == 0:
                began = time.time(), time.monotonic()
                now = datetime.datetime.now().timestamp()
                time.sleep(0.03)
                stamps = [began, (time.time(), time.monotonic()), now]
                os.write(write, json.dumps(stamps).encode())
                os._exit(7)
            os.close(write)
            with open(read) as file:
                stamps = json.load(file)
            _, status = os.waitpid(pid, 0)
            at = time.time(), time.monotonic()
            time.sleep(10)
            return [stamps, os.waitstatus_to_exitcode(status), at, time.time()]
        """
    ).invoke_async()

    (first, last, now), code, at, end = event.wait().result

    assert code == 7
    assert at == [START.timestamp() + 1000, 3600 + 1000]
    for before, after, parent in zip(first, last, at, strict=True):
        assert parent <= before < parent + 60
        assert 0.029 <= after - before < 60
    assert first[0] <= now <= last[0]
    assert end == START.timestamp() + 1010


def test_a_forked_child_may_wait_use_threads_and_print_without_the_channel(deploy) -> None:
    event = deploy(
        """
        import os, queue, signal, threading, time

        def main_handler(event, context):
            lock = threading.Lock()
            signal.signal(signal.SIGUSR1, lambda *_: print("child: signal", flush=True))
            pid = os.fork()
            if pid == 0:
                items = queue.Queue()
                def work():
                    time.sleep(0.01)
                    with lock:
                        items.put("item")
                thread = threading.Thread(target=work)
                thread.start()
                print("child:", items.get(timeout=60))
                thread.join(60)
                assert not threading.Event().wait(0.01)
                os.kill(os.getpid(), signal.SIGUSR1)
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
                for _ in range(3000):
                    time.time()
                print("child: ends")
                os._exit(0)
            status = os.waitpid(pid, 0)[1]
            print("parent:", status)
            with lock:
                time.sleep(5)
        """
    ).invoke_async()

    event.wait()

    assert event.status == "FINISHED"
    assert user_lines(event) == ["child: item", "child: signal", "child: ends", "parent: 0"]
    assert event.duration.total_seconds() == 5


def test_a_child_that_returns_from_the_handler_ends_and_the_event_is_the_parents(deploy) -> None:
    event = deploy(
        """
        import os, time

        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                return "child"
            os.waitpid(pid, 0)
            time.sleep(3)
            return "parent"
        """
    ).invoke_async()

    assert event.wait().result == "parent"
    assert event.duration.total_seconds() == 3


def test_a_fork_in_a_thread_leaves_the_other_threads_where_they_were(deploy) -> None:
    event = deploy(
        """
        import os, threading, time

        def main_handler(event, context):
            trace = []
            def forks():
                time.sleep(2)
                pid = os.fork()
                if pid == 0:
                    time.sleep(0.01)
                    os._exit(0)
                trace.append(os.waitpid(pid, 0)[1])
                time.sleep(2)
                trace.append(time.time() - 1767225600)
            def sleeps():
                time.sleep(3)
                trace.append(time.time() - 1767225600)
            threads = [threading.Thread(target=forks), threading.Thread(target=sleeps)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return trace
        """
    ).invoke_async()

    assert event.wait().result == [0, 3, 4]


def test_a_spawned_process_of_multiprocessing_has_real_time_and_takes_no_simulated_time(deploy) -> None:
    event = deploy(
        """
        import multiprocessing, time

        def work(connection, value):
            before = time.monotonic()
            time.sleep(0.01)
            connection.send([value * 2, time.monotonic() - before])
            connection.close()

        def main_handler(event, context):
            time.sleep(100)
            mp = multiprocessing.get_context("spawn")
            ours, theirs = mp.Pipe()
            process = mp.Process(target=work, args=(theirs, 21))
            process.start()
            value, slept = ours.recv()
            process.join()
            time.sleep(100)
            return [value, 0.009 < slept < 60, process.exitcode, time.time() - 1767225600]
        """
    ).invoke_async()

    assert event.wait().result == [42, True, 0, 200], str(event.log)


def test_a_subprocess_runs_in_real_time_and_its_output_is_read(deploy) -> None:
    event = deploy(
        """
        import subprocess, sys, time

        def main_handler(event, context):
            time.sleep(50)
            done = subprocess.run(
                [sys.executable, "-c", "import time; t = time.time(); time.sleep(0.02); print(time.time() > t)"],
                capture_output=True, text=True, check=True)
            subprocess.run(["echo", "from a child"], check=True)
            time.sleep(50)
            return [done.stdout, time.time() - 1767225600]
        """
    ).invoke_async()

    assert event.wait().result == ["True\n", 100]
    assert user_lines(event) == ["from a child"]


def test_the_timeouts_of_subprocess_count_real_seconds_and_no_simulated_one(deploy) -> None:
    event = deploy(
        """
        import subprocess, time

        def main_handler(event, context):
            began = time.time()
            said = []
            for capture in (False, True):
                said.append(subprocess.run(["sleep", "0.2"], timeout=60, capture_output=capture).returncode)
                try:
                    subprocess.run(["sleep", "500"], timeout=0.1, capture_output=capture)
                except subprocess.TimeoutExpired:
                    said.append("expired")
            return [*said, time.time() - began]
        """
    ).invoke_async()

    assert event.wait().result == [0, "expired", 0, "expired", 0.0]
