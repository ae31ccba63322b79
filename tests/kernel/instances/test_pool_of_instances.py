"""Instances: cold and warm starts, many at once, idle reclaim, and what each finds around it."""

from __future__ import annotations

import os
import re
import sys
from datetime import timedelta

import pytest
from internals import version_of
from process_support import (
    START,
    assert_kept,
    descriptors,
    eventually,
    files_in,
    is_gone,
    short_log,
    state_of,
    user_lines,
)

from pytest_scf_async.errors import ScfApiError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

COUNTER = """
    import os, tempfile, time
    runs = 0
    started = time.time()
    path = os.path.join(tempfile.gettempdir(), "notes")
    def main_handler(event, context):
        global runs
        runs += 1
        with open(path, "a") as file:
            file.write(f"{runs}\\n")
        time.sleep((event or {}).get("seconds", 0))
        return {"runs": runs, "pid": os.getpid(), "notes": open(path).read().split(), "tmp": os.path.dirname(path)}
"""


def test_a_warm_start_keeps_globals_and_tmp(deploy):
    function = deploy(COUNTER)

    first, second = function.run(), function.run()

    assert (first["runs"], first["notes"]) == (1, ["1"])
    assert (second["runs"], second["notes"]) == (2, ["1", "2"])
    assert first["pid"] == second["pid"]
    events = function.events
    assert [event.instance.cold for event in events] == [True, False]
    assert short_log(events[1])[:2] == ["START", short_log(events[1])[1]]
    assert not any(line.startswith("INIT") for line in short_log(events[1]))


@pytest.mark.repeat
def test_twenty_events_one_after_the_other_go_through_one_warm_instance(deploy):
    function = deploy(COUNTER)

    results = [function.run({"seconds": 1}) for _ in range(20)]

    assert [result["runs"] for result in results] == list(range(1, 21))
    assert {result["pid"] for result in results} == {results[0]["pid"]}


@pytest.mark.repeat
def test_twenty_events_at_once_run_on_twenty_instances(deploy, runtime):
    function = deploy(COUNTER)
    events = [function.invoke_async({"seconds": 10 + number}) for number in range(20)]

    runtime.wait_all()

    assert [event.status for event in events] == ["FINISHED"] * 20
    assert [event.result["runs"] for event in events] == [1] * 20
    assert len({event.result["pid"] for event in events}) == 20
    assert len({event.instance.tmp for event in events}) == 20
    assert [files_in(event.instance.tmp) for event in events] == [["notes"]] * 20
    assert [event.duration for event in events] == [timedelta(seconds=10 + number) for number in range(20)]
    assert runtime.clock.now == START + timedelta(seconds=29)


def test_events_run_in_the_order_of_their_acceptance_one_thread_at_a_time(deploy, runtime, tmp_path):
    function = deploy("""
        import time
        def main_handler(event, context):
            for row in range(3):
                with open(event["path"], "a") as file:
                    file.write(f"{event['number']}-{row} ")
                time.sleep(1)
    """)
    path = tmp_path / "order"
    for number in range(4):
        function.invoke_async({"path": str(path), "number": number})

    runtime.wait_all()

    assert path.read_text().split() == [f"{number}-{row}" for row in range(3) for number in range(4)]


def test_the_instance_used_last_is_used_first(deploy, runtime):
    function = deploy(COUNTER)
    short, long = function.invoke_async({"seconds": 1}), function.invoke_async({"seconds": 2})
    runtime.wait_all()

    assert function.run()["pid"] == long.result["pid"] != short.result["pid"]


def test_functions_do_not_share_instances(deploy):
    one, two = deploy(COUNTER), deploy(COUNTER)

    assert one.run()["pid"] != two.run()["pid"]


def test_a_warm_instance_is_stopped_between_events(deploy):
    function = deploy(COUNTER)
    event = function.invoke_async().wait()
    assert_kept(event)

    another = function.invoke_async({"seconds": 5})
    another.settle()

    assert another.instance.doing == "parked"
    assert eventually(lambda: state_of(event.instance.pid) != "T")


