"""Which processes below an instance hold the clock, by what ``/proc`` tells of them; here of processes made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from internals import process_tree

TRACKER = b"python\0-c\0from multiprocessing.resource_tracker import main;main(5)\0"
SERVER = b"python\0-c\0from multiprocessing.forkserver import main; main(1, 2)\0"
INSTANCE = 1


@pytest.fixture
def processes(monkeypatch):
    """A table of processes: id -> (parent, kernel's name or None for one that has ended, command)."""
    table: dict[int, tuple[int, str | None, bytes]] = {INSTANCE: (0, "python", b"python\0-c\0zygote\0")}

    monkeypatch.setattr(
        process_tree.procfs,
        "children_of",
        lambda pid: [child for child, (parent, _, _) in table.items() if parent == pid],
    )
    monkeypatch.setattr(process_tree.procfs, "living_name", lambda pid: table[pid][1])
    monkeypatch.setattr(process_tree.procfs, "command_of", lambda pid: table[pid][2])
    return table


def holding(*background: str) -> list[int]:
    return [child.pid for child in process_tree._look_below(INSTANCE, background)[0]]


def test_children_and_theirs_hold_the_clock_and_what_has_ended_does_not(processes):
    processes[2] = (INSTANCE, "sh", b"sh\0-c\0x\0")
    processes[3] = (2, "ffmpeg", b"/usr/bin/ffmpeg\0")
    processes[4] = (INSTANCE, None, b"")

    below = process_tree._look_below(INSTANCE, ())

    assert [(child.pid, child.name) for child in below.holding] == [(2, "sh"), (3, "ffmpeg")]
    assert (below.living, below.background, below.helpers) == ({2, 3}, (), ())


def test_what_a_process_gives_to_the_instance_as_it_ends_is_found(processes, monkeypatch):
    """The middle process ends after the instance's children were read: its own go to the instance, seen or not."""
    processes[2] = (INSTANCE, "middle", b"middle\0")
    processes[3] = (2, "sleep", b"sleep\0")

    def ends(pid: int) -> str | None:
        if pid == 2 and processes[2][1] is not None:
            processes[2] = (INSTANCE, None, b"")
            processes[3] = (INSTANCE, "sleep", b"sleep\0")
        return processes[pid][1]

    monkeypatch.setattr(process_tree.procfs, "living_name", ends)

    assert holding() == [3]


def test_one_that_is_reaped_by_itself_while_its_children_move_is_no_loss(processes, monkeypatch):
    processes[2] = (INSTANCE, "sleep", b"sleep\0")
    real, calls = process_tree.procfs.children_of, []

    def moves(pid: int) -> list[int]:
        calls.append(pid)
        return [] if len(calls) == 1 else real(pid)  # at the first look it was with a parent that is gone by now

    monkeypatch.setattr(process_tree.procfs, "children_of", moves)

    assert holding() == [2]


def test_the_background_and_what_is_below_it_do_not_hold_the_clock(processes):
    processes[2] = (INSTANCE, "redis-server", b"redis-server *:6379\0")
    processes[3] = (2, "sh", b"sh\0")
    processes[4] = (3, "sleep", b"sleep\0")
    processes[5] = (INSTANCE, "sleep", b"sleep\0")

    assert holding("redis-server") == [5]
    assert holding("redis-server", "sleep") == []
    assert sorted(holding()) == [2, 3, 4, 5]
    assert holding("redis") == holding()


@pytest.mark.parametrize("name", ["a-very-long-name", "/opt/started-as", "started-as", "a-very-long-nam"])
def test_names_are_the_kernels_whole_or_cut_or_what_it_was_started_as(processes, name):
    processes[2] = (INSTANCE, "a-very-long-nam", b"/opt/started-as\0")

    assert holding(name) == ([2] if "/" in name else [])


def test_the_helpers_of_multiprocessing_do_not_hold_the_clock_and_their_workers_do(processes):
    processes[2] = (INSTANCE, "python", TRACKER)
    processes[3] = (INSTANCE, "python", SERVER)
    assert holding() == []

    processes[4] = (3, "python", SERVER)

    assert holding() == [4]


def test_a_fork_server_holds_the_clock_until_it_has_told_of_the_end_of_a_worker(processes, monkeypatch):
    asleep = True
    monkeypatch.setattr(process_tree.procfs, "state_of", lambda _: b"S" if asleep else b"R")
    processes[2] = (INSTANCE, "python", SERVER)
    processes[3] = (2, None, b"")
    assert holding() == [2]  # the worker has ended, and nobody has waited for it

    del processes[3]
    asleep = False
    assert holding() == [2]  # it has been waited for, and its end is about to be told

    asleep = True
    assert holding() == []


def test_a_tracker_of_resources_that_starts_does_not_hold_the_clock(processes, monkeypatch):
    monkeypatch.setattr(process_tree.procfs, "state_of", lambda _: b"R")
    processes[2] = (INSTANCE, "python", TRACKER)

    assert holding() == []


def test_a_child_is_called_by_its_program_or_as_a_fork(processes):
    processes[2] = (INSTANCE, "python", processes[INSTANCE][2])
    processes[3] = (INSTANCE, "a-very-long-nam", b"/usr/bin/python\0/opt/a-very-long-name.py\0")
    processes[4] = (INSTANCE, "short", b"/usr/bin/python\0/opt/short.py\0")

    shown = [str(child) for child in process_tree._look_below(INSTANCE, ())[0]]

    assert shown == ["pid 2, a fork of the handler's process", "'a-very-long-name.py' (pid 3)", "'short' (pid 4)"]


def test_a_stopped_instance_is_held_by_what_held_it_before(processes, monkeypatch):
    """The server of forks is signalled to stop: until it has, the kernel says that it runs."""
    processes[2] = (INSTANCE, "python", SERVER)
    state = b"S"
    monkeypatch.setattr(process_tree.procfs, "state_of", lambda _: state)
    owner = SimpleNamespace(
        pid=INSTANCE,
        control=SimpleNamespace(forks=1, childless=0, watches=0),
        listening=set(),
        elsewhere=(),
        **dict.fromkeys(("overtaken", "overrun", "gone", "released", "stopped"), False),
    )
    children = process_tree.Children(owner)
    assert children.look() == ()

    state, owner.stopped = b"R", True
    assert children.look() == ()

    owner.stopped = False
    assert [child.pid for child in children.look()] == [2]
