"""Several events at once: their due times come in order, one at a time, and every run is the same."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

pytestmark = pytest.mark.leases

TIMES = int(os.environ.get("SCF_STRESS", "20"))
"""How often they do the same, one after the other; by the environment, for a long run."""

WORKER = """
import os, threading, time

BEGAN = 1767225600

def note(path, text):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{time.time() - BEGAN:g} {text}\\n".encode())
    os.close(file)

def main_handler(event, context):
    def works(name, naps):
        for nap in naps:
            time.sleep(nap)
            note(event["trace"], f"{name} enters")
            for _ in range(2000):  # long enough for another one to come in between, if it may
                pass
            note(event["trace"], f"{name} leaves")

    threads = [threading.Thread(target=works, args=each) for each in event["threads"].items()]
    for thread in threads:
        thread.start()
    works(event["name"], event["naps"])
    for thread in threads:
        thread.join()
"""


def trace_of(path) -> list[tuple[float, str]]:
    parts = [line.split(" ", 1) for line in path.read_text().splitlines()]
    return [(float(at), text) for at, text in parts]


@pytest.mark.repeat
@pytest.mark.parametrize("leases", [True, False])
def test_due_times_of_several_instances_come_in_order_and_one_at_a_time(
    deploy, make_runtime, tmp_path, leases: bool
) -> None:
    runtime = make_runtime(leases=leases)
    function = deploy(WORKER, to=runtime)
    trace = tmp_path / "trace"
    plans = {f"event{n}": [(n * 7 + step * 3) % 5 + 0.25 * n for step in range(12)] for n in range(4)}
    threads = {f"thread{n}": [(n + step * 2) % 7 + 0.1 * n for step in range(12)] for n in range(4)}
    events = []
    for n, (name, naps) in enumerate(plans.items()):
        payload = {
            "trace": str(trace),
            "name": name,
            "naps": naps,
            "threads": {f"thread{n}": threads[f"thread{n}"]},
        }
        events.append(function.invoke_async(payload))

    runtime.wait_all(events)

    found = trace_of(trace)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    whose = [text.split() for _, text in found]
    assert all(
        first == [second[0], "enters"] and second[1] == "leaves"
        for first, second in zip(whose[::2], whose[1::2], strict=True)
    )
    for name, naps in {**plans, **threads}.items():
        expected = [sum(naps[: step + 1]) for step in range(12)]
        assert [at for at, text in found if text == f"{name} enters"] == pytest.approx(expected)
    assert max(event.ended_at for event in events) == events[0].started_at + timedelta(
        seconds=max(sum(naps) for naps in [*plans.values(), *threads.values()])
    )


def test_what_is_due_at_one_instant_goes_in_the_order_in_which_it_began_to_wait(deploy, runtime, tmp_path) -> None:
    function = deploy(WORKER)
    trace = tmp_path / "trace"
    events = [
        function.invoke_async({"trace": str(trace), "name": f"event{n}", "naps": [1] * 20, "threads": {}})
        for n in range(3)
    ]

    runtime.wait_all(events)

    assert trace_of(trace) == [
        (at, f"event{n} {what}") for at in range(1, 21) for n in range(3) for what in ("enters", "leaves")
    ]


PINGPONG = """
import json, os, time

def main_handler(event, context):
    mine, theirs, every, starts = event["inbox"], event["outbox"], event["every"], event["starts"]
    began = time.time()
    trace = []

    def at():
        return round(time.time() - began, 6)

    def hands_on(number):
        with open(theirs + ".new", "w") as file:
            json.dump(number, file)
        os.rename(theirs + ".new", theirs)
        trace.append([at(), "hands", number])

    if starts:
        hands_on(1)
    while True:
        time.sleep(every)
        if os.path.exists(mine):
            with open(mine) as file:
                number = json.load(file)
            os.remove(mine)
            trace.append([at(), "has", number])
            if number < 20:
                time.sleep(every / 4)
                hands_on(number + 1)
            if number >= 19:
                return trace
"""


def expected_of(every: dict[str, float]) -> dict[str, list[list[object]]]:
    """What the two do, by a model of their own: the one that holds the work sees that at the next of its checks."""
    traces: dict[str, list[list[object]]] = {"first": [[0, "hands", 1]], "second": []}
    looks = {"first": every["first"], "second": every["second"]}
    handed, holder = 0.0, "second"
    for number in range(1, 21):
        at = looks[holder]
        while at < handed:
            at += every[holder]
        assert at > handed  # at one instant the order is that of registration, which this model does not know
        at = round(at, 6)
        traces[holder].append([at, "has", number])
        looks[holder] = at + every[holder]
        if number < 20:
            handed = round(at + every[holder] / 4, 6)
            traces[holder].append([handed, "hands", number + 1])
            looks[holder] = handed + every[holder]
        holder = "first" if holder == "second" else "second"
    return traces


EVERY = {"first": 3.0, "second": 2.3}
"""How many seconds lie between two checks of each."""


def hand_work_to_each_other(deploy, runtime, directory, times: int) -> list[dict[str, list[list[object]]]]:
    """What the two functions did, *times* in a row."""
    functions = {name: deploy(PINGPONG, to=runtime, name=name) for name in EVERY}
    found = []
    for turn in range(times):
        events = {}
        for name, other in (("first", "second"), ("second", "first")):
            payload = {
                "inbox": str(directory / f"{turn}-{name}"),
                "outbox": str(directory / f"{turn}-{other}"),
                "every": EVERY[name],
                "starts": name == "first",
            }
            events[name] = functions[name].invoke_async(payload)
        runtime.wait_all(events.values())
        found.append({name: event.result for name, event in events.items()})
    return found


@pytest.mark.parametrize("leases", [True, False])
def test_two_functions_that_hand_work_to_each_other_do_it_alike_again_and_again(
    deploy, make_runtime, tmp_path, leases: bool
) -> None:
    found = hand_work_to_each_other(deploy, make_runtime(leases=leases), tmp_path, TIMES)

    assert found == [expected_of(EVERY)] * TIMES


@pytest.mark.repeat
def test_two_functions_that_hand_work_to_each_other(deploy, runtime, tmp_path) -> None:
    assert hand_work_to_each_other(deploy, runtime, tmp_path, 1) == [expected_of(EVERY)]
