"""The text of a wait has one meaning: what it was made of is read back, whatever threads and files are called."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from internals import Holder, Wait, more_tasks, wait_texts, waits_of

# once: texts alone
pytestmark = pytest.mark.once

WORDS = (
    " at ",
    " in ",
    " and ",
    " on ",
    ", ",
    " (held by ",
    " (up to ",
    " (no ",
    "await ",
    "x.py:3",
    "127.0.0.1:80",
    "'",
    '"',
    ")",
)
NAMES = st.one_of(
    st.text(st.characters(blacklist_characters="/"), max_size=12),
    st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=5).map("".join),
)
FILES = NAMES.map(lambda name: name.replace("/", ""))
LINES = st.integers(1, 99_999)
CALLS = st.sampled_from(["sleep(5)", "queue.get", "socket.recv on a connection to [::1]:80", "Lock.acquire"])


@given(CALLS, FILES, LINES, NAMES)
@example("sleep(5)", "x.py", 3, "a at b.py:3 in c")
@example("accept on a socket that listens at 127.0.0.1:9000", "1.2", 3, "")
def test_a_wait_of_a_thread_is_read_back(call: str, file: str, line: int, thread: str) -> None:
    text = wait_texts.at(call, file, line) + wait_texts.within(thread)
    assert waits_of(text) == (Wait(call, file, line, thread),)


@given(NAMES, FILES, LINES)
def test_a_join_of_any_thread_on_the_main_one_is_read_back(thread: str, file: str, line: int) -> None:
    call = f"join of {wait_texts.named(thread)}"
    (wait,) = waits_of(wait_texts.at(call, file, line))
    assert (wait, wait.joins) == (Wait(call, file, line), thread)
    (timed,) = waits_of(wait_texts.at(f"{call} for 2.5 s", file, line))
    assert timed.joins in ("", f"{thread} for 2.5 s")


@given(st.lists(st.tuples(FILES, LINES, NAMES, NAMES), min_size=1, max_size=4), NAMES, st.booleans())
def test_the_waits_of_tasks_are_read_back_one_by_one(
    given: list[tuple[str, int, str, str]], thread: str, in_thread: bool
) -> None:
    texts, expected = [], []
    for number, (file, line, task, other) in enumerate(given):
        holders, is_lock = [Holder(other, file, line)], number % 2 == 0
        call = "await Lock.acquire" if is_lock else "await Event.wait"
        ended_by = wait_texts.ended_by(holders, 2, is_lock=is_lock)
        texts.append(wait_texts.at(call, file, line) + wait_texts.within(task) + ended_by)
        thread_of = thread if in_thread else ""
        expected.append(Wait(call, file, line, thread_of, task, tuple(holders), is_up_to_holders=not is_lock))
    text = wait_texts.together(texts[:2], len(texts)) + (wait_texts.within(thread) if in_thread else "")
    assert waits_of(text) == tuple(expected[:2])
    assert more_tasks(text) == len(given[2:])


def test_holders_that_a_text_does_not_name_are_counted() -> None:
    text = wait_texts.ended_by([Holder("one", "x.py", 3), Holder("two", "x.py", 4)], 1, is_lock=True)
    (wait,) = waits_of(f"await Lock.acquire at x.py:5 in Task-1{text}")
    assert (wait.holders, wait.more_holders, wait.without_holder) == ((Holder("one", "x.py", 3),), 1, False)
    (wait,) = waits_of(f"await Lock.acquire at x.py:5 in Task-1{wait_texts.ended_by([], 1, is_lock=True)}")
    assert (wait.holders, wait.more_holders, wait.without_holder) == ((), 0, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sleep(2) at test_x.py:4 in Thread-1 (w)", Wait("sleep(2)", "test_x.py", 4, "Thread-1 (w)")),
        ("await at x.py:61 in Task-1", Wait("await", "x.py", 61, "", "Task-1")),
        ("await at x.py:61 in Task-1 on a child process", Wait("await on a child process", "x.py", 61, "", "Task-1")),
        ("nanosleep", Wait("nanosleep")),
        ("a socket that listens at 127.0.0.1:9000", Wait("a socket that listens at 127.0.0.1:9000")),
        ("recv in my worker", Wait("recv", thread="my worker")),
        ("nanosleep in a child process", Wait("nanosleep", in_child=True)),
        (f"recv{wait_texts.within('a child process')}", Wait("recv", thread="a child process")),
        ("", Wait("")),
    ],
)
def test_a_text_says_what_it_always_said(text: str, expected: Wait) -> None:
    assert waits_of(text) == (expected,)


@pytest.mark.parametrize(
    ("call", "seconds"),
    [("sleep(5)", 5), ("sleep(0.25)", 0.25), ("sleep(86400)", 86_400), ("sleep(1.23457e+06)", None), ("poll", None)],
)
def test_how_long_a_sleep_is_is_known_where_its_text_has_all_digits(call: str, seconds: float | None) -> None:
    assert Wait(call).seconds == seconds
