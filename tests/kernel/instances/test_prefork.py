"""A process is forked ahead for the next cold start, and used where it fits."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from internals import (
    Zygote,
    pool_of,
    preforked_of,
    version_of,
)
from process_support import end_preforked, eventually, is_gone, preforked_pid

from pytest_scf_async.runtime import ScfRuntime

# once: rules of the platform: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

WHERE = """
    import os

    def main_handler(event, context):
        return {"pid": os.getpid(), "environment": dict(os.environ), "cwd": os.getcwd(), "tmp": os.listdir("/tmp")}
"""


@pytest.fixture
def zygote(deploy, make_runtime):
    """The zygote of a session in which a runtime has been closed, so that a process is ready."""
    runtime = make_runtime()
    zygote = pool_of(runtime).sandboxes.zygote()
    end_preforked(zygote)
    deploy(WHERE, to=runtime).run()
    runtime.close()
    assert preforked_pid(zygote) > 0
    return zygote


def test_the_next_runtime_finds_it_and_becomes_any_function(deploy, make_runtime, zygote) -> None:
    ready = preforked_pid(zygote)
    runtime = make_runtime()
    function = deploy(WHERE, to=runtime, name="another", environment={"BUCKET": "exports"})
    found = function.run()
    assert found["pid"] == ready
    assert found["environment"]["SCF_FUNCTIONNAME"] == "another"
    assert found["environment"]["BUCKET"] == "exports"
    assert found["cwd"] == os.path.dirname(version_of(function).code.entry)
    second = deploy(WHERE, to=runtime)
    assert second.run()["pid"] != ready
    assert "BUCKET" not in second.run()["environment"]


def test_each_instance_that_starts_has_the_next_one_forked(deploy, make_runtime, zygote, monkeypatch) -> None:
    """The fork runs beside the current test, so the next test of a suite finds the process ready."""
    asked: list[int] = []
    spawn = Zygote.spawn

    def counted(zygote: Zygote, number: int, *given: object) -> None:
        asked.append(number)
        spawn(zygote, number, *given)

    monkeypatch.setattr(Zygote, "spawn", counted)
    for number in range(1, 4):
        ready = preforked_pid(zygote)
        event = deploy(WHERE, to=make_runtime()).invoke_async().settle()
        assert event.result["pid"] == ready
        assert len(asked) == number  # that one had been requested before
        assert preforked_of(zygote).number == asked[-1]


def test_one_that_was_killed_is_not_used(deploy, make_runtime, zygote) -> None:
    ready = preforked_pid(zygote)
    os.kill(ready, signal.SIGKILL)
    assert eventually(lambda: is_gone(ready))
    assert deploy(WHERE, to=make_runtime()).run()["pid"] != ready
    assert len(zygote.listeners) == 2  # it, and the next one


def test_one_that_is_of_another_kind_ends(deploy, make_runtime, zygote, tmp_path: Path) -> None:
    if not zygote.namespaces:
        return  # without mount namespaces one fits all
    ready = preforked_pid(zygote)
    shared = tmp_path / "shared"
    shared.mkdir()
    assert deploy(WHERE, to=make_runtime(), mounts=[(shared, "/mnt/cfs/data")]).run()["pid"] != ready
    assert eventually(lambda: is_gone(ready))


def test_one_whose_directories_were_replaced_is_not_used(deploy, make_runtime, zygote, tmp_path: Path) -> None:
    if not zygote.namespaces:
        return
    shared = tmp_path / "shared"

    def runs() -> tuple[int, list[str]]:
        runtime: ScfRuntime = make_runtime()
        found = deploy(SHARED, to=runtime, mounts=[(shared, "/mnt/cfs/data")]).run()
        runtime.close()
        return found["pid"], found["files"]

    shared.mkdir()
    (shared / "old").touch()
    assert runs()[1] == ["old"]
    ready = preforked_pid(zygote)
    shutil.rmtree(shared)
    shared.mkdir()
    (shared / "new").touch()
    pid, files = runs()
    assert files == ["new"]
    assert pid != ready


SHARED = """
    import os

    def main_handler(event, context):
        return {"pid": os.getpid(), "files": sorted(os.listdir("/mnt/cfs/data"))}
"""


def test_an_idle_session_with_one_ends_as_any_other(zygote) -> None:
    ready = preforked_pid(zygote)
    end_preforked(zygote)
    assert is_gone(ready)
    assert zygote.alive
