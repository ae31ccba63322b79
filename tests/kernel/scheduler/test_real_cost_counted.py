"""How real time is counted, step by step: no process, no wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from internals import RealCost, RealCosts, real_cost
from internals import state as instance_state

from pytest_scf_async.report.real_cost import cost_text, passed_text, real_cause

after, start, Fact, State = (
    instance_state.after,
    instance_state.start,
    instance_state.InstanceFact,
    instance_state.InstanceState,
)


class Children:
    possible = True
    held = False
    threads_rest = False

    def look(self):
        return ("a child",) if self.held else ()


@dataclass(eq=False)
class Instance:
    pid: int = 7
    state: State = field(default_factory=lambda: start(in_lockstep=True))
    gone: bool = False
    released: bool = False
    stopped: bool = False
    children: Children = field(default_factory=Children)

    def takes(self, *facts):
        for fact in facts:
            self.state = after(self.state, fact).state


class Story:
    """An event that is measured, on a real clock and with processor times that the test sets."""

    def __init__(self, monkeypatch):
        self.real, self.cpu = 100.0, {7: 5.0}
        monkeypatch.setattr(real_cost, "REAL", SimpleNamespace(monotonic=lambda: self.real))
        monkeypatch.setattr(real_cost, "_cpu_ns", lambda instance: round(self.cpu[instance.pid] * 1e9))
        self.instance = Instance()
        self.spent = []
        self.event = SimpleNamespace(
            ended=False,
            function=SimpleNamespace(runtime=SimpleNamespace(in_lockstep=True)),
            signals=[SimpleNamespace(cost=RealCost())],
            instance=self.instance,
            spent=lambda kind, seconds: self.spent.append((kind, seconds)),
        )
        # SimpleNamespace is not hashable, an event is
        self.event = type("Event", (), {**vars(self.event), "spent": staticmethod(self.event.spent)})()
        self.lockstep = SimpleNamespace(prompt_seconds=0.0, use=[].append)
        self.costs = RealCosts(self.lockstep)

    def passes(self, real, cpu=0.0):
        self.real += real
        self.cpu[7] += cpu
        self.costs.call_ends()

    @property
    def cost(self):
        cost = self.event.signals[-1].cost
        return round(cost.computing, 6), round(cost.children, 6), round(cost.waiting, 6)


@pytest.fixture
def story(monkeypatch):
    story = Story(monkeypatch)
    story.costs.before_sigterm(story.event, "handler")
    return story


def test_processor_time_is_computing_and_a_wait_on_simulated_time_is_nothing(story):
    story.passes(1.0, cpu=0.75)
    story.passes(2.0)
    assert story.cost == (0.75, 0, 0)
    assert story.spent == [("computing", 0.75)]


def test_threads_that_compute_on_several_processors_cost_the_time_that_passes(story):
    story.passes(1.0, cpu=4.0)
    assert story.cost == (1, 0, 0)


def test_a_second_beside_a_child_counts_once(story):
    story.instance.children.held = True
    story.passes(0.0)
    story.passes(1.0, cpu=0.25)
    assert story.cost == (0.25, 0.75, 0)


def test_a_child_that_ended_costs_the_time_up_to_the_look_that_finds_it_gone(story):
    story.instance.children.held = True
    story.passes(0.0)
    story.instance.children.held = False
    story.passes(1.0)
    story.passes(1.0)
    assert story.cost == (0, 1, 0)


@pytest.mark.parametrize("held", [Fact.SOME_HELD, Fact.SLEEPS_UNANNOUNCED])
def test_a_real_wait_costs_real_time(story, held):
    story.instance.takes(held)
    story.passes(1.0, cpu=0.25)
    assert story.cost == (0.25, 0, 0.75)


def test_who_computes_for_long_has_processor_time_alone(story):
    story.instance.takes(Fact.COMPUTES_TOO_LONG)
    story.passes(1.0, cpu=0.25)
    assert story.cost == (0.25, 0, 0)


@pytest.mark.parametrize("how", ["stopped", "gone", Fact.FROZEN, Fact.REACHED_GATE])
def test_an_instance_that_the_harness_keeps_from_going_on_costs_nothing(story, how):
    story.instance.takes(Fact.SOME_HELD, *([] if isinstance(how, str) else [how]))
    vars(story.instance).update({how: True} if isinstance(how, str) else {})
    story.instance.children.held = True
    story.passes(1.0)
    story.passes(1.0)
    assert story.cost == (0, 0, 0)


def test_nothing_is_spent_between_two_calls(story):
    story.instance.takes(Fact.SOME_HELD)
    story.passes(1.0)
    story.real += 1000  # and no processor time: it is stopped
    story.costs.call_begins()
    story.passes(1.0)
    assert story.cost == (0, 0, 2)


def test_a_prompt_is_not_counted(story):
    story.instance.takes(Fact.SOME_HELD)
    story.lockstep.prompt_seconds += 30
    story.passes(31.0)
    assert story.cost == (0, 0, 1)


def test_each_sigterm_has_what_comes_after_it(story):
    story.passes(1.0, cpu=1.0)
    story.event.signals.append(SimpleNamespace(cost=RealCost()))
    story.costs.before_sigterm(story.event, "handler")
    story.passes(1.0, cpu=0.5)
    story.real += 1
    story.cpu[7] += 0.25
    story.costs.ends(story.event)
    story.passes(1.0, cpu=1.0)
    assert [signal.cost.total for signal in story.event.signals] == [1, 0.75]


def test_a_process_that_begins_counts_with_all_that_it_has_used(story):
    story.event.instance = None  # it is pending
    story.costs.ends(story.event)
    story.costs.before_sigterm(story.event, "handler")
    story.event.instance = Instance(pid=8)
    story.cpu[8] = 0.25
    story.passes(1.0)
    story.cpu[8] += 0.5
    story.passes(1.0)
    assert story.cost == (0.75, 0, 0)


@pytest.mark.parametrize("how", ["ended", "in real time"])
def test_what_has_ended_or_sees_real_time_is_not_measured(monkeypatch, how):
    story = Story(monkeypatch)
    story.event.ended = how == "ended"
    story.event.function.runtime.in_lockstep = how == "ended"
    story.costs.before_sigterm(story.event, "handler")
    story.passes(1.0, cpu=1.0)
    assert story.cost == (0, 0, 0)


def test_the_words_of_a_cost():
    cost = RealCost(computing=2.7, children=0.25, waiting=0.004)
    assert cost_text(cost) == "computed 2.7 real s and waited 0.25 real s for child processes"
    assert cost_text(RealCost()) == ""
    assert passed_text(1_500_000, RealCost(), 0.25, "default") == "1.5 s"
    assert passed_text(0, RealCost(computing=0.1), 0.25, "default") == (
        "0 s (not counted: it computed 0.10 real s, less than stop_noise=0.25, default)"
    )
    assert passed_text(0, cost, 0.25, "default") == (
        "0 s of simulated time, in which it computed 2.7 real s and waited 0.25 real s for child processes,"
    )


def test_what_counts_is_named_however_little_it_is():
    little = RealCost(computing=0.003)
    assert passed_text(0, little, 0.0, "default") == "0 s of simulated time, in which it computed 0.003 real s,"
    assert real_cause(little).startswith("after SIGTERM it computed 0.003 real s: ")
