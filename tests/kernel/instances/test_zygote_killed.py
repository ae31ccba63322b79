"""The zygote is killed from outside: one clear error, no call hangs, nothing is left, and the next instance starts."""

from __future__ import annotations

import os
import signal

import pytest
from image_support import program
from internals import Zygote, event_of, pool_of, procfs
from process_support import END_OF_ZYGOTE, eventually, family_is_gone, grow_impatient, is_gone, mark_of, preforked_pid

from pytest_scf_async import CannotEndError, GateNotReachedError, HarnessError, ScfApiError

# once: what detects the end of a process, and how: the same on all Pythons
pytestmark = pytest.mark.once

HANDLERS = {
    "waits": "time.sleep(3600)",
    "has a child": "subprocess.run(['sleep', '1000'])",
    "computes": "while True: pass",
}
FAST = "def main_handler(event, context): return 1"
SERVES = """
def handle(event, request):
    print("started", flush=True)
    time.sleep(3600)
"""


def handler(works: str) -> str:
    return f"""
import subprocess, time
def main_handler(event, context):
    print("started")
    {works}
"""


@pytest.fixture
def started(deploy, deploy_traced, deploy_in_process):
    """Start an event of that kind of function, as far as its first line; gives it, and all its processes.

    The last is the one that was forked ahead meanwhile: in its first moments it has the zygote's connection, too.
    """

    def start(kind: str, to):
        if kind in HANDLERS:
            function = deploy(handler(HANDLERS[kind]), to=to)
        else:
            function = (deploy_traced if kind == "a program" else deploy_in_process)(program(SERVES), to=to)
        event = function.invoke_async()
        event.wait_for_log("started")
        ready = preforked_pid(event_of(event).instance.zygote)
        assert ready > 0
        return event, [event.instance.pid, *procfs.descendants_of(event.instance.pid), ready]

    return start


KINDS = [*HANDLERS, "a program", "a program in the instance's process"]
CALLS = {
    "wait": lambda _, event: event.wait(),
    "settle": lambda _, event: event.settle(),
    "wait_for_log": lambda _, event: event.wait_for_log("never"),
    "terminate": lambda _, event: event.terminate(),
    "terminate gracefully": lambda _, event: event.terminate(grace_shutdown=True),
    "advance": lambda runtime, _: runtime.clock.advance(1),
    "another event": lambda runtime, event: runtime.functions[event.function_name].invoke_async().wait(),
    "status": lambda _, event: event.status,
}
EACH_CALL = [(kind, call) for kind in ("waits", "a program") for call in CALLS]


def zygote_of(event) -> int:
    return event_of(event).instance.zygote.pid


def kill_with_all(zygote: int, pids: list[int]) -> None:
    """Kill the zygote, and see its end and that of all that it has forked."""
    mark = mark_of(zygote)
    os.kill(zygote, signal.SIGKILL)
    assert eventually(lambda: family_is_gone(zygote, mark) and all(map(is_gone, pids)))


@pytest.mark.sandbox  # the instances of a killed zygote have its mounts
@pytest.mark.parametrize(
    ("kind", "call"), [*EACH_CALL, *((kind, "wait") for kind in KINDS if kind not in dict(EACH_CALL))]
)
def test_the_first_call_after_its_end_raises_and_the_next_instance_starts(deploy, runtime, started, kind, call):
    event, pids = started(kind, runtime)
    zygote = zygote_of(event)
    kill_with_all(zygote, pids)

    with pytest.raises(HarnessError, match=END_OF_ZYGOTE):
        CALLS[call](runtime, event)

    assert (event.status, event.status_code, event.instance.doing) == ("FAILED", 439, "ended")
    assert deploy(FAST).run() == 1
    assert not event.instance.alive


