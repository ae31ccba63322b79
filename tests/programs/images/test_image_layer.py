"""What an image's program writes into its directory: a private layer of 512 MB that goes with its instance."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program_internals import launch_of

from pytest_scf_async.function import Function
from pytest_scf_async.runtime import ScfRuntime

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

PROGRAM = """
import errno, json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

def work(event):
    try:
        return eval(event["work"], {"os": os, "open": open, "errno": errno, "fill": fill})
    except OSError as error:
        return errno.errorcode[error.errno]

def fill():
    with open("big", "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, (512 << 20) - (1 << 20))
        file.seek(0, os.SEEK_END)
        while True:
            file.write(b"x" * 65536)

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if event["work"] == "end":
            os._exit(0)
        body = json.dumps(work(event)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

HTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that lies outside of pytest's base temp, where an instance may write anyway."""
    made = Path(tempfile.mkdtemp(prefix="scf-async-test-", dir="/var/tmp"))
    made.chmod(0o755)
    (made / "app.py").write_text(PROGRAM, encoding="utf-8")
    (made / "data").mkdir()
    (made / "data" / "rows.txt").write_text("of the image")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def layered(runtime: ScfRuntime, mounted: bool, directory: Path) -> bool:
    """Whether the machine has what it needs for it: without namespaces a program writes to the disk itself."""
    return mounted


Image = Callable[..., Function]


@pytest.fixture
def image(runtime: ScfRuntime, directory: Path) -> Image:
    def deploy(**options: object) -> Function:
        return runtime.deploy_image(["python", "app.py"], cwd=directory, **options)

    return deploy


def files(directory: Path) -> list[str]:
    found = [os.path.join(parent, name) for parent, _, names in os.walk(directory) for name in names]
    return sorted(os.path.relpath(path, directory) for path in found)


def test_what_it_writes_is_its_own_and_stays_while_the_instance_lives(image, layered, directory):
    function = image()
    changes = [
        "open('new.txt', 'w').write('abc')",
        "open('data/rows.txt', 'a').write(', changed')",
        "os.rename('data/rows.txt', 'data/moved.txt')",
    ]
    assert [function.run({"work": work}) for work in changes] == [3, 9, None]
    assert function.run({"work": "[sorted(os.listdir('.')), open('data/moved.txt').read()]"}) == [
        ["app.py", "data", "new.txt"],
        "of the image, changed",
    ]
    if layered:
        assert files(directory) == ["app.py", "data/rows.txt"]
        assert (directory / "data" / "rows.txt").read_text() == "of the image"
    else:
        assert files(directory) == ["app.py", "data/moved.txt", "new.txt"]


def test_another_instance_does_not_find_it(image, layered):
    function = image()
    function.run({"work": "open('new.txt', 'w').write('abc')"})
    first = function.events[-1].instance
    function.invoke_async({"work": "end"}).wait()

    listed = function.run({"work": "sorted(os.listdir('.'))"})

    assert function.events[-1].instance.pid != first.pid
    assert listed == (["app.py", "data"] if layered else ["app.py", "data", "new.txt"])


def test_it_has_512_mb(image, layered):
    if layered:
        assert image().run({"work": "fill()"}) == "ENOSPC"
    else:
        assert image().run({"work": "os.access('.', os.W_OK)"}) is True


def test_what_is_mounted_in_the_directory_is_written_for_good(image, directory, tmp_path):
    (directory / "data" / "out").mkdir()
    function = image(mounts=[directory / "data" / "out"])

    assert function.run({"work": "open('data/out/kept.txt', 'w').write('abc')"}) == 3
    assert (directory / "data" / "out" / "kept.txt").read_text() == "abc"


def test_tmp_path_works_both_ways_as_before(deploy_image, tmp_path):
    function = deploy_image(PROGRAM)
    assert function.run({"work": "open('seen.txt', 'w').write('abc')"}) == 3
    assert list(tmp_path.glob("*/seen.txt"))


def test_the_directory_of_a_handler_stays_read_only_as_on_the_platform(runtime, mounted, directory):
    (directory / "index.py").write_text(
        "import errno\n"
        "def main_handler(event, context):\n"
        "    try:\n"
        "        open(event['path'], 'w')\n"
        "    except OSError as error:\n"
        "        return errno.errorcode[error.errno]\n"
    )
    path = json.loads(json.dumps(str(directory / "new.txt")))
    found = runtime.deploy(f"{directory}/index.py:main_handler").run({"path": path})
    assert found == ("EROFS" if mounted else None)


def test_a_program_that_cannot_see_the_simulated_clock_has_it_too(runtime, layered, directory, deploy_free):
    function = deploy_free(PROGRAM)
    source = (Path(launch_of(function).directory) / "app.py").read_text()
    (directory / "app.py").write_text(source, encoding="utf-8")
    port = launch_of(function).port
    function = runtime.deploy_image(["python", "-I", "app.py"], cwd=directory, port=port, name="free")

    assert function.run({"work": "open('new.txt', 'w').write('abc')"}) == 3
    assert (directory / "new.txt").exists() is not layered
