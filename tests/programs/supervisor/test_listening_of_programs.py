"""``wait_until_listening`` of supervised programs: they stand behind the call that installs a handler of SIGTERM."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from process_support import START, user_lines
from signal_programs import LISTENS, NODE, works

from pytest_scf_async import assert_signal_handled
from pytest_scf_async.errors import GateNotReachedError, ScfUsageError

# once: what a program does with a signal is the same, whatever Python runs the tests
pytestmark = pytest.mark.once

LATE = "time.sleep(3)\nprint('begins', flush=True)\n" + LISTENS + "\nprint('listens', flush=True)"
ASYNCIO = """
import asyncio

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "signal")
    print("listens", flush=True)

time.sleep(3)
print("begins", flush=True)
asyncio.run(main())
signal.signal(signal.SIGTERM, on_sigterm)
"""
SERVES = "python app.py & wait"


@pytest.mark.parametrize("setup", [LATE, ASYNCIO], ids=["signal.signal", "asyncio"])
def test_a_program_in_python_stands_behind_the_call(deploy_image, runtime, setup):
    event = deploy_image(works(setup)).invoke_async().wait_until_listening()

    assert (event.doing, user_lines(event), runtime.clock.now) == ("gated", ["begins"], START + timedelta(seconds=3))
    event.settle()
    assert (event.doing, user_lines(event)) == ("parked", ["begins", "listens"])
    assert event.wait_until_listening().doing == "parked"


def test_a_sigterm_meets_the_handler_that_has_just_been_installed(deploy_image):
    event = deploy_image(works(LATE)).invoke_async().wait_until_listening()

    event.terminate(grace_shutdown=True)

    assert (event.doing, user_lines(event), event.signals[0].disposition) == ("gated", ["begins"], "handler")
    assert_signal_handled(event)
    assert event.wait().result == 0
    assert user_lines(event) == ["begins", "signal", "listens"]
    assert event.signals[0].entered_at == event.signals[0].left_at == event.ended_at == START + timedelta(seconds=3)


@pytest.mark.parametrize("interpreter", ["sh", "bash"])
def test_a_shell_stands_behind_its_trap(deploy_image, runtime, interpreter):
    script = f"sleep 3; echo begins; trap 'echo trapped; exit 3' TERM; echo listens; {SERVES}"
    event = deploy_image(works("pass"), command=[interpreter, "-c", script]).invoke_async().wait_until_listening()

    assert (event.doing, user_lines(event), runtime.clock.now) == ("gated", ["begins"], START + timedelta(seconds=3))
    event.terminate(grace_shutdown=True)
    assert (event.doing, event.signals[0].disposition) == ("gated", "handler")
    event.wait()
    assert (event.status_code, user_lines(event)) == (439, ["begins", "trapped"])


def test_a_warm_program_listens_since_an_earlier_event_and_stands_before_it_is_given_the_next(deploy_image):
    function = deploy_image(works(LISTENS))
    assert function.run() == 20

    event = function.invoke_async().wait_until_listening()

    assert (event.doing, event.instance.cold, user_lines(event)) == ("gated", False, [])
    event.terminate(grace_shutdown=True)
    assert event.doing == "gated"
    assert_signal_handled(event)
    assert (event.wait().result, user_lines(event)) == (0, ["signal"])


def test_a_handler_that_is_taken_away_does_not_count(deploy_image):
    setup = f"{LISTENS}\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)\nprint('not listening', flush=True)\n{LISTENS}"
    event = deploy_image(works(setup)).invoke_async().wait_for_log("not listening")

    event.wait_until_listening()

    assert (event.doing, user_lines(event)) == ("gated", ["not listening"])


def test_a_program_that_never_listens_is_an_error_with_what_is_missing(deploy_image):
    event = deploy_image(works("signal.signal(signal.SIGTERM, signal.SIG_IGN)")).invoke_async()

    with pytest.raises(GateNotReachedError) as refusal:
        event.wait_until_listening()

    assert str(refusal.value).startswith(
        f"event {event.request_id} of app is FINISHED (200) and never reached wait_until_listening(); user code never "
        "called sigaction(SIGTERM) with a handler\n--- timeline, in simulated "
    )


def test_a_handler_of_a_child_is_none_of_the_program(deploy_image):
    event = deploy_image(works(LISTENS), command=["sh", "-c", SERVES]).invoke_async().wait_for_log("row 2")

    event.terminate(grace_shutdown=True)

    assert event.signals[0].disposition == "default"
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert user_lines(event) == ["row 1", "row 2"]
    assert "user code has a handler for it" not in event.timeline


def test_an_exec_takes_the_handler_away(deploy_image):
    script = "trap 'echo trapped' TERM; echo listens; exec python app.py"
    event = deploy_image(works("pass"), command=["sh", "-c", script]).invoke_async().wait_until_listening()
    assert user_lines(event) == []
    event.wait_for_log("row 2")

    event.terminate(grace_shutdown=True)

    assert event.signals[0].disposition == "default"
    assert (event.status_code, user_lines(event)) == (439, ["listens", "row 1", "row 2"])
    assert "user code reset SIGTERM to its default action" in event.timeline


def test_a_program_that_ignores_it_ignores_it_after_an_exec(deploy_image):
    script = "trap '' TERM; exec python app.py"
    event = deploy_image(works("pass"), command=["sh", "-c", script]).invoke_async().wait_for_log("row 2")

    event.terminate(grace_shutdown=True)

    assert (event.doing, event.signals[0].disposition) == ("gated", "ignored")
    assert event.wait().result == 20


# -- what catches it before the program does ---------------------------------------------------------------------------


def refused(event, name: str) -> str:
    return (
        f"wait_until_listening(): event {event.request_id} runs in {name!r}, where that cannot be known; have the "
        "program write a line once its handler is installed, and use wait_for_log()"
    )


@pytest.mark.nodejs
def test_node_is_refused_at_once(deploy_image):
    event = deploy_image(NODE, command=["node", "app.py"]).invoke_async()

    with pytest.raises(ScfUsageError) as refusal:
        event.wait_until_listening()

    assert str(refusal.value) == refused(event, "node app.py")
    assert event.doing == "pending"


@pytest.mark.nodejs
def test_node_that_a_shell_has_started_is_refused_as_soon_as_that_is_known(deploy_image):
    event = deploy_image(NODE, command=["sh", "-c", "sleep 3; exec node app.py"]).invoke_async()

    with pytest.raises(ScfUsageError) as refusal:
        event.wait_until_listening()

    assert str(refusal.value) == refused(event, "sh -c sleep 3; exec node app.py")
    assert event.doing != "pending"
    assert event.wait().result == 20


@pytest.mark.go
def test_go_is_refused_at_once(deploy_image, go_server):
    event = deploy_image("", command=[go_server]).invoke_async()

    with pytest.raises(ScfUsageError) as refusal:
        event.wait_until_listening()

    assert str(refusal.value) == refused(event, "server")
    assert event.doing == "pending"


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGINT])
def test_another_signal_is_not_followed(deploy_image, signum):
    event = deploy_image(works()).invoke_async()

    with pytest.raises(ScfUsageError, match=rf"wait_until_listening\(signal\.{signum.name}\): .* use wait_for_log\(\)"):
        event.wait_until_listening(signum)
    assert event.doing == "pending"
