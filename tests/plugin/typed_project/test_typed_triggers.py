"""The same for triggers."""

from __future__ import annotations

from datetime import datetime, timezone

from pytest_scf_async import AsyncEvent, ScfRuntime
from pytest_scf_async.scripted import finished
from pytest_scf_async.triggers import event_of
from pytest_scf_async.triggers.messages import CosEvent


def test_triggers(scf_runtime: ScfRuntime) -> None:
    message: CosEvent = event_of(
        "cos", bucket="in", key="a.csv", size=7, time=datetime(2026, 3, 1, tzinfo=timezone.utc)
    )
    key: str = message["Records"][0]["cos"]["cosObject"]["key"]
    message["Records"][0]["event"]["eventTime"] += 60
    assert key.endswith("/a.csv")
    function = scf_runtime.deploy_scripted("echo", [finished()])
    events: list[AsyncEvent] = [
        function.trigger("timer", name="nightly", message="all"),
        function.trigger("cos", key="a.csv", event="cos:ObjectCreated:Put"),
        function.trigger("ckafka", messages=["a", "b"], partition=1),
        function.trigger("apigw", path="/", method="GET", query={"a": "b"}),
        function.trigger("clb", payload={"a": [1, {"b": None}]}),
    ]
    scf_runtime.wait_all()
    assert [event.ended for event in events] == [True] * 5
