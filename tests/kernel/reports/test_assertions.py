"""The assertion helpers, on events to which the test reports what happens: no process, no wait."""

from __future__ import annotations

import ctypes
import inspect
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from internals import OWN_CODE, Code, Event, Exit, FunctionVersion, MemoryExcess, PythonHandler, Raised

import pytest_scf_async
from pytest_scf_async import AsyncEvent, ScfSettings, ScfUsageError, SimulatedClock
from pytest_scf_async.assertions import (
    assert_failed,
    assert_finished,
    assert_log_order,
    assert_logged,
    assert_no_signal,
    assert_reclaimed,
    assert_reused,
    assert_signal_handled,
    assert_signal_received,
    assert_signal_reception_failed,
    assert_status,
    assert_stopped_within,
    assert_terminated,
    assert_timed_out,
    assert_transitions,
    assert_user_exit,
)
from pytest_scf_async.deployment import first_configuration
from pytest_scf_async.model.records import EventRecord
from pytest_scf_async.model.transitions import Fact, OpenReadings

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
REQUEST_ID = "7ad8a1c6-0c2f-4f3e-9c1d-2f6e1a0b3c4d"


@dataclass
class Silent:
    """In the place of the lockstep: there is nothing to receive."""

    clock: SimulatedClock
    settings: ScfSettings = field(default_factory=ScfSettings)
    calls: int = 0

    def refresh(self) -> None: ...


class Story:
    """An event that the test takes through its life, step by step."""

    def __init__(self, *, async_run: bool = True, timeout: int | None = None) -> None:
        self.clock = SimulatedClock(START)
        given = {"name": "export", "handler": "export.main_handler", "async_run": async_run, "timeout": timeout}
        configuration = first_configuration(ScfSettings(), given, "deploy(...)")
        record = EventRecord(0, REQUEST_ID, "export", "default", "$LATEST", "OTHERS", True, self.clock.now_us)
        self.inside = Event(
            record=record,
            function=FunctionVersion(
                configuration,
                Code("/code", "/code/export.py", "export", "main_handler", "export"),
                "1",
                PythonHandler(),
            ),
            payload="{}",
            readings=OpenReadings(),
            clock=self.clock,
            region="ap-guangzhou",
            appid="1",
            uin="1",
        )
        self.inside.phase = "running"
        self.event = AsyncEvent(Silent(self.clock), self.inside)  # type: ignore[arg-type]

    def after(self, seconds: float) -> Story:
        self.clock.advance(seconds)
        return self

    def says(self, *lines: str) -> Story:
        for line in lines:
            self.inside.wrote(line)
        return self

    def waits(self, description: str, *, awaits: Any = None) -> Story:
        now = self.inside.now_us()
        self.inside.waits(description, now, now, awaits=awaits)
        return self

    def gets(self, disposition: Any) -> Story:
        self.inside.signal_sent(disposition)
        return self

    def sets(self, listener: Any) -> Story:
        self.inside.listener_changed(listener)
        return self

    def handles(self, raised: Raised | None = None) -> Story:
        self.gets("handler")
        self.inside.handler_entered()
        self.inside.handler_left(raised)
        return self

    def ends(self, fact: Fact, result: str | None = None, trace: str | None = None) -> Story:
        self.inside.ended_with(fact, result_text=result, trace=trace)
        return self

    def returns(self, result: str = "null") -> Story:
        return self.ends(Fact.RETURNED, result=result)

    def exits(self, code: int | None = 0, signum: int | None = None) -> Story:
        self.inside.ended_with(Fact.PROCESS_EXITED, exit=Exit(code if signum is None else None, signum))
        return self

    def exceeds(self, excess: MemoryExcess) -> Story:
        self.inside.ended_with(Fact.MEMORY_EXCEEDED, excess=excess)
        return self


TRACE = 'Traceback (most recent call last):\n  File "/code/export.py", line 3, in main_handler\nValueError: boom\n'

FAULT = (
    "Fatal Python error: Segmentation fault",
    "",
    "Thread 0x00007f0000000001 (most recent call first):",
    '  File "/code/export.py", line 9 in upload',
    "",
    "Current thread 0x00007f0000000000 (most recent call first):",
    f'  File "{ctypes.__file__}", line 538 in string_at',
    '  File "/code/export.py", line 3 in main_handler',
    f'  File "{OWN_CODE}python/instance.py", line 148 in _call',
    '  File "<string>", line 16 in <module>',
)
"""What ``faulthandler`` writes where code in C crashes."""


def failure(check: Callable[..., None], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*arguments, **keywords)
    return str(caught.value)


