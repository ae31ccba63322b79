"""What differs by runtime: how an instance of it is spawned, spoken to and ended, and what it can be asked.

A function has the object of its runtime, and so has each instance. The rest of the package asks that object and calls
it; only the runtimes' own modules know which one it is.
"""

# ruff: noqa: ARG002  (a runtime that overrides a method may need what another one does not)

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from ...errors import hidden_from_users
from ...linux.procfs import SignalState
from ...model.before_init import BeforeInit
from ...model.configuration import FunctionConfiguration
from ...model.timeline import Disposition
from ...options import ScfSettings
from ...protocol import messages
from ...protocol.shared_page import ControlPage
from ..code import Code
from ..process_tree import Child
from ..user_process import Companion, Process, UserProcess

__tracebackhide__ = hidden_from_users

CLOSED: Final = (
    "its code closed a descriptor that it did not open (os.closerange, os.close) and through which its process talks "
    "to pytest: close only what it has opened"
)
"""How an instance has ended whose channel its own code has closed."""
RUN_PATH: Final = "{path}"
"""What stands for the directory of a run of a sweep among the arguments of a program."""


@dataclass(frozen=True)
class Site:
    """A function version and a place for an instance of it: all that a runtime has to know to spawn one."""

    configuration: FunctionConfiguration
    version: str
    settings: ScfSettings
    own_network: bool
    """The instance has a network of its own, with nothing in it but a loopback."""
    mark: str
    """What distinguishes the processes of this session from others."""
    why_unmounted: Callable[[], str]
    """Why instances have no namespaces, where they have none."""
    endpoint: messages.EndpointConfig | None = None
    """What answers in the platform's place."""

    @property
    def trusted(self) -> str:
        """The directory of the file with the authorities that are trusted, where there is an endpoint."""
        return "" if self.endpoint is None else os.path.dirname(self.endpoint.bundle)


class ClaimedPort(Protocol):
    """A port of the machine that an instance has to itself."""

    @property
    def number(self) -> int: ...
    def release(self) -> None: ...


class PortForwarder(Protocol):
    """What gives the instances of one test's runtime ports of the machine in their own networks."""

    def open(self, number: int) -> int:
        """A descriptor for instance *number*, which sends listening sockets there."""

    def origin(self, port: int) -> tuple[int, int] | None:
        """Where a connection comes from that has *port* here: the number of the instance, and the port there."""

    def forward(self) -> None:
        """Wait until all that has come by now is forwarded."""

    def close(self) -> None: ...


class Children(Protocol):
    """The child processes of an instance."""

    def look(self) -> Sequence[Child]: ...


class Zygote(Protocol):
    """What an instance was forked from."""

    pid: int


class Running(Protocol):
    """An instance that runs an event, as far as a runtime has to see it."""

    pid: int
    control: ControlPage
    channel_open: bool

    @property
    def gone(self) -> bool: ...
    def holds_clock(self) -> bool: ...
    def became(self) -> str: ...
    def has_closed_channel(self) -> bool: ...
    @property
    def zygote(self) -> Zygote: ...
    @property
    def children(self) -> Children: ...


class Started(Protocol):
    """The event of an instance, as far as a runtime has to see it."""

    phase: Any
    real_time: tuple[str, ...]


