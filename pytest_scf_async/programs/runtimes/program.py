"""Programs: of image functions (document 56051), by what ``deploy_image`` was given, and of users' launchers.

A program is supervised: the instance's process starts it as it is, and traces it on the simulated clock. Where programs
cannot be traced it is free-running, and sees real time. ``in_process=True`` has the instance itself run a program of
one process that the test's own Python can run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from ...errors import ScfUsageError, hidden_from_users
from ...instances.code import Code
from ...instances.cpus import next_cpus
from ...instances.environment import PATH, of_code_package, of_container
from ...instances.layers import absolute, existing
from ...instances.runtimes.choice import Deployed, Package
from ...instances.runtimes.strategy import RUN_PATH, ClaimedPort, Running, Runtime, Site, Started
from ...instances.user_process import Process, UserProcess
from ...linux.executables import language_of
from ...linux.procfs import signal_state
from ...model.before_init import BeforeInit
from ...model.configuration import IMAGE_PORT, IMAGE_RUNTIME, JOB_PORT, FunctionConfiguration
from ...model.timeline import Disposition
from ...options import PORT_FORM, ScfSettings, option_named
from ...protocol import messages
from ...protocol.real_time import REAL
from .launcher import Launch
from .listening import BY_IN_PROCESS, AskedBy, by_launch, served_in_real_time
from .port_forwarder import PortForwarder
from .ports import PortInUseError, claim
from .processes import StartedProcess, TracedProcesses

__tracebackhide__ = hidden_from_users

COMMAND_FORM: Final = 'command=["python", "app.py"]'
GIVE_IMAGE: Final = "give it as image=, and command=[...] is a program of this machine"
_REFERENCE: Final = re.compile(
    r"""(?! .*\.py\b )
    (?= .*[:@] | [\w-]+ \. [\w.-]+ (:\d+)? / )  # with a tag or a digest, or from a registry that has a domain
    \w [\w.-]* (:\d+)? (/ [\w.-]+)* (: \w[\w.-]*)? (@ \w+ : [0-9a-f]+)?""",
    re.VERBOSE | re.ASCII,
)
"""The name of an image, as container engines take it."""
_HARMLESS: Final = frozenset({"-u", "-B", "-s", "-d", "-v", "-q"})
"""Options of the interpreter that change nothing that matters here."""
_VERSIONED: Final = re.compile(r"python(3(\.\d+)?)?")
_SHEBANG_BYTES: Final = 256
_CWD_IS: Final = "cwd= is the directory in which the program is started"


REAL_TIME_MEANS: Final = "its instances are free-running: they see real time, and their waits take as long as they take"
IN_PROCESS_INSTEAD: Final = "give in_process=True if it is a program of one process, or "
TAKEN_AFTER: Final = 1.0
"""Real seconds after which a free-running program that lives has taken a SIGTERM that would end it."""


@dataclass(frozen=True)
class Program(Runtime, ABC):
    """A program that the platform speaks to, as *launch* says, instead of a handler that it calls."""

    launch: Launch
    is_image: bool = False
    """It is an image's: what it finds is what the image has."""
    in_process_instead: bool = False
    """``in_process=True`` would have the instance run it itself."""
    runs_program: ClassVar[bool] = True
    speaks: ClassVar[str] = "event-invoke"
    """How it is spoken to: `CLIENTS` in ``programs/clients/spoken.py`` has the client of that name."""

    def check_new_code(self, name: str) -> None:
        if self.is_image:
            raise ScfUsageError(
                f"update(...) changes the code of code packages, and {name!r} is an image function: delete() it and "
                "call deploy_image() again"
            )

    def moved(self, before: Code, after: Code) -> Program:
        return replace(self, launch=self.launch.moved(before, after))

    @property
    def directories(self) -> tuple[str, ...]:
        return self.launch.directories

    @property
    def layered(self) -> str | None:
        return self.launch.directory if self.is_image else None

    @property
    def variables(self) -> Mapping[str, str]:
        return self.launch.environment

    @property
    def has_event_variables(self) -> bool:
        return not self.is_image

    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        environment = _of_image if self.is_image else of_code_package
        return environment(site.configuration, site.version, site.settings, of_sandbox)

    def port_forwarder(self) -> PortForwarder:
        return PortForwarder()

    @property
    def own_port(self) -> int | None:
        """Where it listens in a network of its own, where that is known before it does."""
        return self.launch.port

    def check_ports(self, ports: Sequence[int], source: str) -> None:
        own = self.own_port
        if own in ports:
            listens = f"the image's program listens itself (port={own})" if self.is_image else "the program listens"
            raise ScfUsageError(f"ports={list(ports)!r} ({source}) is not valid: {own} is the port on which {listens}")

    def relayed_ports(self, site: Site) -> Sequence[int]:
        if not site.own_network:
            return ()
        leads = site.endpoint is not None and site.endpoint.leads
        return (*self._ports(site), site.endpoint.port) if leads and site.endpoint is not None else self._ports(site)

    def _ports(self, site: Site) -> Sequence[int]:
        """The ports of the test's servers: what a launcher has given, and the user."""
        return tuple(dict.fromkeys([*self.launch.ports, *site.configuration.ports]))

    def program(self, site: Site, claimed: ClaimedPort | None) -> messages.ProgramConfig:
        port, variables = self._listens(claimed)
        return messages.ProgramConfig(
            path=self.launch.command[0],
            argv=list(self.launch.command),
            directory=self.launch.directory,
            environment={messages.OWNER_MARK: site.mark, **variables},
            free_running=self.peer is messages.Peer.AGENT,
            supervised=self.peer is messages.Peer.SUPERVISOR,
            script=self.launch.script,
            module=self.launch.module,
            speaks=self.speaks,
            port=port,
            ports=list(self._ports(site)),
            own_network=site.own_network,
            cpus=next_cpus(site.settings.program_cpus) if self.peer is messages.Peer.SUPERVISOR else [],
        )

    def _listens(self, claimed: ClaimedPort | None) -> tuple[int, Mapping[str, str]]:  # noqa: ARG002
        """The port on which it has to listen, and the variables that name it."""
        return self.launch.port, {}