def cause(text: str) -> str | None:
    found = re.search("^likely cause: (.*)$", text, re.M)
    return found and found[1]


# -- what passes -----------------------------------------------------------------------------------------------------

RUNNING = Story
FINISHED: Callable[[], Story] = lambda: Story().returns('{"rows": 1}')  # noqa: E731
RAISED: Callable[[], Story] = lambda: Story().ends(Fact.RAISED, trace=TRACE)  # noqa: E731
EXITED: Callable[[], Story] = lambda: Story().exits(7)  # noqa: E731
TIMED_OUT: Callable[[], Story] = lambda: Story(timeout=60).after(60).ends(Fact.TIMED_OUT)  # noqa: E731
TERMINATED: Callable[[], Story] = lambda: Story().ends(Fact.TERMINATED)  # noqa: E731
HANDLED: Callable[[], Story] = lambda: Story().after(3).handles().after(10).returns()  # noqa: E731
UNREACHED: Callable[[], Story] = lambda: Story().gets("no process")  # noqa: E731

ENDS: dict[str, tuple[Callable[[AsyncEvent], None], list[Callable[[], Story]]]] = {
    "RUNNING": (lambda event: assert_status(event, "RUNNING"), [RUNNING, UNREACHED]),
    "finished": (assert_finished, [FINISHED, HANDLED]),
    "failed": (assert_failed, [RAISED, EXITED, TIMED_OUT]),
    "failed with 430": (lambda event: assert_failed(event, code=430), [RAISED]),
    "user exit": (assert_user_exit, [EXITED]),
    "terminated": (assert_terminated, [TERMINATED]),
    "timed out": (assert_timed_out, [TIMED_OUT]),
    "signal received": (assert_signal_received, [HANDLED]),
    "signal reception failed": (assert_signal_reception_failed, [UNREACHED]),
    "no signal": (assert_no_signal, [RUNNING, FINISHED, RAISED, EXITED, TIMED_OUT, TERMINATED]),
    "signal handled": (assert_signal_handled, [HANDLED]),
    "stopped within": (lambda event: assert_stopped_within(event, 10), [HANDLED]),
}
EVERY = [RUNNING, FINISHED, RAISED, EXITED, TIMED_OUT, TERMINATED, HANDLED, UNREACHED]


@pytest.mark.parametrize("helper", ENDS)
def test_a_helper_passes_where_it_should_and_fails_everywhere_else(helper: str) -> None:
    check, right = ENDS[helper]
    for make in EVERY:
        story = make()
        if make in right:
            check(story.event)
        else:
            text = failure(check, story.event)
            assert text.startswith("expected "), text
            assert f"\nevent: {REQUEST_ID} of export\n" in text
            assert "\n--- timeline, in simulated time from 2026-01-01T00:00:00+00:00 ---\n+0 s" in text.replace(
                " +", "+"
            )
        assert story.inside.looked_at is (story.inside.ended and check is not assert_no_signal)


@pytest.mark.parametrize("name", [name for name in pytest_scf_async.__all__ if name.startswith("assert_")])
def test_the_users_own_line_is_the_last_of_the_traceback(name: str) -> None:
    code = inspect.unwrap(getattr(pytest_scf_async, name)).__code__
    assert "__tracebackhide__" in code.co_varnames


def test_the_first_line_says_expected_and_found() -> None:
    text = failure(assert_finished, RAISED().event)
    assert text.splitlines()[0] == "expected FINISHED (200); found FAILED (430: user code exception caught)"


