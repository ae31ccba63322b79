"""What the tests of client libraries share: a runtime, and servers that those clients connect to."""

from __future__ import annotations

import itertools
import os
import shutil
import ssl
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port

from pytest_scf_async.runtime import ScfRuntime

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SLOW = 0.4
"""Real seconds that a slow answer takes: longer than a connection holds after something came."""
LATER = 1.5
"""The same: longer than it holds where it is not seen what has come."""
_REDIS = shutil.which("redis-server")
_POSTGRES = shutil.which("postgres") or next(
    (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None
)


@pytest.fixture
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScfRuntime]:
    with ScfRuntime(
        start=START,
        seed=request.node.nodeid,
        base_temp=tmp_path_factory.getbasetemp(),
        root=request.config.rootpath,
    ) as made:
        yield made


@pytest.fixture
def run(runtime: ScfRuntime, tmp_path: Path) -> Callable[..., Any]:
    """Run a handler that is written next to its test, and give its result."""
    numbers = itertools.count(1)

    def run(source: str, payload: object = None, **options: Any) -> Any:
        path = tmp_path / f"handler{next(numbers)}.py"
        path.write_text(textwrap.dedent(source))
        return runtime.deploy(f"{path}:main_handler", **options).run(payload)

    return run


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    slow = threading.Event()
    """Never set: a wait for it lasts as long as its timeout."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.slow.wait(SLOW)
        if self.path == "/later":
            self.slow.wait(LATER)
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.flush()
        if self.path == "/parts":
            self.slow.wait(SLOW)
        self.wfile.write(b"abc")
        if self.path == "/parts":
            self.slow.wait(SLOW)
        self.wfile.write(b"def")

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """A client that closes its connection early is no error."""


@pytest.fixture
def http_url() -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def https_url(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address, and a file with the certificate of the authority that signed the server's."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", str(path)
        server.shutdown()
        thread.join()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    assert _REDIS is not None, "redis-server is not on this machine: -m 'not redis_server' leaves these tests out"
    port = free_port()
    directory = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [_REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"eady to accept connections" in line:
            break
    yield port
    _end(process)


@pytest.fixture(scope="session")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    assert _POSTGRES is not None, "PostgreSQL is not on this machine: -m 'not postgresql' leaves these tests out"
    programs = Path(_POSTGRES).parent
    directory = Path("/tmp") / f"pg-{os.getpid()}"  # its own user has to come to it
    directory.mkdir(mode=0o700)
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to be run by root
        shutil.chown(directory, "nobody")
        as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    port = free_port()
    data = directory / "data"
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **as_user,
        )  # fmt: skip
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", directory, "-F"],
            stderr=subprocess.PIPE, cwd="/", **as_user,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if b"ready to accept connections" in line:
                break
        drain = threading.Thread(target=lambda: list(process.stderr or ()))
        drain.start()
        yield port
        _end(process)
        drain.join()
        process.stderr.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
