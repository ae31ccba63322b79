"""What the operations ask of the runtime that has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from ...async_event import AsyncEvent
from ...clock import SimulatedClock
from ...function import Function, Invocation
from ...instances.pool import Pool
from ...instances.runtimes.choice import Builder, Deployed
from ...lockstep.event import Event
from ...lockstep.scheduler import Lockstep
from ...model.records import EventRecord
from ...options import ScfSettings


class Platform(Protocol):
    """A runtime, to its operations."""

    _lockstep: Lockstep
    _pool: Pool[Event]
    _builder: Builder
    _namespaces: dict[str, int]
    _functions: dict[tuple[str, str], Function]
    _events: dict[str, AsyncEvent]
    _lookup: tuple[str, ...]

    @cached_property
    def _described(self) -> dict[str, tuple[str, int]]: ...
    @property
    def seed(self) -> str: ...
    @property
    def settings(self) -> ScfSettings: ...
    @property
    def clock(self) -> SimulatedClock: ...
    def _scratch(self) -> str: ...
    def _session_scratch(self) -> str: ...
    def _require_function(
        self, name: str, namespace: str, *, name_code: str = ..., namespace_code: str = ...
    ) -> Function: ...
    def _deploy(self, source: str, settings: ScfSettings, made: Deployed, given: Mapping[str, Any]) -> Function: ...
    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None: ...
    def _publish(self, function: Function, description: str, *, with_update: bool = False) -> str: ...
    def _require_present(self, function: Function) -> None: ...
    def _active_us(self) -> int: ...
    def _accept(self, function: Function, invocation: Invocation) -> AsyncEvent: ...
    def _seen(self, record: EventRecord) -> None: ...