def _of_image(
    configuration: FunctionConfiguration, version: str, settings: ScfSettings, of_sandbox: Mapping[str, str]
) -> dict[str, str]:
    """What an image's program finds: beside what containers have, what the image itself would set."""
    return {
        **of_container(configuration, version, settings, of_sandbox),
        "PATH": f"{os.path.dirname(sys.executable)}:{PATH}",
        "HOME": of_sandbox.get("TMPDIR", "/tmp"),
        "LANG": "C.UTF-8",
        **{name: value for name, value in of_sandbox.items() if name == "TMPDIR"},
        **configuration.environment,
    }


class PythonProgram(Program):
    """A program that the instance runs itself, as ``python script.py`` does, on simulated time."""

    serves_requests = True
    peer = messages.Peer.PROGRAM

    @property
    def name(self) -> str:
        return repr(os.path.basename(self.launch.command[0]))

    def why_unreachable(self, instance: Running, event: Started) -> str | None:
        if instance.holds_clock() or not instance.channel_open or instance.gone:
            return served_in_real_time(self.launch, self._asked_by, instance, event)
        return None

    @property
    def why_no_forks(self) -> str:
        return self._asked_by.of_one_process

    @property
    def instead_of_real_waits(self) -> str:
        return self._asked_by.instead

    @property
    def _asked_by(self) -> AskedBy:
        return BY_IN_PROCESS if self.is_image else by_launch(self.launch)


class StartedProgram(Program):
    """A program that the instance's process starts, and speaks to."""

    has_places = False
    runs_python = False
    serves_requests = True

    def claim_port(self, site: Site) -> ClaimedPort | None:
        if site.own_network:
            return None
        try:
            return self._claim(site)
        except PortInUseError as error:
            network = site.configuration.network
            why = 'network="all"' if network == "all" else f"no namespaces: {site.why_unmounted()}"
            raise ScfUsageError(
                f"port {self.launch.port} of this machine is in use {error}, and an instance of "
                f"{site.configuration.name} has no network of its own ({why}): such programs run one instance at a "
                f"time, each until it is reclaimed; {error.what_to_do}, or give this program another port="
            ) from None

    def _claim(self, site: Site) -> ClaimedPort:
        return claim(self.launch.port, site.settings.real_timeout)

    def user_process(self, instance: Process) -> UserProcess:
        return StartedProcess(instance)

    @property
    def instead_of_places(self) -> str:
        return f"{IN_PROCESS_INSTEAD if self.in_process_instead else ''}{super().instead_of_places}"

    def check_before_init(self, before_init: BeforeInit, source: str) -> None:
        raise ScfUsageError(
            f"before_init={before_init.shown!r} ({source}) is called in the Python process of an instance, "
            f"before the first line of its code, and {self._shown} runs in a process of its own: "
            f"{IN_PROCESS_INSTEAD if self.in_process_instead else ''}"
            "have environment= point it to a fake server of the test instead, whose port is among ports="
        )

    @property
    def _shown(self) -> str:
        program, *arguments = self.launch.command
        return repr(" ".join([os.path.basename(program), *arguments]))


