"""Errors that need an instance, or a second thread: their texts, and that they come at once."""

from __future__ import annotations

import inspect
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from internals import event_of
from small_handlers import caught_by_c_code, computes, counts, returns, sleeps

import pytest_scf_async
from pytest_scf_async import (
    AsyncEvent,
    FailureClass,
    Function,
    GateNotReachedError,
    HandlerError,
    Launch,
    ScfApiError,
    ScfEndpoint,
    ScfRuntime,
    ScfSettings,
    ScfUsageError,
    SimulatedClock,
    Sweep,
    assert_finished,
    fault,
    graceful,
    power,
    scf_function,
)

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once


def test_a_runtime_that_is_closed_while_another_thread_waits() -> None:
    runtime = ScfRuntime(ScfSettings(real_timeout=60, compute_grace=60))
    event = runtime.deploy(computes).invoke_async()
    reported: list[BaseException] = []

    def wait() -> None:
        try:
            event.wait()
        except BaseException as error:
            reported.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while event_of(event).phase != "running":
        time.sleep(0)
    runtime.close()
    waiter.join(30)
    assert not waiter.is_alive()
    assert [type(error) for error in reported] == [ScfUsageError]
    assert str(reported[0]) == (
        f"wait() on event {event.request_id}: the runtime was closed, by another thread, while this call waited"
    )


@pytest.mark.parametrize("times", [1, 3])
def test_a_sigterm_that_only_c_code_catches_ends_nothing(scf_runtime: ScfRuntime, times: int) -> None:
    event = scf_runtime.deploy(caught_by_c_code).invoke_async()
    for _ in range(times):
        event.terminate(grace_shutdown=True)  # which ends without waiting for a handler, or raises after real_timeout
    assert [each.disposition for each in event.signals] == ["native"] * times
    assert [each.received for each in event.signals] == [True] * times
    assert [each.entered_at for each in event.signals] == [None] * times
    assert event.doing == "parked"
    assert_finished(event.wait(), "slept")
    assert event.duration is not None
    assert event.duration.total_seconds() == 60


def test_the_platforms_message_stays_as_it_is_beside_a_hint(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(returns).invoke_async()
    why = r"can be terminated\. \(it ended 0 s after its start: its function returned; call a gate earlier, such as"
    with pytest.raises(ScfApiError, match=why) as early:
        event.terminate()
    assert early.value.platform_message.endswith("can be terminated.")
    with pytest.raises(ScfApiError, match=why) as late:
        event.terminate()
    assert late.value.platform_message == early.value.platform_message
    with pytest.raises(ScfApiError, match=r"\(this runtime accepted no such event\)$"):
        scf_runtime.get_async_event_status("nobody's")


def test_a_result_that_is_not_there_says_why(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(sleeps, timeout=60).invoke_async()
    with pytest.raises(HandlerError, match=r"no result yet: none of its code has run; call wait\(\) first$"):
        assert event.result is None
    event.settle()
    with pytest.raises(HandlerError, match=r"has no result yet; call wait\(\) first$"):
        assert event.result is None
    event.wait()
    with pytest.raises(HandlerError, match=r"\nlikely cause: the handler .* the 60 s timeout .*\nwhat to do: give"):
        assert event.result is None


def test_what_is_no_event_of_the_runtime_is_not_waited_for(scf_runtime: ScfRuntime) -> None:
    function = scf_runtime.deploy(returns)
    with pytest.raises(
        ScfUsageError, match=r"^wait_all: events has <Function default/\S+ \S+> of type Function; it must be"
    ):
        scf_runtime.wait_all([function])  # type: ignore[list-item]
    with ScfRuntime() as other:
        foreign = other.deploy(returns).invoke_async()
        with pytest.raises(
            ScfUsageError, match=r"^wait_all: events has <AsyncEvent .*>, which is of another runtime; "
        ):
            scf_runtime.wait_all([foreign])
    assert scf_runtime.wait_all(iter([event := function.invoke_async()])) == [event]
    assert event.ended


def test_a_gate_that_is_not_reached_shows_the_ends_of_a_long_log(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(counts).invoke_async(1_000)
    with pytest.raises(GateNotReachedError) as error:
        event.wait_for_log(r"number \d+ of")
    text = str(error.value)
    assert text.count("\n") < 60
    assert " log       number 1\n" in text
    assert " log       number 1000\n" in text
    assert "regular expression" not in text
    short = scf_runtime.functions[event.function_name].invoke_async(3)
    with pytest.raises(
        GateNotReachedError,
        match=r"; a str is matched literally: pass re\.compile\(.*\), which matches \'number 1\'\n---",
    ):
        short.wait_for_log(r"number \d$")


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [("env", "; did you mean 'environment'?"), ("timout", "; did you mean 'timeout'?"), ("xyz", "")],
)
def test_a_keyword_that_is_not_there_names_a_near_one(scf_runtime: ScfRuntime, keyword: str, hint: str) -> None:
    function = scf_runtime.deploy(returns)
    with pytest.raises(ScfUsageError) as deploy:
        scf_runtime.deploy(returns, **{keyword: None})  # type: ignore[arg-type]
    assert str(deploy.value).startswith(
        f"deploy(...) has no keyword {keyword!r}{hint} (valid keywords: code, handler, "
    )
    with pytest.raises(ScfUsageError) as update:
        function.update(**{keyword: None})  # type: ignore[arg-type]
    assert str(update.value).startswith(
        f"update(...) has no keyword {keyword!r}{hint} (valid keywords: code, handler, "
    )
    with pytest.raises(ScfUsageError) as settings:
        ScfSettings(**{keyword: None})  # type: ignore[arg-type]
    assert str(settings.value).startswith(f"ScfSettings has no keyword {keyword!r}{hint} (valid keywords: ")


CLASSES = (AsyncEvent, FailureClass, Function, ScfEndpoint, ScfRuntime, SimulatedClock, Sweep)
OF_A_CLOCK = ("advance", "move_to", "patched", "running")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *((name, getattr(pytest_scf_async, name)) for name in pytest_scf_async.__all__ if name.startswith("assert_")),
        *((call.__name__, call) for call in (fault, graceful, power, scf_function, ScfRuntime)),
        *(
            (name, getattr(of, name))
            for of in CLASSES
            for name in dir(of)
            if not name.startswith("_") and inspect.isfunction(inspect.getattr_static(of, name))
            if (of is not SimulatedClock or name in OF_A_CLOCK) and name not in ("update", "trigger")
        ),
    ],
)
def test_each_public_call_says_which_keywords_it_has(name: str, call: Callable[..., Any]) -> None:
    """``update``, ``ScfSettings`` and ``trigger`` have ``**`` and refuse keywords themselves: the test above has two,
    and tests/triggers the last one.
    """
    with pytest.raises(ScfUsageError, match=rf"^{name}(\(.*\))? has no keyword 'wrong'") as raised:
        call(*[object()] * (call.__qualname__ != call.__name__), wrong=1)
    taken = [*inspect.signature(call).parameters]
    of_text = re.search(r"\(valid keywords: (.+?)\)", str(raised.value))
    assert ([] if of_text is None else of_text[1].split(", ")) == [each for each in taken if each != "self"]


