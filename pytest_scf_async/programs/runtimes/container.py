"""Containers: images that podman or docker has on this machine. Each instance is a container of its own.

One that can be traced is on simulated time, as other programs are. A container is ephemeral: its shim removes it with
the instance and with the test process. Should the shim be killed too, the container's label says whose it was, and
the first ``deploy_image(image=...)`` of the next session removes it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, NamedTuple

from ...errors import HarnessError, ScfUsageError, hidden_from_users
from ...instances.code import Code
from ...instances.environment import of_container
from ...instances.process_ends import ends_within
from ...instances.runtimes.choice import Deployed
from ...instances.runtimes.strategy import ClaimedPort, Site
from ...instances.user_process import Companion, Process, UserProcess
from ...linux import procfs
from ...model.before_init import BeforeInit
from ...model.configuration import IMAGE_PORT, IMAGE_RUNTIME, JOB_PORT
from ...protocol import messages
from .launcher import Launch
from .ports import claim_any
from .processes import ContainerProcess, TracedContainer
from .program import (
    REAL_TIME_MEANS,
    FreeRunning,
    IsJob,
    StartedProgram,
    Supervised,
    checked_port,
    checked_words,
)

__tracebackhide__ = hidden_from_users

ENGINES: Final = ("podman", "docker")
LABEL: Final = "pytest-scf-async.owner"
"""What a container belongs to: see `owner_of`."""
ENGINE_LIMIT: Final = 60.0
"""Real seconds within which an engine has answered."""
END_LIMIT: Final = 30.0
"""Real seconds within which a shim has removed its container."""
HOST: Final = "127.0.0.1"
"""The address of the loopback at which an engine forwards a container's port: where events are sent."""
SYSTEMD: Final = "/run/systemd/system"


class Engine(NamedTuple):
    """A container engine of this machine."""

    name: str
    path: str

    @property
    def command(self) -> list[str]:
        """The engine without a subcommand. Where no systemd runs podman has to make control groups itself."""
        if self.name == "podman" and not os.path.isdir(SYSTEMD):
            return [self.path, "--cgroup-manager=cgroupfs"]
        return [self.path]

    @property
    def options(self) -> list[str]:
        """What ``run`` of this engine needs beside what both have."""
        if self.name == "podman":  # its container writes to the instance's output itself, and gets no proxies of ours
            return ["--log-driver=passthrough", "--http-proxy=false"]
        return []

    @property
    def joins_networks(self) -> bool:
        """Its containers can be in the network of an instance: that is podman's, and only root may."""
        return self.name == "podman" and os.geteuid() == 0

    def why_untraced(self) -> str:
        """Why no container of it can be traced; empty: root's can, by a hook that has them wait for that."""
        if self.name != "podman":
            return f"its processes are not those of this session: {self.name} starts them in a service"
        return "" if os.geteuid() == 0 else "only root may trace what podman starts"

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The answer of a subcommand; ``HarnessError`` where none comes."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=_environment(),
                start_new_session=True,
            )
            if not ends_within(process, ENGINE_LIMIT):
                process.kill()
                process.wait()
                raise HarnessError(
                    f"{self.name} {' '.join(arguments)} has not ended in {ENGINE_LIMIT:.0f} real seconds"
                )
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace").strip())
        return subprocess.CompletedProcess(process.args, process.returncode, *texts)


