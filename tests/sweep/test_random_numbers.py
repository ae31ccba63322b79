"""Random numbers are the same in each run of a sweep, and others in each event and with another seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from sweeping import Deploy

from pytest_scf_async import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.usefixtures("without_second_stops")]

DRAWS = """
    import os, random, secrets, tempfile, threading, uuid
    from os import urandom
    from random import SystemRandom, choice
    AT_IMPORT = uuid.uuid4().hex

    def in_child():
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, (os.urandom(8).hex() + " " + str(random.random())).encode())
            os._exit(0)
        os.wait()
        return os.read(reader, 100).decode().split()

    def in_thread():
        found = []
        thread = threading.Thread(target=lambda: found.append(os.urandom(8).hex()))
        thread.start()
        thread.join()
        return found

    def draw():
        with tempfile.NamedTemporaryFile() as file:
            name = file.name
        return [
            os.urandom(8).hex(), os.getrandom(8).hex(), urandom(8).hex(), uuid.uuid4().hex, uuid.uuid1().hex,
            secrets.token_hex(8), SystemRandom().random(), random.SystemRandom().getrandbits(64),
            random.random(), random.Random().random(), random.getrandbits(64), choice(range(10**9)), name,
            *in_child(), *in_thread(),
        ]

    def main_handler(event, context):
        drawn = [*draw(), *draw()]
        with open(os.environ["OUT"], "a") as file:
            print([AT_IMPORT, *drawn], file=file)
        return "done"
    """


LINES = DRAWS.strip("\n").splitlines()
BEFORE, BEHIND = (next(at for at, line in enumerate(LINES, 2) if text in line) for text in ("drawn = [*", 'return "do'))
"""Of the draws of an event."""


def test_they_are_the_same_in_each_run_and_others_in_each_event(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    runs = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path / "drawn")}
        lines = (run.path / "drawn").read_text(encoding="utf-8").splitlines()
        runs.append([json.loads(line.replace("'", '"')) for line in lines])
        run.observe(events=len(run.events) >= 1)

    sweep = scf_runtime.sweep(
        deployed(DRAWS),
        each_run=each,
        how="forced",
        include=[f"job.py:{BEFORE}#1", f"job.py:{BEHIND}#1"],
        ignore="drawn",
    )
    assert sweep.failures == []
    (of_first,), (with_other_ids,), (made_again,), (before,), (behind, next_one) = runs
    assert of_first == made_again == behind
    assert next_one == before, "it draws the same wherever the event before was interrupted"
    numbers = [*of_first, *next_one, *with_other_ids]
    assert len(set(numbers)) == len(numbers), "none comes twice, in other events or with other ids"


def test_random_goes_on_from_where_user_code_has_seeded_it(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, random, signal, time
        random.seed(7)
        stopping = False
        def stop(*_):
            global stopping
            stopping = True
        signal.signal(signal.SIGTERM, stop)
        def main_handler(event, context):
            global stopping
            time.sleep(1)
            with open(os.environ["OUT"] + "/drawn", "a") as file:
                print(random.random(), file=file)
            was, stopping = stopping, False
            return "stopped" if was else "done"
        """
    )
    runs = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}
        runs.append([float(line) for line in (run.path / "drawn").read_text(encoding="utf-8").splitlines()])

    sweep = scf_runtime.sweep(function, each_run=each, how="graceful", include="wait#1")

    assert [run.cold for run in sweep.runs] == [False, True]
    first, second = (seeded := random.Random(7)).random(), seeded.random()
    assert runs[2:4] == [[first, second], [first, first]]  # a cold start seeds it again