# -- causes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "sentence"),
    [
        (Story().after(3).gets("default").exits(), ("SIGTERM arrived 3 s after the start; no SIGTERM handler had been "
        "installed by then, so it ended the process")),
        (Story().handles(Raised("SystemExit", "0")).exits(), ("the SIGTERM handler raised SystemExit: 0, which "
          "ended the process (exit code 0): the platform reports 439 whatever the exit code")),
        (Story().exits(signum=signal.SIGSEGV),
          "the process was killed by SIGSEGV (signal 11): the platform reports 439"),
        (Story().says(*FAULT).exits(signum=signal.SIGSEGV), ("C code called at export.py:3 crashed, and the process "
        "was "
          "killed by SIGSEGV (signal 11): the platform reports 439")),
        (Story().exits(signum=signal.SIGKILL),
          "the process was killed by SIGKILL (signal 9): the platform reports 439"),
        (Story().handles(Raised("ValueError", "no")).ends(Fact.RAISED, trace=TRACE), ("the SIGTERM handler raised "
          "ValueError: no, and nothing in the function caught it")),
        (Story().handles().ends(Fact.RAISED, trace=TRACE), ("the SIGTERM handler returned, and the function then "
        "raised ValueError: boom")),
        (Story().handles().exits(3), ("the SIGTERM handler returned, and the process ended afterwards "
          "(exit code 3): the platform reports 439 whatever the exit code")),
        (Story(timeout=60).handles().after(60).ends(Fact.TIMED_OUT), ("the SIGTERM handler returned, and the work "
        "carried on until the 60 s timeout (deploy(...)): nothing stopped it")),
        (Story(timeout=60).gets("ignored").after(60).ends(Fact.TIMED_OUT), ("SIGTERM arrived 0 s after the start; the "
          "process ignores it (SIG_IGN), and the work carried on until the 60 s timeout (deploy(...))")),
        (Story().handles(), ("the SIGTERM handler returned; the event is still running, and only a call such as "
        "wait() lets its time pass")),
        (RUNNING(), "the event is still running, and only a call such as wait() lets its time pass"),
        (RAISED(), "the function raised ValueError: boom"),
        (EXITED(), "the process ended by itself (exit code 7): the platform reports 439 whatever the exit code"),
        (Story().says(*TRACE.splitlines()).exits(1), ("the process ended by itself (exit code 1) with "
          "ValueError: boom: the platform reports 439 whatever the exit code")),
        (Story().says("/usr/bin/python3.12: No module named nope").exits(1), ("the process ended by itself "
          "(exit code 1) with No module named nope: the platform reports 439 whatever the exit code")),
        (Story().says("  File", "done").exits(1),
          "the process ended by itself (exit code 1): the platform reports 439 whatever the exit code"),
        (Story().says(*TRACE.splitlines()).exits(0),
          "the process ended by itself (exit code 0): the platform reports 439 whatever the exit code"),
        (Story().exceeds(MemoryExcess(150 << 20, 128, 2, "deploy(...)")), ("the instance together with 2 child "
          "processes used more memory (MemUsage:150.00MB) than the function's 128 MB: memory=128 (deploy(...))"
          )),
        (Story().ends(Fact.MEMORY_EXCEEDED), "the instance used more memory than it has"),
        (TERMINATED(), "terminate() ended it by force, before it could end by itself"),
        (Story().ends(Fact.FUNCTION_DELETED), "its function was deleted while it ran"),
        (Story(async_run=False).after(3).ends(Fact.TIMED_OUT), "a sync function times out after 3 s by default"),
        (Story(async_run=False).waits("time.sleep(100)").after(3).ends(Fact.TIMED_OUT), ("a sync function times out "
        "after 3 s by default; it last waited in `time.sleep(100)`")),
        (Story(timeout=60).waits("time.sleep(100)").after(60).ends(Fact.TIMED_OUT), ("the handler ran until the 60 s "
          "timeout (deploy(...)); it last waited in `time.sleep(100)`")),
        (Story(timeout=60).waits("sleep(100) at x.py:3").after(60).ends(Fact.TIMED_OUT), ("the handler was "
          "still in `sleep(100)` on x.py:3 at the 60 s timeout (deploy(...))")),
        (Story().ends(Fact.RESULT_NOT_JSON, trace="TypeError: a set"),
          "the handler returned a value that cannot be written as JSON: TypeError: a set"),
        (Story().ends(Fact.CODE_NOT_LOADED, trace="ModuleNotFoundError: No module named 'nope'"),
         "the code could not be loaded: ModuleNotFoundError: No module named 'nope'"),
        (Story().ends(Fact.RESULT_TOO_LARGE), "the result is over 6 MB"),
    ],
)  # fmt: skip
def test_the_cause_of_an_end_that_was_not_expected(story: Story, sentence: str) -> None:
    assert cause(failure(assert_finished, story.event)) == sentence


def test_a_pending_event_has_not_run() -> None:
    story = Story()
    story.inside.phase = "pending"
    expected = "none of its code has run yet: wait(), settle() and the gate calls run it"
    assert cause(failure(assert_finished, story.event)) == expected
    assert cause(failure(assert_reclaimed, story.event)) == expected
    assert cause(failure(assert_reused, story.event)) == expected


def test_a_handler_that_was_taken_away_again_is_not_one_that_comes_too_late() -> None:
    text = failure(assert_signal_handled, Story().sets("default").gets("default").exits().event)
    assert cause(text) == (
        "SIGTERM arrived 0 s after the start; user code had reset the signal to its default action, so it ended the "
        "process"
    )