def test_threads_left_running_are_frozen_with_the_instance_and_go_on_with_the_next_event(deploy, runtime):
    function = deploy("""
        import threading, time
        def work():
            for row in range(100):
                time.sleep(1)
                print("row", row)
        def main_handler(event, context):
            if event["start"]:
                threading.Thread(target=work, daemon=True).start()
            time.sleep(2.5)
    """)
    first = function.invoke_async({"start": True}).wait()
    runtime.clock.advance(100)
    second = function.invoke_async({"start": False}).wait()

    assert user_lines(first) == ["row 0", "row 1"]
    assert user_lines(second)[:1] == ["row 2"]
    assert second.duration == timedelta(seconds=2.5)


def test_an_idle_instance_is_reclaimed_after_300_seconds(deploy, runtime):
    function = deploy(COUNTER)
    first = function.invoke_async().wait()

    runtime.clock.advance(299.999999)
    assert_kept(first)
    runtime.clock.advance(0.000001)

    assert is_gone(first.instance.pid)
    assert not os.path.exists(first.instance.tmp)
    assert (first.instance.alive, first.instance.reclaimed) == (False, True)
    assert first.status == "FINISHED"
    second = function.run()
    assert (second["runs"], second["notes"]) == (1, ["1"])


def test_each_event_starts_the_idle_time_anew(deploy, runtime):
    function = deploy(COUNTER)
    for runs in range(1, 4):
        assert function.run()["runs"] == runs
        runtime.clock.advance(299)

    assert function.run()["runs"] == 4


def test_an_instance_that_runs_is_not_idle(deploy, runtime):
    function = deploy(COUNTER)
    function.run()

    event = function.invoke_async({"seconds": 1000}).wait()

    assert event.result["runs"] == 2


def test_the_idle_time_is_a_setting(deploy, make_runtime):
    runtime = make_runtime(idle_reclaim=10)
    function = deploy(COUNTER, to=runtime)
    function.run()
    runtime.clock.advance(9)
    assert function.run()["runs"] == 2
    runtime.clock.advance(10)
    assert function.run()["runs"] == 1


def test_more_than_max_instances_are_refused_without_a_record(deploy, runtime):
    function = deploy(COUNTER, max_instances=2)
    events = [function.invoke_async({"seconds": 10}) for _ in range(2)]

    with pytest.raises(ScfApiError, match="All 2 instances that function 'index' may have are in use") as refusal:
        function.invoke_async()

    assert refusal.value.code == "LimitExceeded.Quota"
    assert runtime.events == events
    assert runtime.list_async_events("index").total_count == 2
    events[0].terminate()
    third = function.invoke_async({"seconds": 1})
    runtime.wait_all()
    assert third.status == "FINISHED"


def test_an_instance_that_forks_serves_the_next_event_too(deploy):
    function = deploy("""
        import os
        runs = 0
        def main_handler(event, context):
            global runs
            runs += 1
            pid = os.fork()
            if pid == 0:
                print("child of", runs)
                return "the child's"
            os.waitpid(pid, 0)
            return runs
    """)

    assert [function.run() for _ in range(3)] == [1, 2, 3]
    assert [user_lines(event) for event in function.events] == [["child of 1"], ["child of 2"], ["child of 3"]]


@pytest.mark.sandbox
def test_each_instance_has_a_tmp_of_its_own_that_is_gone_with_it(deploy, runtime, mounted):
    function = deploy(COUNTER)
    events = [function.invoke_async({"seconds": 5}) for _ in range(2)]
    runtime.wait_all()
    directories = [str(event.instance.tmp) for event in events]

    assert [event.result["tmp"] for event in events] == (["/tmp", "/tmp"] if mounted else directories)
    assert directories[0] != directories[1]
    assert [files_in(directory) for directory in directories] == [["notes"], ["notes"]]
    events = [function.invoke_async({"seconds": 5}) for _ in range(2)]
    events[0].terminate()
    assert sorted(os.path.exists(directory) for directory in directories) == [False, True]