class Supervised(StartedProgram):
    """A program on simulated time: the instance's process traces it, and speaks for it."""

    traces_user_code = True
    listens_in_python = False
    peer = messages.Peer.SUPERVISOR

    def user_process(self, instance: Process) -> UserProcess:
        return TracedProcesses(instance)

    @property
    def name(self) -> str:
        return self._shown

    @property
    def catches_signals(self) -> bool:
        return language_of(self.launch.command[0]).catches_signals


class FreeRunning(StartedProgram):
    """A program that sees real time: the instance's process is its agent, which starts it and speaks to it."""

    in_lockstep = False
    has_listeners = False
    may_lease = False
    stops_behind_lines = True
    peer = messages.Peer.AGENT

    @property
    def name(self) -> str:
        return f"{os.path.basename(self.launch.command[0])!r}, a free-running program"

    @property
    def unseen(self) -> str:
        return f"{self.launch.command[0]} sees real time: its waits cannot be seen from outside"

    def _caught(self, *, listens: bool) -> Disposition:  # noqa: ARG002
        return "unknown"

    def takes_default(self, process: UserProcess) -> Callable[[], bool]:
        """While a thread is in ``sigwait`` for the signal the kernel shows the same of it as where nobody wants it."""
        until = REAL.monotonic() + TAKEN_AFTER

        def taken() -> bool:
            if REAL.monotonic() > until:
                return True
            state = signal_state(process.pid, signal.SIGTERM)
            return state is not None and state.blocked  # as it is again once sigwait has returned

        return taken


class IsJob(Program):
    """A job image: it is started for each event, and ends with it."""

    is_job = True
    speaks = "job"
    serves_requests = False
    own_port = None

    def claim_port(self, site: Site) -> ClaimedPort | None:  # noqa: ARG002  (it listens nowhere)
        return None

    @property
    def takes_run_path(self) -> bool:
        return any(RUN_PATH in word for word in self.launch.command)

    @property
    def bare_command(self) -> Sequence[str]:
        launch = self.launch
        first, *others = launch.command
        if launch.module is not None:
            return "python3", "-m", launch.module, *others
        name = os.path.basename(first)
        if first.startswith(f"{launch.directory}/"):
            first = os.path.join(".", os.path.relpath(first, launch.directory))
        elif launch.script is None and (_is_own_python(first) or os.path.abspath(shutil.which(name) or "") == first):
            first = "python3" if _is_own_python(first) else name
        return (first, *others) if launch.script is None else ("python3", first, *others)

    def in_run(self, path: str) -> IsJob:
        first, *others = self.launch.command
        return replace(self, launch=replace(self.launch, command=[first, *(w.replace(RUN_PATH, path) for w in others)]))


class Job(IsJob, Supervised):
    """A job image on simulated time."""


class PythonJob(IsJob, PythonProgram):
    """A job image that the instance runs itself, on simulated time."""

    serves_requests = False

    def why_unreachable(self, instance: Running, event: Started) -> str | None:  # noqa: ARG002
        return None


class FreeRunningJob(IsJob, FreeRunning):
    """A job image where programs cannot be traced."""


Runtimes = tuple[type[Program], type[Program]]
"""That of a program which is traced, and that of one where programs cannot be."""


def function_of(package: Package, launch: Launch, runtimes: Runtimes) -> Deployed:
    """A function of *package*, which is launched so: of one of *runtimes*."""
    why = "" if launch.in_process else package.builder.why_untraced()
    directory, stem = package.directory()
    handler = package.named_handler
    code = Code(directory, launch.command[0], "", handler, stem)
    return Deployed(code, runtimes[bool(why)](launch), handler, _warnings(why))


