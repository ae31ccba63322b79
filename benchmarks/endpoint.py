"""Rows about the endpoint: calls of the official SDK, beside the same SDK on an empty Werkzeug application."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Literal

from pytest_scf_async import ScfEndpoint, ScfRuntime
from pytest_scf_async.scripted import finished, running_for

from .instances import new_runtime
from .measure import Row, Sample
from .trace import BETWEEN, START, records

CALLS = 50
"""Calls of one sample."""
FEW, MANY = 1_000, 1_000_000
POLLS = 121
"""Of an hour, one each 30 s: the last one sees the end."""


def handler(event: object, context: object) -> None:
    """Never runs: its event is only asked about."""


def client(address: str, secret_id: str = "AKID", secret_key: str = "key") -> Any:
    from tencentcloud.common.credential import Credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.scf.v20180416.scf_client import ScfClient

    http = HttpProfile(protocol="http", endpoint=address, keepAlive=True)
    return ScfClient(Credential(secret_id, secret_key), "ap-guangzhou", ClientProfile(httpProfile=http))


@contextlib.contextmanager
def empty_application(answer: dict[str, Any]) -> Iterator[str]:
    """An application of Werkzeug's that gives the same answer to everything."""
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.wrappers import Request, Response

    class Quiet(WSGIRequestHandler):
        disable_nagle_algorithm = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    body = json.dumps({"Response": {**answer, "RequestId": "00000000-0000-4000-8000-000000000000"}})

    @Request.application
    def application(request: Request) -> Response:
        request.get_data()
        return Response(body, content_type="application/json")

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def calling(client: Any, action: str, **sent: Any) -> Sample:
    """A sample of calls: seconds of one."""
    from tencentcloud.scf.v20180416 import models

    request = getattr(models, f"{action}Request")()
    for name, value in sent.items():
        setattr(request, name, value)
    call = getattr(client, action)

    def sample() -> float:
        start = perf_counter()
        for _ in range(CALLS):
            call(request)
        return (perf_counter() - start) / CALLS

    return sample


@contextlib.contextmanager
def served() -> Iterator[tuple[ScfRuntime, ScfEndpoint]]:
    with new_runtime() as runtime, ScfEndpoint(runtime) as endpoint:
        yield runtime, endpoint


def fill(runtime: ScfRuntime, count: int) -> None:
    """Events of the function export that ended long ago, as far as List is concerned."""
    runtime.deploy(handler, name="export")
    for record in records(count):
        runtime._trace.add(record)
        runtime._events[record.request_id] = _Known()  # type: ignore[assignment]


class _Known:
    """An event of which nothing but its record is asked; the end of its runtime changes nothing of it."""

    _event = SimpleNamespace(ended=True, ended_by_close=True)

    def _poll(self) -> None:
        pass

    def _check(self) -> None:
        pass


@contextlib.contextmanager
def status() -> Iterator[tuple[Sample, Sample]]:
    with served() as (runtime, endpoint):
        event = runtime.deploy(handler, name="export").invoke_async()
        event.wait()
        answer = {"Result": {"Status": "FINISHED", "StatusCode": 200, "InvokeRequestId": event.request_id}}
        with empty_application(answer) as empty:
            ours = client(endpoint.address, endpoint.secret_id, endpoint.secret_key)
            sent = {"InvokeRequestId": event.request_id}
            yield calling(ours, "GetAsyncEventStatus", **sent), calling(client(empty), "GetAsyncEventStatus", **sent)


@contextlib.contextmanager
def page_of(count: int, floor_count: int | None) -> Iterator[tuple[Sample, Sample]]:
    """A page of *count* events, beside a page of fewer, or beside the same page from an empty application."""
    with contextlib.ExitStack() as stack:
        samples = []
        for each in (count, floor_count):
            if each is None:
                continue
            runtime, endpoint = stack.enter_context(served())
            runtime.clock.jump(max(runtime.clock.now_us, START + MANY * BETWEEN))
            fill(runtime, each)
            ours = client(endpoint.address, endpoint.secret_id, endpoint.secret_key)
            samples.append(calling(ours, "ListAsyncEvents", FunctionName="export"))
        if floor_count is None:
            from tencentcloud.scf.v20180416 import models

            request = models.ListAsyncEventsRequest()
            request.FunctionName = "export"
            answer = json.loads(ours.ListAsyncEvents(request).to_json_string())
            empty = stack.enter_context(empty_application(answer))
            samples.append(calling(client(empty), "ListAsyncEvents", FunctionName="export"))
        yield samples[0], samples[1]


@contextlib.contextmanager
def polls(children: Literal["real", "simulated"]) -> Iterator[tuple[Sample, None]]:
    """An hour of another event, watched by a handler that starts cold: its import of the SDK and TLS are included."""
    with served() as (runtime, _):
        watched = runtime.deploy_scripted("export", [running_for(3_600), finished()])

        def sample() -> float:
            poller = runtime.deploy("poller.py:main_handler", timeout=7_200, children=children)
            event = watched.invoke_async({})
            start = perf_counter()
            polled = poller.run({"id": event.request_id})
            took = perf_counter() - start
            assert polled == POLLS
            poller.delete()
            return took

        yield sample, None


def rows() -> list[Row]:
    return [
        *(
            Row(
                f"endpoint-polls-{children}",
                f"{POLLS} polls of the SDK in a handler that starts cold, {children} children",
                "≤ 2 s",
                partial(polls, children),
                2.0,
                unit="s",
                rounds=5,
                quick_rounds=2,
                warm_up=1,
            )
            for children in ("real", "simulated")
        ),
        Row(
            "endpoint-status",
            "GetAsyncEventStatus by the SDK / an empty Werkzeug application",
            "≤ 1.25 ×",
            status,
            1.25,
            rounds=20,
            quick_rounds=5,
        ),
        Row(
            "endpoint-list",
            "ListAsyncEvents by the SDK, 20 of 1,000 / an empty application",
            "≤ 1.25 ×",
            lambda: page_of(FEW, None),
            1.25,
            rounds=20,
            quick_rounds=5,
        ),
        Row(
            "endpoint-list-many",
            "ListAsyncEvents by the SDK, 20 of 1,000,000 / of 1,000",
            "≤ 2 ×",
            lambda: page_of(MANY, FEW),
            2.0,
            rounds=20,
            quick_rounds=5,
        ),
    ]
