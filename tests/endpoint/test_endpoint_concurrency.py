"""Many clients at once: no event is lost, no answer contradicts another. One client: two runs are the same."""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from tc3 import signed

from pytest_scf_async import ScfEndpoint, ScfRuntime, ScfSettings
from pytest_scf_async.endpoint.http_request import HttpRequest

# once: the endpoint's own work, the same on all Pythons
pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:the endpoint was asked:pytest_scf_async.ScfAsyncWarning"),  # by 16 at once
]

CLIENTS = 16
EACH_CALLS = int(os.environ.get("SCF_CALLS", "190"))
"""Calls that each client makes at least: all go on until `ENOUGH` were refused and as many terminated, as who comes
first decides how many that are."""
ENOUGH = 100
ROOM = 8
"""Events that may run at once."""
EACH = 20
"""Calls between which the clock is moved."""
ENDED = ("FINISHED", "FAILED", "ABORTED")


class Shared:
    """What the answers so far have shown all clients."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.invoked = 0
        """Invocations that were sent, whatever became of them."""
        self.accepted: list[str] = []
        self.ended: dict[str, str] = {}
        """The status of each event that has ended, as an answer showed it."""
        self.aborted: list[str] = []
        self.refused = 0
        """Invocations for which there was no room."""

    def is_enough(self) -> bool:
        with self.lock:
            return self.refused > ENOUGH and len(self.aborted) > ENOUGH


class Calls:
    """One client: it calls at random, and holds each answer against what was known before it called."""

    def __init__(self, endpoint: ScfEndpoint, shared: Shared, seed: str) -> None:
        self.random = random.Random(seed)
        self.shared = shared
        self.answers: list[bytes] = []
        self._endpoint = endpoint
        self._connection = http.client.HTTPConnection(endpoint.address, timeout=300)

    def close(self) -> None:
        self._connection.close()

    def call(self, action: str, **parameters: Any) -> tuple[dict[str, Any], str | None]:
        """The answer to one request, and the code of a refusal."""
        endpoint = self._endpoint
        headers = {"x-tc-action": action, "host": endpoint.address}
        request = HttpRequest("POST", "/", "", headers, json.dumps(parameters).encode())
        request = signed(request, endpoint.secret_id, endpoint.secret_key)
        self._connection.request("POST", "/", request.body, dict(request.headers))
        answered = self._connection.getresponse().read()
        self.answers.append(answered)
        answer = json.loads(answered)["Response"]
        return answer, answer.get("Error", {}).get("Code")

    def any(self) -> None:
        """One call of some kind."""
        some = self.random.random()
        if some < 0.25 or not self.shared.accepted:
            self.invoke()
        elif some < 0.5:
            self.list_page()
        elif some < 0.85:
            self.get()
        else:
            self.terminate()

    def invoke(self) -> None:
        with self.shared.lock:
            self.shared.invoked += 1
        event = {"seconds": self.random.randrange(5, 30)}
        answer, code = self.call(
            "Invoke", FunctionName="export", InvocationType="Event", ClientContext=json.dumps(event)
        )
        with self.shared.lock:
            if code is None:
                self.shared.accepted.append(answer["RequestId"])
            else:
                assert code == "LimitExceeded.Quota"
                self.shared.refused += 1
                assert self.shared.invoked - self.shared.refused >= ROOM

    def list_page(self) -> None:
        with self.shared.lock:
            before = len(self.shared.accepted)
        offset, limit = self.random.randrange(before + 5), self.random.randrange(1, 101)
        order = self.random.choice(["ASC", "DESC"])
        answer, code = self.call("ListAsyncEvents", FunctionName="export", Offset=offset, Limit=limit, Order=order)

        assert code is None
        total, page = answer["TotalCount"], answer["EventList"]
        assert before <= total <= self.shared.invoked
        assert len(page) == max(0, min(limit, total - offset))
        assert len({event["InvokeRequestId"] for event in page}) == len(page)
        times = [event["StartTime"] for event in page]
        assert times == sorted(times, reverse=order == "DESC")
        for event in page:
            assert (event["EndTime"] != "") == (event["Status"] in ENDED)
            self.has_status(event["InvokeRequestId"], event["Status"])

    def get(self) -> None:
        if self.random.random() < 0.1:
            assert self.call("GetAsyncEventStatus", InvokeRequestId="none")[1] == "ResourceNotFound.AsyncEvent"
            return
        request_id, known = self.some_event()
        answer, code = self.call("GetAsyncEventStatus", InvokeRequestId=request_id)

        assert code is None
        status = answer["Result"]["Status"]
        assert known in (None, status)
        self.has_status(request_id, status)

    def terminate(self) -> None:
        request_id, known = self.some_event()
        _, code = self.call("TerminateAsyncEvent", FunctionName="export", InvokeRequestId=request_id)

        if code is None:
            assert known is None
            with self.shared.lock:
                self.shared.aborted.append(request_id)
            self.has_status(request_id, "ABORTED")
        else:
            assert code == "FailedOperation.AsyncEventStatus"

    def some_event(self) -> tuple[str, str | None]:
        """One of the last events that were accepted, and how it is known to have ended."""
        with self.shared.lock:
            request_id = self.random.choice(self.shared.accepted[-3 * ROOM :])
            return request_id, self.shared.ended.get(request_id)

    def has_status(self, request_id: str, status: str) -> None:
        """An answer had this status: once an event has ended, it never changes."""
        if status in ENDED:
            with self.shared.lock:
                assert self.shared.ended.setdefault(request_id, status) == status
        else:
            assert status == "RUNNING"

    def pages(self) -> dict[str, str]:
        """The statuses of all events, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            answer, _ = self.call("ListAsyncEvents", FunctionName="export", Offset=len(found), Limit=100)
            found += answer["EventList"]
            if len(found) == answer["TotalCount"]:
                statuses = {event["InvokeRequestId"]: event["Status"] for event in found}
                assert len(statuses) == len(found)
                return statuses


