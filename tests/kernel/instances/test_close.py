"""What the end of a runtime waits for: the ends of processes that a test could notice, and no others."""

from __future__ import annotations

import os
import socket

import pytest
from free_ports import free_port
from internals import Zygote, pool_of, preforked_of
from process_support import end_preforked, eventually, is_gone, preforked_pid

# once: what the harness waits for is the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

HANDLER = """
    import os, socket, subprocess, sys, time
    kept = []

    def main_handler(event, context):
        {does}
        return os.getpid()
"""


@pytest.fixture
def waits_for(monkeypatch) -> list[object]:
    """Grows by one with each wait for a message of the zygote."""
    waits: list[object] = []
    receive_until = Zygote.receive_until

    def counted(zygote: Zygote, fact, seconds: float) -> bool:
        waits.append(fact)
        return receive_until(zygote, fact, seconds)

    monkeypatch.setattr(Zygote, "receive_until", counted)
    return waits


def test_nobody_waits_for_the_death_of_an_instance_that_stands_still(deploy, make_runtime, waits_for) -> None:
    runtime = make_runtime()
    zygote = pool_of(runtime).sandboxes.zygote()
    end_preforked(zygote)
    function = deploy(HANDLER.format(does="time.sleep(1)"), to=runtime)
    events = [function.invoke_async() for _ in range(2)]
    runtime.wait_all(events)
    pids = [event.instance.pid for event in events]
    waits_for.clear()

    runtime.close()

    assert waits_for == []
    assert [(event.instance.alive, event.instance.doing) for event in events] == [(False, "ended")] * 2
    assert eventually(lambda: all(map(is_gone, pids)))  # the zygote has reaped them
    preforked = preforked_of(zygote)
    assert set(zygote.listeners) == ({preforked.number} if preforked else set())
    zygote.pump()  # no runtime receives what it reports of them any more


@pytest.mark.parametrize(
    "does",
    [
        "kept.append(socket.create_server(('127.0.0.1', PORT)))",
        "kept.append(open(__file__))",
        "kept.append(subprocess.Popen(['/bin/sleep', '1000']))",
    ],
    ids=["a port", "a file", "a child"],
)
def test_what_another_process_could_see_is_gone(deploy, make_runtime, waits_for, does) -> None:
    """After it closes its runtime a test may bind the port, lock the file, or check the process."""
    port = free_port()
    runtime = make_runtime()
    event = deploy(
        HANDLER.format(does=does.replace("PORT", str(port))), to=runtime, background=["sleep"]
    ).invoke_async()
    event.wait()
    assert event.status == "FINISHED"
    waits_for.clear()

    runtime.close()

    assert len(waits_for) == 1
    assert is_gone(event.result)
    socket.create_server(("127.0.0.1", port)).close()


def test_an_instance_that_runs_is_gone(deploy, make_runtime, waits_for) -> None:
    runtime = make_runtime()
    event = deploy(HANDLER.format(does="time.sleep(1)"), to=runtime).invoke_async()
    event.settle()
    pid = event.instance.pid
    waits_for.clear()

    runtime.close()

    assert len(waits_for) == 1
    assert is_gone(pid)


def test_a_reclaim_waits(deploy, runtime, waits_for) -> None:
    """After the reclaim the test finds the same as on the platform: the instance and its disk are gone."""
    pid = deploy(HANDLER.format(does="pass")).run()
    waits_for.clear()

    runtime.clock.advance(300)

    assert len(waits_for) == 1
    assert is_gone(pid)


def test_nothing_is_left_of_it_at_the_end_of_a_session(deploy, make_runtime) -> None:
    """Whether the kernel has taken it away by then or not."""
    runtime = make_runtime()
    pid = deploy(HANDLER.format(does="pass"), to=runtime).run()
    zygote = pool_of(runtime).sandboxes.zygote()
    ready = preforked_pid(zygote)

    runtime.close()
    zygote.close()

    assert [each for each in (pid, ready, zygote.pid, zygote.process.pid) if os.path.exists(f"/proc/{each}")] == []