def _warnings(why: str, more: str = "") -> tuple[str, ...]:
    """What is said where programs cannot be traced, because of *why*; with *more* behind that."""
    warning = f"programs cannot be traced on this machine ({why}): {REAL_TIME_MEANS}{more}"
    return (warning,) if why else ()


def image(given: Mapping[str, Any], lookup: tuple[str, ...], source: str, why_untraced: Callable[[], str]) -> Deployed:
    """What ``deploy_image(command=...)`` of *source* makes of the keywords *given*.

    *why_untraced* says why programs cannot be traced, with an empty text where they can be. ``ScfUsageError`` with the
    value, the source and what is valid.
    """
    words = checked_words(given["command"], source)
    where = _directory(given["cwd"], lookup, source)
    is_job = type(given["port"]) is int and given["port"] == JOB_PORT
    listens = checked_port(IMAGE_PORT if is_job else given["port"], source)
    shown = f"command={words!r} ({source})"
    path = _program(words[0], where, shown)
    option = option_named("in_process")
    in_process = option.check(option.given(given["in_process"], source))
    # Any program may be a job, and what one is given need not be there yet.
    python = _as_python(path, words, where, shown) if in_process or not is_job else ""
    is_python = not isinstance(python, str)
    script, module, argv = (None, None, words) if isinstance(python, str) else python
    code = Code(where, script or path, "", "", _stem(words, script, module, where))
    launch = Launch(command=[path, *words[1:]], directory=where, port=listens)
    if in_process:
        if isinstance(python, str):
            raise ScfUsageError(
                f"in_process=True ({source}) is for a program that the tests' own Python can run itself, and {python}: "
                "leave out in_process=True, and it is supervised, on simulated time too"
            )
        kind = PythonJob if is_job else PythonProgram
        launch = replace(launch, command=argv, script=script, module=module)
        return Deployed(code, kind(launch, is_image=True), IMAGE_RUNTIME)
    why = why_untraced()
    runtimes: Runtimes = (Job, FreeRunningJob) if is_job else (Supervised, FreeRunning)
    program = runtimes[bool(why)](launch, is_image=True, in_process_instead=is_python)
    instead = "; in_process=True puts a Python program of one process on simulated time" if is_python else ""
    warnings = _warnings(why, instead)
    warning = f"coverage cannot measure the program {program.name}: use in_process=True" if is_python else ""
    return Deployed(code, program, IMAGE_RUNTIME, warnings, if_measured=warning)


def checked_words(command: object, source: str) -> list[str]:
    """*command* as words."""
    words: list[object] = []
    if isinstance(command, Sequence) and not isinstance(command, (str, bytes)):
        words = [os.fspath(word) if isinstance(word, os.PathLike) else word for word in command]
    texts = [word for word in words if isinstance(word, str) and word and "\0" not in word]
    if not texts or len(texts) != len(words):
        raise ScfUsageError(
            f"command={command!r} ({source}) is not valid: it must be a list of words, the program first, as in "
            f"{COMMAND_FORM}{_no_engine(command)}"
        )
    return texts


def _no_engine(command: object) -> str:
    """What to add where *command*, or the first word of it, cannot be started and reads like the name of an image."""
    is_image = isinstance(command, str) and _REFERENCE.fullmatch(command)
    return f"; {command!r} reads like the name of an image: {GIVE_IMAGE}" if is_image else ""


def _directory(value: object, lookup: tuple[str, ...], source: str) -> str:
    if value is None:
        return os.path.abspath(lookup[0])
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(given, str):
        raise ScfUsageError(
            f"cwd={value!r} ({source}) of type {type(value).__name__} is not valid: it must be the path of a "
            "directory, a "
            'str or a path, as in cwd="image"'
        )
    candidates = [given] if os.path.isabs(given) else [os.path.join(each, given) for each in lookup]
    named = f"cwd={given!r} ({source})"
    found = existing(candidates, named)
    if found is None:
        raise ScfUsageError(f"{named} is not a directory: there is no {' and no '.join(absolute(candidates))}")
    if not os.path.isdir(found):
        raise ScfUsageError(f"{named} is not a directory: {found} is a file")
    return found


