"""Modules that are imported once for all instances."""

from __future__ import annotations

import sys
import textwrap

import pytest
from internals import close_shared_zygote, pool_of, shared_zygote
from process_support import user_lines

from pytest_scf_async.errors import ScfUsageError

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
    (tmp_path / "with_an_end.py").write_text(
        "class WithAnEnd:\n    pass\n\n\nkept = WithAnEnd()\n"  # user code may watch it end
    )
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "threaded.py").write_text(
        textwrap.dedent("""
            import _thread
            lock = _thread.allocate_lock()
            lock.acquire()
            _thread.start_new_thread(lock.acquire, ())
        """)
    )
    (tmp_path / "threaded_in_c.py").write_text(
        textwrap.dedent("""
            import ctypes, os
            libc = ctypes.CDLL(None)
            assert libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None) == 0
            threads_at_import = len(os.listdir("/proc/self/task"))
        """)
    )
    before = shared_zygote()
    yield
    close_shared_zygote()
    assert not before.alive


@pytest.mark.sandbox
def test_a_preloaded_module_is_imported_once_in_the_zygote(deploy, make_runtime, modules) -> None:
    runtime = make_runtime(preload="slow_to_import")
    zygote = pool_of(runtime).sandboxes.zygote()
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


@pytest.mark.sandbox
@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("sandbox", ["auto", "none"])
@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("broken", "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("threaded", "starts a thread when it is imported, and instances are forks, which have no such thread"),
    ],
)
def test_a_module_that_cannot_be_preloaded(deploy, make_runtime, module, why, sandbox) -> None:
    function = deploy(HANDLER, to=make_runtime(preload=module, sandbox=sandbox))
    with pytest.raises(ScfUsageError) as refused:
        function.run()
    assert str(refused.value) == f"preload (ScfSettings(...)): {module!r} {why}"


@pytest.mark.sandbox
@pytest.mark.usefixtures("modules")
def test_a_thread_that_c_code_starts_as_a_library_does_is_no_hindrance(deploy, make_runtime) -> None:
    handler = """
        import os, time, threaded_in_c

        def main_handler(event, context):
            time.sleep(60)
            return threaded_in_c.threads_at_import, len(os.listdir("/proc/self/task"))
    """
    function = deploy(handler, to=make_runtime(preload="threaded_in_c"))
    assert [function.run() for _ in range(2)] == [[2, 1]] * 2


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
    assert runtime.deploy_image(["python", "app.py"], cwd=tmp_path, in_process=True).run() == "answered"
    function = deploy("from email import send\ndef main_handler(event, context): return send()")
    (tmp_path / "code1" / "email.py").write_text("def send(): return 'sent'\n")

    assert function.run() == "sent"


def test_no_instance_looks_through_what_images_need_for_garbage(deploy, runtime, tmp_path):
    """It was imported once for all of them. A collection would visit each object of it, and copy its page."""
    runtime.deploy_image(["sleep", "10"], cwd=tmp_path, port=9000).invoke_async().settle()
    function = deploy("""
        import gc

        def main_handler(event, context):
            return len(gc.get_objects())
    """)

    assert function.run() < 1000


def test_a_preloaded_module_that_calls_basic_config_changes_nothing(deploy, make_runtime, modules, tmp_path) -> None:
    (tmp_path / "configures_logging.py").write_text(
        "import logging\nlogging.basicConfig(level=logging.ERROR, format='%(levelname)s %(message)s')\n"
    )
    function = deploy(
        """
        import logging
        def main_handler(event, context):
            logging.debug("as on the platform")
        """,
        to=make_runtime(preload="configures_logging"),
    )

    assert user_lines(function.invoke_async().wait()) == ["as on the platform"]


COUNTING = """
    import os, sys

    def main_handler(event, context):
        before = sys.getrefcount(os)
        references = [os] * 1_000
        return sys.getrefcount(os) - before
"""
WATCHING = """
    import weakref
    import with_an_end

    def main_handler(event, context):
        ended = []
        weakref.finalize(with_an_end.kept, ended.append, True)
        with_an_end.kept = None
        return ended
"""


@pytest.mark.interpreter
@pytest.mark.sandbox
def test_objects_of_the_zygote_are_shared_by_its_instances_and_those_of_preloaded_modules_end(
    deploy, make_runtime, modules
) -> None:
    runtime = make_runtime(preload="with_an_end")
    zygote = pool_of(runtime).sandboxes.zygote()
    are_counted = True
    shared = sys.version_info >= (3, 12)  # Python 3.10 and 3.11 have no immortal objects
    while shared and are_counted:  # the zygote makes them immortal while nothing is asked of it
        are_counted = deploy(COUNTING, to=runtime).run() > 500  # from Python 3.14 on some are
    assert (deploy(COUNTING, to=runtime).run() > 500) != shared
    assert runtime.events[0].instance.pid != zygote.pid
    assert deploy(WATCHING, to=runtime).run() == [True]
