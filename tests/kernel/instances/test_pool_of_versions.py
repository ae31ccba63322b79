"""Versions and updates of a function: which code and configuration an event finds, and on which instance."""

from __future__ import annotations

import os
import textwrap
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from internals import pool_of, scratch_of, version_of
from process_support import assert_kept, assert_reclaimed_for_good, is_gone
from versions_support import code_file, refusal

from pytest_scf_async.errors import ScfAsyncWarning, ScfUsageError
from pytest_scf_async.function import Function
from pytest_scf_async.runtime import ScfRuntime

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

REPORTS = """
    import os, time
    runs = 0
    def main_handler(event, context):
        global runs
        runs += 1
        time.sleep((event or {}).get("seconds", 0))
        return {
            "code": %r,
            "runs": runs,
            "version": (context["function_version"], os.environ["SCF_FUNCTIONVERSION"]),
            "pid": os.getpid(),
            "stage": os.environ.get("STAGE"),
            "limits": (context["time_limit_in_ms"], context["memory_limit_in_mb"]),
            "file": __file__,
        }
"""


def reports(what: str) -> str:
    return textwrap.dedent(REPORTS) % what


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The handler's file; its code returns "first"."""
    return code_file(tmp_path, reports("first"))


@pytest.fixture
def function(index: Path, runtime: ScfRuntime) -> Function:
    return runtime.deploy(f"{index}:main_handler", name="export")


# -- versions --------------------------------------------------------------------------------------------------------


def test_a_published_version_keeps_its_code_and_its_configuration(function, index):
    function.update(timeout=60, environment={"STAGE": "old"})
    assert function.publish_version("the first one") == "1"
    index.write_text(reports("second, and longer"))
    function.update(timeout=120, memory=256, environment={"STAGE": "new"})

    old, new = function.run(qualifier="1"), function.run()

    assert (old["code"], old["version"], old["stage"], old["limits"]) == ("first", ["1", "1"], "old", [60_000, 128])
    assert (new["code"], new["version"]) == ("second, and longer", ["$LATEST", "$LATEST"])
    assert (new["stage"], new["limits"]) == ("new", [120_000, 256])
    assert function.run(qualifier="1")["pid"] == old["pid"] != new["pid"]
    assert function.versions == ["$LATEST", "1"]


def test_a_version_runs_from_its_own_path_until_something_changes_there(function, index):
    (index.parent / "neighbour.py").write_text("what = 'kept'\n")
    index.write_text("from neighbour import what\n" + reports("first"))
    function.publish_version()
    assert function.run(qualifier="1")["file"] == str(index)

    function.publish_version()
    (index.parent / "neighbour.py").unlink()

    assert function.run(qualifier="1")["file"] == str(index)  # warm
    assert function.run(qualifier="2")["file"] != str(index)
    failed = function.invoke_async().wait()
    assert failed.status_code == 443


def test_copies_leave_out_what_is_no_code(function, index, runtime):
    for name in (".git", "__pycache__", "env"):
        (index.parent / name).mkdir()
        (index.parent / name / "big").write_text("x")
    (index.parent / "env" / "pyvenv.cfg").write_text("")
    (index.parent / "to nothing").symlink_to("nowhere")
    (index.parent / ".env").write_text("A=1")
    os.mkfifo(index.parent / "pipe")

    function.publish_version()

    kept = [
        os.path.relpath(os.path.join(parent, file), scratch_of(runtime)).partition("/")[2]
        for parent, _, files in os.walk(scratch_of(runtime))
        for file in files
    ]
    assert sorted(kept) == [".env", "index.py"]


def test_a_code_directory_that_is_too_large_for_the_platform_is_not_copied(function, index):
    with open(index.parent / "data", "wb") as file:
        file.truncate(500 * 1024 * 1024)

    with pytest.raises(ScfUsageError, match="the platform takes 524,288,000 bytes of code at most"):
        function.publish_version()

    assert function.versions == ["$LATEST"]


def test_an_unknown_qualifier_is_refused_without_an_event(function, runtime):
    for qualifier in ("1", "prod", ""):
        assert refusal(lambda name=qualifier: function.invoke_async(qualifier=name)) == "ResourceNotFound.Qualifier"
        assert refusal(lambda name=qualifier: function.run(qualifier=name)) == "ResourceNotFound.Qualifier"
    assert runtime.events == []


