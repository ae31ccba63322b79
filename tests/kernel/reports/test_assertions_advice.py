"""The advice in a failure, and how it stays short: on events to which the test reports what happens."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from internals import Code, Raised, ResultExcess
from program_internals import Launch, Supervised
from test_assertions import FAULT, TRACE, Story, failure

from pytest_scf_async.assertions import (
    assert_finished,
    assert_logged,
    assert_no_signal,
    assert_signal_handled,
    assert_stopped_within,
    assert_terminated,
)
from pytest_scf_async.errors import HarnessError, ScfUsageError, did_you_mean, hidden_from_users
from pytest_scf_async.model.transitions import Fact
from pytest_scf_async.report.limits import bounded, limits

STOP = Raised("Stop", "now")
LOCK = "Lock.acquire at a.py:3"


def advice(text: str) -> str | None:
    return next((line for line in text.splitlines() if line.startswith("what to do: ")), None)


@pytest.mark.parametrize(
    ("story", "start"),
    [
        (Story().gets("default").exits(signum=signal.SIGTERM), "call signal.signal(signal.SIGTERM, handler)"),
        (
            Story().handles(STOP).ends(Fact.RAISED, trace=TRACE),
            "do not raise in the SIGTERM handler: set a flag there, check it in the work, and return",
        ),
        (Story().handles(Raised("SystemExit", "0")).exits(), "stop the work and return from the function"),
        (Story(timeout=60).handles().ends(Fact.TIMED_OUT), "set a flag in the SIGTERM handler, check"),
        (Story(timeout=60).waits("sleep(99) at a.py:3").ends(Fact.TIMED_OUT), "give the function a longer timeout"),
        (
            Story(timeout=86_400).ends(Fact.TIMED_OUT),
            "make the function stop in time: it already has the longest timeout",
        ),
        (Story(async_run=False).ends(Fact.TIMED_OUT), "set timeout= (at most 900 s for a sync function); for longer"),
        (
            Story(async_run=False, timeout=900).ends(Fact.TIMED_OUT),
            "remove async_run=False (an async function may run for up",
        ),
        (Story().sets("default").gets("default").exits(signum=signal.SIGTERM), "remove the signal.signal call"),
        (Story().exits(signum=signal.SIGSEGV), "call faulthandler.enable() at the top of the module"),
        (Story(timeout=60).waits(LOCK).ends(Fact.TIMED_OUT), "give the function a longer timeout"),
        (
            Story(timeout=60).waits(LOCK, awaits="own lock").ends(Fact.TIMED_OUT),
            "no other thread can release this lock: use threading.RLock",
        ),
        (Story().ends(Fact.MEMORY_EXCEEDED), "give the function more memory"),
        (
            Story().ends(Fact.RESULT_NOT_JSON, trace="TypeError: Object of type set is not"),
            "return a value that json.dumps can",
        ),
        (
            Story().ends(Fact.RESULT_NOT_JSON, trace="TypeError: Object of type coroutine is not"),
            "make the handler a plain function that calls asyncio.run(...)",
        ),
        (
            Story().ends(Fact.RAISED, trace="TypeError: main_handler() takes 1 positional argument but 2 were given\n"),
            "have the handler take the two arguments that the platform passes",
        ),
        (
            Story().ends(Fact.CODE_NOT_LOADED, trace="ModuleNotFoundError: No module named 'orders'"),
            (
                "install the package that provides orders where the tests run, or put the module into the code "
                "directory /code"
            ),
        ),
        (
            Story().ends(Fact.TERMINATED),
            "call assert_terminated(event) if that is intended, or terminate(grace_shutdown",
        ),
        (Story().exits(), "return from the function instead: sys.exit() and os._exit() end the process"),
        (Story(timeout=60).gets("no process").ends(Fact.TIMED_OUT), 'remove when="now", or call a gate such as'),
        (Story(timeout=60).gets("native").ends(Fact.TIMED_OUT), "call signal.signal(signal.SIGTERM, handler)"),
        (Story(timeout=60).gets("unknown").ends(Fact.TIMED_OUT), "have the program's SIGTERM handler write a line"),
        (Story().gets("no process").ends(Fact.MEMORY_EXCEEDED), "give the function more memory"),
    ],
)
def test_a_failure_says_what_to_do(story: Story, start: str) -> None:
    assert str(advice(failure(assert_finished, story.event))).startswith(f"what to do: {start}")


def test_work_that_goes_on_after_a_handler() -> None:
    flag = "what to do: set a flag in the SIGTERM handler, check it in the work, and return when it is set"
    assert str(advice(failure(assert_stopped_within, Story().handles().after(9).returns().event, 5))).startswith(flag)
    swallowed = failure(assert_stopped_within, Story().handles(STOP).after(9).returns().event, 5)
    assert str(advice(swallowed)).startswith("what to do: do not raise in the SIGTERM handler")


def test_work_that_still_runs_when_its_time_after_a_handler_is_over() -> None:
    text = failure(assert_stopped_within, Story().handles().after(9).event, 5)
    assert "likely cause: the SIGTERM handler returned, and the work carried on: nothing stopped it\n" in text
    assert str(advice(text)).startswith("what to do: set a flag in the SIGTERM handler")
    ignored = failure(assert_stopped_within, Story().gets("ignored").after(9).event, 5)
    assert str(advice(ignored)).startswith("what to do: replace signal.SIG_IGN with a handler")
    entered = Story().gets("handler")
    entered.inside.handler_entered()
    inside = failure(assert_stopped_within, entered.after(9).event, 5)
    assert "likely cause: SIGTERM arrived 0 s after the start; its handler was entered and never returned\n" in inside
    early = failure(assert_stopped_within, Story().handles().after(1).event, 5)
    assert "only a call such as wait() lets its time pass" in early
    assert advice(early) is None


def test_a_function_that_returned_after_its_handler_raised_did_not_go_on() -> None:
    text = failure(assert_signal_handled, Story().handles(STOP).returns().event)
    assert "the SIGTERM handler raised Stop: now; something caught the exception, and the function returned\n" in text
    assert str(advice(text)).startswith("what to do: do not raise in the SIGTERM handler")
    later = failure(assert_signal_handled, Story().handles(STOP).after(9).returns().event)
    assert "something caught the exception, and the function returned 9 s later\n" in later


def test_a_crash_whose_line_is_known_needs_no_other_advice_and_shows_no_frames_of_ours() -> None:
    text = failure(assert_finished, Story().says(*FAULT).exits(signum=signal.SIGSEGV).event)
    assert advice(text) is None
    assert "line 3 in main_handler" in text
    assert "instance.py" not in text
    assert "<string>" not in text


@pytest.mark.parametrize(
    "story",
    [
        Story(),
        Story().ends(Fact.FUNCTION_DELETED),
        Story().exits(signum=signal.SIGKILL),
        Story().gets("unknown").exits(signum=signal.SIGTERM),
        Story().handles().ends(Fact.RAISED, trace=TRACE),  # the handler of SIGTERM has done its part
    ],
)
def test_where_nobody_can_know_nothing_is_said(story: Story) -> None:
    assert advice(failure(assert_finished, story.event)) is None


def test_what_was_asked_for_needs_no_mending() -> None:
    heeded = Story().handles().returns().event
    for text in (failure(assert_no_signal, heeded), failure(assert_terminated, heeded)):
        assert (
            "likely cause: terminate(grace_shutdown=True) sends SIGTERM and lets the function decide how it ends; "
            in text
        )
        assert advice(text) is None
    assert advice(failure(assert_finished, Story().handles().returns("2").event, 3)) is None
    ignored = failure(assert_signal_handled, Story().gets("ignored").returns().event)
    assert str(advice(ignored)).startswith("what to do: replace signal.SIG_IGN with a handler")


def test_a_signal_that_only_c_code_catches() -> None:
    text = failure(assert_signal_handled, Story().gets("native").returns().event)
    assert "; found that SIGTERM reached no Python handler\n" in text
    assert "code outside Python (such as faulthandler.register) caught it" in text


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A program of that name, whose language's runtime catches signals."""
    (tmp_path / "node").touch()
    return tmp_path / "node"


