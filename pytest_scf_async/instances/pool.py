"""The instances of a runtime: which event each runs, which are idle, and how one is started."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict

from ..clock import DueThing, SimulatedClock
from ..errors import HarnessError, ScfUsageError, hidden_from_users
from ..lockstep.event import Event, FunctionVersion
from ..model import IMAGE_RUNTIME, FunctionConfiguration
from ..options import ScfSettings
from ..protocol import messages
from . import coverage as measured
from . import terminal
from .instance import Instance, Owner
from .member import Member
from .poller import Ears
from .port_forwarder import Relays
from .ports import ClaimedPort, PortInUseError, claim, claim_any
from .prefork import keep_spare, take_spare
from .runtimes.launcher import Launch
from .sandbox import Sandbox, Sandboxes
from .zygote import Zygote

__tracebackhide__ = hidden_from_users

IDLE = "idle"
"""Why an instance is reclaimed that no event used for long enough."""
DEATH_LIMIT = 10.0
"""Real seconds within which a killed process has to be gone."""


class Pool:
    """Idle instances are used first, the one used last before others; none idle: a new one (document 19805)."""

    def __init__(self, settings: ScfSettings, clock: SimulatedClock, clock_fd: int, sandboxes: Sandboxes) -> None:
        self.settings = settings
        self.clock = clock
        self.clock_fd = clock_fd
        self.sandboxes = sandboxes
        self.ears = Ears()
        self.relays: Relays | None = None
        """Made for the first instance that needs them."""
        self.instances: list[Instance] = []
        """In the order of their starts; those that are gone leave it."""
        self.events: dict[Instance, Event] = {}
        """The event that an instance runs."""
        self.last_events: dict[Instance, Event] = {}
        """The event that it ran last: what it writes between events is that one's."""
        self._idle: list[tuple[FunctionVersion, Instance, DueThing]] = []
        self.started = 0
        """How many instances have been started so far."""
        self._next: tuple[Zygote, messages.JsonObject] | None = None
        """What the next instance will probably be like."""

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

    def freeze(self, instance: Instance) -> None:
        """Keep *instance*, which has finished its event, stopped until the next one, or until it was idle too long."""
        for each in instance.group:
            _forget_head(each)
            each.frozen = True
            each.turn = each.overtaken = False
        instance.stop()
        due = self.clock.now_us + round(self.settings.idle_reclaim * 1_000_000)
        timer = self.clock.call_at(due, lambda: self.reclaim(instance, IDLE), what="idle reclaim")
        self._idle.append((self.last_events[instance].function, instance, timer))

    def reclaim(self, instance: Instance, because: str) -> None:
        """Take an idle instance back."""
        instance.reclaimed_because = because
        if not instance.gone:
            self.kill(instance)
        self.drop(instance)

    @staticmethod
    def kill(instance: Instance) -> None:
        """SIGKILL, and wait until the process and what it left are gone."""
        measured.save(instance.group)
        instance.kill()
        if instance.zygote.hear_until(lambda: instance.gone, DEATH_LIMIT):
            return
        if instance.zygote.alive:
            raise HarnessError(f"instance {instance.number} (pid {instance.pid}) did not die of SIGKILL")
        instance.status = signal.SIGKILL  # it dies with the zygote

    def assign(self, instance: Instance, event: Event) -> None:
        """Let *instance* run *event*."""
        for each in instance.group:
            each.frozen = False
            self.events[each] = event
            self.last_events[each] = event

    def take_in(self, parent: Instance, pid: int) -> Member | None:
        """The program of *parent* has forked *pid*, whose descriptors have come with the word of it."""
        fds, parent.descriptors[:4] = parent.descriptors[:4], []
        if len(fds) < 4:  # the kernel drops those for which there is no room: it is a child like any other
            for fd in fds:
                os.close(fd)
            return None
        member = Member(parent, pid, fds)
        assert member.parent is not None
        self.instances.append(member)
        self.ears.add(member)
        for known in (self.events, self.last_events):
            if (event := known.get(member.parent)) is not None:
                known[member] = event
        return member

    def forget_events(self, instance: Instance) -> None:
        """*instance* runs no event any more."""
        for each in instance.group:
            self.events.pop(each, None)

    def retire(self, function: FunctionVersion, because: str) -> None:
        """No other event will run *function*: reclaim its idle instances, and the others when their events end."""
        function.retired = because
        for idle_function, instance, _ in list(self._idle):
            if idle_function is function:
                self.reclaim(instance, because)

    def make_room(self, configuration: FunctionConfiguration) -> None:
        """Reclaim idle instances of other versions, the longest idle first, where a function would get too many."""
        limit = configuration.max_instances
        if limit is None:
            return
        name = configuration.namespace, configuration.name
        alive = sum(
            each.parent is None and _name_of(event.function) == name for each, event in self.last_events.items()
        )
        for idle_function, instance, _ in list(self._idle):
            if alive < limit:
                return
            if _name_of(idle_function) == name:
                self.reclaim(instance, "room made for another version")
                alive -= 1

    def drop(self, instance: Instance) -> None:
        """Forget an instance that is gone, and close what belonged to it."""
        while instance.members:
            self.drop(instance.members[-1])
        if instance.parent is not None and isinstance(instance, Member):
            instance.output.finish()
            instance.parent.members.remove(instance)
        _forget_head(instance)
        if instance in self.instances:
            self.instances.remove(instance)
        self.events.pop(instance, None)
        self.last_events.pop(instance, None)
        for entry in list(self._idle):
            if entry[1] is instance:
                self._idle.remove(entry)
                entry[2].cancel()
        if not instance.released:
            self.ears.remove(instance)
            instance.release()

    def spawn(self, function: FunctionVersion, owner: Owner) -> Instance:
        """Start an instance of *function*.

        Raises ``HarnessError`` where the machine has no room for one, and leaves nothing behind.
        """
        try:
            return self._spawn(function, owner)
        except OSError as error:
            what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
            raise HarnessError(f"an instance of {function.configuration.name} could not be started: {what}") from error

    def _spawn(self, function: FunctionVersion, owner: Owner) -> Instance:
        zygote = self.sandboxes.zygote()
        self.started += 1
        code = function.code_to_run()
        before_init = function.configuration.before_init
        launch = None if function.launch is None else function.launch.moved(function.code, code)
        with ExitStack() as undo:
            port = None if launch is None else self._claim(launch, function, zygote)
            if port is not None:
                undo.callback(port.release)
            program = None if launch is None else self._program(launch, function, zygote, port)
            sandbox = self.sandboxes.make(
                zygote, code, function.configuration, () if launch is None else launch.directories
            )
            undo.callback(sandbox.remove)
            environment = self._environment(function, sandbox)
            hint = {
                "common": None if sandbox.plan is None else sandbox.plan["common"],
                "inodes": [] if sandbox.plan is None else sandbox.plan["inodes"],
                "code": [code.entry, *([] if before_init is None else [before_init.entry])],
                "environment": environment,
            }
            coverage = None if function.free_running else measured.plan()
            if coverage is not None:
                hint["coverage"] = True
            if program is not None:
                hint["program"] = True
            if terminal.ask is not None:
                hint["debugger"] = True
            environment = {**environment, "HOSTNAME": f"scf-async-{self.started}"}
            if launch is not None:
                environment |= launch.environment
            instance = take_spare(zygote, hint) or Instance(zygote, hint)
            undo.pop_all()
        instance.port = port
        self._next = zygote, hint
        instance.free_running = function.free_running
        instance.takes_descriptors = program is not None and not function.free_running
        fds = [self.clock_fd] if coverage is None else [self.clock_fd, coverage[1]]
        relayed = None
        if program is not None and program["own_network"] and program["ports"]:
            self.relays = self.relays or Relays()
            relayed = self.relays.open()
        instance.become(
            owner,
            sandbox,
            fds if relayed is None else [*fds, relayed],
            {
                "entry": code.entry,
                "module": code.module,
                "function": code.function,
                "code_directory": code.directory,
                "search_path": sandbox.search_path,
                "sandbox": sandbox.plan,
                "known_tmp": sandbox.known,
                "environment": environment,
                "clock_reads_before_wait": self.settings.clock_reads_before_wait,
                "network": function.configuration.network,
                "deployed_by": function.configuration.deployed_by,
                "idle_ok": function.configuration.idle_ok,
                "debugger": terminal.ask is not None,
                "coverage": None if coverage is None else coverage[0],
                "memory_limited": function.configuration.memory is not None,
                "before_init": None if before_init is None else asdict(before_init),
                "program": program,
            },
        )
        if relayed is not None:
            os.close(relayed)
        instance.measured = coverage is not None
        instance.children.background = function.configuration.background
        instance.hears_idly = bool(function.configuration.idle_ok)
        self.instances.append(instance)
        self.ears.add(instance)
        return instance

    def think_ahead(self) -> None:
        """Have the next instance's process forked, while there is nothing else to do."""
        if self._next is not None:
            zygote, hint = self._next
            self._next = None
            keep_spare(zygote, hint)

    def _claim(self, launch: Launch, function: FunctionVersion, zygote: Zygote) -> ClaimedPort | None:
        """The port of the machine where a program listens that has no network of its own."""
        if not launch.free_running or self._owns_network(function, zygote):
            return None  # a program that the instance runs itself listens on no port of the machine
        try:
            return claim_any() if launch.speaks == "gob" else claim(launch.port, self.settings.real_timeout)
        except PortInUseError as error:
            network = function.configuration.network
            why = 'network="all"' if network == "all" else f"no namespaces: {self.sandboxes.why_unmounted()}"
            raise ScfUsageError(
                f"port {launch.port} of this machine is in use {error}, and an instance of "
                f"{function.configuration.name} has no network of its own ({why}): such programs run one instance at a "
                f"time, each until it is reclaimed; {error.what_to_do}, or give this program another port="
            ) from None

    @staticmethod
    def _owns_network(function: FunctionVersion, zygote: Zygote) -> bool:
        return zygote.namespaces and function.configuration.network == "loopback"

    def _program(
        self, launch: Launch, function: FunctionVersion, zygote: Zygote, claimed: ClaimedPort | None
    ) -> messages.JsonObject:
        """What an instance is told of the program that it starts, or is."""
        port = launch.port
        environment = {messages.OWNER_MARK: zygote.mark}
        if launch.speaks == "gob":
            port = _GO_PORT if claimed is None else claimed.number
            environment["_LAMBDA_SERVER_PORT"] = environment["_SCF_SERVER_PORT"] = str(port)
        return {
            "path": launch.command[0],
            "argv": list(launch.command),
            "directory": launch.directory,
            "environment": environment,
            "free_running": launch.free_running,
            "script": launch.script,
            "module": launch.module,
            "speaks": launch.speaks,
            "helper": launch.helper,
            "port": port,
            "ports": list(launch.ports),
            "own_network": self._owns_network(function, zygote),
            "headers": {
                "X-Scf-Session-Token": _CREDENTIALS["TENCENTCLOUD_SESSIONTOKEN"],
                "X-Scf-Secret-Id": _CREDENTIALS["TENCENTCLOUD_SECRETID"],
                "X-Scf-Secret-Key": _CREDENTIALS["TENCENTCLOUD_SECRETKEY"],
            },
        }

    def _environment(self, function: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        """What a code package's instance finds (document 30228), and nothing of the host's environment."""
        configuration = function.configuration
        settings = self.settings
        if configuration.runtime == IMAGE_RUNTIME:
            return self._environment_of_image(function, sandbox)
        return {
            **_CREDENTIALS,
            "_SCF_SERVER_PORT": "28902",
            "TENCENTCLOUD_RUNENV": "SCF",
            "PYTHONDONTWRITEBYTECODE": "x",
            "CLASSPATH": "/var/runtime/java8:/var/runtime/java8/lib/*:/opt",
            "NODE_PATH": "/var/user:/var/user/node_modules:/var/lang/node6/lib/node_modules:/opt:/opt/node_modules",
            "_": "/var/lang/python3/bin/python3",
            "HOME": "/home/qcloud",
            "USER": "qcloud",
            "LOGNAME": "qcloud",
            "LANG": "en_US.UTF8",
            "LC_ALL": "en_US.UTF8",
            "PATH": _PATH,
            "SHELL": "/bin/bash",
            "SHLVL": "3",
            "LD_LIBRARY_PATH": "/var/runtime/java8:/var/user:/opt",
            "SCF_RUNTIME": configuration.runtime,
            "SCF_FUNCTIONNAME": configuration.name,
            "SCF_FUNCTIONVERSION": function.version,
            "SCF_NAMESPACE": configuration.namespace,
            "TENCENTCLOUD_REGION": settings.region,
            "TENCENTCLOUD_APPID": settings.appid,
            "TENCENTCLOUD_UIN": settings.uin,
            "TENCENTCLOUD_TZ": "UTC",
            **sandbox.environment,
            **configuration.environment,
        }

    def _environment_of_image(self, function: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        """What an image's program finds (document 56051): beside that, what the image itself would set."""
        configuration = function.configuration
        return {
            "TENCENTCLOUD_RUNENV": "SCF",
            "USER_CODE_ROOT": "/var/user/",
            "USER": "qcloud",
            "SCF_FUNCTIONNAME": configuration.name,
            "SCF_FUNCTIONVERSION": function.version,
            "TENCENTCLOUD_REGION": self.settings.region,
            "TENCENTCLOUD_APPID": self.settings.appid,
            "TENCENTCLOUD_UIN": self.settings.uin,
            "PATH": f"{os.path.dirname(sys.executable)}:{_PATH}",
            "HOME": sandbox.environment.get("TMPDIR", "/tmp"),
            "LANG": "C.UTF-8",
            **{name: value for name, value in sandbox.environment.items() if name == "TMPDIR"},
            **configuration.environment,
        }


_CREDENTIALS = {
    "TENCENTCLOUD_SESSIONTOKEN": "scf-async-session-token",
    "TENCENTCLOUD_SECRETID": "scf-async-secret-id",
    "TENCENTCLOUD_SECRETKEY": "scf-async-secret-key",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GO_PORT = 28902
"""Where a Go function listens in a network of its own: the platform's ``_SCF_SERVER_PORT`` (document 30228)."""


def _name_of(function: FunctionVersion) -> tuple[str, str]:
    return function.configuration.namespace, function.configuration.name


def _forget_head(instance: Instance) -> None:
    """What it waits for is not due while it is frozen, nor when it is gone."""
    if instance.head is not None:
        instance.head.cancel()
        instance.head = None
