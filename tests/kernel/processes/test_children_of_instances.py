"""Which processes below an instance hold the clock, by what ``/proc`` shows of them; here of processes made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from internals import Rest, name_of, process_tree, state

TRACKER = b"python\0-c\0from multiprocessing.resource_tracker import main;main(5)\0"
SERVER = b"python\0-c\0from multiprocessing.forkserver import main; main(1, 2)\0"
INSTANCE = 1
PARKED = state.start(in_lockstep=True)
PREEMPTED = state.after(PARKED, state.InstanceFact.SLEEPS_UNANNOUNCED).state
IN_ITS_LOOP = [b"%d" % next(number for number in range(500) if name_of(number) == "epoll"), b"0x3", b"0x7ffd0"]
IN_A_READ = [b"%d" % next(number for number in range(500) if name_of(number) == "read"), b"0x3", b"0x7ffd0"]
RUNS = [b"running"]
NOT_TO_BE_SEEN: list[bytes] = []


@pytest.fixture
def calls(monkeypatch):
    """By process: the system call that it is in, in the kernel's words; a process that is not here is in its loop."""
    calls: dict[int, list[bytes]] = {}
    monkeypatch.setattr(process_tree.procfs, "system_call_of", lambda pid, _: calls.get(pid, IN_ITS_LOOP))
    return calls


@pytest.fixture
def processes(monkeypatch, calls):
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
        return [] if len(calls) == 1 else real(pid)  # at the first read it was with a parent that is gone by now

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


def test_a_fork_server_holds_the_clock_until_it_has_reported_the_end_of_a_worker(processes, calls):
    processes[2] = (INSTANCE, "python", SERVER)
    processes[3] = (2, None, b"")
    assert holding() == [2]  # the worker has ended, and its parent has not waited for it

    del processes[3]
    calls[2] = RUNS
    assert holding() == [2]  # it has been waited for, and its end is about to be reported

    del calls[2]
    assert holding() == []


@pytest.mark.parametrize("call", [RUNS, IN_A_READ])
def test_a_fork_server_that_is_not_in_its_loop_holds_the_clock_beside_its_workers(processes, calls, call):
    """It starts, or has a request that it has not read, or forks: its client waits for it."""
    processes[2] = (INSTANCE, "python", TRACKER)
    processes[3] = (INSTANCE, "python", SERVER)
    processes[4] = (3, "python", SERVER)
    calls[3] = call

    below = process_tree._look_below(INSTANCE, ())

    assert sorted(child.pid for child in below.holding) == [3, 4]
    assert below.helpers == (2,)  # of the other one it is not enough that it sleeps
    del processes[4]
    assert holding() == [3]


def test_a_fork_server_that_forks_and_is_in_its_loop_again_during_a_look_is_seen_to_work_or_its_worker_is(
    processes, calls, monkeypatch
):
    processes[2] = (INSTANCE, "python", SERVER)
    processes[3] = (2, "python", SERVER)  # it waits for work, which holds nothing: the rest has to be seen at once
    calls[2] = RUNS
    children_of, system_call_of = process_tree.procfs.children_of, process_tree.procfs.system_call_of

    def forks_after(look):
        def looked(pid, *more):
            found = look(pid, *more)
            if pid == 2:
                processes[4] = (2, "python", SERVER)
                del calls[2]
            return found

        return looked

    for name, look in (("children_of", children_of), ("system_call_of", system_call_of)):
        processes.pop(4, None)
        calls[2] = RUNS
        with monkeypatch.context() as patch:
            patch.setattr(process_tree.procfs, name, forks_after(look))
            seen = holding()
        assert 2 in seen or 4 in seen


@pytest.mark.parametrize(("state", "holds"), [(b"R", True), (b"D", True), (b"S", False)])
def test_of_a_fork_server_whose_calls_may_not_be_seen_the_state_is_enough(processes, calls, monkeypatch, state, holds):
    monkeypatch.setattr(process_tree.procfs, "state_of", lambda _: state)
    processes[2] = (INSTANCE, "python", SERVER)
    calls[2] = NOT_TO_BE_SEEN

    assert holding() == ([2] if holds else [])


def test_a_tracker_of_resources_that_starts_does_not_hold_the_clock(processes, calls):
    processes[2] = (INSTANCE, "python", TRACKER)
    calls[2] = RUNS

    assert holding() == []


def test_a_child_is_called_by_its_program_or_as_a_fork(processes):
    processes[2] = (INSTANCE, "python", processes[INSTANCE][2])
    processes[3] = (INSTANCE, "a-very-long-nam", b"/usr/bin/python\0/opt/a-very-long-name.py\0")
    processes[4] = (INSTANCE, "short", b"/usr/bin/python\0/opt/short.py\0")

    shown = [str(child) for child in process_tree._look_below(INSTANCE, ())[0]]

    assert shown == ["pid 2, a fork of the handler's process", "'a-very-long-name.py' (pid 3)", "'short' (pid 4)"]


@pytest.fixture
def children():
    """What the harness knows of the children of the instance, whose fields a test sets."""
    owner = SimpleNamespace(
        pid=INSTANCE,
        control=SimpleNamespace(forks=1, childless=0, watches=0, wakeup_fd=9),
        listening=set(),
        elsewhere=(),
        traces_user_code=False,
        has_alarm=False,
        state=PARKED,
        **dict.fromkeys(("gone", "released", "stopped"), False),
    )
    return process_tree.Children(owner)


def test_a_stopped_instance_is_held_by_what_held_it_before(processes, calls, children):
    """The server of forks is signalled to stop: until it has stopped, the kernel shows it as running."""
    processes[2] = (INSTANCE, "python", SERVER)
    assert children.look() == ()

    calls[2], children._instance.stopped = RUNS, True
    assert children.look() == ()

    children._instance.stopped = False
    assert [child.pid for child in children.look()] == [2]


@pytest.mark.parametrize(("known", "preempted"), [("nobody", True), ("a child", True), ("a child", False)])
def test_who_is_started_after_a_look_holds_the_clock(processes, children, monkeypatch, known, preempted):
    """This process gets no processor between its search for children and its read of what they wait for.

    Meanwhile a child, or the instance itself, which waits outside its scheduler, starts another, and waits for it.
    """
    rest = Rest((b"1",), main=True)
    late = True

    def at_rest(pids, are_all, *_):
        if late:
            processes[3] = (2 if 2 in processes else INSTANCE, "sleep", b"sleep\0")
            children._instance.control.forks += 1
        return rest if (pids or preempted) and are_all() else None

    monkeypatch.setattr(process_tree, "at_rest", at_rest)
    children._instance.state = PREEMPTED if preempted else PARKED
    if known == "a child":
        processes[2] = (INSTANCE, "sh", b"sh\0")
    else:
        children._instance.control.childless = 1  # it has never had one, or none any more

    children.look()

    assert (children.threads_rest, children._rest) == (False, None)
    processes.pop(3)
    late = False
    children._instance.control.childless = children._instance.control.forks if known == "nobody" else 0
    assert children.look() == ()
    assert children.threads_rest is preempted


@pytest.mark.parametrize(("tracer", "name"), [(0, None), (5, "sh")])
def test_a_process_has_not_ended_before_its_tracer_takes_note(
    monkeypatch: pytest.MonkeyPatch, tracer: int, name: str | None
) -> None:
    files = {"/proc/7/stat": b"7 (sh) Z" + b" 1" * 50, "/proc/7/status": b"Name:\tsh\nTracerPid:\t%d\n" % tracer}
    monkeypatch.setattr(process_tree.procfs, "_read", files.__getitem__)
    assert process_tree.procfs.living_name(7) == name