@pytest.mark.sandbox
def test_tmp_is_what_tempfile_uses(deploy, mounted):
    event = (
        deploy("""
        import tempfile
        def main_handler(event, context):
            with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as directory:
                return [file.name, directory]
    """)
        .invoke_async()
        .wait()
    )

    tmp = "/tmp" if mounted else str(event.instance.tmp)
    assert all(os.path.dirname(path) == tmp for path in event.result)


@pytest.mark.sandbox
def test_a_handler_sees_none_of_the_hosts_environment(deploy, monkeypatch, mounted):
    secrets = {
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "TENCENTCLOUD_SECRETKEY": "the host's own key",
        "TENCENTCLOUD_SECRET_ID": "hidden",
        "SCF_HOST": "hidden",
        "PYTHONSTARTUP": "/nowhere",
        "HOME": "/home/of/the/host",
        "TZ": "Asia/Shanghai",
        "PYTEST_SECRET": "hidden",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)

    found = deploy(
        """
        import os
        def main_handler(event, context):
            environ = open("/proc/self/environ").read()
            return {"environ": dict(os.environ), "of the kernel": environ}
        """,
        environment={"BUCKET": "exports", "OUT": "/tmp/é"},
    ).run()

    environ = found["environ"]
    assert not {"hidden", "the host's own key", "/nowhere", "/home/of/the/host", "Asia/Shanghai"} & set(
        environ.values()
    )
    assert not re.search("hidden|the host's own key", found["of the kernel"])
    assert not [name for name in environ if name.startswith("PYTEST")]
    assert set(environ) == {
        "TENCENTCLOUD_SESSIONTOKEN", "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "_SCF_SERVER_PORT",
        "TENCENTCLOUD_RUNENV", "USER_CODE_ROOT", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "CLASSPATH", "NODE_PATH", "_",
        "PWD", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "PATH", "SHELL", "SHLVL", "LD_LIBRARY_PATH", "HOSTNAME",
        "SCF_RUNTIME", "SCF_FUNCTIONNAME", "SCF_FUNCTIONVERSION", "TENCENTCLOUD_REGION", "TENCENTCLOUD_APPID",
        "TENCENTCLOUD_UIN", "TENCENTCLOUD_TZ", "SCF_NAMESPACE", "BUCKET", "OUT", *([] if mounted else ["TMPDIR"]),
    }  # fmt: skip
    assert (environ["BUCKET"], environ["OUT"]) == ("exports", "/tmp/é")


@pytest.mark.sandbox
def test_a_handler_sees_the_platforms_environment(deploy, mounted):
    event = deploy("""
        import os
        def main_handler(event, context):
            return dict(os.environ)
    """, name="export", runtime="Python3.9").invoke_async().wait()  # fmt: skip

    environ = event.result
    expected = {
        "TENCENTCLOUD_RUNENV": "SCF",
        "_SCF_SERVER_PORT": "28902",
        "PYTHONDONTWRITEBYTECODE": "x",
        "HOME": "/home/qcloud",
        "USER": "qcloud",
        "LOGNAME": "qcloud",
        "LANG": "en_US.UTF8",
        "LC_ALL": "en_US.UTF8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SHELL": "/bin/bash",
        "SHLVL": "3",
        "SCF_RUNTIME": "Python3.9",
        "SCF_FUNCTIONNAME": "export",
        "SCF_FUNCTIONVERSION": "$LATEST",
        "SCF_NAMESPACE": "default",
        "TENCENTCLOUD_REGION": "ap-guangzhou",
        "TENCENTCLOUD_APPID": "1250000000",
        "TENCENTCLOUD_UIN": "100000000000",
        "TENCENTCLOUD_TZ": "UTC",
    }
    if mounted:
        expected |= {"USER_CODE_ROOT": "/var/user/", "PWD": "/var/user", "PYTHONPATH": "/var/user:/opt"}
        assert "TMPDIR" not in environ
    else:
        expected["TMPDIR"] = str(event.instance.tmp)
    assert {name: environ[name] for name in expected} == expected