@contextmanager
def served(settings: ScfSettings) -> Iterator[ScfEndpoint]:
    """An endpoint whose keys and ids are the same each time, with a function that has little room."""
    settings = settings.replace("test", start=datetime(2026, 1, 1, tzinfo=timezone.utc))
    with ScfRuntime(settings, seed="clients", lookup=[Path(__file__).parents[1]]) as runtime:
        runtime.deploy("handlers/exports.py:main_handler", name="export", max_instances=ROOM)
        with ScfEndpoint(runtime) as endpoint:
            yield endpoint


@pytest.mark.timeout(600)
def test_many_clients_at_once(scf_settings: ScfSettings) -> None:
    shared, moves = Shared(), queue.SimpleQueue[bool]()
    failures: list[BaseException] = []
    made: list[int] = []

    def run(seed: str) -> None:
        try:
            with closing(Calls(endpoint, shared, seed)) as calls:
                while len(calls.answers) < EACH_CALLS or not (shared.is_enough() or failures):
                    calls.any()
                    if len(calls.answers) % EACH == 0:
                        moves.put(True)
                made.append(len(calls.answers))
        except BaseException as error:
            failures.append(error)
        finally:
            moves.put(False)  # the last one of this client

    with served(scf_settings) as endpoint:
        threads = [threading.Thread(target=run, args=[f"client {number}"]) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        ended = 0
        while ended < CLIENTS:
            ended += not moves.get()
            endpoint.runtime.clock.advance(5)
        for thread in threads:
            thread.join()
        assert failures == []

        assert len(made) == CLIENTS
        assert len(endpoint.calls) == sum(made)
        assert len({call.request_id for call in endpoint.calls}) == sum(made)
        invoked = [call.request_id for call in endpoint.calls if call.action == "Invoke" and call.error is None]
        assert sorted(invoked) == sorted(shared.accepted)
        assert len(shared.aborted) == len(set(shared.aborted))
        endpoint.runtime.wait_all()
        with closing(Calls(endpoint, shared, "the last")) as last:
            statuses = last.pages()
        assert sorted(statuses) == sorted(shared.accepted)
        assert shared.ended.items() <= statuses.items()
        assert {request_id for request_id, status in statuses.items() if status == "ABORTED"} == set(shared.aborted)
        assert set(statuses.values()) == {"FINISHED", "ABORTED"}


def test_one_client_twice(scf_settings: ScfSettings) -> None:
    def run() -> list[bytes]:
        with served(scf_settings) as endpoint, closing(Calls(endpoint, Shared(), "alone")) as calls:
            for number in range(1, 501):
                calls.any()
                if number % EACH == 0:
                    endpoint.runtime.clock.advance(5)
            return calls.answers

    assert run() == run()


def test_of_many_terminations_one_is_accepted(scf_settings: ScfSettings) -> None:
    """All wait for the event's start, and go on from there at once."""
    begins = threading.Barrier(CLIENTS)
    ended: list[str | None] = []

    def terminate(calls: Calls, request_id: str) -> None:
        begins.wait(60)
        answer, code = calls.call("TerminateAsyncEvent", FunctionName="export", InvokeRequestId=request_id)
        ended.append(code)
        assert code is None or "is ABORTED, and only a RUNNING event can be terminated.)" in answer["Error"]["Message"]

    with served(scf_settings) as endpoint, ExitStack() as stack:
        clients = [stack.enter_context(closing(Calls(endpoint, Shared(), ""))) for _ in range(CLIENTS)]
        for _ in range(10):
            event = endpoint.runtime.function("export").invoke_async({"seconds": 60})
            ended.clear()
            threads = [threading.Thread(target=terminate, args=[client, event.request_id]) for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(ended, key=str) == ["FailedOperation.AsyncEventStatus"] * (CLIENTS - 1) + [None]
