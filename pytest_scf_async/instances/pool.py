"""The instances of a runtime: which event each runs, which are idle, and how one is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from ..clock import DueThing, SimulatedClock
from ..errors import HarnessError, ScfAsyncError, hidden_from_users
from ..linux import procfs
from ..model.configuration import FunctionConfiguration
from ..model.timeline import IDLE
from ..options import ScfSettings
from ..protocol import messages
from .environment import with_endpoint
from .function_version import FunctionVersion
from .instance import Instance, Owner, not_started
from .parts import HasParts
from .poller import Poller
from .prefork import prefork, take_preforked
from .runtimes.strategy import PortForwarder, Site
from .sandbox import Sandboxes
from .zygote import Zygote

__tracebackhide__ = hidden_from_users

_PLACE = attrgetter("place")
DEATH_LIMIT = 10.0
"""Real seconds within which a killed process has to be gone."""


class Runs(Protocol):
    """An event, as far as the pool has to see it."""

    @property
    def function(self) -> FunctionVersion: ...


class Tracer(Protocol):
    """A process beside an instance, which records its effects, or answers what its code in C draws: a sweep's."""

    @property
    def at_effect(self) -> messages.AtEffect: ...
    @property
    def syncs(self) -> bool: ...
    def core(self) -> int | None:
        """The number of the core on which the instance is to run; None: where the kernel wants."""

    def begin(self, zygote: Zygote, clock_file: int, control_file: int, *, by_itself: bool) -> list[int]:
        """Have an instance of *zygote* traced, unless it does that *by_itself*; the descriptors for that.

        Raises ``OSError`` or ``HarnessError``.
        """


Run = TypeVar("Run", bound=Runs)
"""What an instance runs: an event of the scheduler."""