@pytest.mark.parametrize(
    ("kind", "call"),
    # Without namespaces such a program has the port until that has been detected.
    [each for each in EACH_CALL if each != ("a program", "another event")],
)
def test_a_call_in_the_very_moment_ends_with_that_error_or_as_if_nothing_were(runtime, started, kind, call):
    """The instance ends a moment after its zygote; until then it may go on."""
    event, pids = started(kind, runtime)
    zygote = zygote_of(event)
    grow_impatient(runtime, real_timeout=30)
    os.kill(zygote, signal.SIGKILL)

    try:
        CALLS[call](runtime, event)
    except HarnessError as error:
        assert str(error).startswith(END_OF_ZYGOTE)  # noqa: PT017  (it may be raised, or not)
    except (ScfApiError, GateNotReachedError):
        assert event_of(event).ended  # without a look, which may find the zygote's end only now
    except CannotEndError as error:  # its process had been forked ahead, and waits while the first event is gated
        assert call == "another event"
        assert "is stopped at wait_for_log('started')" in str(error)  # noqa: PT017  (as above)
    assert eventually(lambda: all(map(is_gone, [zygote, *pids])))
    runtime.close()


@pytest.mark.parametrize("how", ["is closed", "starts the next one"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_runtimes_learn_of_it_whichever_is_first(deploy, make_runtime, started, kind, how):
    """The runtime that notices its end closes the connection to it, so others never see its end there."""
    one, other = make_runtime(), make_runtime()
    event, pids = started(kind, one)
    zygote = zygote_of(event)
    kill_with_all(zygote, pids)
    if how == "is closed":
        other.close()
    else:
        assert deploy(FAST, to=other).run() == 1

    with pytest.raises(HarnessError, match=END_OF_ZYGOTE):
        event.wait()

    assert event.status_code == 439
    assert deploy(FAST, to=one).run() == 1


def test_an_instance_that_another_one_finds_dead_as_it_starts_is_reported(deploy, runtime, started, monkeypatch):
    event, pids = started("waits", runtime)
    zygote = zygote_of(event)
    spawn = pool_of(runtime)._spawn

    def kills_first(*given):
        kill_with_all(zygote, pids)
        return spawn(*given)

    monkeypatch.setattr(pool_of(runtime), "_spawn", kills_first)
    other = deploy(FAST).invoke_async()

    with pytest.raises(HarnessError, match=END_OF_ZYGOTE):
        runtime.wait_all([event, other])

    assert [each.status for each in runtime.wait_all([event, other])] == ["FAILED", "FINISHED"]


def test_one_that_is_known_to_be_dead_when_its_instance_is_there_is_reported(
    deploy, runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is received between the request and the first look at what it says: its connection is not closed yet."""
    zygote = pool_of(runtime).sandboxes.zygote()
    add = pool_of(runtime)._add

    def dies_first(instance):
        os.kill(zygote.pid, signal.SIGKILL)
        assert zygote.receive_until(lambda: not zygote.alive, 60) or not zygote.alive
        add(instance)

    monkeypatch.setattr(pool_of(runtime), "_add", dies_first)
    event = deploy("def main_handler(event, context): return 2").invoke_async()

    with pytest.raises(HarnessError, match=END_OF_ZYGOTE):
        event.wait()

    monkeypatch.undo()
    assert deploy(FAST).run() == 1


def test_a_process_that_was_forked_ahead_is_not_used(deploy, make_runtime):
    before = make_runtime()
    zygote = pool_of(before).sandboxes.zygote()
    deploy(FAST, to=before).run()
    before.close()
    ready = preforked_pid(zygote)
    assert ready > 0
    os.kill(zygote.pid, signal.SIGKILL)
    assert eventually(lambda: is_gone(zygote.pid) and is_gone(ready))

    runtime = make_runtime()

    assert deploy(FAST, to=runtime).run() == 1
    assert pool_of(runtime).sandboxes.zygote() is not zygote


def test_a_zygote_that_says_nothing_of_the_end_of_an_instance_ends_a_call_all_the_same(runtime, started, monkeypatch):
    """The instance could move the clock by itself when it was killed, so that it had still to report how far it was."""
    event, pids = started("computes", runtime)
    zygote = zygote_of(event)
    monkeypatch.setattr(Zygote, "go_on", lambda _: None)
    os.kill(zygote, signal.SIGSTOP)
    try:
        os.kill(pids[0], signal.SIGKILL)
        grow_impatient(runtime)
        with pytest.raises(CannotEndError, match=r"nothing has happened for 0\.3 real seconds"):
            event.wait()
    finally:
        os.kill(zygote, signal.SIGCONT)
    assert event.wait().status_code == 439
