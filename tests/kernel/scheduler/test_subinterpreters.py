"""Interpreters beside the main one (`InterpreterPoolExecutor`, from Python 3.14 on), and what RLock has there."""

from __future__ import annotations

import threading

import pytest

pytestmark = pytest.mark.interpreter


def test_a_pool_of_interpreters_answers_and_takes_no_simulated_time(deploy) -> None:
    function = deploy("""
        import concurrent.futures, time

        def main_handler(event, context):
            began = time.time()
            pools = getattr(concurrent.futures, "InterpreterPoolExecutor", concurrent.futures.ThreadPoolExecutor)
            with pools(2) as pool:
                answers = [each.result(timeout=60) for each in [pool.submit(eval, "6 * 7"), pool.submit(eval, "7 * 7")]]
            return [answers, time.time() - began]
    """)

    assert function.run() == [[42, 49], 0]


def test_an_rlock_has_what_that_of_this_python_has(deploy) -> None:
    function = deploy("""
        import threading

        def main_handler(event, context):
            lock = threading.RLock()
            with lock:
                held = lock.locked() if hasattr(lock, "locked") else True
            free = lock.locked() if hasattr(lock, "locked") else False
            return [sorted(name for name in dir(lock) if not name.startswith("_")), held, free]
    """)

    own = [name for name in dir(threading.RLock()) if not name.startswith("_")]
    assert function.run() == [sorted(own), True, False]
