"""Modules that are imported once for all instances."""

from __future__ import annotations

import textwrap

import pytest

from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.instances.zygote import close_shared_zygote, shared_zygote

HANDLER = """
    import sys
    there = sorted(name for name in ("slow_to_import", "wave") if name in sys.modules)

    def main_handler(event, context):
        import slow_to_import
        return there, slow_to_import.imported_in
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A directory of modules that the interpreter finds, as it finds installed ones."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "slow_to_import.py").write_text("import os\nimported_in = os.getpid()\n")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "threaded.py").write_text(
        textwrap.dedent("""
            import _thread
            lock = _thread.allocate_lock()
            lock.acquire()
            _thread.start_new_thread(lock.acquire, ())
        """)
    )
    before = shared_zygote()
    yield
    close_shared_zygote()
    assert not before.alive


def test_a_preloaded_module_is_imported_once_in_the_zygote(deploy, make_runtime, modules) -> None:
    runtime = make_runtime(preload="slow_to_import")
    zygote = runtime._pool.sandboxes.zygote()
    for _ in range(2):
        there, imported_in = deploy(HANDLER, to=runtime).run()
        assert there == ["slow_to_import"]
        assert imported_in == zygote.pid


def test_what_is_not_preloaded_is_imported_by_the_handler(deploy, make_runtime, modules) -> None:
    make_runtime(preload="slow_to_import")
    runtime = make_runtime(preload=["wave"])
    there, imported_in = deploy(HANDLER, to=runtime).run()
    assert there == ["wave"]
    assert imported_in == runtime.events[0].instance.pid


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("sandbox", ["auto", "none"])
@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("broken", "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("threaded", "starts a thread when it is imported, and instances are forks, which have no threads"),
    ],
)
def test_a_module_that_cannot_be_preloaded(deploy, make_runtime, module, why, sandbox) -> None:
    function = deploy(HANDLER, to=make_runtime(preload=module, sandbox=sandbox))
    with pytest.raises(ScfUsageError) as refused:
        function.run()
    assert str(refused.value) == f"preload (ScfSettings(...)): {module!r} {why}"


def test_what_images_need_is_in_no_handlers_way(deploy, runtime, tmp_path):
    (tmp_path / "app.py").write_text(
        "import http.server\n"
        "class Answers(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'answered')\n"
        "http.server.HTTPServer(('0.0.0.0', 9000), Answers).serve_forever()\n"
    )
    assert runtime.deploy_image(["python", "app.py"], cwd=tmp_path).run() == "answered"
    function = deploy("from email import send\ndef main_handler(event, context): return send()")
    (tmp_path / "code1" / "email.py").write_text("def send(): return 'sent'\n")

    assert function.run() == "sent"


def test_the_locks_of_multiprocessing_that_an_image_finds_are_those_of_the_door(runtime, tmp_path):
    (tmp_path / "app.py").write_text(
        "import _multiprocessing, http.server\n"
        "class Answers(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(_multiprocessing.SemLock.__module__.encode())\n"
        "http.server.HTTPServer(('0.0.0.0', 9000), Answers).serve_forever()\n"
    )
    assert runtime.deploy_image(["python", "app.py"], cwd=tmp_path).run() == "pytest_scf_async.bootstrap.members"
