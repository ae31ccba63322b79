"""Containers of an engine that forwards their ports, as docker does: here a stub of the ``docker`` command."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from free_ports import free_port
from image_support import LISTENER, program
from process_support import eventually, is_gone, user_lines

from pytest_scf_async import assert_finished, assert_reused, assert_terminated, assert_timed_out
from pytest_scf_async.errors import ScfAsyncWarning, ScfUsageError

# once: what an engine does is the same, whatever Python the tests run on
pytestmark = pytest.mark.once


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """The words with which it was called, while it is the only engine; ``program.py`` in *tmp_path* is the program."""
    path = tmp_path / "path"
    path.mkdir()
    stub = path / "docker"
    source = Path(__file__).with_name("docker_stub.py").read_text(encoding="utf-8")
    stub.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("STUB_PLACE", str(tmp_path))
    return lambda: [json.loads(line) for line in (tmp_path / "calls").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def deploy(runtime, docker, tmp_path):
    def deploy(source, **options):
        port = free_port()
        (tmp_path / "program.py").write_text(program(source, port=port, server="ThreadingHTTPServer"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScfAsyncWarning)  # that it is free-running: reported once in a process
            return runtime.deploy_image(image="shop/export:1", port=port, **options)

    return deploy


def test_its_events_come_by_way_of_the_engine(deploy, docker, tmp_path):
    late = "time.sleep(0.3)\ndef handle(event, request): return [event, os.environ['OWN']]"  # it listens a little later
    function = deploy(late, environment={"OWN": "x y=z"})

    assert function.run({"a": 1}) == [{"a": 1}, "x y=z"]
    assert_reused(function.invoke_async().wait())
    (run,) = [words for words in docker() if words[0] == "run"]
    assert {"--rm", "--pull=never"} <= set(run)
    assert not any(word.startswith(("--network", "--env=PATH", "--env=HOME")) for word in run)
    assert run[-1] == "shop/export:1"


@pytest.mark.parametrize("unread", [True, False])
def test_its_container_is_removed_whatever_its_instance_had_not_read(docker, tmp_path, unread):
    """An instance may be killed before it has read what the shim has sent to it."""
    (tmp_path / "program.py").write_text("import time; time.sleep(1000)")
    options = [f"--publish=127.0.0.1:{free_port()}:{free_port()}"]
    container = json.dumps([["docker"], "export", options, "shop/export:1", [], str(tmp_path / "place")])
    asked = {"traced": False, "network_of": 0, "environment": {}}
    instance, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control, its_control = socket.socketpair()
    owner = os.pidfd_open(os.getpid())
    fds = (owner, its_end.fileno(), its_control.fileno())
    words = [*map(str, fds), container]
    code = f"from pytest_scf_async.programs import container_shim; container_shim.main({words})"
    with instance, its_end, control, its_control:
        shim = subprocess.Popen([sys.executable, "-c", code], pass_fds=fds, stderr=subprocess.PIPE, text=True)
        try:
            its_end.close()
            instance.send(json.dumps(asked).encode())
            assert select.select([instance], [], [], 60)[0]
            if not unread:
                assert "pid" in json.loads(instance.recv(1_000))
            instance.close()
            _, written = shim.communicate(timeout=60)
        finally:
            shim.kill()
            shim.communicate()
            os.close(owner)
    assert written == ""
    assert [words[0] for words in docker() if words[0] != "inspect"] == ["run", "rm"]


def test_its_signals_and_its_ends(runtime, deploy, docker, tmp_path):
    function = deploy(LISTENER, timeout=100)
    event = function.invoke_async()
    event.wait_for_log("working")
    event.terminate(grace_shutdown=True)
    assert_finished(event.wait())
    assert "signal 15" in user_lines(event)

    event = function.invoke_async()
    event.wait_for_log("working")
    runtime.clock.advance(100)
    assert_timed_out(event)

    event = function.invoke_async()
    event.wait_for_log("working")
    pid = event.instance.pid
    event.terminate()
    assert_terminated(event)
    assert eventually(lambda: is_gone(pid))
    assert eventually(lambda: [words[0] for words in docker()].count("rm") == 2)  # the shim outlives its container


def test_what_a_container_beside_the_network_of_its_instance_cannot_have(deploy):
    with pytest.raises(ScfUsageError) as raised:
        deploy("", ports=[6379]).invoke_async().wait()

    assert str(raised.value) == (
        "ports=[6379] (deploy_image(...)) is not available for 'shop/export:1': only podman, run by root, with "
        'network="loopback", puts a container into the network of its instance'
    )


# -- bad input -------------------------------------------------------------------------------------------------------


def refused(runtime, **options):
    with pytest.raises(ScfUsageError) as raised:
        runtime.deploy_image(**options)
    return str(raised.value)


def test_without_an_engine(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert refused(runtime, image="shop/export:1") == (
        "image='shop/export:1' (deploy_image(...)) needs a container engine, and neither podman nor docker is on the "
        "PATH: install one (Debian and Ubuntu: apt-get install podman), or give the program that the image starts, as "
        'in command=["python", "app.py"]'
    )


@pytest.mark.parametrize("image", ["", "--privileged", "shop/export 1", 7])
def test_what_is_no_name_of_an_image(runtime, docker, image):
    assert refused(runtime, image=image) == (
        f"image={image!r} (deploy_image(...)) is not valid: it must be the name of an image, "
        'as in image="shop/export:1"'
    )


def test_what_goes_with_no_image(runtime, docker):
    assert refused(runtime, image="a:1", cwd="/x") == (
        "cwd='/x' (deploy_image(...)) is not valid with image=, which has a directory of its own (WORKDIR)"
    )
    assert refused(runtime, image="a:1", before_init=f"{__file__}:refused") == (
        f"before_init='{__file__}:refused' (deploy_image(...)) is called in the Python process of an instance, and "
        "'a:1' runs in a container: have environment= point it to a fake server of the test instead"
    )
