"""Images in containers of podman: each end, signals, lines, disk and network, and that nothing is left of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from internals import Zygote
from process_support import (
    RECEIVED,
    assert_kept,
    eventually,
    is_gone,
    state_of,
    user_lines,
)
from program_internals import container

from pytest_scf_async import (
    assert_finished,
    assert_nothing_lost,
    assert_reclaimed,
    assert_reused,
    assert_stopped_within,
    assert_terminated,
    assert_timed_out,
    assert_user_exit,
)
from pytest_scf_async.errors import ScfAsyncWarning, ScfUsageError

# once: what an engine does is the same, whatever Python the tests run on
pytestmark = [pytest.mark.once, pytest.mark.go, pytest.mark.podman]

SOURCE = Path(__file__).parents[2] / "handlers" / "container"


@pytest.fixture(scope="module")
def podman():
    path = shutil.which("podman")
    assert path is not None
    return container.Engine("podman", path)


@pytest.fixture(scope="module")
def image(podman, tmp_path_factory):
    """The image of the program for tests, built without a network."""
    directory = tmp_path_factory.mktemp("image")
    name = f"localhost/pytest-scf-async-{os.getpid()}:tests"
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", directory / "program", "."], cwd=SOURCE, env=environment, check=True)
    shutil.copy(SOURCE / "Containerfile", directory)
    built = podman.ask("build", "--quiet", "--tag", name, str(directory))
    assert built.returncode == 0, built.stderr
    yield name
    podman.ask("rmi", "--force", name)


@pytest.fixture
def deploy(runtime, image):
    """On simulated time."""
    return lambda **options: runtime.deploy_image(image=image, **options)


@pytest.fixture
def deploy_free(deploy, monkeypatch):
    """Where programs cannot be traced: in real time."""

    def deploy_free(**options):
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            patch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
            warnings.simplefilter("ignore", ScfAsyncWarning)  # that it is free-running: reported once in a process
            return deploy(**options)

    return deploy_free


@pytest.fixture(params=["traced", "free-running"])
def deploy_any(request, deploy, deploy_free):
    return deploy if request.param == "traced" else deploy_free


def containers(podman, owner=None):
    """The containers of this session, or of the process *owner*."""
    label = f"{container.LABEL}={container.owner_of(os.getpid()) if owner is None else owner}"
    return podman.ask("ps", "--all", "--quiet", "--filter", f"label={label}").stdout.split()


def test_its_instance_is_a_container_of_its_own_that_is_used_again(runtime, deploy_any, podman):
    function = deploy_any(environment={"OWN": "variable"})

    first = function.invoke_async({"Write": "/tmp/file", "Env": "OWN"}).wait()

    assert (first.result, user_lines(first)) == ("variable", ["the last line"])
    assert Path(first.instance.tmp, "file").read_text(encoding="utf-8") == "kept"
    assert len(containers(podman)) == 1
    assert state_of(first.instance.pid) in ("T", "t")  # frozen, as it has no event
    second = function.invoke_async({"Env": "OF_THE_IMAGE", "Dial": "1.2.3.4:80"}).wait()
    assert (second.result, user_lines(second)) == ("dial tcp 1.2.3.4:80: connect: network is unreachable", [])
    assert_reused(second)
    assert function.run({"Env": "OF_THE_IMAGE"}) == "yes"
    assert function.run({"Env": "SCF_FUNCTIONNAME"}) == function.name
    assert function.run({"Env": "HOME"}) == "/"  # nothing of the host's
    with pytest.raises(AssertionError, match="file"):
        assert_nothing_lost(second)
    runtime.clock.advance(runtime.settings.idle_reclaim)
    assert second.instance.lost_files == ("file",)
    assert containers(podman) == []


def test_it_is_terminated_at_the_very_instant_and_the_very_line(runtime, deploy, podman):
    function = deploy()
    event = function.invoke_async({"Seconds": 86_400, "Step": 600})
    runtime.clock.advance(36_000)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert event.result == "stopped after 10h0m0s"
    assert_stopped_within(event, seconds=0)
    assert user_lines(event)[-1] == "step 60"
    assert [signal.disposition for signal in event.signals] == ["native"]  # Go's runtime catches it
    event = function.invoke_async({"Seconds": 86_400, "Step": 3_600})
    event.wait_for_log("step 3")
    event.terminate(grace_shutdown=True)
    assert event.wait().result == "stopped after 3h0m0s"
    assert user_lines(event)[-1] == "step 3"
    assert_reused(event)
    event = function.invoke_async({"Seconds": 86_400, "Step": 3_600}).wait()
    assert event.duration == timedelta(days=1)


def test_each_way_in_which_a_termination_ends_it(deploy_any, podman):
    event = deploy_any(name="returns").invoke_async({"Seconds": 60})
    event.wait_for_log("step 2")
    event.terminate(grace_shutdown=True)
    assert_finished(event.wait())
    assert_stopped_within(event, seconds=30)
    assert_kept(event)
    lines = [line.text for line in event.log]
    assert lines.index(RECEIVED) - lines.index("step 2") == 1

    for at_sigterm, code in (("exits", "exit code 0"), ("default", "killed by SIGTERM (signal 15)")):
        event = deploy_any(name=at_sigterm, environment={"AT_SIGTERM": at_sigterm}).invoke_async({"Seconds": 60})
        event.wait_for_log("step 1")
        event.terminate(grace_shutdown=True)
        assert_user_exit(event.wait())
        assert f"the process ended: {code}" in event.timeline
        assert_reclaimed(event)

    event = deploy_any(name="forced").invoke_async({"Seconds": 60})
    event.wait_for_log("step 1")
    pid = event.instance.pid
    event.terminate()
    assert_terminated(event)
    assert is_gone(pid)
    assert len(containers(podman)) == 1  # of the first one, which is idle


def test_a_timeout_and_an_exit_by_itself(runtime, deploy_any, podman):
    event = deploy_any(name="slow", timeout=100).invoke_async({"Seconds": 1000, "Step": 0.1})
    event.settle()
    runtime.clock.advance(100)
    assert_timed_out(event)

    event = deploy_any(name="ends").invoke_async({"Exit": 3}).wait()
    assert_user_exit(event)
    assert "the process ended: exit code 3" in event.timeline
    assert containers(podman) == []


def test_a_job_is_a_container_for_each_event(deploy_any, podman):
    function = deploy_any(port=-1, environment={"OWN": "variable"})

    event = function.invoke_async({"Env": "OWN", "Seconds": 0.2}).wait()
    assert_finished(event, result=None)
    assert user_lines(event) == ["step 0", "step 1", "the last line", "answer: variable"]
    assert_user_exit(function.invoke_async({"Exit": 3}).wait())
    too_long = function.invoke_async("x" * (128 * 1024 - 10)).wait()
    assert too_long.status_code == 445
    assert "Argument list too long" in str(too_long.log)
    assert containers(podman) == []


def test_what_cannot_be_started(deploy_any, podman):
    function = deploy_any(command=["/nothing", "there"])

    event = function.invoke_async().wait()

    assert event.status == "FAILED"
    assert "the container could not be started (exit code 127)" in str(event.log)
    assert "/nothing" in str(event.log)  # in the words of the engine
    assert containers(podman) == []


SESSION = """
    import os, signal, sys, warnings
    from pytest_scf_async import ScfRuntime
    from pytest_scf_async.instances.zygote import Zygote
    from pytest_scf_async.linux import procfs

    warnings.simplefilter("ignore")
    if "free-running" in sys.argv:
        Zygote.why_untraced = lambda _: "a test says so"
    with ScfRuntime() as runtime:
        event = runtime.deploy_image(image=sys.argv[1]).invoke_async({"Seconds": 1000, "Step": 0.1})
        event.wait_for_log("step 1")
        if "shim" in sys.argv[2:]:
            for pid in procfs.children_of(os.getpid()):
                if b"programs.container_shim" in procfs.command_of(pid):
                    os.kill(pid, signal.SIGKILL)
        if "session" in sys.argv[2:]:
            os.kill(os.getpid(), signal.SIGKILL)
        event.terminate()
