"""What the test process does around its runtimes: forks, threads, freezes, paths, errors in the middle of a start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from datetime import datetime
from pathlib import Path

import pytest
from internals import Zygote, pool_of
from process_support import LONG, descriptors

from pytest_scf_async.errors import HarnessError, ScfUsageError
from pytest_scf_async.runtime import ScfRuntime

SLEEPER = """
    import time
    def main_handler(event, context):
        time.sleep(5)
        return "slept"
"""


def run_alone(source: str, cwd: Path, **environment: str) -> str:
    """What *source* prints in an interpreter of its own, which ends."""
    (cwd / "index.py").write_text("def main_handler(event, context):\n    return 1\n")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.sandbox
def test_a_fork_of_the_test_process_leaves_the_instances_alone(deploy, runtime: ScfRuntime) -> None:
    event = deploy(SLEEPER).invoke_async()
    event.settle()
    child = os.fork()
    if child == 0:
        try:
            runtime.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert event.wait().result == "slept"


def test_runtimes_in_threads_share_the_zygote(deploy, make_runtime) -> None:
    functions = [deploy(SLEEPER, to=make_runtime()) for _ in range(4)]
    errors: list[BaseException] = []

    def use(function) -> None:
        try:
            for _ in range(30):
                event = function.invoke_async()
                event.settle()
                event.terminate()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=use, args=(function,)) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.sandbox
def test_a_start_that_fails_leaves_no_descriptor(deploy, runtime: ScfRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(SLEEPER).run()
    function = deploy(SLEEPER)

    def refuse(*_: object) -> None:
        raise HarnessError("no")

    before = descriptors()
    zygote = pool_of(runtime).sandboxes.zygote()
    known = len(zygote.listeners)
    with monkeypatch.context() as patch:
        patch.setattr(Zygote, "_send", refuse)
        for _ in range(3):
            event = function.invoke_async()
            with pytest.raises(HarnessError, match="no"):
                event.settle()
    assert descriptors() == before
    assert len(zygote.listeners) == known


@pytest.mark.sandbox
def test_a_zygote_that_cannot_start_leaves_no_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(FileNotFoundError):
        Zygote()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sandbox
def test_a_runtime_that_is_refused_leaves_no_descriptor() -> None:
    before = descriptors()
    for _ in range(3):
        with pytest.raises(ScfUsageError, match="time zone"):
            ScfRuntime(start=datetime(2026, 1, 1))
    assert descriptors() == before


def test_a_forgotten_runtime_may_be_collected_while_the_zygote_starts(tmp_path: Path) -> None:
    source = """
        import gc, warnings
        gc.disable()
        import pytest_scf_async.instances.zygote as zygote
        from pytest_scf_async import ScfRuntime
        warnings.simplefilter("ignore")
        real = zygote.Zygote
        zygote.Zygote = lambda *given, **how: (gc.collect(), real(*given, **how))[1]
        ScfRuntime()
        with ScfRuntime() as runtime:
            print(runtime.deploy("index.py:main_handler").run())
    """
    assert run_alone(source, tmp_path) == "1\n"


def test_the_bounds_are_real_though_the_first_import_is_under_a_freeze(tmp_path: Path) -> None:
    source = """
        import time
        from freezegun import freeze_time
        with freeze_time("2026-01-01"):
            from pytest_scf_async.protocol.real_time import REAL
            assert time.monotonic() == time.monotonic()
            assert REAL.monotonic() < REAL.monotonic()
        print("real")
    """
    assert run_alone(source, tmp_path) == "real\n"


def test_a_relative_pythonpath_holds_for_instances(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper_of_the_test.py").write_text("ANSWER = 42\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "uses.py").write_text(
        "import helper_of_the_test\ndef main_handler(event, context):\n    return helper_of_the_test.ANSWER\n"
    )
    source = """
        from pytest_scf_async import ScfRuntime
        with ScfRuntime() as runtime:
            print(runtime.deploy("code/uses.py:main_handler").run())
    """
    assert run_alone(source, tmp_path, PYTHONPATH="lib") == "42\n"


def test_a_runtime_that_nobody_closes_ends_with_the_interpreter(tmp_path: Path) -> None:
    source = """
        import os
        from pytest_scf_async import ScfRuntime
        os.dup2(1, 2)
        runtime = ScfRuntime()
        function = runtime.deploy("index.py:main_handler")
        print(function.run(), runtime.events[0].instance.doing, flush=True)
    """
    assert run_alone(source, tmp_path) == "1 frozen\n"