CREDENTIALS = """
    import os
    AT_IMPORT = os.environ.get("TENCENTCLOUD_SESSIONTOKEN"), os.environ.get("TRIGGER_SRC")
    def main_handler(event, context):
        kinds = {"TOKEN": "SESSIONTOKEN", "ID": "SECRETID", "KEY": "SECRETKEY"}
        return [AT_IMPORT, {kind: os.environ["TENCENTCLOUD_" + name] for kind, name in kinds.items()},
                os.environ.get("TRIGGER_SRC")]
"""


def test_the_roles_credentials_of_each_event_are_placeholders_that_say_until_when_they_are_valid(deploy, runtime):
    function = deploy(CREDENTIALS)
    (at_import, _), cold, _ = function.run()
    runtime.clock.advance(250)
    (again, _), warm, _ = function.run()

    assert cold == {
        "TOKEN": "scf-async-session-token-until-20260101T060000Z",
        "ID": "scf-async-secret-id-until-20260101T060000Z",
        "KEY": "scf-async-secret-key-until-20260101T060000Z",
    }
    assert at_import == again == cold["TOKEN"]
    assert warm["TOKEN"] == "scf-async-session-token-until-20260101T060410Z"


def test_trigger_src_is_there_for_events_of_a_timer_trigger_only(deploy):
    function = deploy(CREDENTIALS)
    timer = function.invoke_async(invoke_type="TRIGGER_TIMER").wait()
    other = function.invoke_async(invoke_type="COS").wait()

    assert (timer.result[0][1], timer.result[2]) == ("timer", "timer")
    assert other.instance.cold is False
    assert other.result[2] is None


def test_a_trigger_src_of_the_functions_own_is_back_after_an_event_of_a_timer_trigger(deploy):
    function = deploy(CREDENTIALS, environment={"TRIGGER_SRC": "mine"})

    kinds = ["OTHERS", "TRIGGER_TIMER", "OTHERS"]
    assert [function.invoke_async(invoke_type=kind).wait().result[2] for kind in kinds] == ["mine", "timer", "mine"]


CHANGES = """
    import os
    def main_handler(event, context):
        before = [os.environ.get(name) for name in ("OWN", "OTHER", "SCF_NAMESPACE")]
        os.environ |= dict.fromkeys(("OWN", "OTHER", "SCF_NAMESPACE"), "changed")
        if event:
            os._exit(0)
        return before
"""


def test_a_change_of_the_functions_own_variables_does_not_reach_the_next_event(deploy):
    function = deploy(CHANGES, environment={"OWN": "a=b;c"})

    first, second = (function.invoke_async().wait() for _ in range(2))
    assert (first.result, second.result) == (["a=b;c", None, "default"], ["a=b;c", "changed", "default"])
    assert second.instance.cold is False


def test_with_the_other_reading_a_change_of_the_environment_stays_in_the_warm_instance_alone(deploy, make_runtime):
    function = deploy(CHANGES, to=make_runtime(restore_environment=False), environment={"OWN": "given"})

    assert [function.run()[0], function.run()[0]] == ["given", "changed"]
    function.invoke_async({"exit": True}).wait()
    assert function.run()[0] == "given"


