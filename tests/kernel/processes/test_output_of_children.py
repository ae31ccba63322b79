"""What the children of user code write, and what becomes of them when their instance is gone."""

from __future__ import annotations

import os

import pytest
from internals import process_tree
from process_support import START, assert_reclaimed_for_good, eventually, is_gone, short_log, state_of, user_lines


def test_a_child_that_inherits_stdout_writes_into_the_log_in_true_order(deploy):
    event = (
        deploy("""
        import subprocess, sys
        def main_handler(event, context):
            print("before")
            subprocess.run(["sh", "-c", "echo child; echo child error >&2; printf partial"], check=True)
            print(" after")
            subprocess.run([sys.executable, "-c", "print('python child')"], check=True)
    """)
        .invoke_async()
        .wait()
    )

    assert event.status == "FINISHED"
    assert user_lines(event) == ["before", "child", "child error", "partial after", "python child"]


def test_what_a_child_writes_just_before_its_end_is_of_that_time(deploy, latch, monkeypatch):
    """The child ends after the harness has read the output and before it looks whether time may pass."""
    event = deploy("""
        import subprocess, time
        def main_handler(event, context):
            subprocess.Popen(["sh", "-c", "head -c 1 < $0 > /dev/null; echo its last line", event])
            time.sleep(60)
    """).invoke_async(latch.path)
    real_look = process_tree.Children.look
    ended = []

    def look(self):
        found = real_look(self)
        if found and not ended:
            latch.open()
            ended.append(eventually(lambda: not real_look(self)))
            found = real_look(self)
        return found

    monkeypatch.setattr(process_tree.Children, "look", look)
    event.wait()

    assert ended == [True]
    assert [line.time for line in event.log if line.text == "its last line"] == [START]


def test_what_a_child_writes_into_a_pipe_of_the_handler_is_the_handlers(deploy):
    event = (
        deploy("""
        import subprocess
        def main_handler(event, context):
            return subprocess.run(["echo", "captured"], capture_output=True, text=True).stdout
    """)
        .invoke_async()
        .wait()
    )

    assert (event.result, user_lines(event)) == ("captured\n", [])


def test_a_child_that_writes_much_does_not_hang(deploy):
    event = (
        deploy("""
        import subprocess
        def main_handler(event, context):
            subprocess.run(["seq", "50000"], check=True)
            return "done"
    """)
        .invoke_async()
        .wait()
    )

    assert user_lines(event) == [str(row) for row in range(1, 50_001)]


def test_a_fork_may_print_and_exit(deploy):
    event = (
        deploy("""
        import os
        def main_handler(event, context):
            print("parent before")
            pid = os.fork()
            if pid == 0:
                print("child")
                os._exit(7)
            _, status = os.waitpid(pid, 0)
            print("child ended with", os.waitstatus_to_exitcode(status))
            return "parent"
    """)
        .invoke_async()
        .wait()
    )

    assert event.result == "parent"
    assert user_lines(event) == ["parent before", "child", "child ended with 7"]


def test_a_fork_that_returns_from_the_handler_is_not_a_second_result(deploy):
    event = (
        deploy("""
        import os
        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                print("child")
                return "child"
            os.waitpid(pid, 0)
            return "parent"
    """)
        .invoke_async()
        .wait()
    )

    assert event.result == "parent"
    assert short_log(event) == ["START", "INIT 0ms", "child", 'RESPONSE "parent"', "END", "REPORT 0ms"]


def test_a_fork_that_raises_out_of_the_handler_is_not_a_second_end(deploy):
    event = (
        deploy("""
        import os
        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                raise ValueError("in the child")
            os.waitpid(pid, 0)
            return "parent"
    """)
        .invoke_async()
        .wait()
    )

    assert event.result == "parent"
    assert short_log(event)[-3] == 'RESPONSE "parent"'


def test_a_fork_that_exits_by_exception_ends_the_child_alone(deploy):
    event = (
        deploy("""
        import os, sys
        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                sys.exit(3)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """)
        .invoke_async()
        .wait()
    )

    assert event.result == 3


@pytest.mark.parametrize("mode", ["setsid", "double fork", "shell in the background", "nohup"])
@pytest.mark.repeat
def test_an_orphan_that_holds_the_pipe_does_not_hang_the_end_and_does_not_survive(deploy, mode):
    event = deploy("""
        import os, subprocess, time
        def main_handler(event, context):
            if event == "setsid":
                pid = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
            elif event == "double fork":
                read, write = os.pipe()
                middle = os.fork()
                if middle == 0:
                    os.setsid()
                    if os.fork() == 0:
                        os.write(write, str(os.getpid()).encode())
                        os.execvp("sleep", ["sleep", "1000"])
                    os._exit(0)
                os.waitpid(middle, 0)
                pid = os.read(read, 100).decode()
            elif event == "nohup":
                pid = subprocess.Popen(["nohup", "sleep", "1000"]).pid
            else:
                read, write = os.pipe()
                subprocess.run(["sh", "-c", "sleep 1000 >&2 & echo $!"], stdout=write, check=True)
                pid = os.read(read, 100).decode()
            print(int(pid))
            os._exit(0)
    """).invoke_async(mode)
    event.wait()

    orphan = int(user_lines(event)[0])
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert short_log(event) == ["START", "INIT 0ms", str(orphan), "ERROR 439", "END", "REPORT 0ms"]
    assert is_gone(orphan)
    assert_reclaimed_for_good(event, "process exited")


def test_an_orphan_that_writes_on_does_not_hang_the_end(deploy):
    event = (
        deploy("""
        import os, subprocess
        def main_handler(event, context):
            subprocess.Popen(["yes"], start_new_session=True)
            os._exit(0)
    """)
        .invoke_async()
        .wait()
    )

    assert event.status_code == 439
    assert_reclaimed_for_good(event, "process exited")


def test_children_of_a_warm_instance_are_stopped_with_it_and_go_when_it_is_reclaimed(deploy, runtime):
    event = (
        deploy("""
        import subprocess
        def main_handler(event, context):
            return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
    """)
        .invoke_async()
        .wait()
    )
    child = event.result

    assert eventually(lambda: state_of(child) == "T")
    runtime.clock.advance(300)
    assert is_gone(child)
    assert is_gone(event.instance.pid)


def test_children_of_a_warm_instance_go_on_with_the_next_event(deploy):
    function = deploy("""
        import subprocess
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        def main_handler(event, context):
            child.stdin.write(f"{event}\\n")
            return child.stdout.readline()
    """)

    assert [function.run(word) for word in ("one", "two")] == ["one\n", "two\n"]
    assert [event.instance.cold for event in function.events] == [True, False]


def test_a_child_finds_the_environment_of_the_platform_and_not_that_of_the_host(deploy, monkeypatch):
    monkeypatch.setenv("HOST_SECRET", "hidden")
    event = deploy("""
        import subprocess
        def main_handler(event, context):
            text = subprocess.run(["env"], capture_output=True, text=True).stdout
            return dict(line.split("=", 1) for line in text.splitlines())
    """, environment={"OWN": "value"}).invoke_async().wait()  # fmt: skip

    assert event.result["OWN"] == "value"
    assert event.result["TENCENTCLOUD_RUNENV"] == "SCF"
    assert "HOST_SECRET" not in event.result


def test_the_end_of_the_runtime_ends_children_too(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(
        """
        import subprocess
        def main_handler(event, context):
            return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
        """,
        to=runtime,
    ).invoke_async()
    child = event.wait().result

    runtime.close()

    assert is_gone(child)
    assert not os.path.exists(event.instance.tmp)
