"""Instances of several runtimes at once, and of runtimes in threads of the test."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from internals import version_of
from process_support import LONG, START, is_gone

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

NAPS = """
    import os, tempfile, time
    def main_handler(event, context):
        path = os.path.join(tempfile.gettempdir(), "state")
        with open(path, "w") as file:
            file.write(event["who"])
        for _ in range(event["naps"]):
            time.sleep(1)
        if event.get("raises"):
            raise RuntimeError("on purpose")
        return open(path).read()
"""


def test_functions_of_one_name_in_two_runtimes_have_nothing_in_common(deploy, make_runtime):
    one, two = make_runtime(), make_runtime()
    functions = [deploy(NAPS, to=runtime, name="same", max_instances=1) for runtime in (one, two)]
    functions[0].publish_version()
    events = [
        function.invoke_async({"who": who, "naps": naps}).settle()
        for function, who, naps in zip(functions, ("one", "two"), (100, 5), strict=True)
    ]

    functions[1].update(timeout=50)
    functions[1].delete()

    assert (events[1].status, events[1].status_code) == ("ABORTED", 499)
    assert events[0].wait().result == "one"
    assert functions[0].versions == ["$LATEST", "1"]
    assert (one.clock.now, two.clock.now) == (START + timedelta(seconds=100), START)


def test_a_runtime_that_is_closed_leaves_the_instances_of_another(deploy, make_runtime):
    one, two = make_runtime(), make_runtime()
    first = deploy(NAPS, to=one).invoke_async({"who": "one", "naps": 5}).settle()
    second = deploy(NAPS, to=two).invoke_async({"who": "two", "naps": 5}).settle()

    one.close()

    assert is_gone(first.instance.pid)
    assert second.wait().result == "two"


def test_runtimes_in_threads_start_and_reclaim_instances_side_by_side(deploy, make_runtime):
    make_runtime().close()
    threads, rounds = 4, 8
    functions = [deploy(NAPS, to=make_runtime(), name=f"of-{number}") for number in range(threads)]
    begin = threading.Barrier(threads)

    def work(number: int) -> list[tuple[str, object]]:
        function, found = functions[number], []
        begin.wait(timeout=LONG)
        for turn in range(rounds):
            who = f"{number}-{turn}"
            events = [
                function.invoke_async({"who": f"{who}-{event}", "naps": event, "raises": event == 2})
                for event in range(3)
            ]
            for event in events:
                event.wait()
                found.append((str(event.status), event.result if event.status == "FINISHED" else event.status_code))
            if turn % 2:
                function.update()
        return found

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(work, range(threads)))

    for number, found in enumerate(answers):
        assert found == [
            answer
            for turn in range(rounds)
            for answer in (
                ("FINISHED", f"{number}-{turn}-0"),
                ("FINISHED", f"{number}-{turn}-1"),
                ("FAILED", 430),
            )
        ]


def test_a_function_is_updated_in_another_thread_than_that_which_waits(deploy, runtime):
    function = deploy("""
        import time
        def main_handler(event, context):
            time.sleep(1)
            if event["path"]:
                with open(event["path"]) as file:  # a real wait: nobody has opened the other end yet
                    file.read()
            return context["time_limit_in_ms"]
    """)  # fmt: skip
    directory = version_of(function).code.directory
    os.mkfifo(f"{directory}/fifo")
    event = function.invoke_async({"path": f"{directory}/fifo"})
    waiter = threading.Thread(target=event.wait)
    waiter.start()
    with open(f"{directory}/fifo", "w"):  # returns once the handler has opened it too
        function.update(timeout=60)
        function.publish_version()
    waiter.join(LONG)

    assert event.result == 86_400_000
    assert function.run({"path": None}) == 60_000
