"""With a given start two runs are the same: transitions, times, lines, signals, request ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from process_support import START

from pytest_scf_async.runtime import ScfRuntime

TIMELINES = Path(__file__).parent / "timelines"
"""Timelines as they were: no change of the code's structure may change them."""

WORKERS = """
    import datetime, json, logging, queue, signal, sys, threading, time, uuid

    stopping = threading.Event()

    def on_term(signum, frame):
        print("SIGTERM", time.time(), frame.f_code.co_name)
        stopping.set()

    def main_handler(event, context):
        form = "%(asctime)s %(threadName)s %(message)s"
        logging.basicConfig(stream=sys.stdout, level=logging.INFO, format=form, force=True)
        stopping.clear()
        signal.signal(signal.SIGTERM, on_term)
        jobs, lock, done = queue.Queue(3), threading.Lock(), []

        def work(number):
            while True:
                job = jobs.get()
                if job is None:
                    return
                time.sleep(event["nap"] * (1 + job % 3))
                with lock:
                    logging.info("job %d by %d at %s", job, number, datetime.datetime.now())
                    time.sleep(0.05)
                    done.append(job)

        threads = [threading.Thread(target=work, args=(n,), name=f"w{n}") for n in range(5)]
        for thread in threads:
            thread.start()
        print("hash", hash("a text"), list({"one", "two", "three", "four"}))
        for job in range(event["jobs"]):
            if stopping.wait(0.01):
                break
            jobs.put(job)
        for _ in threads:
            jobs.put(None)
        for thread in threads:
            thread.join()
        if event.get("fail"):
            raise ValueError(f"after {len(done)} jobs")
        return {"done": done, "at": time.time(), "mono": time.monotonic()}
"""


def scenario(runtime: ScfRuntime, deploy: Any) -> list[Any]:
    """Six events on cold and warm instances, with gates, signals, a timeout and a forced end; all there is to see."""
    function = deploy(WORKERS, to=runtime, name="workers", timeout=600)
    events = [function.invoke_async({"nap": nap, "jobs": jobs}) for nap, jobs in ((0.5, 12), (0.7, 30), (1, 50))]
    late = function.invoke_async({"nap": 100, "jobs": 40})
    failing = function.invoke_async({"nap": 0.25, "jobs": 5, "fail": True})
    events[1].wait_for_log("job 5 ")
    events[1].terminate(grace_shutdown=True)
    events[1].settle()
    events[0].wait()
    runtime.clock.advance(3.3)
    events[2].terminate(grace_shutdown=True)
    events[2].terminate(grace_shutdown=True)
    warm = function.invoke_async({"nap": 2, "jobs": 6})
    warm.wait_for_log("job 1 ")
    runtime.clock.advance(0.123456)
    warm.terminate()
    runtime.wait_all()
    events += [late, failing, warm]
    return [
        [
            event.request_id,
            event.transitions,
            event.status_code,
            [(line.time, line.source, line.text.partition("MemUsage")[0]) for line in event.log],
            event.signals,
            event.result if event.status == "FINISHED" else event.error,
            [line for line in event.timeline.splitlines() if "MemUsage" not in line],
            event.instance.cold,
            event.instance.reclaimed_because,
        ]
        for event in events
    ] + [runtime.clock.now]


def kept_timelines(trace: list[Any]) -> str:
    """The timelines of a scenario; without what depends on the machine (memory, paths) and on the Python (hashes)."""
    lines = (line.partition('"stackTrace"')[0] for event in trace[:-1] for line in event[6] if " hash " not in line)
    return "".join(f"{line}\n" for line in lines)


def differences(one: list[Any], other: list[Any]) -> list[tuple[Any, Any]]:
    """What differs, innermost, so that a failure shows it."""
    found = []
    for left, right in zip(one, other, strict=False):
        if left != right:
            found += differences(left, right) if isinstance(left, list) and isinstance(right, list) else [(left, right)]
    return found or ([("lengths", len(one), len(other))] if len(one) != len(other) else [])


@pytest.mark.parametrize("runs", [3, pytest.param(10, marks=pytest.mark.once)])
def test_runs_of_a_complicated_scenario_are_the_same(deploy, make_runtime, tmp_path, runs: int) -> None:
    first = None
    for _ in range(runs):
        with ScfRuntime(start=START, seed="the same") as runtime:
            trace = scenario(runtime, lambda source, to, name, timeout: _deploy(to, tmp_path, source, name, timeout))
        first = first or trace
        assert differences(first, trace) == []

    assert kept_timelines(first) == (TIMELINES / "workers.txt").read_text(encoding="utf-8")
    statuses = [event[1][-1][0] for event in first[:-1]]
    assert statuses == ["FINISHED", "FINISHED", "FINISHED", "FAILED", "FAILED", "ABORTED"]


def _deploy(runtime: ScfRuntime, directory: Any, source: str, name: str, timeout: float) -> Any:
    import textwrap

    file = directory / "index.py"
    if not file.exists():
        file.write_text(textwrap.dedent(source), encoding="utf-8")
    return runtime.deploy(f"{file}:main_handler", name=name, timeout=timeout)


def test_another_seed_gives_other_request_ids_and_nothing_else_changes(deploy, tmp_path) -> None:
    traces = []
    for seed in ("one", "two"):
        with ScfRuntime(start=START, seed=seed) as runtime:
            event = _deploy(runtime, tmp_path, WORKERS, "workers", 600).invoke_async({"nap": 0.5, "jobs": 4})
            event.wait()
            traces.append((event.request_id, event.result, event.transitions))

    assert traces[0][0] != traces[1][0]
    assert traces[0][1:] == traces[1][1:]
