"""When the driving thread and the instances share a core, and what of them is bound to it then."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

import pytest
from internals import BATCH, SLOW_BATCHES, WORTH, SharedCore, shared_core


@dataclass
class Machine:
    """Its time, and which cores each thread may use."""

    now: float = 0.0
    cpus: frozenset[int] = frozenset({0, 1, 2, 3})
    bound: dict[int, set[int]] = field(default_factory=dict)
    forbids: bool = False

    def monotonic(self) -> float:
        return self.now

    def sched_getaffinity(self, thread: int) -> set[int]:
        return self.bound.get(thread or threading.get_native_id(), set(self.cpus))

    def sched_setaffinity(self, thread: int, cpus: set[int]) -> None:
        if self.forbids:
            raise PermissionError
        self.bound[thread or threading.get_native_id()] = set(cpus)

    def mine(self) -> set[int]:
        return self.sched_getaffinity(0)


class Neighbour:
    def __init__(self) -> None:
        self.core: int | None = None

    def use_core(self, core: int | None) -> None:
        self.core = core


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(shared_core, "REAL", machine)
    monkeypatch.setattr(shared_core, "os", machine)
    machine.getpid = os.getpid  # type: ignore[attr-defined]
    return machine


def exchange(core: SharedCore, machine: Machine, *neighbours: Neighbour, batches: int = 1, each: float = 1.0) -> None:
    """Exchange *batches* with each of *neighbours* in turn, each message in that many seconds."""
    for number in range(batches * BATCH):
        machine.now += each
        if core.resumes(neighbours[number % len(neighbours)]):
            core.look(may_share=True)


def test_they_share_one_after_two_batches_of_messages(machine: Machine) -> None:
    core, first, second = SharedCore(), Neighbour(), Neighbour()
    exchange(core, machine, first, second)
    assert (first.core, machine.mine()) == (None, machine.cpus)
    exchange(core, machine, first, second)
    assert (first.core, len(machine.mine())) == (None, 1)
    exchange(core, machine, first, second, each=0.5)
    assert {first.core} == {second.core} == machine.mine()
    core.end()
    assert (first.core, second.core, machine.mine()) == (None, None, machine.cpus)


def test_it_ends_for_good_where_it_does_not_pay(machine: Machine) -> None:
    core, neighbour = SharedCore(), Neighbour()
    exchange(core, machine, neighbour, batches=2)
    exchange(core, machine, neighbour, batches=SLOW_BATCHES - 1, each=WORTH + 0.01)
    assert neighbour.core is not None
    exchange(core, machine, neighbour, each=WORTH + 0.01)
    assert (neighbour.core, machine.mine()) == (None, machine.cpus)
    core.end()
    exchange(core, machine, neighbour, batches=10)
    assert (neighbour.core, machine.mine()) == (None, machine.cpus)


def test_it_goes_on_where_it_pays(machine: Machine) -> None:
    core, neighbour = SharedCore(), Neighbour()
    exchange(core, machine, neighbour, batches=2)
    for _ in range(3):
        exchange(core, machine, neighbour, batches=SLOW_BATCHES - 1, each=10)  # something else had the core meanwhile
        exchange(core, machine, neighbour, each=WORTH - 0.01)
    assert neighbour.core is not None


def test_few_messages_in_each_call_change_nothing(machine: Machine) -> None:
    core, neighbour = SharedCore(), Neighbour()
    for _ in range(10):
        exchange(core, machine, neighbour)
        core.end()
    assert (neighbour.core, machine.bound) == (None, {})


def test_not_where_code_of_the_test_runs_meanwhile(machine: Machine) -> None:
    core, neighbour = SharedCore(), Neighbour()
    for _ in range(10 * BATCH):
        if core.resumes(neighbour):
            core.look(may_share=False)
    assert (neighbour.core, machine.bound) == (None, {})


@pytest.mark.parametrize("lacks", ["cores", "leave"])
def test_not_where_it_cannot_be(machine: Machine, lacks: str) -> None:
    if lacks == "cores":
        machine.cpus = frozenset({2})
    else:
        machine.forbids = True
    core, neighbour = SharedCore(), Neighbour()
    exchange(core, machine, neighbour, batches=10)
    core.end()
    assert (neighbour.core, machine.bound) == (None, {})


def test_it_ends_where_the_cores_cannot_be_set_back(machine: Machine) -> None:
    core, neighbour = SharedCore(), Neighbour()
    exchange(core, machine, neighbour, batches=3)
    machine.forbids = True
    core.end()
    core.resumes(neighbour)
    assert neighbour.core is None


def test_another_thread_can_end_it(machine: Machine) -> None:
    core, neighbour = SharedCore(), Neighbour()
    exchange(core, machine, neighbour, batches=3)
    other = threading.Thread(target=core.end)
    other.start()
    other.join()
    core.resumes(neighbour)
    assert (neighbour.core, machine.mine()) == (None, machine.cpus)
