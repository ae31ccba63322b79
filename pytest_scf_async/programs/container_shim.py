"""The shim of a container: a process outside all sandboxes, which starts the container, signals it and removes it.

An instance's process cannot do that: it is in a sandbox, where no container engine works. It asks the shim by a
socket, and receives from it which process the container's first one is, and how that ended. The shim removes the
container when that socket is closed, as it is with the instance, and when the test process has ended, however it did.
Should the shim itself be killed, the label of the container says whose it was: the next session removes it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from ..linux import linux, procfs
from ..zygote.reaper import kill_children

LOOK_MS = 10
"""Real milliseconds between two looks whether the container's first process is there."""
START_LIMIT = 60.0
"""Real seconds after which the engine that still starts a container is killed, where nobody needs it any more."""
PACKET = 1 << 20
SHELL = "/bin/sh"
HOOK = 'cat >"$0/state" && read -r word <"$0/go-on"'
"""What the engine runs, with the container's state as its input, before the container's first process goes on."""
NOT_STARTED = (125, 126, 127)
"""How engines end that could not start a container."""


class Container(NamedTuple):
    """A container, as the test process describes it."""

    engine: list[str]
    """The command of the engine."""
    name: str
    options: list[str]
    """Of ``run``."""
    image: str
    arguments: list[str]
    place: str
    """A directory that is made for it where it is needed, and removed."""


class Shim:
    def __init__(self, container: Container, owner: int, instance: int, control: int) -> None:
        """*owner* is a pidfd of the test process, *instance* and *control* are sockets to the instance and to it."""
        self._container = container
        self._owner = owner
        self._instance = socket.socket(fileno=instance)
        self._control = socket.socket(fileno=control)
        self._client: subprocess.Popen[bytes] | None = None
        self._client_end = -1
        self._pid = 0
        """The container's first process, once it is there."""
        self._state = -1
        """The pipe to which the hook of a traced container writes its state, which the engine gives it."""
        self._by: int | None = None
        """The signal that ended it, where another one had to do so."""

    def serve(self) -> NoReturn:
        """Serve the instance and the test process until the container is no longer needed."""
        while True:
            poller = select.poll()
            for fd in (self._owner, self._instance.fileno(), self._control.fileno(), self._client_end, self._state):
                if fd >= 0:
                    poller.register(fd, select.POLLIN)
            starts = self._client is not None and not self._pid and self._state < 0
            ready = {fd for fd, _ in poller.poll(LOOK_MS if starts else None)}
            if self._owner in ready:
                self.end()
            if starts:
                self._look()
            if self._state in ready:
                self._waits()
            if self._client_end in ready:
                self._ended()
            if self._control.fileno() in ready:
                self._signal()
            if self._instance.fileno() in ready:
                self._receive()

    def _receive(self) -> None:
        data = linux.receive(self._instance, PACKET)
        if not data:
            self.end()
        asked = json.loads(data)
        container = self._container
        if "go_on" in asked:
            self._let_go_on()
            return
        hooks = self._hooks() if asked["traced"] else []
        network = ["--network", f"ns:/proc/{asked['network_of']}/ns/net"] if asked["network_of"] else []
        variables = [f"--env={name}={value}" for name, value in asked["environment"].items()]
        command = [*container.engine, *hooks, "run", "--name", container.name, *container.options, *network, *variables]
        try:
            self._client = subprocess.Popen(
                [*command, container.image, *container.arguments], stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:  # a variable may be too long
            os.write(1, f"{container.engine[0]}: {error.strerror}\n".encode())
            self._send(ended=NOT_STARTED[0], started=False)
            return
        self._client_end = os.pidfd_open(self._client.pid)

    def _hooks(self) -> list[str]:
        """Have the engine wait before the container's first process executes the program, until it may go on."""
        place = self._container.place
        os.mkdir(place, 0o700)
        for name in ("state", "go-on"):
            os.mkfifo(os.path.join(place, name))
        self._state = os.open(os.path.join(place, "state"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        hook = {"path": SHELL, "args": ["sh", "-c", HOOK, place]}
        description = {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": ["createRuntime"]}
        with open(os.path.join(place, "hook.json"), "w", encoding="utf-8") as file:
            json.dump(description, file)
        return [f"--hooks-dir={place}"]

    def _waits(self) -> None:
        """Send the id of the process that is to become the program, and that waits."""
        data = b""
        while part := os.read(self._state, PACKET):  # the shell writes all of it, and closes it
            data += part
            select.select([self._state], [], [])
        os.close(self._state)
        self._state = -1
        self._pid = json.loads(data)["pid"]
        self._send(pid=self._pid)

    def _let_go_on(self) -> None:
        go_on = os.path.join(self._container.place, "go-on")
        if os.path.exists(go_on):
            os.write(os.open(go_on, os.O_RDWR | os.O_CLOEXEC), b"\n")

    def _look(self) -> None:
        """Find the container's first process, and send its id."""
        answer = self._ask("inspect", "--format", "{{.State.Pid}}", self._container.name).strip()
        if answer.isdigit() and int(answer):
            self._pid = int(answer)
            self._send(pid=self._pid)

    def _ended(self) -> None:
        assert self._client is not None
        code = self._client.wait()
        os.close(self._client_end)
        self._client_end = -1
        self._send(
            ended=code if self._by is None else 128 + self._by, started=bool(self._pid) or code not in NOT_STARTED
        )

    def _signal(self) -> None:
        """Deliver the signal that the test process sends, and say that it is there.

        The kernel drops a signal for the first process of a container that has no handler of it, where the platform has
        it end the process (document 56051): so SIGKILL does.
        """
        data = linux.receive(self._control, 1)
        if not data:
            self.end()
        signum = data[0]
        state = procfs.signal_state(self._pid, signum) if self._pid else None
        if state is not None:
            is_default = not (state.caught or state.ignored or state.blocked)
            self._by = signum if is_default else None
            self._ask("kill", "--signal", str(int(signal.SIGKILL) if is_default else signum), self._container.name)
        try:
            self._control.send(b"\1" if state is not None else b"\0")
        except OSError:  # the test process has ended
            self.end()

    def _send(self, **message: object) -> None:
        try:
            self._instance.send(json.dumps(message).encode())
        except OSError:
            self.end()

    def _ask(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._container.engine, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return done.stdout.decode("utf-8", "replace")

    def end(self) -> NoReturn:
        """Remove the container, and all that the engine started for it."""
        client = self._client
        self._let_go_on()
        if client is not None:
            deadline = time.monotonic() + START_LIMIT
            while not self._pid and client.poll() is None and time.monotonic() < deadline:
                time.sleep(LOOK_MS / 1000)  # else it could be made after it was removed
                answer = self._ask("inspect", "--format", "{{.State.Pid}}", self._container.name).strip()
                self._pid = int(answer) if answer.isdigit() else 0
            self._ask("rm", "--force", "--volumes", self._container.name)
        linux.remove_tree(self._container.place)
        kill_children()
        os._exit(0)


def main(package: Sequence[str]) -> NoReturn:
    """Be the shim that *package*, the words of its command, says."""
    owner, instance, control = (int(word) for word in package[:3])
    linux.adopt_orphans()
    shim = Shim(Container(*json.loads(package[3])), owner, instance, control)
    signal.signal(signal.SIGTERM, lambda *_: shim.end())
    shim.serve()
