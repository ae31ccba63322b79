"""``wait_until_listening``: an event stands right behind the ``signal.signal`` call that installed a handler."""

from __future__ import annotations

import re
import signal
from datetime import timedelta

import pytest
from internals import shown_timeline
from process_support import START, short_log, user_lines

from pytest_scf_async.errors import CannotEndError, GateNotReachedError, ScfUsageError

pytestmark = pytest.mark.leases

LISTENS = """
    import signal, time
    def on_sigterm(signum, frame):
        print("signal at line", frame.f_lineno)
    def main_handler(event, context):
        print("begins")
        time.sleep(3)
        signal.signal(signal.SIGTERM, on_sigterm)
        print("listens")
        time.sleep(1)
        return "done"
"""
NOT_LISTENING = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def main_handler(event, context):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        time.sleep(1)
"""


@pytest.mark.repeat
def test_a_handler_is_met_the_moment_it_is_installed_20_times_out_of_20(deploy, runtime):
    function = deploy(LISTENS)

    for number in range(20):
        event = function.invoke_async().wait_until_listening()
        assert (event.doing, user_lines(event)) == ("gated", ["begins"])
        assert event.duration is None
        event.terminate(grace_shutdown=True)

        assert (event.doing, user_lines(event)) == ("gated", ["begins", "signal at line 8"])
        assert event.signals[0].disposition == "handler"
        assert event.wait().result == "done"
        assert event.duration == timedelta(seconds=4)
        function.update(environment={"ROUND": str(number)})  # a new instance, which does not listen yet


def test_time_moves_as_far_as_it_needs(deploy, runtime):
    deploy(LISTENS).invoke_async().wait_until_listening(signal.SIGTERM)

    assert runtime.clock.now == START + timedelta(seconds=3)


def test_what_the_handler_raises_comes_out_of_the_call_that_installed_it(deploy):
    event = (
        deploy("""
        import signal
        def on_sigterm(signum, frame):
            raise RuntimeError("so soon")
        def main_handler(event, context):
            try:
                signal.signal(signal.SIGTERM, on_sigterm)
                print("not here")
            except RuntimeError as error:
                return str(error)
    """)
        .invoke_async()
        .wait_until_listening()
    )

    event.terminate(grace_shutdown=True)

    assert user_lines(event) == []
    assert event.wait().result == "so soon"


def test_a_module_that_listens_is_met_in_the_init(deploy):
    event = (
        deploy("""
        import signal
        signal.signal(signal.SIGTERM, lambda *_: print("signal"))
        print("second line")
        def main_handler(event, context):
            print("handler")
    """)
        .invoke_async()
        .wait_until_listening()
    )

    assert short_log(event) == ["START"]
    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["signal", "second line", "handler"]
    assert event.status == "FINISHED"


@pytest.mark.repeat
def test_an_event_that_listens_already_stays_where_it_is(deploy):
    event = deploy(LISTENS).invoke_async().wait_for_log("listens")

    event.wait_until_listening()

    assert (event.doing, user_lines(event)) == ("gated", ["begins", "listens"])
    event.settle()
    assert event.wait_until_listening().doing == "parked"


def test_a_warm_instance_listens_since_an_earlier_event_and_stands_before_its_handler(deploy):
    function = deploy(LISTENS)
    function.run()

    event = function.invoke_async().wait_until_listening()

    assert (event.doing, event.instance.cold, user_lines(event)) == ("gated", False, [])
    event.terminate(grace_shutdown=True)
    assert [line.rstrip("0123456789") for line in user_lines(event)] == ["signal at line "]
    assert event.doing == "gated"
    assert event.wait().result == "done"


def test_a_handler_that_is_taken_away_does_not_count(deploy):
    source = """
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("first"))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            print("not listening")
            signal.signal(signal.SIGTERM, lambda *_: print("second"))
            print("listens")
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    """
    function = deploy(source)
    event = function.invoke_async().wait_for_log("not listening")

    event.wait_until_listening()
    assert user_lines(event) == ["not listening"]
    event.terminate(grace_shutdown=True)
    assert user_lines(event) == ["not listening", "second"]
    event.wait()

    warm = function.invoke_async().wait_until_listening()
    assert user_lines(warm) == []
    assert warm.instance.cold is False


@pytest.mark.parametrize("signum", [signal.SIGUSR1, int(signal.SIGUSR1), signal.SIGRTMIN + 3])
def test_another_signal(deploy, signum):
    event = deploy("""
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: None)
            print("first")
            signal.signal(event, lambda *_: None)
            print("second")
    """).invoke_async(int(signum))

    event.wait_until_listening(signum)

    assert user_lines(event) == ["first"]
    assert event.wait().status == "FINISHED"


def test_an_event_that_never_listens_is_an_error_at_once_with_the_timeline_and_what_is_missing(deploy):
    event = deploy(NOT_LISTENING).invoke_async()

    with pytest.raises(GateNotReachedError) as refusal:
        event.wait_until_listening()

    text = str(refusal.value)
    assert text.startswith(
        f"event {event.request_id} of index is FINISHED (200) and never reached wait_until_listening(); "
        "user code never called signal.signal(signal.SIGTERM, ...) with a handler: call it in the main thread, "
        "at the top of the module or of the function\n--- timeline, in simulated "
    )
    assert text.endswith(f"---\n{shown_timeline(event)}")
    with pytest.raises(GateNotReachedError, match=re.escape("wait_until_listening(signal.SIGINT)")):
        deploy(NOT_LISTENING).invoke_async().wait_until_listening(signal.SIGINT)


def test_an_event_that_has_ended_is_an_error_even_if_it_listened(deploy):
    event = deploy(LISTENS).invoke_async().wait()

    with pytest.raises(GateNotReachedError):
        event.wait_until_listening()


def test_a_thread_that_stands_behind_it_as_long_as_time_must_not_move(deploy):
    function = deploy(LISTENS)
    first, second = function.invoke_async(), function.invoke_async()
    first.wait_until_listening()

    with pytest.raises(CannotEndError, match=rf"event {first.request_id} is stopped at wait_until_listening\(\)"):
        second.wait()

    first.settle()
    assert second.wait().result == "done"


def test_asyncio_listens_too(deploy):
    event = (
        deploy("""
        import asyncio, signal
        async def main():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, print, "signal")
            print("listens")
        def main_handler(event, context):
            asyncio.run(main())
    """)
        .invoke_async()
        .wait_until_listening()
    )

    assert (event.doing, user_lines(event)) == ("gated", [])
    assert event.wait().status == "FINISHED"


@pytest.mark.parametrize("signum", [0, -1, 1.5, True, "SIGTERM", None, 65, signal.SIG_DFL])
def test_what_is_no_signal_is_a_usage_error(deploy, signum):
    event = deploy(LISTENS).invoke_async()

    with pytest.raises(
        ScfUsageError, match=r"signum=.* is not valid: it must be the number of a signal, such as signal.SIG"
    ):
        event.wait_until_listening(signum)
    assert event.doing == "pending"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_signal_that_nothing_can_listen_to_is_a_usage_error(deploy, signum):
    event = deploy(LISTENS).invoke_async()

    with pytest.raises(ScfUsageError, match=r"signum=<Signals\..*> is not valid: no handler can be installed for it"):
        event.wait_until_listening(signum)
