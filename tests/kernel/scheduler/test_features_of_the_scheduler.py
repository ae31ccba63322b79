"""Features: what the scheduler asks of each, and that it asks only those that are in use."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from internals import Feature, lockstep_of, messages, reports, shown_timeline

from pytest_scf_async import ScfRuntime, ScfSettings
from pytest_scf_async import runtime as runtime_module
from pytest_scf_async.scripted import finished, running_for

# once: the test's side: the same on all Pythons
pytestmark = pytest.mark.once

SLEEPS = """
import signal, time


def main_handler(event, context):
    signal.signal(signal.SIGTERM, lambda *_: None)
    for _ in range(20):
        time.sleep(1)
    return "done"
"""


def used(runtime: ScfRuntime) -> list[str]:
    return [type(each).__name__ for each in lockstep_of(runtime).features]


def test_an_event_that_needs_none_uses_none(deploy: Any, runtime: ScfRuntime) -> None:
    event = deploy(SLEEPS).invoke_async()
    assert used(runtime) == []
    runtime.clock.advance(5)
    assert used(runtime) == []
    event.wait()
    assert used(runtime) == []


def test_each_is_asked_while_it_is_needed(deploy: Any, runtime: ScfRuntime) -> None:
    scripted = runtime.deploy_scripted("scripted", [running_for(60), finished()])
    one = scripted.invoke_async()
    runtime.clock.advance(1)
    assert used(runtime) == ["ScriptPlayer"]
    event = deploy(SLEEPS).invoke_async()
    event.settle()
    event.terminate(grace_shutdown=True)
    assert used(runtime) == ["ScriptPlayer", "RealCosts"]
    event.wait()
    assert used(runtime) == ["ScriptPlayer"]
    one.wait()
    assert used(runtime) == []


class Slow(Feature):
    """A feature of nobody but this test: it sees what there is to see, forbids leases, holds each move."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__(scheduler)
        self.seen: list[str] = []
        self.held = self.leases = 0
        self.at_us: int | None = None

    def begins(self, event: Any) -> None:
        self._scheduler.use(self)
        self.seen.append("begins")

    def before_sigterm(self, event: Any, disposition: str) -> None:
        self.seen.append(f"before SIGTERM ({disposition})")

    def after_sigterm(self, event: Any) -> None:
        self.seen.append("after SIGTERM")

    def ends(self, event: Any) -> None:
        self.seen.append("ends")
        self._scheduler.leave(self)

    def forbids_lease(self, instance: Any, event: Any) -> bool:
        self.leases += 1
        return True

    def holds(self, call: Any) -> float | None:
        now = self._scheduler.clock.now_us
        if self.at_us == now:
            return None
        self.at_us = now
        self.held += 1
        return 0.0005


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_new_one_changes_no_line_of_the_scheduler(
    scf_settings: ScfSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    (tmp_path / "job.py").write_text(SLEEPS)

    def run() -> tuple[str, list[Slow]]:
        settings = scf_settings.replace("test", start=datetime(2026, 1, 1, tzinfo=timezone.utc))
        with ScfRuntime(settings, seed="alike") as runtime:
            event = runtime.deploy(f"{tmp_path / 'job.py'}:main_handler", name="job").invoke_async()
            runtime.clock.advance(5.5)
            if interrupted:
                event.terminate(grace_shutdown=True)
            event.wait()
            mine = [each for each in lockstep_of(runtime)._known if isinstance(each, Slow)]
            return re.sub("MemUsage.*", "", shown_timeline(event)), mine

    alone, _ = run()
    monkeypatch.setattr(runtime_module, "FEATURES", (*runtime_module.FEATURES, Slow))
    beside, (slow,) = run()

    assert beside == alone
    sigterm = ["before SIGTERM (handler)", "after SIGTERM"] if interrupted else []
    assert slow.seen == ["begins", *sigterm, "ends"]
    assert slow.leases > 5
    assert slow.held > 5


class Held(Feature):
    """A feature of nobody but this test: it holds the clock until a thread of the test lets it go."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__(scheduler)
        self.asked = threading.Semaphore(0)
        self.let_go = threading.Event()

    def begins(self, event: Any) -> None:
        self._scheduler.use(self)

    def forbids_lease(self, instance: Any, event: Any) -> bool:
        return True

    def holds(self, call: Any) -> float | None:
        self.asked.release()
        return None if self.let_go.is_set() else 0.0005


def test_the_clock_stands_until_a_feature_lets_it_go(
    scf_settings: ScfSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.py").write_text(SLEEPS)
    monkeypatch.setattr(runtime_module, "FEATURES", (*runtime_module.FEATURES, Held))
    with ScfRuntime(scf_settings) as runtime:
        held = lockstep_of(runtime).feature(Held)
        begun = runtime.clock.now
        seen: list[datetime] = []

        def let_go() -> None:
            for _ in range(5):
                held.asked.acquire()
            seen.append(runtime.clock.now)
            held.let_go.set()

        thread = threading.Thread(target=let_go, daemon=True)
        thread.start()
        runtime.deploy(f"{tmp_path / 'job.py'}:main_handler", name="job").invoke_async().wait()
        thread.join()
        assert seen == [begun]
        assert runtime.clock.now > begun


def test_each_message_of_an_instance_means_one_thing(scf_runtime: ScfRuntime) -> None:
    lockstep = lockstep_of(scf_runtime)
    tables = [reports.Reports(lockstep).means(), *(each.means() for each in lockstep._known)]
    kinds = [kind for table in tables for kind in table]
    assert sorted(kinds, key=str) == sorted(get_args(messages.FromAnInstance), key=str)
    assert set(kinds) >= reports.QUIET
