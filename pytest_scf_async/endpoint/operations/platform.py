"""What the operations ask of the runtime that has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...async_event import AsyncEvent
from ...clock import SimulatedClock
from ...function import Function, Invocation
from ...instances.code import Code
from ...instances.runtimes.choice import Builder
from ...instances.runtimes.strategy import Runtime
from ...lockstep.scheduler import Lockstep
from ...model.records import EventRecord
from ...options import ScfSettings


class Platform(Protocol):
    """A runtime, to its operations."""

    _lockstep: Lockstep
    _builder: Builder
    _namespaces: dict[str, int]
    _functions: dict[tuple[str, str], Function]
    _events: dict[str, AsyncEvent]

    @property
    def _described(self) -> dict[str, tuple[str, int]]: ...
    @property
    def seed(self) -> str: ...
    @property
    def settings(self) -> ScfSettings: ...
    @property
    def clock(self) -> SimulatedClock: ...
    def _scratch(self) -> str: ...
    def _require_function(
        self, name: str, namespace: str, *, name_code: str = ..., namespace_code: str = ...
    ) -> Function: ...
    def _deploy(
        self,
        source: str,
        settings: ScfSettings,
        code: Code,
        runtime: Runtime,
        given: dict[str, Any],
        *,
        warning: str | None = None,
    ) -> Function: ...
    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None: ...
    def _publish(self, function: Function, description: str, *, with_update: bool = False) -> str: ...
    def _require_present(self, function: Function) -> None: ...
    def _active_us(self) -> int: ...
    def _accept(self, function: Function, invocation: Invocation) -> AsyncEvent: ...
    def _seen(self, record: EventRecord) -> None: ...