def test_versions_of_a_sync_function_can_be_run(deploy):
    function = deploy("def main_handler(event, context): return context['function_version']", async_run=False)
    function.publish_version()
    assert [function.run(qualifier=name) for name in (None, "1")] == ["$LATEST", "1"]


# -- updates ---------------------------------------------------------------------------------------------------------


def test_an_event_in_flight_finishes_on_the_old_code_and_configuration(function, index, runtime):
    running = function.invoke_async({"seconds": 100}).settle()
    accepted = function.invoke_async({"seconds": 1})
    index.write_text(reports("second, and longer"))
    function.update(timeout=50, environment={"STAGE": "new"})
    later = function.invoke_async()

    runtime.wait_all()

    old, new = running.result, later.result
    assert (old["code"], old["stage"], old["limits"][0], running.duration) == (
        "first", None, 86_400_000, timedelta(seconds=100),
    )  # fmt: skip
    assert (new["code"], new["stage"], new["limits"][0], new["runs"]) == ("second, and longer", "new", 50_000, 1)
    assert (accepted.result["stage"], accepted.result["limits"][0]) == (None, 86_400_000)


def test_an_instance_of_the_old_version_is_reclaimed_when_its_event_has_ended(function):
    event = function.invoke_async({"seconds": 100}).settle()
    function.update(timeout=50)

    event.wait()

    assert event.status == "FINISHED"
    assert_reclaimed_for_good(event, "function updated")
    assert "reclaimed: function updated" in event.timeline


def test_idle_instances_of_the_old_version_are_reclaimed_at_once(function, runtime):
    function.publish_version()
    published = function.invoke_async(qualifier="1").wait()
    idle = [function.invoke_async({"seconds": seconds}) for seconds in (1, 2, 3)]
    runtime.wait_all()

    function.update(environment={"STAGE": "new"})

    for event in idle:
        assert_reclaimed_for_good(event, "function updated")
    assert_kept(published)
    assert function.run()["runs"] == 1
    assert function.run(qualifier="1")["runs"] == 2


def test_a_timeout_that_was_updated_does_not_end_an_event_that_runs(function):
    event = function.invoke_async({"seconds": 100}).settle()
    function.update(timeout=10)
    late = function.invoke_async({"seconds": 100})

    assert event.wait().status == "FINISHED"
    assert (late.wait().status_code, late.error["errorMessage"]) == (433, "Invoking task timed out after 10 seconds")


def test_code_that_was_imported_stays_and_a_file_that_is_imported_later_is_the_new_one(deploy, runtime):
    function = deploy("""
        import time, early
        def main_handler(event, context):
            time.sleep(10)
            import late
            return early.what, late.what
    """)
    directory = Path(version_of(function).code.directory)
    for name in ("early", "late"):
        (directory / f"{name}.py").write_text("what = 'old'\n")
    event = function.invoke_async().settle()
    for name in ("early", "late"):
        (directory / f"{name}.py").write_text("what = 'newer'\n")
    function.update()

    assert event.wait().result == ["old", "newer"]
    assert function.run() == ["newer", "newer"]