def supervised(program: Path) -> Story:
    story = Story()
    launch = Launch(command=[str(program), "server.js"], directory=str(program.parent), port=9000)
    story.inside.function.runtime = Supervised(launch)
    return story


def test_a_signal_that_the_runtime_of_a_language_catches(node: Path) -> None:
    text = failure(assert_signal_handled, supervised(node).gets("native").returns().event)
    assert "; found that SIGTERM was caught by the runtime of the program's language\n" in text
    assert str(advice(text)).startswith("what to do: have the program's SIGTERM handler write a line, and use ")
    assert "the runtime of the program's language catches it, with or without a handler in the program\n" in text
    ended = failure(assert_finished, supervised(node).gets("native").exits(signum=signal.SIGTERM).event)
    assert "nothing in the program handled SIGTERM, which ended it: the platform reports 439" in ended


@pytest.mark.parametrize(
    ("disposition", "cause"),
    [
        ("default", "the program had installed no SIGTERM handler by then, so it ended the process"),
        ("ignored", "the process ignores it (SIG_IGN)"),
        ("blocked", "the process has blocked it"),
    ],
)
def test_what_a_supervised_program_does_with_a_signal(node: Path, disposition: str, cause: str) -> None:
    story = supervised(node).gets(disposition)
    text = failure(assert_signal_handled, (story.exits() if disposition == "default" else story.returns()).event)
    assert f"; {cause}\n" in text
    assert "signal.signal" not in text
    reported = advice(text)
    where = "where it now ignores the signal" if disposition == "ignored" else "before it serves its first event"
    somehow = f"what to do: have the program install a SIGTERM handler {where}"
    assert reported is None if disposition == "blocked" else str(reported).startswith(somehow)