class Runtime(ABC):
    """One runtime. What is written here holds for Python code on simulated time."""

    runs_code: ClassVar[bool] = True
    """Its events run user code, in instances. Else a script says what each of them does, and there is no process."""
    in_lockstep: ClassVar[bool] = True
    """Its instances compute in their turn, and simulated time passes while they wait. Else they see real time: they
    have no turn and hold no clock, and the clock flows with real time while one of them runs an event."""
    has_places: ClassVar[bool] = True
    """Its code can be stopped at a line or a function (``run_to("export.py:42")``)."""

    @property
    def instead_of_places(self) -> str:
        """What to do where it has none, for texts."""
        return "use run_to('init'), or wait_for_log() on a line that it writes there"

    @property
    def instead_of_real_waits(self) -> str:
        """What to do about waits of code in C, which take real time, for texts."""
        return 'deploy(..., children="simulated") has all that the function does wait on simulated time'

    @property
    def bare_command(self) -> Sequence[str] | None:
        """What starts it for an event where there is no platform: the words of a program, or none where a function in
        Python is to be called; None: nothing does."""
        return None

    @property
    def takes_run_path(self) -> bool:
        """What starts it names the directory of a run of a sweep."""
        return False

    has_listeners: ClassVar[bool] = True
    """It is known for which signals its code has handlers (``wait_until_listening``)."""

    @property
    def catches_signals(self) -> bool:
        """A runtime of its program's language catches SIGTERM before the program's own code does: Go's, Node.js's.

        So nothing says whether that listens.
        """
        return False

    is_job: ClassVar[bool] = False
    """Its program is started for each event, and exits with 0 when the work is done."""
    listens_in_python: ClassVar[bool] = True
    """Its handlers of signals are functions in Python, of which each is followed."""
    stops_behind_lines: ClassVar[bool] = False
    """It writes its output on its own, and is stopped as a whole where a gate waits for a line that has come. What is
    stopped so gets no signal before it goes on."""
    traces_user_code: ClassVar[bool] = False
    """Its instances trace user code: they stop it on request, and report what it waits for even while it
    computes. Else an instance is user code itself, and is stopped by a signal, with its children."""
    can_be_recorded: ClassVar[bool] = True
    """What its code changes in a directory can be recorded."""
    may_lease: ClassVar[bool] = True
    """An instance that alone computes can move the clock itself."""
    runs_python: ClassVar[bool] = True
    """The Python of its instances runs user code itself, so features may have parts beside that: coverage, say."""
    serves_requests: ClassVar[bool] = False
    """Its init is over when it listens on its port; each event is a ``POST /event-invoke`` there (document 56051)."""
    init_ends: ClassVar[str] = ""
    """What ends its init, where the program has to say so, for texts."""
    finds_endpoint: ClassVar[bool] = True
    """The hosts of SCF lead to the endpoint of the test, where there is one. Else its program sees other files and
    another network than the instance's."""
    runs_program: ClassVar[bool] = False
    """Its instances need the modules that run a program, or start one, which the zygote imports once for all."""
    peer: ClassVar[messages.Peer] = messages.Peer.HANDLER
    """What its process is to the protocol: which messages it knows, where others are not sent, and may send."""

    # -- deploy ------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """What an event of it runs in, for texts."""

    def check_before_init(self, before_init: BeforeInit, source: str) -> None:  # noqa: B027  (most can)
        """Raise ``ScfUsageError`` where nothing of the test's can run before the first line of its code."""

    def check_ports(self, ports: Sequence[int], source: str) -> None:  # noqa: B027  (a handler listens nowhere)
        """Raise ``ScfUsageError`` where an instance itself listens on one of the *ports* of the test's servers."""

    def check_keywords(self, names: Iterable[str], source: str) -> None:  # noqa: B027  (most take all)
        """Raise ``ScfUsageError`` where *source* gives keywords, by their *names*, that say nothing to it."""

    def moved(self, before: Code, after: Code) -> Runtime:
        """The same for code that lies at *after* instead of *before*."""
        return self

    def check_new_code(self, name: str) -> None:  # noqa: B027  (most can have other code)
        """Raise ``ScfUsageError`` where the code of the function *name* is no package, and ``update`` changes none."""

    def in_run(self, path: str) -> Runtime:
        """The same in a run of a sweep whose directory is *path*."""
        return self

    # -- spawning ----------------------------------------------------------------------------------------------------

    @property
    def directories(self) -> tuple[str, ...]:
        """What an instance has to find in its sandbox beside the function's code."""
        return ()

    @property
    def layered(self) -> str | None:
        """The directory in which what an instance writes is its own."""
        return None

    shares_tmp: ClassVar[bool] = False
    """The ``/tmp`` of its program is a directory of the host, which another process puts into its view of the disk."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables beside `environment`, which win."""
        return {}

    @property
    def has_event_variables(self) -> bool:
        """What belongs to one event is in the environment; else it comes with the event's request."""
        return True

    @abstractmethod
    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        """What an instance finds in its environment, and nothing of the host's.

        What differs from event to event comes with the event (`Event.environment`).
        """

    def claim_port(self, site: Site) -> ClaimedPort | None:
        """The port of the machine on which an instance is going to listen. Raises ``ScfUsageError``."""
        return None

    def relayed_ports(self, site: Site) -> Sequence[int]:
        """Ports of the machine's loopback that an instance finds in its own network."""
        return ()

    def port_forwarder(self) -> PortForwarder:
        """A new one, which relays such ports."""
        raise NotImplementedError

    def program(self, site: Site, claimed: ClaimedPort | None) -> messages.ProgramConfig | None:
        """The program that an instance starts, or is, as it is sent to it; None: it calls a handler."""
        return None

    def companion(self, site: Site, tmp: str, output: int, claimed: ClaimedPort | None) -> Companion | None:
        """What runs the program of an instance outside its sandbox; None: its own process does.

        *tmp* is the host's path of the instance's ``/tmp``, *output* a descriptor of the pipe that takes its lines.
        """
        return None

    def user_process(self, instance: Process) -> UserProcess:
        """The process that runs user code in *instance*."""
        return UserProcess(instance)

    # -- events ------------------------------------------------------------------------------------------------------

    def script_for(self, payload: str, index: int, function: str) -> object | None:
        """What the event with *payload* does, the one at *index* of those of *function*; None: its code says that.

        Raises ``ScfUsageError`` for a script of the test's that is not valid.
        """
        return None

    def why_unreachable(self, instance: Running, event: Started) -> str | None:
        """Why the *event* of *instance* can never come to its end in its code; None: nothing is known against it."""
        return None

    @property
    def why_no_forks(self) -> str:
        """Why its program may not fork, for texts; asked where an instance says that it is about to, and may not."""
        raise NotImplementedError

    @property
    def unseen(self) -> str:
        """What is not known of an instance that sees real time, for texts."""
        raise NotImplementedError

    # -- termination -------------------------------------------------------------------------------------------------

    def met(self, state: SignalState, *, listens: bool) -> Disposition:
        """What a SIGTERM meets in a process in which the kernel does with it what *state* says.

        User code *listens* if it has reported a handler.
        """
        if state.blocked:  # first: a thread may take it with sigwait() even where it is ignored
            return "blocked"
        if state.ignored:
            return "ignored"
        return self._caught(listens=listens) if state.caught else "default"

    def _caught(self, *, listens: bool) -> Disposition:
        return "handler" if listens else "native"

    def takes_default(self, process: UserProcess) -> Callable[[], bool]:
        """After a SIGTERM that was to end *process*: what says that it has been taken, and does not."""
        return lambda: False
