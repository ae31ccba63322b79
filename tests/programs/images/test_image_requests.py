"""What the program of an image is sent, and what it finds around itself."""

from __future__ import annotations

import os
import sys

import pytest
from image_support import program

pytestmark = pytest.mark.sandbox

HEADERS = """
def handle(event, request):
    return [[request.command, request.path, request.request_version], list(request.headers.items())]
"""
ENVIRONMENT = "def handle(event, request): return dict(os.environ)"


def test_what_would_leave_the_machine_is_refused_in_the_words_of_images(deploy_in_process):
    function = deploy_in_process(
        program("""
            import socket
            def handle(event, request):
                try:
                    socket.create_connection(("192.0.2.1", 80))
                except OSError as error:
                    return str(error)
        """)
    )

    assert "Replace it with a fake in deploy_image(..., before_init=...), or allow it with " in function.run()


def the_headers(event, function, **changed):
    """Those that the platform sends, in its words and units."""
    return {
        "Host": "127.0.0.1:9000",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": "2",
        "X-Scf-Request-Id": event.request_id,
        "X-Scf-Memory": "128",
        "X-Scf-Timeout": "86400000",
        "X-Scf-Version": "$LATEST",
        "X-Scf-Name": function.name,
        "X-Scf-Namespace": "default",
        "X-Scf-Region": "ap-guangzhou",
        "X-Scf-Appid": "1250000000",
        "X-Scf-Uin": "100000000000",
        "X-Scf-Session-Token": "scf-async-session-token-until-20260101T060000Z",
        "X-Scf-Secret-Id": "scf-async-secret-id-until-20260101T060000Z",
        "X-Scf-Secret-Key": "scf-async-secret-key-until-20260101T060000Z",
        **changed,
    }


def test_an_event_is_a_post_with_the_platforms_headers(deploy_image):
    function = deploy_image(program(HEADERS))

    event = function.invoke_async().wait()

    first, headers = event.result
    assert first == ["POST", "/event-invoke", "HTTP/1.1"]
    assert dict(headers) == the_headers(event, function)
    assert len(headers) == len(dict(headers))


def test_an_event_of_a_timer_trigger_says_so(deploy_image):
    function = deploy_image(program(HEADERS))

    timer = function.invoke_async(invoke_type="TRIGGER_TIMER").wait()
    other = function.invoke_async(invoke_type="COS").wait()

    assert dict(timer.result[1])["X-Scf-Trigger-Src"] == "Timer"
    assert other.instance.cold is False
    assert "X-Scf-Trigger-Src" not in dict(other.result[1])


def test_the_credentials_of_a_later_event_are_new_ones(deploy_image, runtime):
    function = deploy_image(program(HEADERS))
    function.run()
    runtime.clock.advance(60)

    assert dict(function.run()[1])["X-Scf-Secret-Id"] == "scf-async-secret-id-until-20260101T060100Z"


def test_the_timeout_is_in_ms_and_the_memory_in_mb(deploy_image):
    function = deploy_image(
        program(HEADERS), name="pictures", namespace="shop", timeout=90, memory=256, environment={"KEY": "1"}
    )

    event = function.invoke_async({"a": "ü"}).wait()

    changed = {"X-Scf-Timeout": "90000", "X-Scf-Memory": "256", "X-Scf-Name": "pictures", "X-Scf-Namespace": "shop"}
    assert dict(event.result[1]) == the_headers(event, function, **changed, **{"Content-Length": "11"})


def test_a_published_version_is_named(deploy_image):
    function = deploy_image(program(HEADERS))
    version = function.publish_version()

    event = function.invoke_async(qualifier=version).wait()

    assert dict(event.result[1])["X-Scf-Version"] == version == "1"


def the_environment(mounted, event, **more):
    """What a program finds, and nothing else: what the platform gives it, and what an image has from itself."""
    tmp = {} if mounted else {"TMPDIR": str(event.instance.tmp)}
    return {
        "TENCENTCLOUD_RUNENV": "SCF",
        "USER_CODE_ROOT": "/var/user/",
        "USER": "qcloud",
        "SCF_FUNCTIONNAME": "app",
        "SCF_FUNCTIONVERSION": "$LATEST",
        "TENCENTCLOUD_REGION": "ap-guangzhou",
        "TENCENTCLOUD_APPID": "1250000000",
        "TENCENTCLOUD_UIN": "100000000000",
        "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": tmp.get("TMPDIR", "/tmp"),
        "LANG": "C.UTF-8",
        **tmp,
        **more,
    }


def test_a_program_finds_this_environment_and_nothing_of_the_machines(deploy_image, mounted, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the host")
    function = deploy_image(program(ENVIRONMENT), environment={"MODE": "ü"})

    event = function.invoke_async().wait()

    found = event.result
    assert found.pop("HOSTNAME").startswith("scf-async-")
    assert found.pop("PYTEST_SCF_ASYNC_OWNER")  # by which it is found should everything else be killed
    assert found == the_environment(mounted, event, MODE="ü")


def test_a_free_running_program_finds_the_same(deploy_free, mounted, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the host")
    function = deploy_free(program(ENVIRONMENT), environment={"MODE": "ü"})

    event = function.invoke_async().wait()

    found = event.result
    assert found.pop("HOSTNAME").startswith("scf-async-")
    assert found.pop("PYTEST_SCF_ASYNC_OWNER")
    assert found == the_environment(mounted, event, MODE="ü")


def test_variables_of_a_function_come_before_those_of_the_image(deploy_image):
    own = {"PATH": "/nowhere", "HOME": "/home/me", "TZ": "Asia/Tokyo"}
    function = deploy_image(program(ENVIRONMENT), environment=own)

    found = function.invoke_async().wait().result

    assert {name: found[name] for name in own} == own


def test_each_instance_has_its_own_tmp(deploy_in_process):
    """Run in the instance, three of them need no network of their own to listen on the same port."""
    handle = """
    def handle(event, request):
        import tempfile
        path = os.path.join(tempfile.gettempdir(), "state")
        before = os.path.exists(path)
        open(path, "w").close()
        time.sleep(1)
        return before
    """
    function = deploy_in_process(program(handle))
    events = [function.invoke_async() for _ in range(3)]

    assert [event.wait().result for event in events] == [False, False, False]
    assert function.invoke_async().wait().result is True


def test_output_of_a_program_is_the_log(deploy_in_process):
    handle = """
    def handle(event, request):
        print("to stdout", flush=True)
        print("to stderr", file=sys.stderr)
        os.write(1, b"to the descriptor\\n")
        time.sleep(1)
        print("kept in a buffer")
    """
    event = deploy_in_process(program(handle)).invoke_async().wait()

    assert [line.text for line in event.log if line.source == "Custom"] == [
        "to stdout",
        "to stderr",
        "to the descriptor",
        "kept in a buffer",
    ]


def test_the_client_is_another_machine_of_the_loopback(deploy_image):
    handle = "def handle(event, request): return request.client_address[0]"
    event = deploy_image(program(handle)).invoke_async().wait()

    assert event.result == "127.0.0.3"