def test_the_context_has_the_platforms_keys_and_types(deploy):
    event = deploy(
        "def main_handler(event, context): return context",
        name="export",
        namespace="team-a",
        timeout=60,
        memory=256,
        environment={"BUCKET": "exports"},
    ).invoke_async()
    event.wait()

    context = event.result
    assert context == {
        "environment": '{"SCF_NAMESPACE":"team-a","BUCKET":"exports"}',
        "memory_limit_in_mb": 256,
        "time_limit_in_ms": 60_000,
        "request_id": event.request_id,
        "environ": "SCF_NAMESPACE=team-a;BUCKET=exports",
        "function_version": "$LATEST",
        "function_name": "export",
        "namespace": "team-a",
        "tencentcloud_region": "ap-guangzhou",
        "tencentcloud_appid": "1250000000",
        "tencentcloud_uin": "100000000000",
    }
    assert [type(context[key]) for key in ("memory_limit_in_mb", "time_limit_in_ms", "request_id")] == [int, int, str]


def test_the_context_of_a_function_without_variables_has_its_namespace_twice(deploy):
    context = deploy("def main_handler(event, context): return context").run()

    assert context["environment"] == '{"SCF_NAMESPACE":"default"}'
    assert context["environ"] == "SCF_NAMESPACE=default;SCF_NAMESPACE=default"


def test_the_handler_runs_on_the_main_thread_of_its_own_session_in_the_code_directory(deploy, runtime):
    found = deploy("""
        import os, sys, threading
        def main_handler(event, context):
            return {
                "main": threading.current_thread() is threading.main_thread(),
                "threads": threading.active_count(),
                "leader": os.getsid(0) == os.getpid(),
                "cwd": os.getcwd(),
                "path": sys.path[0],
                "executable": sys.executable,
                "stdin": sys.stdin.read() if sys.stdin else "",
                "module": __name__,
                "file": __file__,
            }
    """).run()

    directory = version_of(runtime.functions["index"]).code.directory
    assert found == {
        "main": True,
        "threads": 1,
        "leader": True,
        "cwd": directory,
        "path": directory,
        "executable": sys.executable,
        "stdin": "",
        "module": "index",
        "file": f"{directory}/index.py",
    }


def test_installed_packages_can_be_imported_and_the_tests_own_modules_are_not_loaded(deploy):
    loaded = deploy("""
        import pluggy, sys
        def main_handler(event, context):
            return sorted(name for name in sys.modules if name in ("pytest", "_pytest", "process_support", "pluggy"))
    """).run()

    assert loaded == ["pluggy"]


def test_a_handler_writes_no_bytecode_next_to_the_code(runtime, tmp_path):
    (tmp_path / "index.py").write_text("import neighbour\ndef main_handler(event, context): return 1\n")
    (tmp_path / "neighbour.py").write_text("")

    runtime.deploy(f"{tmp_path}/index.py:main_handler").run()

    assert sorted(os.listdir(tmp_path)) == ["index.py", "neighbour.py"]


def test_an_instance_that_is_killed_while_it_is_idle_is_not_used_again(deploy):
    function = deploy(COUNTER)
    first = function.invoke_async().wait()
    os.kill(first.instance.pid, 9)
    assert eventually(lambda: is_gone(first.instance.pid))

    second = function.invoke_async().wait()

    assert (second.status, second.result["runs"]) == ("FINISHED", 1)
    assert first.status == "FINISHED"


def test_thirty_instances_leave_no_descriptor_open(deploy, make_runtime):
    make_runtime().close()
    before = descriptors()
    runtime = make_runtime()
    function = deploy(COUNTER, to=runtime)
    for _ in range(30):
        function.invoke_async({"seconds": 1})
    runtime.wait_all()
    runtime.clock.advance(300)
    function.invoke_async({"seconds": 1}).settle()

    runtime.close()

    assert descriptors() == before


def test_two_runtimes_live_side_by_side_each_with_its_time(deploy, make_runtime):
    one, two = make_runtime(), make_runtime()
    first = deploy(COUNTER, to=one).invoke_async({"seconds": 100})
    second = deploy(COUNTER, to=two).invoke_async({"seconds": 5})

    first.settle()
    second.wait()
    assert (one.clock.now, two.clock.now) == (START, START + timedelta(seconds=5))
    first.wait()

    assert one.clock.now == START + timedelta(seconds=100)