def _environment() -> dict[str, str]:
    return {**os.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


# -- the image -------------------------------------------------------------------------------------------------------


def container_image(
    given: Mapping[str, Any], lookup: tuple[str, ...], source: str, why_untraced: Callable[[], str]
) -> Deployed:
    """What ``deploy_image(image=...)`` of *source* makes of the keywords *given*.

    *why_untraced* says why programs cannot be traced, with an empty text where they can be. ``ScfUsageError`` with the
    value, the source and what is valid; nothing is pulled.
    """
    name, cwd = given["image"], given["cwd"]
    named = f"image={name!r} ({source})"
    if not isinstance(name, str) or not re.fullmatch(r"[\w.:/@-]+", name, re.ASCII) or name.startswith("-"):
        raise ScfUsageError(f'{named} is not valid: it must be the name of an image, as in image="shop/export:1"')
    if cwd is not None:
        raise ScfUsageError(
            f"cwd={cwd!r} ({source}) is not valid with image=, which has a directory of its own (WORKDIR)"
        )
    if given["in_process"]:
        raise ScfUsageError(
            f"in_process={given['in_process']!r} ({source}) is not valid with image=: its program runs in a container"
        )
    instead = [] if given["command"] is None else checked_words(given["command"], source)
    is_job = type(given["port"]) is int and given["port"] == JOB_PORT
    port = checked_port(IMAGE_PORT if is_job else given["port"], source)
    engine, config = _find(name, named)
    remove_orphans(engine)
    if not (instead or config.get("Entrypoint") or config.get("Cmd")):
        raise ScfUsageError(f"{named} names no program to start (ENTRYPOINT, CMD): give command=[...] too")
    launch = Launch(command=[engine.path], directory=os.path.abspath(lookup[0]), port=port)
    stem = re.split(r"[:@]", name.rpartition("/")[2])[0]
    code = Code(launch.directory, engine.path, "", "", stem)
    why = engine.why_untraced() or why_untraced()
    kind = _KINDS[bool(why), is_job]
    runtime = kind(launch, is_image=True, image=name, engine=engine, instead=tuple(instead))
    warning = f"the container of {name!r} cannot be traced ({why}): {REAL_TIME_MEANS}"
    return Deployed(code, runtime, IMAGE_RUNTIME, (warning,) if why else ())


def _find(name: str, named: str) -> tuple[Engine, Mapping[str, Any]]:
    """The engine that has the image *name*, and the configuration of that."""
    engines = [Engine(each, path) for each in ENGINES if (path := shutil.which(each)) is not None]
    if not engines:
        raise ScfUsageError(
            f"{named} needs a container engine, and neither podman nor docker is on the PATH: install one (Debian and "
            "Ubuntu: apt-get install podman), or give the program that the image starts, as in "
            'command=["python", "app.py"]'
        )
    answers: list[str] = []
    for engine in engines:
        answer = engine.ask("image", "inspect", "--format", "{{json .Config}}", name)
        if answer.returncode == 0:
            return engine, json.loads(answer.stdout) or {}
        answers += [f"{engine.name} says: {line}" for line in answer.stderr.splitlines()[-1:]]
    first = engines[0].name
    raise ScfUsageError(
        f"{named} is not on this machine, and images are never pulled: run {first} build or {first} pull before the "
        f"tests ({'; '.join(answers)})"
    )


# -- owners ----------------------------------------------------------------------------------------------------------


def owner_of(pid: int) -> str | None:
    """The process *pid* of this machine as labels name it: machine, process and its start; None where there is none."""
    start = procfs.start_of(pid)
    return None if start is None else f"{_machine()}/{pid}/{start}"


@cache
def _machine() -> str:
    """This boot of this machine, and what process ids mean here: an engine may have containers of others."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


_swept: set[tuple[int, str]] = set()
"""The engines whose orphans were removed, each with the process that did so."""


def remove_orphans(engine: Engine) -> None:
    """Remove the containers of test processes that are gone, once a session."""
    key = os.getpid(), engine.path
    if key in _swept:
        return
    _swept.add(key)
    form = '{{.ID}} {{.Label "' + LABEL + '"}}'
    found = engine.ask("ps", "--all", "--filter", f"label={LABEL}", "--format", form)
    orphans = []
    for line in found.stdout.splitlines():
        identity, _, owner = line.partition(" ")
        machine, _, process = owner.rpartition("/")[0].rpartition("/")
        if machine == _machine() and process.isdigit() and owner_of(int(process)) != owner:
            orphans.append(identity)
    if orphans:
        engine.ask("rm", "--force", "--volumes", *orphans)


# -- an instance -----------------------------------------------------------------------------------------------------

_START: Final = """
import sys
sys.path.append(sys.argv[1])
from pytest_scf_async.programs.container_shim import main
main(sys.argv[2:])
"""


class Shim:
    """The process that starts, signals and removes the container of one instance."""

    def __init__(self, container: Sequence[object], output: int) -> None:
        """Of the *container* (``Container`` of ``programs/container_shim.py``), which writes to the pipe *output*."""
        package_parent = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
        opened: list[int] = []
        try:
            opened.append(os.pidfd_open(os.getpid()))
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control = ours
            opened.append(theirs.detach())
            of_instance, of_shim = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.descriptor = of_instance.detach()
            opened.append(of_shim.detach())
            owner, control, instance = opened
            lines = os.open(f"/proc/self/fd/{output}", os.O_WRONLY | os.O_CLOEXEC)
            opened.append(lines)
            words = [str(owner), str(instance), str(control), json.dumps(container)]
            self._process = subprocess.Popen(
                [sys.executable, "-ISc", _START, package_parent, *words],
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                env=_environment(),
                pass_fds=(owner, instance, control),
                start_new_session=True,
            )
        finally:
            for fd in opened:
                os.close(fd)

    def signal(self, signum: int) -> bool:
        """Have the container's first process get *signum*; False where there is none."""
        try:
            self._control.send(bytes([signum]))
            poller = select.poll()
            poller.register(self._control, select.POLLIN)
            return bool(poller.poll(ENGINE_LIMIT * 1000)) and self._control.recv(1) == b"\1"
        except OSError:
            return False

    def kill(self, pidfd: int | None) -> None:
        """Kill the container's first process, and so all of it. What is another user's is killed when it is removed."""
        if pidfd is not None:
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except OSError:
                return

    def close(self) -> None:
        """Wait until the container is gone."""
        self._control.close()
        if not ends_within(self._process, END_LIMIT):
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class Container(StartedProgram):
    """An image in a container of an engine."""

    shares_tmp = True
    finds_endpoint = False
    can_be_recorded = False

    image: str = ""
    engine: Engine = field(default=Engine("", ""))
    instead: tuple[str, ...] = ()
    """The command that it starts instead of the image's own."""

    @property
    def name(self) -> str:
        return f"{self.image!r}, a container"

    @property
    def directories(self) -> tuple[str, ...]:
        return ()

    @property
    def layered(self) -> str | None:
        return None

    def environment(self, site: Site, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        return of_container(site.configuration, site.version, site.settings, of_sandbox)

    def check_before_init(self, before_init: BeforeInit, source: str) -> None:
        raise ScfUsageError(
            f"before_init={before_init.shown!r} ({source}) is called in the Python process of an instance, and "
            f"{self.image!r} runs in a container: have environment= point it to a fake server of the test instead"
        )

    def _joins(self, site: Site) -> bool:
        """Whether the container is in the network of its instance; else the engine forwards its port."""
        return site.own_network and self.engine.joins_networks

    def claim_port(self, site: Site) -> ClaimedPort | None:
        return None if self._joins(site) else claim_any()

    def relayed_ports(self, site: Site) -> Sequence[int]:
        return self._ports(site) if self._joins(site) else ()

    def program(self, site: Site, claimed: ClaimedPort | None) -> messages.ProgramConfig:
        site = replace(site, own_network=self._joins(site))
        port = self.launch.port if claimed is None else claimed.number
        return super().program(site, claimed)._replace(port=port, container_port=self.launch.port)

    def companion(self, site: Site, tmp: str, output: int, claimed: ClaimedPort | None) -> Companion | None:
        ports = site.configuration.ports
        if ports and not self._joins(site):
            source = site.configuration.sources["ports"]
            raise ScfUsageError(
                f"ports={list(ports)!r} ({source}) is not available for {self.image!r}: only podman, "
                'run by root, with network="loopback", puts a container into the network of its instance'
            )
        options = [
            "--rm",
            "--pull=never",
            "--stop-timeout=0",
            f"--label={LABEL}={owner_of(os.getpid())}",
            "--security-opt=label=disable",  # it is to write to the directory that is its /tmp
            f"--volume={tmp}:/tmp",
            *(f"--volume={host}:{inside}" for host, inside in site.configuration.mounts),
            *(f"--entrypoint={word}" for word in self.instead[:1]),
            *self.engine.options,
        ]
        if claimed is not None:
            options.append(f"--publish={HOST}:{claimed.number}:{self.launch.port}")
        name = f"pytest-scf-async-{secrets.token_hex(8)}"
        container = [self.engine.command, name, options, self.image, list(self.instead[1:]), f"{tmp}-hooks"]
        return Shim(container, output)


class FreeRunningContainer(Container, FreeRunning):
    """One that sees real time."""

    @property
    def unseen(self) -> str:
        return f"the container of {self.image!r} sees real time: its waits cannot be seen from outside"

    def user_process(self, instance: Process) -> UserProcess:
        return ContainerProcess(instance)


class SupervisedContainer(Container, Supervised):
    """One on simulated time: its first process is traced before it is the program."""

    @property
    def catches_signals(self) -> bool:
        """Its tracer finds out, and reports it."""
        return False

    def user_process(self, instance: Process) -> UserProcess:
        return TracedContainer(instance)


class FreeRunningContainerJob(IsJob, FreeRunningContainer):
    """A job image in a container that sees real time."""


class SupervisedContainerJob(IsJob, SupervisedContainer):
    """A job image in a container on simulated time."""


_KINDS: Final[dict[tuple[bool, bool], type[Container]]] = {
    (True, False): FreeRunningContainer,
    (True, True): FreeRunningContainerJob,
    (False, False): SupervisedContainer,
    (False, True): SupervisedContainerJob,
}
"""By whether it sees real time, and whether it is a job."""
