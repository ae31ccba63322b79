"""Where the handlers of signals run: at the end of a shielded block, where one is exposed, and nowhere else in it."""

# ruff: noqa: PT012  (where in a block of several statements something is raised is what is tested)

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from internals import interrupts

# once: handlers of signals of this process: Python calls them in the same places in each version
pytestmark = pytest.mark.once


class Ended(Exception):
    pass


def raises(signum: int, frame: FrameType | None) -> None:
    raise Ended(signal.Signals(signum).name)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Nothing is left of a shield, and the handlers are those that were there before.

    A shell has what it runs in the background ignore SIGINT; a session in a terminal has Python's own handler.
    """
    of_session = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGALRM, signal.SIGTERM)}
    yield
    assert_clean()
    assert {signum: signal.getsignal(signum) for signum in before} == before
    signal.signal(signal.SIGINT, of_session)


def assert_clean() -> None:
    shield = interrupts._shield
    assert (shield.owner, shield.exposed, interrupts._noted) == (None, False, {})
    assert signal.getsignal(signal.SIGINT) is not interrupts._note


def test_a_signal_in_a_shielded_block_is_handled_at_its_end() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117  (the block that is meant is the inner one)
        with interrupts.shielded():
            with interrupts.shielded():
                ctrl_c()
                steps.append("inner")
            steps.append("outer")
    assert steps == ["inner", "outer"]


def test_it_is_handled_where_the_block_is_exposed() -> None:
    steps = []

    def use() -> None:
        with interrupts.shielded():
            ctrl_c()
            steps.append("noted")
            interrupts.exposed(steps.append, "exposed")

    with pytest.raises(KeyboardInterrupt):
        use()
    assert steps == ["noted"]


def test_what_is_exposed_is_interrupted_and_what_is_shielded_in_it_is_not() -> None:
    steps = []

    def waits() -> None:
        with interrupts.shielded():
            ctrl_c()
            steps.append("shielded")
        ctrl_c()
        steps.append("never")

    with pytest.raises(KeyboardInterrupt), interrupts.shielded():
        try:
            interrupts.exposed(waits)
        finally:
            steps.append("shielded again")
    assert steps == ["shielded", "shielded again"]


def test_a_second_signal_does_not_wait() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupts.shielded():
        ctrl_c()
        steps.append("first")
        ctrl_c()
        steps.append("second")
    assert steps == ["first"]


@pytest.mark.parametrize("signum", [signal.SIGALRM, signal.SIGTERM], ids=lambda signum: signum.name)
def test_others_whose_handler_is_python_code_wait_too(signum: signal.Signals) -> None:
    before = signal.signal(signum, raises)
    steps = []
    try:
        with pytest.raises(Ended, match=signum.name), interrupts.shielded():
            signal.raise_signal(signum)
            steps.append("noted")
    finally:
        signal.signal(signum, before)
    assert steps == ["noted"]


def test_a_handler_that_is_set_in_the_block_stays() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with interrupts.shielded():
            signal.signal(signal.SIGINT, raises)
        assert signal.getsignal(signal.SIGINT) is raises
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_shields_nothing() -> None:
    handlers = []

    def use() -> None:
        with interrupts.shielded():
            handlers.append(signal.getsignal(signal.SIGINT))
            interrupts.exposed(handlers.append, "exposed")
            interrupts.call_handlers()

    before = signal.getsignal(signal.SIGINT)
    with interrupts.shielded():
        pass
    thread = threading.Thread(target=use)
    thread.start()
    thread.join(60)
    assert handlers == [before, "exposed"]


def test_a_signal_at_any_line_of_the_shield_itself_leaves_it_clean() -> None:
    lines = 0

    def use() -> None:
        with interrupts.shielded():
            interrupts.exposed(int)
            with interrupts.shielded():
                pass

    def interrupted_at(at: int) -> bool:
        nonlocal lines
        lines = 0
        before = sys.gettrace()
        sys.settrace(called)
        try:
            use()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    def called(frame: FrameType, event: str, argument: object) -> Any:
        return line if frame.f_code.co_filename == interrupts.__file__ or frame.f_code is use.__code__ else None

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == at:
                ctrl_c()
        return line

    at = 0
    interrupted_at(0)
    total = lines
    assert total > 30
    for at in range(1, total + 1):
        assert interrupted_at(at), f"line {at}"
        assert_clean()
