"""Waits within a sentence have a subject, the call and its line, as a native would write them."""

from __future__ import annotations

import pytest
from internals import where, who_waits

# once: texts alone
pytestmark = pytest.mark.once

SENTENCES = {
    "await at x.py:61 in Task-1": "Task-1 was stuck at the `await` on x.py:61",
    "await Event.wait at x.py:4 in Task-2 and await Event.wait at x.py:4 in Task-3": (
        "Task-2 and Task-3 were stuck at `await Event.wait` on x.py:4"
    ),
    "await at x.py:4 in poll and await at x.py:9 in Task-3 and 1 more": (
        "task poll was stuck at the `await` on x.py:4 and Task-3 at the `await` on x.py:9, as was 1 more task,"
    ),
    "await at x.py:4 in Task-1 on a child process in loop": (
        "Task-1 (in thread loop) was stuck at the `await` on x.py:4 (on a child process)"
    ),
    "Lock.acquire at x.py:3": "the handler was stuck in `Lock.acquire` on x.py:3",
    "sleep(5) at x.py:4 in Thread-1 (work)": "Thread-1 (work) was stuck in `sleep(5)` on x.py:4",
    "sleep(5) at x.py:4 in worker": "thread worker was stuck in `sleep(5)` on x.py:4",
    "recv on a connection to 1.2.3.4:80 at x.py:12": (
        "the handler was stuck in `recv` on x.py:12 (on a connection to 1.2.3.4:80)"
    ),
    "wait4 for the child of subprocess.run at x.py:8": (
        "the handler was stuck in `wait4` for the child of subprocess.run on x.py:8"
    ),
    "flock in fcntl.flock at x.py:6": "the handler was stuck in `flock` (called by fcntl.flock) on x.py:6",
    "join of worker at x.py:9": "the handler was stuck in `join` of worker on x.py:9",
    "nanosleep": "the handler was stuck in `nanosleep`",
    "nanosleep in a child process": "a child process was stuck in `nanosleep`",
    "a socket that listens at 127.0.0.1:9000": (
        "the handler was stuck in a wait for a socket that listens at 127.0.0.1:9000"
    ),
}


@pytest.mark.parametrize("text", SENTENCES)
def test_a_wait_has_a_subject_a_call_and_a_line(text: str) -> None:
    assert who_waits(text, "the handler", "stuck") == SENTENCES[text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sleep(10) at x.py:14", "in `sleep(10)` on x.py:14"),
        ("sleep(10) at x.py:14 in worker", "in `sleep(10)` on x.py:14, in thread worker"),
        ("await at x.py:4 in Task-1", "at the `await` on x.py:4, in Task-1"),
    ],
)
def test_behind_a_verb_a_wait_names_who_makes_it_last(text: str, expected: str) -> None:
    assert where(text) == expected