class Pool(Generic[Run]):
    """Idle instances are used first, the one used last before others; none idle: a new one (document 19805)."""

    def __init__(self, settings: ScfSettings, clock: SimulatedClock, clock_fd: int, sandboxes: Sandboxes) -> None:
        self.settings = settings
        self.clock = clock
        self.clock_fd = clock_fd
        self.sandboxes = sandboxes
        self.poller = Poller()
        self.port_forwarder: PortForwarder | None = None
        """Made for the first instance that needs them."""
        self.endpoint: messages.EndpointConfig | None = None
        self._restore_endpoint: Callable[[], object] | None = None
        """What answers in the platform's place, for instances that start now."""
        self.instances: list[Instance] = []
        """In the order of their starts; those that are gone leave it."""
        self._stirring: dict[Instance, None] = {}
        """All that do not rest, and some that do."""
        self._places = 0
        self.events: dict[Instance, Run] = {}
        """The event that an instance runs."""
        self.last_events: dict[Instance, Run] = {}
        """The event that it ran last: what it writes between events is that one's."""
        self._idle: list[tuple[FunctionVersion, Instance, DueThing]] = []
        self._wing_part: str | None = None
        """What its instances import, which are those of a sweep then."""
        self._have_parts: tuple[HasParts, ...] = ()
        self._recording: Tracer | None = None
        """Of the instance that is started next."""
        self._drawing: Callable[[], Tracer] | None = None
        """Makes what answers, in each of its instances, what code in C draws of the kernel's random numbers."""
        self._next: tuple[Zygote, messages.Expect] | None = None
        """Of the last start, for which no next process has been forked: what it was of."""
        self.started = 0
        """How many instances have been started so far."""

    def use_endpoint(
        self, endpoint: messages.EndpointConfig | None, restore: Callable[[], object] | None = None
    ) -> None:
        """Have *endpoint* answer in the platform's place, for instances that start from here on.

        *restore* is called before each start: its files may have gone with a zygote that was killed.
        """
        self.endpoint, self._restore_endpoint = endpoint, restore

    def stirs(self, instance: Instance) -> None:
        """*instance* may do something from here on."""
        self._stirring[instance] = None

    def stirring(self) -> list[Instance]:
        """Those that do not rest, in the order of their starts: only they compute, are gated or hold the clock."""
        for instance in [each for each in self._stirring if each.rests]:
            del self._stirring[instance]
        return sorted(self._stirring, key=_PLACE) if len(self._stirring) > 1 else list(self._stirring)

    def _add(self, instance: Instance) -> None:
        self._places += 1
        instance.is_placed(self._places)
        self.instances.append(instance)
        self.stirs(instance)
        self.poller.add(instance)

    def take(self, function: FunctionVersion) -> Instance | None:
        """An idle instance of *function*, no longer idle; None when there is none."""
        for index in range(len(self._idle) - 1, -1, -1):
            idle_function, instance, timer = self._idle[index]
            if idle_function is function:
                del self._idle[index]
                timer.cancel()
                if instance.lives():
                    return instance  # else the word of its end is on its way
        return None

    def serve_sweep(self, wing_part: str, drawing: Callable[[], Tracer] | None = None) -> None:
        """Have the zygote prepare for instances that have gates at lines, each of them, and import *wing_part*.

        With *drawing* what their code in C draws of the kernel's random numbers is the same in each run; programs that
        are traced anyway have that always.
        """
        self._wing_part, self._drawing = wing_part, drawing

    def with_parts(self, feature: HasParts) -> None:
        """Have *feature* asked what its part in each instance is."""
        self._have_parts = (*self._have_parts, feature)

    def record_next(self, recording: Tracer) -> None:
        """Have the effects of the instance that is started next recorded."""
        self._recording = recording

    def keep_idle(self, instance: Instance) -> None:
        """Keep *instance*, which is frozen, until the next event, or until it was idle too long."""
        due = self.clock.now_us + round(self.settings.idle_reclaim * 1_000_000)
        timer = self.clock.call_at(due, lambda: self.reclaim(instance, IDLE))
        self._idle.append((self.last_events[instance].function, instance, timer))

    def reclaim(self, instance: Instance, because: str) -> None:
        """Take an idle instance back."""
        instance.is_reclaimed(because)
        if not instance.gone:
            self.kill(instance)
        self.drop(instance)

    def kill(self, instance: Instance) -> None:
        """SIGKILL, and wait until the process and what it left are gone."""
        for feature in self._have_parts:
            feature.before_kill([instance])
        instance.kill()
        if not instance.zygote.receive_until(lambda: instance.gone, DEATH_LIMIT):
            if instance.zygote.alive:
                raise HarnessError(f"instance {instance.number} (pid {instance.pid}) did not die of SIGKILL")
            instance.died_of_sigkill()
        instance.owner.take_reports(instance)

    def kill_all(self) -> list[ScfAsyncError]:
        """SIGKILL to all at once, and wait until they are gone; gives what went wrong.

        Nobody waits for one of which nobody could see whether it is gone: a test that ran to its end leaves such a one,
        and its death takes a quarter of the time of a short test. The zygote reaps it.
        """
        for feature in self._have_parts:
            feature.before_kill(self.instances)
        problems: list[ScfAsyncError] = []
        unseen = [instance for instance in self.instances if _dies_unseen(instance)]
        for instance in self.instances:
            instance.kill()
        for instance in unseen:
            instance.died_of_sigkill()
        for instance in list(self.instances):
            try:
                if not instance.gone:
                    self.kill(instance)
            except ScfAsyncError as error:
                problems.append(error)
            if not instance.released:
                instance.output.finish()
            self.drop(instance)
        return problems

    def assign(self, instance: Instance, event: Run) -> None:
        """Let *instance* run *event*."""
        self.stirs(instance)
        self.events[instance] = event
        self.last_events[instance] = event

    def forget_event(self, instance: Instance) -> None:
        """*instance* runs no event any more."""
        self.events.pop(instance, None)

    def retire(self, function: FunctionVersion, because: str) -> None:
        """No other event will run *function*: reclaim its idle instances, and the others when their events end."""
        function.retire(because)
        for idle_function, instance, _ in list(self._idle):
            if idle_function is function:
                self.reclaim(instance, because)

    def make_room(self, configuration: FunctionConfiguration) -> None:
        """Reclaim idle instances of other versions, the longest idle first, where a function would get too many."""
        limit = configuration.max_instances
        if limit is None:
            return
        name = configuration.namespace, configuration.name
        alive = sum(_name_of(event.function) == name for event in self.last_events.values())
        for idle_function, instance, _ in list(self._idle):
            if alive < limit:
                return
            if _name_of(idle_function) == name:
                self.reclaim(instance, "room made for another version")
                alive -= 1

    def drop(self, instance: Instance) -> None:
        """Forget an instance that is gone, and close what belonged to it."""
        instance.set_wake_up(None)
        if instance in self.instances:
            self.instances.remove(instance)
        self._stirring.pop(instance, None)
        self.events.pop(instance, None)
        last = self.last_events.pop(instance, None)
        for entry in list(self._idle):
            if entry[1] is instance:
                self._idle.remove(entry)
                entry[2].cancel()
        if not instance.released:
            self.poller.remove(instance)
            instance.release()
        if last is not None:
            last.function.lost(instance.sandbox.lost_files)

    def spawn(self, function: FunctionVersion, owner: Owner) -> Instance:
        """Start an instance of *function*.

        Raises ``HarnessError`` where the machine has no room for one, and leaves nothing behind.
        """
        try:
            return self._spawn(function, owner)
        except OSError as error:
            what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
            raise not_started(function.configuration.name, what, self.sandboxes.removed_base_temp()) from error

    def _spawn(self, function: FunctionVersion, owner: Owner) -> Instance:
        zygote = self.sandboxes.zygote()
        if self._restore_endpoint is not None:
            self._restore_endpoint()
        self.started += 1
        code = function.code_to_run()
        configuration = function.configuration
        before_init = configuration.before_init
        runtime = function.runtime.moved(function.code, code)
        own_network = zygote.namespaces and configuration.network == "loopback"
        endpoint = self.endpoint if runtime.finds_endpoint else None
        if endpoint is not None and own_network:
            endpoint = endpoint._replace(bundle=endpoint.nearby)
        site = Site(
            configuration,
            function.version,
            self.settings,
            own_network=own_network,
            mark=zygote.mark,
            why_unmounted=self.sandboxes.why_unmounted,
            endpoint=endpoint,
        )
        with ExitStack() as undo:
            port = runtime.claim_port(site)
            if port is not None:
                undo.callback(port.release)
            directories = runtime.directories if site.endpoint is None else (*runtime.directories, site.trusted)
            sandbox = self.sandboxes.make(
                zygote, code, configuration, directories, runtime.layered, shares_tmp=runtime.shares_tmp
            )
            undo.callback(sandbox.remove)
            environment = with_endpoint(
                runtime.environment(site, sandbox.environment), configuration.environment, site.endpoint
            )
            parts = [part for each in self._have_parts if (part := each.part(runtime)) is not None]
            hint = messages.Expect(
                common=None if sandbox.plan is None else sandbox.plan.common,
                inodes=[] if sandbox.plan is None else sandbox.plan.inodes,
                code=[code.entry, *([] if before_init is None else [before_init.entry])],
                environment=environment,
                parts={part.module: part.ahead for part in parts},
                sees_imports=any(part.sees_imports for part in parts),
                program=runtime.runs_program,
                wing_part=self._wing_part,
            )
            environment = {**environment, "HOSTNAME": f"scf-async-{self.started}", **runtime.variables}
            instance = take_preforked(zygote, hint) or Instance(zygote, hint)
            undo.callback(self._discard, instance)
            instance.accompany(runtime.companion(site, sandbox.tmp, instance.output.fd, port), port)
            undo.pop_all()
        fds = [self.clock_fd, *(part.descriptor for part in parts if part.descriptor is not None)]
        given: list[int] = []
        if runtime.relayed_ports(site):
            self.port_forwarder = self.port_forwarder or runtime.port_forwarder()
            given.append(self.port_forwarder.open(instance.number))
        if instance.companion is not None:
            given.append(instance.companion.descriptor)
        tracer, self._recording = self._recording, None
        if tracer is None and self._drawing and runtime.can_be_recorded and not runtime.traces_user_code:
            tracer = self._drawing()
        if tracer is not None:
            by_itself = runtime.traces_user_code
            given += tracer.begin(zygote, self.clock_fd, instance.control_file, by_itself=by_itself)
        instance.assign(
            owner,
            runtime,
            sandbox,
            [*fds, *given],
            messages.Assign(
                entry=code.entry,
                module=code.module,
                function=code.function,
                code_directory=code.directory,
                search_path=sandbox.search_path,
                sandbox=sandbox.plan,
                known_tmp=list(sandbox.known),
                only_writes=sandbox.only_writes,
                own_random=self._wing_part is not None,
                environment=environment,
                clock_reads_before_wait=None  # time passes for a loop that polls the clock
                if configuration.compute_rate
                else self.settings.clock_reads_before_wait,
                compute_rate=configuration.compute_rate,
                network=configuration.network,
                deployed_by=configuration.deployed_by,
                idle_ok=list(configuration.idle_ok),
                parts={part.module: part.given for part in parts},
                sees_imports=hint.sees_imports,
                memory_limited=configuration.memory is not None,
                before_init=None if before_init is None else messages.BeforeInit(**asdict(before_init)),
                program=runtime.program(site, port),
                endpoint=site.endpoint,
                recorded=tracer is not None,
                at_effect=messages.AtEffect() if tracer is None else tracer.at_effect,
                syncs=tracer is not None and tracer.syncs,
                wing_part=self._wing_part,
            ),
        )
        if tracer is not None:
            instance.use_core(tracer.core())
        for fd in given:
            os.close(fd)
        instance.children.exempt(configuration.background)
        self._add(instance)
        self._next = zygote, hint
        return instance

    def prefork_next(self) -> None:
        """Have a process forked for the next start, if there was one since the last time.

        It is called when a blocking call returns. The fork would slow down an instance that starts at the same time:
        each page that either of them writes is copied under a lock that they share.
        """
        if self._next is not None:
            prefork(*self._next)
            self._next = None

    @staticmethod
    def _discard(instance: Instance) -> None:
        """What its program was to run in could not be had: the process that was to speak for it ends."""
        instance.kill()
        instance.release()


def _dies_unseen(instance: Instance) -> bool:
    """Whether *instance*, about to be killed, stands still for good and has nothing that another process shares.

    Else a test that has closed its runtime could find the port taken, the file locked, or the connection open.
    """
    still = instance.state.idle and instance.stopped and not (instance.gone or instance.waiting_writers)
    if not still or instance.runtime.runs_program or instance.children.possible:
        return False
    return procfs.has_only_own_files(instance.pid, instance.zygote.pid)


def _name_of(function: FunctionVersion) -> tuple[str, str]:
    return function.configuration.namespace, function.configuration.name
