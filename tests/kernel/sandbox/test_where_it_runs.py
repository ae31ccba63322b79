"""What docs/where-it-runs.md says of instances without mount namespaces: each row of its table is tried."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from free_ports import free_port

from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.runtime import ScfRuntime

if TYPE_CHECKING:
    from conftest import Deploy, MakeRuntime

# once: the kernel's side
pytestmark = [pytest.mark.once, pytest.mark.sandbox]

PAGE = Path(__file__).parents[3] / "docs" / "where-it-runs.md"
SERVER = """
    from http.server import BaseHTTPRequestHandler, HTTPServer
    import sys, time

    class Platform(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(30)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"1")

    HTTPServer(("0.0.0.0", int(sys.argv[1])), Platform).serve_forever()
"""
Row = Callable[[ScfRuntime, "Deploy", Path], None]


@pytest.fixture
def without(make_runtime: MakeRuntime) -> ScfRuntime:
    return make_runtime(sandbox="none")


def temporary_directory(runtime: ScfRuntime, deploy: Deploy, directory: Path) -> None:
    function = deploy(
        "import os, tempfile\ndef main_handler(event, context): return [tempfile.gettempdir(), os.environ['TMPDIR']]\n",
        to=runtime,
    )
    first, second = function.run()
    assert first == second != "/tmp"


def writable_disk(runtime: ScfRuntime, deploy: Deploy, directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
        written = Path(elsewhere, "x")
        deploy(f"def main_handler(event, context): open({str(written)!r}, 'w').close()\n", to=runtime).run()
        assert written.exists()


def layers(runtime: ScfRuntime, deploy: Deploy, directory: Path) -> None:
    layer = directory / "layer"
    layer.mkdir()
    (layer / "rows_of_layer.py").write_text("NUMBER = 3\n", encoding="utf-8")
    function = deploy(
        "import os\nimport rows_of_layer\n"
        "def main_handler(event, context):\n"
        "    there = os.path.exists('/opt/rows_of_layer.py')\n"
        "    beside = os.path.exists(rows_of_layer.__file__)\n"
        "    return [rows_of_layer.NUMBER, there, beside, os.environ['USER_CODE_ROOT']]\n",
        to=runtime,
        layers=[layer],
    )
    *found, root = function.run()
    assert found == [3, False, True]
    assert not root.startswith("/var/user")


def mounts(runtime: ScfRuntime, deploy: Deploy, directory: Path) -> None:
    share = directory / "share"
    share.mkdir()
    source = f"def main_handler(event, context): open({str(share / 'x')!r}, 'w').close()\n"
    with pytest.raises(ScfUsageError, match="without mount namespaces a directory is at its own path only"):
        deploy(source, to=runtime, mounts=[(share, "/mnt/cfs")]).run()
    deploy(source, to=runtime, mounts=[share]).run()
    assert (share / "x").exists()


def one_program_a_port(runtime: ScfRuntime, deploy: Deploy, directory: Path) -> None:
    port = free_port()
    (directory / "app.py").write_text(re.sub("^    ", "", SERVER, flags=re.MULTILINE), encoding="utf-8")
    function = runtime.deploy_image([sys.executable, "app.py", str(port)], cwd=directory, port=port)
    first, second = function.invoke_async(), function.invoke_async()
    first.settle()
    with pytest.raises(ScfUsageError, match=f"port {port} of this machine is in use by another instance"):
        second.settle()
    assert first.wait().result == 1


ROWS: dict[str, Row] = {
    "`/tmp` is the instance's own": temporary_directory,
    "all else is read-only": writable_disk,
    "layers are at `/opt`": layers,
    "`mounts=": mounts,
    "each instance has a port 9000": one_program_a_port,
}
"""By the beginning of a row: what shows that its second column is so."""
ELSEWHERE = {
    "programs reach the `ports`": "programs/images/test_network_loopback.py",
    "a sweep has `workers=`": "sweep/test_workers.py",
    "in a sweep a write": "sweep/test_sweep.py",
}
"""Rows that another file tries, whose path is relative to tests/."""


@pytest.mark.parametrize("row", ROWS)
def test_a_row(row: str, without: ScfRuntime, deploy: Deploy, tmp_path: Path) -> None:
    ROWS[row](without, deploy, tmp_path)


def test_the_rows_are_those_of_the_page() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("\n## Namespaces\n")[2].partition("\n## ")[0]
    found = [line[2:] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(found) == len(ROWS) + len(ELSEWHERE)
    for beginning in (*ROWS, *ELSEWHERE):
        assert sum(line.startswith(beginning) for line in found) == 1, beginning
    assert all((Path(__file__).parents[2] / name).exists() for name in ELSEWHERE.values())
