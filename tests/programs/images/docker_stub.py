"""Stands in for the docker command: what is a container there is a process here, to which a port is forwarded.

As docker does, it listens on the forwarded port before the program does, and its containers write by way of it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

PLACE = Path(os.environ["STUB_PLACE"])
"""Where it notes what it was called with, and the processes of its containers; `program.py` there is every image's."""


def forward(number: int, program_port: int) -> None:
    listening = socket.create_server(("127.0.0.1", number))

    def copy(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            outside, _ = listening.accept()
            try:
                inside = socket.create_connection(("127.0.0.1", program_port))
            except OSError:
                outside.close()
                continue
            for pair in ((outside, inside), (inside, outside)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def run(words: Sequence[str]) -> int:
    options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
    name = words[words.index("--name") + 1]
    _, number, port = options["--publish"].split(":")
    forward(int(number), int(port))
    variables = dict(word.removeprefix("--env=").split("=", 1) for word in words if word.startswith("--env="))
    process = subprocess.Popen([sys.executable, PLACE / "program.py"], env=variables, stdout=subprocess.PIPE)
    (PLACE / name).write_text(str(process.pid), encoding="utf-8")
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    code = process.wait()
    (PLACE / name).unlink(missing_ok=True)
    return 128 - code if code < 0 else code


def main(words: Sequence[str]) -> int:
    with (PLACE / "calls").open("a", encoding="utf-8") as calls:
        print(json.dumps(words), file=calls)
    container = PLACE / words[-1]
    if words[0] == "run":
        return run(words)
    if words[0] == "image":
        print(json.dumps({"Cmd": ["/program"]}))
    elif words[0] == "ps":
        return 0
    elif not container.exists():
        return 1
    elif words[0] == "inspect":
        print(container.read_text(encoding="utf-8"))
    else:
        signum = signal.SIGKILL if words[0] == "rm" else int(words[words.index("--signal") + 1])
        os.kill(int(container.read_text(encoding="utf-8")), signum)
    return 0


sys.exit(main(sys.argv[1:]))
