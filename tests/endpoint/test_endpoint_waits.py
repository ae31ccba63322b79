"""A handler that waits for the endpoint's answer holds the clock, unless that answer waits on simulated time itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from endpoint_handlers import (
    asks_in_a_loop,
    asks_without_the_sdk,
    polls,
    polls_and_asks_another,
    signed_by_the_sdk,
    sleeps,
)
from endpoint_internals import ServedAnswers
from internals import event_of, lockstep_of
from process_support import eventually

from pytest_scf_async import ScfEndpoint, ScfRuntime, assert_finished


def keys(endpoint: ScfEndpoint, of: str) -> dict[str, Any]:
    return {"id": endpoint.secret_id, "key": endpoint.secret_key, "of": of}


@pytest.fixture
def watched(scf_runtime: ScfRuntime) -> str:
    """The request id of an event of 50 simulated seconds."""
    return scf_runtime.deploy(sleeps).invoke_async({"seconds": 50}).request_id


def test_a_delayed_answer_takes_simulated_time(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, watched: str
) -> None:
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    polling = scf_runtime.deploy(polls).invoke_async(keys(scf_endpoint, watched)).wait()

    assert_finished(polling, result=["FINISHED", 60.0])
    assert polling.duration == timedelta(seconds=60)


@pytest.mark.parametrize("tls", [True, False])
def test_a_delayed_answer_without_the_sdk(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, watched: str, tls: bool
) -> None:
    signed = signed_by_the_sdk(scf_endpoint, watched)
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    asking = scf_runtime.deploy(asks_without_the_sdk).invoke_async({"tls": tls, **signed}).wait()

    answer, seconds = asking.result
    assert '"Status":"FINISHED"' in answer
    assert seconds == 60


def test_a_loop_goes_on_beside_a_delayed_answer(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    signed = signed_by_the_sdk(scf_endpoint, "none")
    scf_endpoint.delay("GetAsyncEventStatus", 60)

    assert scf_runtime.deploy(asks_in_a_loop).run(signed) == [30, 60]


def test_two_handlers_at_once(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, watched: str) -> None:
    scf_endpoint.delay("GetAsyncEventStatus", 30)
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    function = scf_runtime.deploy(polls)
    both = [function.invoke_async(keys(scf_endpoint, watched)) for _ in range(2)]
    scf_runtime.wait_all(both)

    assert sorted(event.result for event in both) == [["FINISHED", 60.0], ["RUNNING", 30.0]]


def test_a_clients_own_timeout_is_simulated_time(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    event = {**keys(scf_endpoint, "none"), "patience": 10}
    polling = scf_runtime.deploy(polls).invoke_async(event).wait()

    assert "Read timed out. (read timeout=10)" in str(polling.error)
    assert timedelta(seconds=9) < polling.duration < timedelta(seconds=11)


class OtherServer:
    """It answers when the test lets it, in real time."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return  # no client has connected
        with connection:
            connection.recv(1)
            self.asked.set()
            assert self.may_answer.wait(60)
            connection.sendall(b"!")


@pytest.fixture
def other() -> Iterator[OtherServer]:
    server = OtherServer()
    yield server
    server.may_answer.set()
    server.listener.shutdown(socket.SHUT_RDWR)
    server.thread.join()
    server.listener.close()


def test_the_answer_of_another_server_holds(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, watched: str, other: OtherServer
) -> None:
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    event = {**keys(scf_endpoint, watched), "port": other.port}
    waiting = scf_runtime.deploy(polls_and_asks_another).invoke_async(event)
    at_answer: list[timedelta] = []
    lockstep = lockstep_of(scf_runtime)

    def answer() -> None:
        """Answer once both answers are owed, one of them holds no more, and the clock could have moved."""
        assert other.asked.wait(60)
        instance = event_of(waiting).instance
        assert instance is not None
        assert eventually(lambda: bool(lockstep.feature(ServedAnswers).owed) and instance.seen == instance.sent)
        seen = lockstep.news
        assert eventually(lambda: lockstep.news > seen + 5 or scf_runtime.clock.now > waiting.started_at)
        at_answer.append(scf_runtime.clock.now - waiting.started_at)
        other.may_answer.set()

    thread = threading.Thread(target=answer)
    thread.start()
    waiting.wait()
    other.asked.set()
    thread.join()

    assert at_answer == [timedelta(0)]
    assert waiting.result == [0, 60]


def test_time_passes_in_calls_of_the_test_only(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, watched: str
) -> None:
    signed = signed_by_the_sdk(scf_endpoint, watched)
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    polling = scf_runtime.deploy(asks_without_the_sdk).invoke_async({"tls": False, **signed}).settle()
    assert scf_runtime.clock.now == polling.started_at

    scf_runtime.clock.advance(59)
    assert polling.status == "RUNNING"
    scf_runtime.clock.advance(1)
    assert polling.wait().duration == timedelta(seconds=60)


def test_the_endpoint_closes_while_an_answer_waits(scf_runtime: ScfRuntime) -> None:
    with ScfEndpoint(scf_runtime) as endpoint:
        signed = signed_by_the_sdk(endpoint, "none")
        endpoint.delay("GetAsyncEventStatus", 7200)
        polling = scf_runtime.deploy(asks_without_the_sdk).invoke_async({"tls": False, **signed}).settle()
        scf_runtime.clock.advance(1)
        assert lockstep_of(scf_runtime).feature(ServedAnswers).owed

    assert not lockstep_of(scf_runtime).feature(ServedAnswers).owed
    assert polling.wait().status == "FAILED"


def test_an_instance_is_gone_while_its_answer_waits(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    scf_endpoint.delay("GetAsyncEventStatus", 7200)
    polling = scf_runtime.deploy(polls, timeout=10).invoke_async(keys(scf_endpoint, "none")).wait()

    assert polling.status_code == 433
    assert polling.duration == timedelta(seconds=10)