"""


def session(image, *killed, kind="traced"):
    """Who owned the container of a session that ran an event, and of which some processes were *killed* meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SESSION), image, kind, *killed])
    owner = container.owner_of(process.pid)
    assert process.wait() == (-signal.SIGKILL if "session" in killed else 0)
    return owner


def test_nothing_is_left_of_a_session_that_was_killed(deploy, image, podman):
    mine = deploy().invoke_async({"Seconds": 1000})
    mine.wait_for_log("step 1")

    for kind, killed in (("traced", ["session"]), ("free-running", ["session"]), ("traced", ["shim", "session"])):
        owner = session(image, *killed, kind=kind)
        assert eventually(lambda owner=owner: containers(podman, owner) == [])

    owner = session(image, "shim", "session", kind="free-running")
    assert len(containers(podman, owner)) == 1
    session(image)  # the next one removes it, and none of those whose sessions are there
    assert containers(podman, owner) == []
    assert len(containers(podman)) == 1
    mine.terminate()


# -- bad input -------------------------------------------------------------------------------------------------------


def test_an_image_that_is_not_there(runtime, podman):
    with pytest.raises(ScfUsageError) as raised:
        runtime.deploy_image(image="localhost/nothing:1")

    text = str(raised.value)
    assert text.startswith(
        "image='localhost/nothing:1' (deploy_image(...)) is not on this machine, and images are never pulled: run "
        "podman build or podman pull before the tests (podman says: "
    )


def test_an_image_without_a_program(runtime, podman, tmp_path):
    archive = tmp_path / "empty.tar"
    subprocess.run(["tar", "-cf", archive, "-T", "/dev/null"], check=True)
    name = f"localhost/pytest-scf-async-{os.getpid()}:empty"
    assert podman.ask("import", str(archive), name).returncode == 0
    try:
        with pytest.raises(ScfUsageError, match=r"names no program to start \(ENTRYPOINT, CMD\): give command=\[...\]"):
            runtime.deploy_image(image=name)
    finally:
        podman.ask("rmi", "--force", name)
