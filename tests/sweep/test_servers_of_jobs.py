"""A server that the swept code starts itself is a part of it: what it is told is no message to another process."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_internals import DiskRecord, recorded_run
from sweeping import Deploy, bare_repro

from pytest_scf_async import ScfRuntime

REAL = "kills after the first connect were real runs"
LISTENS = {
    "TCP": "server = socket.create_server(('127.0.0.1', 0))",
    "TCP, at any address": "server = socket.create_server(('0.0.0.0', 0))",
    "IPv6": "server = socket.create_server(('::1', 0), family=socket.AF_INET6)",
    "IPv4 at a server of IPv6": "server = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)",
    "Unix": "server = socket.socket(socket.AF_UNIX); server.bind('/tmp/of-the-job'); server.listen()",
    "Unix, relative": "os.chdir('/tmp'); server = socket.socket(socket.AF_UNIX); server.bind('at'); server.listen()",
    "Unix, no path": "server = socket.socket(socket.AF_UNIX); server.bind('\\0of-the-job'); server.listen()",
}
TALKS = """
    import os, socket, threading

    def main_handler(event, context):
        LISTEN
        name = server.getsockname()
        if os.fork() == 0:
            connection, _ = server.accept()
            with open(os.path.join(os.environ["OUT"], "told"), "wb") as file:
                file.write(connection.recv(100))
            connection.sendall(b"done")
            os._exit(0)
        server.close()
        if isinstance(name, tuple) and name[0] in ("0.0.0.0", "::"):
            name = ("127.0.0.1", name[1])
        client = socket.socket(socket.AF_UNIX if isinstance(name, (str, bytes)) else
                               socket.AF_INET6 if ":" in name[0] else socket.AF_INET)
        client.connect(name[:2] if isinstance(name, tuple) else name)
        client.sendall(b"hello")
        client.recv(100)
        client.close()
        os.wait()
"""


def effects_of(record: DiskRecord) -> list[str]:
    return [re.sub(r":\d+$", "", effect.text) for effect in record.effects]


@pytest.mark.parametrize("listen", LISTENS.values(), ids=[*LISTENS])
def test_what_a_process_of_the_record_is_told_is_no_effect(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, listen: str
) -> None:
    record = recorded_run(scf_runtime, deployed(TALKS.replace("LISTEN", listen)), tmp_path)
    assert effects_of(record) == ["open told", "write told"]


TELLS = """
    import os, socket

    def main_handler(event, context):
        family, address = event
        with socket.socket(family) as client:
            client.connect(tuple(address) if family != socket.AF_UNIX else address)
            client.sendall(b"hello")
            client.recv(100)
"""


def outside(kind: str, directory: Path) -> socket.socket:
    """A server of the test's process, which answers what it gets."""
    if kind == "Unix":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(directory / "server"))
    elif kind == "Unix, no path":
        server = socket.socket(socket.AF_UNIX)
        server.bind("\0of-a-test")
    else:
        v6 = kind != "TCP"
        server = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
        server.bind(("::1" if v6 else "127.0.0.1", 0))
    server.listen()
    return server


@pytest.mark.parametrize("kind", ["TCP", "IPv6", "Unix", "Unix, no path"])
def test_what_another_process_is_told_is_an_effect(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "run").mkdir()
    function = deployed(TELLS)
    with outside(kind, tmp_path / "code") as server:
        answers = threading.Thread(target=answer, args=[server])
        answers.start()
        name = server.getsockname()
        address = list(name[:2]) if isinstance(name, tuple) else os.fsdecode(name)
        record = recorded_run(scf_runtime, function, tmp_path / "run", [server.family, address])
        answers.join()
    assert [effect.call for effect in record.effects] == ["connect", "send", "receive"]


def answer(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.sendall(connection.recv(100))


REFUSED = """
    import errno, os, socket

    def main_handler(event, context):
        codes, unix = [], socket.socket(socket.AF_UNIX)
        codes.append(unix.connect_ex("/tmp/refused"))
        server = socket.socket(socket.AF_UNIX)
        server.bind("/tmp/refused")
        codes.append(unix.connect_ex("/tmp/refused"))
        codes.append(socket.socket().connect_ex(("127.0.0.1", 1)))
        assert codes == [errno.ENOENT, errno.ECONNREFUSED, errno.ECONNREFUSED], codes
        server.listen()
        unix.connect("/tmp/refused")
        unix.sendall(b"hello")
        with open(os.path.join(os.environ["OUT"], "told"), "wb") as file:
            file.write(server.accept()[0].recv(100))
"""


def test_a_connect_that_is_refused_tells_nobody_anything(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    record = recorded_run(scf_runtime, deployed(REFUSED), tmp_path)
    assert effects_of(record) == ["open told", "write told"]


JOB = """
import os, socket, sys
from pathlib import Path

path = Path(sys.argv[1])


def serve(server):
    for line in server.accept()[0].makefile():
        kept = path / "kept"
        lines = kept.read_text() if kept.exists() else ""
        if line not in lines:
            SAVE
        (path / line.strip()).touch()


server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
if os.fork() == 0:
    client.close()
    serve(server)
    os._exit(0)
for row in ("row 1", "row 2"):
    if not (path / row).exists():
        client.sendall(row.encode() + b"\\n")
client.close()
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
IN_PLACE = "kept.write_text(lines + line)"
RENAMED = 'new = kept.with_suffix(".new"); new.write_text(lines + line); new.replace(kept)'


def swept(scf_runtime: ScfRuntime, tmp_path: Path, save: str, *, in_process: bool) -> Any:
    (tmp_path / "job").mkdir()
    program = tmp_path / "job" / "job.py"
    program.write_text(JOB.replace("SAVE", save))
    command = ["python3", "job.py", "{path}"]
    job = scf_runtime.deploy_image(command, cwd=str(program.parent), port=-1, in_process=in_process, timeout=600)
    return scf_runtime.sweep(job, each_run=nothing, how="forced")


def nothing(run: Any) -> Iterator[dict[str, str]]:
    yield {}


@pytest.mark.parametrize("in_process", [True, False], ids=["in-process", "traced"])
def test_a_job_with_a_server_of_its_own_is_killed_from_the_record(
    scf_runtime: ScfRuntime, tmp_path: Path, *, in_process: bool
) -> None:
    sweep = swept(scf_runtime, tmp_path, IN_PLACE, in_process=in_process)
    assert REAL not in sweep.report
    (lost,) = sweep.failures
    assert lost.earliest.point.text == "write kept"
    repro = lost.write_repro(tmp_path / "repro")
    code, text = bare_repro(repro)
    assert (code, "diff" in text or "compared" in text) == (1, True)
    assert bare_repro(repro, "undisturbed")[0] == 0


@pytest.mark.parametrize("in_process", [True, False], ids=["in-process", "traced"])
def test_its_fixed_twin_survives(scf_runtime: ScfRuntime, tmp_path: Path, *, in_process: bool) -> None:
    sweep = swept(scf_runtime, tmp_path, RENAMED, in_process=in_process)
    sweep.assert_survives()
    assert REAL not in sweep.report