def test_other_code_another_handler_a_directory_and_a_zip(function, index, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.py").write_text(reports("the directory") + "def second(event, context): return 'its second'\n")
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("index.py", "def main_handler(event, context): return 'the zip'\n")

    function.update(other)
    assert function.run()["code"] == "the directory"
    function.update(handler="index.second")
    assert (function.run(), function.configuration.handler) == ("its second", "index.second")
    function.update(tmp_path / "code.zip", handler="index.main_handler")
    assert function.run() == "the zip"
    function.update(f"{index}:main_handler")
    assert function.run()["code"] == "first"


def test_an_update_that_is_refused_changes_nothing(function):
    function.run()
    before = function.configuration
    for changes, words in (
        ({"timeout": 0}, r"timeout=0 \(update\(...\)\) is not valid"),
        ({"memory": 100}, r"memory=100 \(update\(...\)\) is not valid"),
        ({"code": "nowhere.py:main_handler"}, "code is 'nowhere.py:main_handler', and there is no"),
        ({"handler": "index"}, "handler='index' is not valid"),
        (
            {"async_run": False},
            r"update\(async_run=...\): async_run is fixed once a function is deployed .*document 51519",
        ),
        ({"runtime": "Python3.9"}, "runtime is fixed once"),
        ({"namespace": "other"}, "namespace is fixed once"),
        ({"name": "other"}, "name is fixed once"),
    ):
        with pytest.raises(ScfUsageError, match=words):
            function.update(**changes)
    with pytest.raises(ScfUsageError, match=r"update\(...\) has no keyword 'speed'"):
        function.update(speed=1)

    assert function.configuration is before
    assert function.run()["runs"] == 2


def test_the_status_trace_can_be_switched_off_and_on(function, runtime):
    function.publish_version()
    recorded = function.invoke_async({"seconds": 10}, qualifier="1").settle()

    function.update(trace=False)

    assert runtime.list_async_events("export").total_count == 0
    assert refusal(lambda: runtime.get_async_event_status(recorded.request_id)) == "ResourceNotFound.AsyncEvent"
    with pytest.warns(ScfAsyncWarning, match="the status trace of export is off"):
        runtime.terminate_async_event("export", recorded.request_id)
    function.invoke_async(qualifier="1").wait()
    function.update(trace=True)
    function.invoke_async(qualifier="1").wait()
    assert runtime.list_async_events("export").total_count == 1


# -- deletion --------------------------------------------------------------------------------------------------------


def test_a_deleted_version_takes_its_events_and_instances_with_it(function, runtime):
    function.publish_version()
    idle = function.invoke_async(qualifier="1").wait()
    others = function.invoke_async({"seconds": 20}).settle()
    running = [function.invoke_async({"seconds": 10}, qualifier="1").settle() for _ in range(2)]
    pending = function.invoke_async(qualifier="1")

    function.delete(qualifier="1")

    for event in running:
        assert (event.status, event.status_code) == ("ABORTED", 499)
        assert_reclaimed_for_good(event, "function deleted")
    assert (pending.status, pending.instance) == ("ABORTED", None)
    assert idle.instance.pid in [event.instance.pid for event in running]
    assert function.versions == ["$LATEST"]
    assert refusal(lambda: function.invoke_async(qualifier="1")) == "ResourceNotFound.Qualifier"
    assert runtime.list_async_events("export").total_count == 5
    assert others.wait().status == "FINISHED"
    assert function.publish_version() == "2"


def test_a_deleted_function_takes_all_its_versions_with_it(function, runtime):
    function.publish_version()
    idle = [function.invoke_async(qualifier=qualifier).wait() for qualifier in ("1", None)]
    before_update = function.invoke_async({"seconds": 10}).settle()
    function.update()
    running = [function.invoke_async({"seconds": 10}, qualifier=qualifier).settle() for qualifier in ("1", None)]

    function.delete()

    for event in (before_update, *running):
        assert (event.status, event.status_code) == ("ABORTED", 499)
        assert_reclaimed_for_good(event, "function deleted")
    for event in idle:
        assert is_gone(event.instance.pid)
    assert pool_of(runtime).instances == []
    assert not any(name.startswith("version-") for name in os.listdir(scratch_of(runtime)))
    for call in (
        function.invoke_async,
        function.run,
        function.update,
        function.publish_version,
        function.delete,
    ):
        assert refusal(call) == "ResourceNotFound.Function"


def test_layers_fakes_and_daemons_can_be_updated_and_stay_in_a_version(deploy, tmp_path):
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "of_the_layer.py").write_text("what = 'layer'\n")
    (tmp_path / "fakes.py").write_text("import builtins\ndef install(what): builtins.faked = what\n")
    function = deploy("""
        import builtins, importlib
        def main_handler(event, context):
            try:
                found = importlib.import_module("of_the_layer").what
            except ImportError:
                found = None
            return [found, getattr(builtins, "faked", None)]
    """)
    function.publish_version()
    function.update(layers=[layer], before_init=f"{tmp_path}/fakes.py:install", before_init_args={"what": 1})
    function.publish_version()
    assert function.configuration.sources["layers"] == "update(...)"
    function.update(timeout=60)
    function.publish_version()
    function.update(layers=(), before_init=None, background=["redis-server"])

    assert [function.run(qualifier=name) for name in ("1", "2", "3", None)] == [
        [None, None], ["layer", 1], ["layer", 1], [None, None],
    ]  # fmt: skip
    with pytest.raises(ScfUsageError, match=r"before_init_args=.*\(update\(...\)\) goes with before_init"):
        function.update(before_init_args={"what": 2})
