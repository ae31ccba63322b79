"""Why a blocking call could not end: what each instance is doing, thread by thread, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..instances.instance import Instance
from ..instances.process_tree import Child
from ..instances.state import Doing, Life
from ..model.timeline import Waited
from ..protocol.shortening import shortened_list
from .event import Event
from .thread_reports import lines_of, threads_of

CHILDREN_SHOWN = 5
PEERS_SHOWN = 3


@dataclass(frozen=True)
class Snapshot:
    """What is explained: the events of a runtime that have not ended, at one moment."""

    now_us: int
    running: Sequence[Event]
    """In order of acceptance."""
    described: Callable[[Event], str | None]
    """What a running event without an instance does, in words that follow its name."""


def explain(snapshot: Snapshot, call: str, reason: str, passed_us: int = 0) -> str:
    """The text of a ``CannotEndError``; *passed_us* is the simulated time that passed in a call which took too long."""
    passed = f", in which {passed_us / 1_000_000:,.1f} simulated seconds passed" if passed_us else ""
    return f"{call} could not end: {reason}{passed}.\n{what_instances_do(snapshot, passed_us)}"


def what_instances_do(snapshot: Snapshot, passed_us: int = 0) -> str:
    """What the instance of each running event is doing, thread by thread, and what to do about it.

    Events that went on in the *passed_us* of simulated time that a call took are only too slow for it.
    """
    since_us = snapshot.now_us - passed_us
    lines: list[str] = []
    advice: list[str] = []
    parked = False
    for event in snapshot.running:
        if event.instance is None or event.instance.state.life is Life.GIVEN_UP:
            lines.append(_without_run_token(snapshot, event))
            continue
        instance = event.instance
        deploy = event.function.configuration.deployed_by
        doing = instance.doing()
        if _went_on(event, since_us) and doing in (Doing.COMPUTING, Doing.PARKED) and not instance.state.cpu_bound:
            lines.append(_waited_most(event))
            advice.append(_GIVE_IT_TIME)
            continue
        lines.append(f"event {event.request_id} of {event.function.configuration.name} is {_doing(instance, doing)}")
        timeouts = event.function.configuration
        timeout = timeouts.init_timeout if event.phase == "init" else timeouts.timeout
        peers: list[str] = []
        sleeps: list[str] = []
        awaited = False
        if (doing in (Doing.COMPUTING, Doing.HELD) or instance.traces_user_code) and not instance.gone:
            threads = threads_of(instance, snapshot.now_us)
            lines += ["  " + line for line in lines_of(threads)]
            for thread in threads:
                if thread.real_wait is not None:
                    peers += thread.real_wait.peers
                    sleeps += [thread.real_wait.sleeps] if thread.real_wait.sleeps else []
                    awaited = awaited or not thread.real_wait.peers
            peers = [peer for peer in peers if peer not in event.function.configuration.idle_ok]
        if doing is Doing.FREE_RUNNING:
            lines.append(f"  {event.function.runtime.unseen}")
            advice.append(f"scf_clock.advance({timeout}) takes it to its timeout at once; terminate() ends it")
        elif doing is Doing.COMPUTING:
            advice.append(_of_computing(event, instance, timeout))
        elif doing is Doing.HELD and instance.children.holding:
            advice.append(_of_children(event, instance, awaited))
        elif doing is Doing.HELD:
            if sleeps or event.real_time:
                advice.append(f"a wait in C code takes real time: {event.function.runtime.instead_of_real_waits}")
            advice.append(f"{_silent(deploy, peers)}{_past_held(timeout)}; terminate() ends it")
        elif doing is Doing.GATED:
            advice.append("wait(), settle() or another gate call on that event opens its gate")
        else:
            parked = True
    if parked and not advice:  # else what keeps time from passing comes first
        advice.append("scf_clock.advance(seconds), or a call that moves the clock, lets its wait end")
    if not snapshot.running:
        lines.append("no event is running")
    lines += [f"What to do: {text}." for text in dict.fromkeys(advice)]
    return "\n".join(lines)


def _of_computing(event: Event, instance: Instance, timeout: int) -> str:
    deploy = event.function.configuration.deployed_by
    rate = "" if instance.takes_time else f"; {deploy}(..., compute_rate=1.0) lets time pass while it computes"
    return (
        "it computes without a wait: raise real_timeout (scf_async_real_timeout in the ini file) if it only needs "
        f"longer{rate}; scf_clock.advance({timeout}) takes it to its timeout; terminate() ends it"
    )


def _of_children(event: Event, instance: Instance, awaited: bool) -> str:
    """What to do about child processes that live; where a thread has *awaited* one, it cannot be left behind."""
    configuration = event.function.configuration
    deploy = configuration.deployed_by
    named = ", ".join(dict.fromkeys(repr(child.name) for child in instance.children.holding if child.name))
    ways = ["a child process holds the clock for as long as it lives"]
    if not awaited:
        ways[0] += ": have the handler end it and wait for it"
    if event.function.runtime.has_places and configuration.children == "real":
        ways.append(f'{deploy}(..., children="simulated") puts its sleeps on the simulated clock')
    if named and not awaited:
        ways.append(f"{deploy}(..., background=({named},)) lets a daemon run beside the clock")
    return "; ".join([*ways, _past_held(configuration.timeout), "terminate() ends it with its event"])


def _past_held(timeout: int) -> str:
    return f"scf_clock.advance({timeout}, past_held=True) lets time pass regardless, up to the event's timeout"


def _silent(deploy: str, peers: Sequence[str]) -> str:
    """What to do about *peers* that do not answer; without one, that the wait is real."""
    if not peers:
        return "a real wait holds the clock: "
    names = list(dict.fromkeys(peers))
    has, it = ("has", "it") if len(names) == 1 else ("have", "them")
    idle = ", ".join(map(repr, names))
    return (
        f"{shortened_list(names, PEERS_SHOWN)} {has} not answered: make {it} answer; {deploy}(..., idle_ok=[{idle}]) "
        "lets simulated time pass while the connection is silent; "
    )


_GIVE_IT_TIME = (
    "simulated time passes, and each wait takes a moment of real time: raise real_limit (scf_async_real_limit in the "
    "ini file), or have the function wait less often; scf_clock.advance(seconds) takes just as long"
)


def _without_run_token(snapshot: Snapshot, event: Event) -> str:
    described = snapshot.described(event) if event.instance is None else None
    if described is not None:
        return f"event {event.request_id} of {event.function.configuration.name} {described}"
    if event.instance is None:
        return f"event {event.request_id} is pending: none of its code has run"
    return f"event {event.request_id} is stopped: a call gave up on it, and this one does not wait for it"


def _went_on(event: Event, since_us: int) -> bool:
    last = event.timeline[-1]
    return (last.last_us if isinstance(last, Waited) else last.time_us) > since_us


def _waited_most(event: Event) -> str:
    """That an event goes on, and in what it has waited most often."""
    counts: Counter[str] = Counter()
    for entry in event.timeline:
        if isinstance(entry, Waited):
            counts[entry.description] += entry.times
    waits = "".join(f": its most frequent wait is {what}, {count:,} times" for what, count in counts.most_common(1))
    return f"event {event.request_id} of {event.function.configuration.name} is making progress{waits}"


def _doing(instance: Instance, doing: Doing) -> str:
    if doing is Doing.PARKED and instance.waits_in:
        return f"parked in {instance.waits_in}"
    if doing is Doing.HELD:
        children = instance.children.look()
        real_wait = instance.state.held or instance.state.preempted
        waits = "held by a real wait" if real_wait else f"parked in {instance.waits_in}"
        return f"{waits}; the {_children(children)} alive" if children else waits
    return str(doing)


def _children(children: tuple[Child, ...]) -> str:
    if len(children) == 1:
        return f"child process {children[0]} is"
    return f"child processes {shortened_list([*map(str, children)], CHILDREN_SHOWN)} are"