def test_an_answer_of_an_image_that_is_an_error_is_said_once(node: Path) -> None:
    answer = "POST /event-invoke was answered with HTTP 500 Oh: <h1>Error</h1>"
    text = failure(assert_finished, supervised(node).ends(Fact.RAISED, trace=f"{answer}\n<p>no table</p>\n").event)
    assert text.count(answer) == 1  # a line of the log has it escaped, as Go writes JSON
    assert "\n--- rest of the answer ---\n<p>no table</p>\n--- timeline" in text
    assert str(advice(text)).startswith("what to do: have the program answer POST /event-invoke with a 2xx status ")
    short = failure(assert_finished, supervised(node).ends(Fact.RAISED, trace=answer).event)
    assert "goes on" not in short


def test_the_traceback_of_the_function_is_shown() -> None:
    text = failure(assert_finished, Story().ends(Fact.RAISED, trace=TRACE).event)
    assert f"--- traceback of the function ---\n{TRACE}--- timeline" in text
    not_json = failure(assert_finished, Story().ends(Fact.RESULT_NOT_JSON, trace=TRACE).event)
    assert "traceback of the function" not in not_json


def test_a_lock_that_never_comes_is_named() -> None:
    text = failure(assert_finished, Story(timeout=60).waits(LOCK, awaits="lock").ends(Fact.TIMED_OUT).event)
    assert "the handler was stuck in `Lock.acquire` on a.py:3 until the 60 s timeout (deploy(...))" in text


def test_of_a_long_timeline_its_beginning_and_end_are_shown() -> None:
    story = Story().says(*(f"line {number}" for number in range(500)))
    timeline = failure(assert_logged, story.event, "xyzw").partition("--- timeline")[2].splitlines()[1:]
    assert len(timeline) == limits.timeline
    (gap,) = [line for line in timeline if "…" in line]
    assert gap.endswith("…         478 log lines left out")
    assert timeline[1].endswith("log       line 0")
    assert timeline[-1].endswith("log       line 499")


@pytest.mark.parametrize("number", [0, 1, 9, 10])
def test_what_is_short_is_shown_whole(number: int) -> None:
    text = "\n".join(map(str, range(number)))
    assert bounded(text, 10) == text


def test_what_is_longer_is_shown_by_head_and_tail() -> None:
    lines = bounded("\n".join(map(str, range(100))), 10).splitlines()
    assert lines == ["0", "1", "2", "3", "... 91 lines left out ...", "95", "96", "97", "98", "99"]


@pytest.mark.parametrize("text", ["(row", "[[x]", "a(?i)b", "row 2."])
def test_a_text_that_is_no_regular_expression_for_a_line_is_just_not_there(text: str) -> None:
    said = failure(assert_logged, Story().says("row 1", "row 2").event, text)
    assert said.startswith(f"expected a log line containing {text!r}; found none in 2 lines")
    assert "regular expression" not in said


def test_a_text_that_was_meant_as_a_regular_expression() -> None:
    said = failure(assert_logged, Story().says("row 1").event, r"row \d")
    assert r"likely cause: a str is matched literally: pass re.compile('row \\d'), which matches 'row 1'" in said


def test_a_result_of_one_line_has_no_difference_below() -> None:
    assert "difference" not in failure(assert_finished, Story().returns("2").event, 3)


def test_a_warm_instance_is_named_where_a_result_differs() -> None:
    story = Story().returns("0")
    story.inside.cold = False
    text = failure(assert_finished, story.event, 10)
    assert "likely cause: it ran on a warm instance: globals" in text
    assert advice(text) == "what to do: reset what events change (globals, files in /tmp) at the start of the handler"


