"""All that tests use of what is private in the package: each name, and how a public object gives it."""

# ruff: noqa: F401  (tests import these names from here)

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import Any

from pytest_scf_async import AsyncEvent, ScfRuntime
from pytest_scf_async.clock import DueThing, SimulatedClock, shown_time
from pytest_scf_async.function import Function
from pytest_scf_async.instances import cpus, instance, interrupts, packages, process_tree, state, writers, zygote
from pytest_scf_async.instances.at_rest import Rest
from pytest_scf_async.instances.code import Code
from pytest_scf_async.instances.function_version import FunctionVersion
from pytest_scf_async.instances.instance import Instance
from pytest_scf_async.instances.output import Output
from pytest_scf_async.instances.poller import Poller
from pytest_scf_async.instances.pool import Pool
from pytest_scf_async.instances.prefork import _preforked, take_preforked
from pytest_scf_async.instances.runtimes.choice import Deployed
from pytest_scf_async.instances.runtimes.python import PythonHandler
from pytest_scf_async.instances.runtimes.strategy import Runtime, Site
from pytest_scf_async.instances.sandbox import mounted_view, zygote_of
from pytest_scf_async.instances.state import Doing
from pytest_scf_async.instances.user_process import UserProcess
from pytest_scf_async.instances.zygote import Zygote, close_shared_zygote, shared_zygote
from pytest_scf_async.linux import linux, procfs, sock_diag
from pytest_scf_async.linux.kernel_waits import KernelWait, _restarted, name_of, waits_for_reaper, waits_for_signal
from pytest_scf_async.linux.linux import copy_of_socket, receive_descriptors, remove_tree
from pytest_scf_async.linux.procfs import SignalState
from pytest_scf_async.linux.sock_diag import SockDiag, TcpEnd
from pytest_scf_async.lockstep import (
    answers,
    calls,
    reports,
    shared_core,
    thread_reports,
    watchdog,
)
from pytest_scf_async.lockstep import event as event_module
from pytest_scf_async.lockstep import scheduler as lockstep_scheduler
from pytest_scf_async.lockstep.calls import Call
from pytest_scf_async.lockstep.diagnosis import Snapshot, what_instances_do
from pytest_scf_async.lockstep.event import Event
from pytest_scf_async.lockstep.features import real_cost, test_process
from pytest_scf_async.lockstep.features.feature import Feature
from pytest_scf_async.lockstep.features.real_cost import RealCosts
from pytest_scf_async.lockstep.places import Place, find
from pytest_scf_async.lockstep.real_stretches import RealCost
from pytest_scf_async.lockstep.scheduler import Lockstep
from pytest_scf_async.lockstep.shared_core import BATCH, SLOW_BATCHES, WORTH, SharedCore
from pytest_scf_async.lockstep.watchdog import Watchdog
from pytest_scf_async.model.timeline import (
    Exit,
    MemoryExcess,
    Raised,
    Recorded,
    Remark,
    ResultExcess,
    StatusChanged,
    Waited,
    Written,
)
from pytest_scf_async.model.versions import Versions
from pytest_scf_async.options import OPTIONS, Where, options_of
from pytest_scf_async.protocol import disk_record, freezegun_classes, messages, shared_page, wait_texts
from pytest_scf_async.protocol.disk_record import PAGE
from pytest_scf_async.protocol.limits import RESULT_LIMIT
from pytest_scf_async.protocol.messages import OWNER_MARK
from pytest_scf_async.protocol.own_code import OWN_CODE
from pytest_scf_async.protocol.real_time import REAL
from pytest_scf_async.protocol.shortening import shortened, shortened_line, shortened_lines, shortened_list
from pytest_scf_async.protocol.time_units import NEVER_US
from pytest_scf_async.protocol.wait_texts import Holder, Wait, more_tasks, waits_of
from pytest_scf_async.python import ahead, c_connections, clock_page, loading
from pytest_scf_async.python import clock as clocks
from pytest_scf_async.python.clock_page import ARCHITECTURES, SLOTS, ClockPage, Unavailable, assemble
from pytest_scf_async.python.gates.bytecode import entries, first_entry
from pytest_scf_async.python.http_answers import MESSAGE, PING, PONG, Answer, Frames
from pytest_scf_async.python.patches import registry
from pytest_scf_async.python.scheduler.alarm import Alarm
from pytest_scf_async.report.limits import limits
from pytest_scf_async.report.timeline import _LISTENERS, _MET, entry_text, timeline_text
from pytest_scf_async.report.waits import where, who_waits
from pytest_scf_async.runtime import EVENTS_KEPT, accepted_since, begin_test, end_test


def event_of(event: AsyncEvent) -> Event:
    """The event inside the harness."""
    return event._event


def shown_timeline(event: AsyncEvent) -> str:
    """The timeline of an event as the text of a failure has it."""
    return event._timeline(limits.timeline)


def remarks_of(event: AsyncEvent, word: str) -> list[str]:
    """The remarks in the timeline of an event that have *word* in their text."""
    return [entry.text for entry in event._event.timeline if isinstance(entry, Remark) and word in entry.text]


def has_lines(event: AsyncEvent) -> bool:
    """Whether the log of an event has been made: that of a scripted one is, once it is read."""
    return event._event._log is not None


def lockstep_of(owner: AsyncEvent | ScfRuntime) -> Lockstep:
    """The lockstep of a runtime, or of the runtime of an event."""
    return owner._lockstep


def pool_of(runtime: ScfRuntime) -> Pool:
    """The instances of a runtime."""
    return runtime._pool


def scratch_of(runtime: ScfRuntime) -> str:
    """The directory that a runtime has made for itself; empty where it has made none."""
    return runtime._own_scratch


def preforked_of(of: Zygote) -> Instance | None:
    """The process that is ready for the next instance; it stays so."""
    return _preforked.get(of)


def _recorders_of(of: Zygote) -> list[Any]:
    """The recorders of sweeps; none where nothing has imported what makes them."""
    recording = sys.modules.get("pytest_scf_async.sweep.recording")
    return [] if recording is None else recording._recorders.get(of, [])


def recorders_of(of: Zygote) -> int:
    """How many recorders there are, or are being forked."""
    return sum(each.lives() for each in _recorders_of(of))


def end_recorders(of: Zygote, limit: float) -> None:
    """Have the recorders end."""
    recorders = _recorders_of(of)
    while recorders:
        recorder = recorders.pop()
        recorder.release()
        assert of.receive_until(lambda each=recorder: each.status is not None, limit)


def version_of(function: Function) -> FunctionVersion:
    """What an event of a function that is invoked now would run."""
    return function._version


def versions_of(function: Function) -> Versions[FunctionVersion]:
    """All versions of a function."""
    return function._versions


def heap_of(clock: SimulatedClock) -> list[DueThing]:
    """What is due on a clock, and what was cancelled and has not been removed."""
    return clock._heap