# -- signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "found"),
    [
        (Story(), "no SIGTERM"),
        (Story().gets("default").exits(), "that SIGTERM reached no handler"),
        (Story().gets("ignored"), "that SIGTERM was ignored by the process"),
        (Story().gets("blocked"), "that SIGTERM was blocked by the process"),
        (Story().gets("no process"), "that SIGTERM reached no process"),
        (Story().gets("handler"), "that SIGTERM never entered its handler"),
        (Story().handles(Raised("OSError", "full")), "that SIGTERM entered its handler, which raised OSError: full"),
        (Story().handles().gets("ignored"), "that SIGTERM 2 of 2 was ignored by the process"),
    ],
)
def test_why_a_signal_was_not_handled(story: Story, found: str) -> None:
    first = failure(assert_signal_handled, story.event).splitlines()[0]
    assert first == f"expected the SIGTERM handler to run and return; found {found}"


def test_a_handler_that_never_leaves() -> None:
    story = Story().gets("handler")
    story.inside.handler_entered()
    assert "which never returned" in failure(assert_signal_handled, story.event)


def test_no_signal_says_how_many_and_when() -> None:
    story = Story().after(2).handles().after(0.5).gets("ignored")
    first = failure(assert_no_signal, story.event).splitlines()[0]
    assert first == "expected no SIGTERM; found 2 SIGTERM, sent 2 s after the start, 2.5 s after the start"


def test_stopped_within_counts_from_the_last_sigterm() -> None:
    event = Story().handles().after(20).handles().after(10).returns().event
    assert_stopped_within(event, 10)
    assert_stopped_within(event, timedelta(seconds=10))
    text = failure(assert_stopped_within, event, 9.999)
    assert text.startswith("expected the event to end within 9.999 s of SIGTERM; found FINISHED (200), 10 s after it\n")
    assert cause(text) == "the SIGTERM handler returned, and the event ended 10 s after SIGTERM"


def test_stopped_within_names_the_longest_waits_since_sigterm() -> None:
    story = Story().waits("sleep(1) at export.py:1").after(1).handles()
    for line, seconds in ((2, 1), (3, 30), (4, 2), (5, 40), (4, 2), (6, 0), (7, 20)):
        story.waits(f"sleep({seconds}) at export.py:{line}").after(seconds)
    assert cause(failure(assert_stopped_within, story.returns().event, 30)) == (
        "the SIGTERM handler returned, and the event ended 95 s after SIGTERM: until then it waited in `sleep(30)` on "
        "export.py:3, in `sleep(40)` on export.py:5, in `sleep(20)` on export.py:7 and in 2 other waits"
    )


def test_stopped_within_says_how_long_an_event_has_run_since() -> None:
    text = failure(assert_stopped_within, Story().handles().after(40).event, 30)
    assert text.startswith("expected the event to end within 30 s of SIGTERM; found RUNNING, 40 s after it\n")


@pytest.mark.parametrize(
    ("fact", "ended", "who"),
    [
        (Fact.TIMED_OUT, "FAILED (433: ", "the timeout"),
        (Fact.MEMORY_EXCEEDED, "FAILED (434: ", "the memory limit"),
        (Fact.TERMINATED, "ABORTED (499: ", "a forced termination or a deletion"),
        (Fact.FUNCTION_DELETED, "ABORTED (499: ", "a forced termination or a deletion"),
    ],
)
def test_what_somebody_else_ended_did_not_stop_however_soon_that_was(fact: Fact, ended: str, who: str) -> None:
    event = Story().after(3).handles().after(1).ends(fact).event
    text = failure(assert_stopped_within, event, 30)
    assert text.startswith(f"expected the event to end within 30 s of SIGTERM by itself; found {ended}"), text
    assert f": {who} ended it\n" in text


def test_an_end_by_the_signal_itself_is_a_stop() -> None:
    assert_stopped_within(Story().after(3).gets("default").exits(signum=signal.SIGTERM).event, 0)


def test_signal_lines_are_the_platforms_not_the_users() -> None:
    story = Story().says("[PLATFORM] Signal received successfully.")
    assert "found no SIGTERM" in failure(assert_signal_received, story.event)
    assert "found only '[PLATFORM] Signal reception failed.'" in failure(assert_signal_received, UNREACHED().event)


# -- results and transitions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [{"rows": 1}, {"rows": 1, "list": (1, 2)}, None, "text", [1, 2.5, True]])
def test_a_result_is_compared_as_json(result: object) -> None:
    import json

    assert_finished(Story().returns(json.dumps(result)).event, result)