def with_code(tmp_path: Path, handler: str, source: str = "def export(): ...\n") -> Story:
    """An event of *handler* in a directory that has an ``export.py``."""
    (tmp_path / "export.py").write_text(source, encoding="utf-8")
    module, _, function = handler.rpartition(".")
    story = Story()
    story.inside.function.code = Code(str(tmp_path), str(tmp_path / f"{module}.py"), module, function, module)
    return story


def test_a_file_that_is_not_there_is_named_with_a_near_one(tmp_path: Path) -> None:
    text = failure(assert_finished, with_code(tmp_path, "exprt.main").ends(Fact.ENTRY_FILE_MISSING).event)
    assert f"\nlikely cause: {tmp_path} has no exprt.py, which handler=" in text
    assert advice(text) == "what to do: set handler='export.main'"
    far = failure(assert_finished, with_code(tmp_path, "index.main").ends(Fact.ENTRY_FILE_MISSING).event)
    assert advice(far) is None
    gone = with_code(tmp_path, "exprt.main").ends(Fact.ENTRY_FILE_MISSING)
    (tmp_path / "export.py").unlink()
    tmp_path.rmdir()
    assert advice(failure(assert_finished, gone.event)) is None


@pytest.mark.parametrize(
    ("source", "defined"),
    [
        ("def one(): ...\nasync def two():\n    def inner(): ...\n", "it defines 'one', 'two'"),
        ("rows = 1\n", "it defines no function"),
        ("def (", "it defines no function"),
    ],
)
def test_a_function_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, source: str, defined: str) -> None:
    trace = "AttributeError: module 'export' has no attribute 'main'\n"
    text = failure(
        assert_finished, with_code(tmp_path, "export.main", source).ends(Fact.CODE_NOT_LOADED, trace=trace).event
    )
    assert "\nlikely cause: export.py has no function 'main'\n" in text
    assert advice(text) == f"what to do: set handler= to a function of export.py: {defined}"


def test_another_attribute_that_is_not_there_is_no_missing_handler(tmp_path: Path) -> None:
    trace = "AttributeError: module 'os' has no attribute 'main'\n"
    text = failure(assert_finished, with_code(tmp_path, "export.main").ends(Fact.CODE_NOT_LOADED, trace=trace).event)
    assert "\nlikely cause: the code could not be loaded: AttributeError: module 'os' has no attribute 'main'\n" in text
    assert advice(text) is None


def test_what_an_error_says_in_one_line_is_not_said_twice() -> None:
    text = failure(assert_finished, Story().ends(Fact.RAISED, trace="TypeError: no\n").event)
    assert "traceback of the function" not in text
    unbound = failure(assert_finished, Story().ends(Fact.PORT_NOT_BOUND, trace="it listens on 127.0.0.1 only").event)
    assert unbound.startswith("expected FINISHED (200); found FAILED (446: PortBindingFailed)\n")
    assert "\nlikely cause: it listens on 127.0.0.1 only\n" in unbound


def test_the_size_of_a_result_that_is_too_large() -> None:
    story = Story()
    story.inside.ended_with(Fact.RESULT_TOO_LARGE, excess=ResultExcess(7_000_002))
    text = failure(assert_finished, story.event)
    assert "\nlikely cause: the result has 7,000,002 bytes, and the limit is 6,291,456 (6 MB)\n" in text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timout", "; did you mean 'timeout'?"),
        ("env", "; did you mean 'environment'?"),
        ("e", ""),
        ("speed", ""),
        ("TimeOut", "; did you mean 'timeout'?"),
        ("MEM", "; did you mean 'memory'?"),
    ],
)
def test_a_near_name(name: str, hint: str) -> None:
    assert did_you_mean(name, ["timeout", "environment", "memory"]) == hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("graceful", "; did you mean 'grace_shutdown'?"),
        ("graceful_when_it_ends", ""),  # less than half of it
        ("grave", ""),
        ("grace", "; did you mean 'grace_shutdown'?"),
    ],
)
def test_a_name_that_begins_like_a_valid_one(name: str, hint: str) -> None:
    assert did_you_mean(name, ["grace_shutdown", "when"]) == hint


def test_frames_of_ours_are_shown_for_our_own_bugs_only() -> None:
    def hidden(error: BaseException) -> bool:
        try:
            raise error
        except BaseException as raised:
            return hidden_from_users(pytest.ExceptionInfo.from_exception(raised))

    assert hidden(ScfUsageError("wrong"))
    assert not hidden(HarnessError("our bug"))
    assert not hidden(KeyError("somebody's bug"))