def checked_port(value: object, source: str) -> int:
    """Where the program listens."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65_536:
        raise ScfUsageError(f"port={value!r} ({source}) is not valid: {PORT_FORM}, or {JOB_PORT} for a job image")
    return value


def _program(name: str, directory: str, given: str) -> str:
    """The path of the program *name*: one on the path of the test's own Python, or one in the working directory."""
    if os.sep in name:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path if os.path.isabs(name) else os.path.abspath(path)
        where = "" if os.path.isabs(name) else _no_engine(name) or f"; {_CWD_IS}"
        raise ScfUsageError(f"{given}: there is no file {os.path.abspath(path)}{where}")
    if _VERSIONED.fullmatch(name) and name in (*_own_names(), "python", "python3"):
        return sys.executable
    beside = os.path.dirname(sys.executable)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ScfUsageError(
            f"{given}: there is no program {name!r} in {beside} nor on the PATH"
            f"{_no_engine(name) or '; install it, or pass its path'}"
        )
    return os.path.abspath(found)


def _own_names() -> tuple[str, ...]:
    return (f"python3.{sys.version_info.minor}",)


def _is_own_python(path: str) -> bool:
    """Whether *path*, however it is spelled, is the test's own interpreter.

    That it lies in the same directory says so; the file is one with that of any other environment of its base.
    """
    if path == sys.executable:
        return True
    directory, name = os.path.split(path)
    try:
        return bool(_VERSIONED.fullmatch(name)) and os.path.samefile(directory, os.path.dirname(sys.executable))
    except OSError:
        return False  # there is no such directory


_Python = tuple[str | None, str | None, list[str]]
"""The script, or the module, and ``sys.argv``."""


def _as_python(path: str, words: list[str], directory: str, given: str) -> _Python | str:
    """How the test's own interpreter runs the command; else why it cannot."""
    if not _is_own_python(path):
        interpreter = _interpreter_of(path)
        if interpreter is None or not _is_own_python(interpreter):
            return f"{words[0]} is not a Python program of the test's own interpreter, {sys.executable}"
        return path, None, [path, *words[1:]]
    rest = words[1:]
    while rest and rest[0] in _HARMLESS:
        rest.pop(0)
    if not rest or rest[0] in ("-", "-c") or (rest[0].startswith("-") and rest[0] != "-m"):
        return f"{' '.join(words)!r} is not a script or module that the interpreter of the tests can run itself"
    if rest[0] == "-m":
        if len(rest) == 1:
            raise ScfUsageError(f"{given} is not valid: -m takes the name of a module")
        return None, rest[1], rest[1:]
    script = os.path.abspath(os.path.join(directory, rest[0]))
    if not os.path.isfile(script):
        raise ScfUsageError(f"{given} runs {rest[0]!r}, and there is no file {script}: {_CWD_IS}")
    return script, None, rest


def may_be_in_process(words: Sequence[str], directory: str, source: str) -> bool:
    """Whether the test's own Python can run that command itself. Raises ``ScfUsageError`` where there is no such."""
    given = f"command={list(words)!r} ({source})"
    return not isinstance(_as_python(_program(words[0], directory, given), list(words), directory, given), str)


def _interpreter_of(path: str) -> str | None:
    """The program that the ``#!`` line of a file names."""
    try:
        with open(path, "rb") as file:
            first, _, rest = file.read(_SHEBANG_BYTES).partition(b"\n")
    except OSError:
        return None
    if first == b"#!/bin/sh" and rest.startswith(b"'''exec' "):  # how pip writes a path that is too long, or has spaces
        first = b"#!" + rest.split(b" ")[1].strip(b'"')
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    if words[:1] == ["/usr/bin/env"] and len(words) == 2:
        return sys.executable if words[1] in ("python", "python3", *_own_names()) else None
    return words[0] if len(words) == 1 else None


def _stem(words: list[str], script: str | None, module: str | None, directory: str) -> str:
    """What the function is called that no one named: after the program, or the first file that it is given."""
    if module is not None:
        return module.rpartition(".")[2]
    files = (word for word in words[1:] if os.path.isfile(os.path.join(directory, word)))
    return os.path.splitext(os.path.basename(script or next(files, words[0])))[0]