@pytest.mark.parametrize(("found", "expected"), [("1", True), ("1", 1.0), ("null", 0), ('{"a": 1}', {"a": True})])
def test_what_python_takes_for_equal_may_differ_in_json(found: str, expected: object) -> None:
    failure(assert_finished, Story().returns(found).event, expected)


def test_a_wrong_result_shows_the_difference() -> None:
    text = failure(assert_finished, Story().returns('{"rows": 1, "bytes": 5}').event, {"rows": 2, "bytes": 5})
    assert text.startswith('expected the result {"rows": 2, "bytes": 5}; found the result {"rows": 1, "bytes": 5}\n')
    assert '\n-  "rows": 2\n' in text
    assert '\n+  "rows": 1\n' in text


def test_transitions_are_compared_in_full() -> None:
    assert_transitions(FINISHED().event, ["RUNNING", "FINISHED"])
    text = failure(assert_transitions, EXITED().event, ["RUNNING", "FINISHED"])
    assert text.startswith(
        "expected RUNNING → FINISHED; found RUNNING → FAILED (439: User process exit when running)\n"
    )
    failure(assert_transitions, FINISHED().event, ["FINISHED"])
    failure(assert_transitions, RUNNING().event, ["RUNNING", "FINISHED"])


# -- logs ------------------------------------------------------------------------------------------------------------


def test_a_line_is_found_by_text_and_by_pattern() -> None:
    event = Story().says("row 500 of 10000", "checkpoint.json written").event
    assert_logged(event, "row 500")
    assert_logged(event, re.compile(r"row \d+ of"))
    assert_log_order(event, ["row", re.compile("written$")])
    failure(assert_logged, event, re.compile("^written"))
    failure(assert_logged, event, r"row \d+ of")  # a text is no pattern


def test_a_missing_line_shows_the_closest_ones() -> None:
    event = Story().says("row 1 ", "checkpoint written to disk", "something else", "Checkpoint Written").event
    text = failure(assert_logged, event, "checkpoint writen")
    nearest = "the closest are 'checkpoint written to disk', 'Checkpoint Written'"
    assert text.startswith(f"expected a log line containing 'checkpoint writen'; found none in 4 lines; {nearest}\n")


def test_a_line_that_is_like_none_shows_none() -> None:
    assert "closest" not in failure(assert_logged, Story().says("abc", "def").event, "xyzw")


def test_log_order_takes_a_line_for_each_pattern() -> None:
    event = Story().says("one two").says("three").event
    text = failure(assert_log_order, event, ["three", "one"])
    assert "found 'one' in line 1, before 'three' in line 2\n" in text
    assert "found 'two' in line 1, as is 'one'\n" in failure(assert_log_order, event, ["one", "two"])
    assert "found no line containing 'four'\n" in failure(assert_log_order, event, ["three", "four"])
    assert "found no line containing 'threee'; the closest is 'three'\n" in failure(assert_log_order, event, ["threee"])


# -- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda event: assert_status(event, "DONE"),
            "'DONE' (expected) is not a status; valid are RUNNING, FINISHED, ",
        ),
        (
            lambda event: assert_transitions(event, "RUNNING"),
            "expected='RUNNING' is not valid: it must be a list of statuses",
        ),
        (lambda event: assert_failed(event, code=431), "code=431 is not valid: the platform's codes are 200, 202, "),
        (
            lambda event: assert_logged(event, b"bytes"),
            "pattern=b'bytes' is not valid: it must be a str or a compiled ",
        ),
        (
            lambda event: assert_logged(event, ""),
            "pattern='' is not valid: every line contains it; it must be a non-",
        ),
        (
            lambda event: assert_log_order(event, "text"),
            ("patterns='text' is not valid: it must be a list of at least one str or "),
        ),
        (
            lambda event: assert_log_order(event, []),
            ("patterns=[] is not valid: it must be a list of at least one str or "),
        ),
        (lambda event: assert_stopped_within(event, -1), "assert_stopped_within(seconds) is -1, which is negative"),
        (lambda _: assert_finished("FINISHED"), "event is 'FINISHED' of type str; the helper takes an AsyncEvent"),
    ],
)
def test_wrong_use_is_a_usage_error(use: Callable[[AsyncEvent], None], sentence: str) -> None:
    with pytest.raises(ScfUsageError, match="^" + re.escape(sentence)):
        use(FINISHED().event)


def test_a_result_that_json_cannot_say_is_a_usage_error() -> None:
    with pytest.raises(ScfUsageError, match=r"^result=\{1, 2\} is not valid: it must be a JSON value "):
        assert_finished(FINISHED().event, {1, 2})