def test_a_call_without_a_keyword_that_it_needs_names_it(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(returns).invoke_async().wait()
    with pytest.raises(ScfUsageError, match=r"^wait_for_log\(\.\.\.\) needs pattern, its argument number 1$"):
        event.wait_for_log()  # type: ignore[call-arg]
    with pytest.raises(
        ScfUsageError, match=r"^invoke_async\(\.\.\.\) has no keyword 'qualifer'; did you mean 'qualifier'"
    ):
        scf_runtime.deploy(returns, name="other").invoke_async(qualifer="1")  # type: ignore[call-arg]


def test_what_is_given_twice_or_in_no_place_or_not_at_all_is_reported_with_the_keywords(
    scf_runtime: ScfRuntime,
) -> None:
    function = scf_runtime.deploy(returns)
    command = ["/bin/true"]

    def refused(call: Any, *values: object, **keywords: object) -> str:
        with pytest.raises(ScfUsageError) as raised:
            call(*values, **keywords)
        return str(raised.value)

    text = refused(scf_runtime.deploy_image, "dir", command=command)
    assert text.startswith(
        "deploy_image(...) has command twice: 'dir' by position and ['/bin/true'] by keyword (the other keywords "
        "are image, cwd, "
    )
    for call, name in ((scf_runtime.deploy, "deploy"), (function.update, "update")):
        text = refused(call, "a.py:b", code="c.py:d")
        assert text.startswith(f"{name}(...) has code twice: 'a.py:b' by position and 'c.py:d' by keyword (the ")
        text = refused(call, "directory", "index.main_handler", 5)
        assert text.startswith(
            f"{name}(...) takes only code by position, and also got 'index.main_handler', 5 (the keywords are handler, "
        )
    assert refused(scf_runtime.deploy) == "deploy(...) needs code, its argument number 1"
    assert refused(Launch, command) == "Launch needs directory, its argument number 2"
    text = refused(Launch, cmd=command)
    assert text.startswith("Launch has no keyword 'cmd'; did you mean 'command'? (valid keywords: command, directory, ")
    text = refused(Launch, command, "/", {}, 80, (), "gob", None, None, 1)
    assert text.endswith(" speaks, script, module by position, and also got 1")
