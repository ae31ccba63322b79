"""The memory that the test's process and an instance share: each slot has one meaning, and a name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from internals import shared_page

SLOTS = {
    name: place
    for name, place in vars(shared_page).items()
    if name.startswith(("CONTROL_", "CLOCK_")) and name != "CONTROL_BYTES"  # its size
}


@pytest.fixture
def control() -> Iterator[shared_page.ControlPage]:
    file = shared_page.shared_memory("control", shared_page.CONTROL_BYTES)
    page = shared_page.ControlPage(file)
    yield page
    page.release()
    os.close(file)


@pytest.mark.parametrize("page", ["CONTROL_", "CLOCK_"])
def test_no_two_facts_share_a_place_of_a_page(page: str) -> None:
    places = {name: place for name, place in SLOTS.items() if name.startswith(page)}

    assert len(places) == len(set(places.values())), places
    assert max(places.values()) < shared_page.LEASE_LOG


def test_every_slot_of_the_control_page_is_an_attribute(control: shared_page.ControlPage) -> None:
    for name, place in SLOTS.items():
        if not name.startswith("CONTROL_"):
            continue
        attribute = name.removeprefix("CONTROL_").lower()
        setattr(control, attribute, 1000 + place)
        assert control.slots[place] == getattr(control, attribute) == 1000 + place, name


def test_the_name_of_a_function_touches_no_slot(control: shared_page.ControlPage) -> None:
    assert control.function == ""
    for name in ("Path.write_text", "ü" * 100, "os.replace", ""):
        control.function = name
        assert control.function in (name, "ü" * 63 + "\ufffd")
        assert not any(control.slots[: max(SLOTS.values()) + 1])
        assert not any(control.slots[shared_page.LEASE_LOG :])


def test_a_clock_page_counts_the_waits_and_is_copied_whole() -> None:
    shared = shared_page.SharedClockPage()
    shared.now_us, shared.boot_us = 5, 3
    assert [shared.next_order(), shared.next_order(7)] == [(5, 0, 1), (5, 7, 2)]

    alone = shared.copy()
    shared.now_us = 6
    shared.close()

    assert (alone.now_us, alone.boot_us, alone.next_order()) == (5, 3, (5, 0, 3))


def test_leased_waits_are_read_from_where_an_instance_writes_them(control: shared_page.ControlPage) -> None:
    control.texts[3:8] = b"sleep"
    for number, row in enumerate([(1 << shared_page.LEASE_MAIN | 3 << 16 | 5, 10, 20, 2), (3 << 16 | 2, 30, 30, 1)]):
        start = shared_page.LEASE_LOG + number * shared_page.LEASE_RECORD
        for index, value in enumerate(row):
            control.slots[start + index] = value

    assert list(control.leased_waits(0, 2)) == [("sleep", 10, 20, 2, True), ("sl", 30, 30, 1, False)]
    assert list(control.leased_waits(1, 2)) == [("sl", 30, 30, 1, False)]


def test_the_threads_are_those_that_have_an_identity(control: shared_page.ControlPage) -> None:
    shared_page.THREAD_NAME.pack_into(control.threads, shared_page.THREAD_ROW.size, 7, 8, 6, b"worker")
    shared_page.THREAD_HOLDS.pack_into(
        control.threads, shared_page.THREAD_ROW.size + shared_page.THREAD_NAME.size, 4, b"recv"
    )

    assert list(control.threads_known()) == [(7, 8, "worker", "recv", ())]


@pytest.mark.parametrize(
    ("description", "peers", "known"),
    [
        ("", [], ("", ())),
        ("poll() on two", ["10.0.0.1:80", "[::1]:5432"], ("poll() on two", ("10.0.0.1:80", "[::1]:5432"))),
        ("x" * 300, ["10.0.0.1:80"], ("x" * 179, ("10.0.0.1:80",))),
        ("poll()", ["a" * 60 + ":80", "b" * 60 + ":80", "c:80"], ("poll()", ("a" * 60 + ":80", "c:80"))),
    ],
)
def test_a_wait_of_a_thread_is_its_description_and_its_peers(control, description, peers, known):
    data = shared_page.wait_of_thread(description, peers)
    assert len(data) <= shared_page.LONGEST_WAIT
    shared_page.THREAD_NAME.pack_into(control.threads, 0, 7, 8, 6, b"worker")
    shared_page.THREAD_HOLDS.pack_into(control.threads, shared_page.THREAD_NAME.size, len(data), data)

    (thread,) = control.threads_known()
    assert (thread.wait, thread.peers) == known


def test_the_passes_end_where_the_texts_begin(control: shared_page.ControlPage) -> None:
    assert (shared_page.PASSES + shared_page.PLACES) * 8 <= shared_page.PAGE_BYTES
    control.passes[shared_page.PLACES - 1] = 3
    assert control.slots[shared_page.PASSES + shared_page.PLACES - 1] == 3
