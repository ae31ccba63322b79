"""Stages: runtimes for the runs of a sweep, each as that of the test, and what a sweep does with one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from .async_event import AsyncEvent
from .clock import SimulatedClock
from .deployment import changed_configuration
from .function import Function
from .instances.function_version import FunctionVersion
from .instances.pool import Pool, Tracer
from .instances.sandbox import Sandboxes
from .lockstep.event import Event
from .lockstep.features.feature import Forked
from .lockstep.scheduler import Lockstep
from .model.configuration import FunctionConfiguration
from .model.timeline import IDLE
from .model.transitions import Fact
from .model.versions import LATEST
from .options import ScfSettings


class Host(Protocol):
    """What a stage asks of a runtime: of that of the test, and of its own."""

    _base_temp: str | os.PathLike[str] | None
    _lockstep: Lockstep
    _pool: Pool[Event]
    _sandboxes: Sandboxes

    @property
    def settings(self) -> ScfSettings: ...
    @property
    def clock(self) -> SimulatedClock: ...
    def _for_run(self, settings: ScfSettings, seed: str, directory: Path) -> AbstractContextManager[Host]: ...
    def _add(self, version: FunctionVersion, function_id: str) -> Function: ...


class Stages:
    """Makes the runtimes for the runs of a sweep, and keeps what they have in common: to check that takes long."""

    def __init__(self, runtime: Host, wing_part: str, drawing: Callable[[], Tracer]) -> None:
        """*wing_part* is the module that their instances import, *drawing* makes what answers what these draw."""
        self._runtime = runtime
        self._wing_part, self._drawing = wing_part, drawing
        self._settings = runtime.settings
        self._configured: tuple[FunctionConfiguration, Mapping[str, str], FunctionConfiguration] | None = None

    @contextmanager
    def stage(self, start: datetime, seed: str, directory: Path, draws: bool) -> Iterator[Stage]:
        """A runtime for one run: as that of the test, but its instances may write to *directory* alone.

        With *draws* code in C of Python handlers draws the same random numbers in each run.
        """
        of_test = self._runtime
        if self._settings.start != start:
            self._settings = of_test.settings.replace("ScfRuntime(start=...)", start=start)
        with of_test._for_run(self._settings, seed, directory) as runtime:
            runtime._pool.serve_sweep(self._wing_part, self._drawing if draws else None)
            runtime._sandboxes.serve_sweep()
            runtime._sandboxes.show([] if of_test._base_temp is None else [os.fspath(of_test._base_temp)])
            yield Stage(runtime, directory, self.configured)

    def forked(self) -> list[Forked]:
        """What features do in a fork of this process that is about to be made, to make runs."""
        return self._runtime._lockstep.forked()

    def configured(self, before: FunctionConfiguration, environment: Mapping[str, str]) -> FunctionConfiguration:
        """*before* with the variables of a run added."""
        if self._configured is None or self._configured[0] is not before or self._configured[1] != environment:
            given = {"environment": {**before.environment, **environment}}
            changed = changed_configuration(self._settings, before, given, "each_run")
            self._configured = before, dict(environment), changed
        return self._configured[2]


class Stage:
    """A runtime for one run of a sweep."""

    def __init__(
        self,
        runtime: Host,
        directory: Path,
        configured: Callable[[FunctionConfiguration, Mapping[str, str]], FunctionConfiguration],
    ) -> None:
        self._runtime = runtime
        self._directory = os.fspath(directory)
        self._configured = configured

    def run_of(self, function: FunctionVersion, environment: Mapping[str, str]) -> Function:
        """The same function in it, with more variables."""
        runtime, changed = self._runtime, self._configured(function.configuration, environment)
        now_us = runtime.clock.now_us
        version = FunctionVersion(
            changed,
            function.code_to_run(),
            LATEST,
            function.runtime.in_run(self._directory),
            added_us=now_us,
            modified_us=now_us,
            active_us=now_us,
        )
        return runtime._add(version, "lam-sweep")

    def end_by_timeout(self, event: AsyncEvent) -> None:
        """Let *event* reach its timeout where it stands."""
        runtime, timer = self._runtime, event._event.timer
        with runtime._lockstep.locked():
            if timer is not None:
                runtime.clock.jump(timer.due_us)
            in_init = event._event.phase == "init"
            runtime._lockstep.end(event._event, Fact.INIT_TIMED_OUT if in_init else Fact.TIMED_OUT)

    def record(self, recording: Tracer) -> None:
        """Have the effects of the instance that is started next recorded."""
        self._runtime._pool.record_next(recording)

    def reclaim(self, event: AsyncEvent) -> None:
        """Take the idle instance of *event* back, as the platform does when it likes."""
        runtime, instance = self._runtime, event._event.instance
        with runtime._lockstep.locked():
            if instance is not None and not instance.gone:
                runtime._pool.reclaim(instance, IDLE)

    def advance(self, microseconds: int) -> None:
        """Let simulated time pass."""
        self._runtime.clock.advance(timedelta(microseconds=microseconds))
