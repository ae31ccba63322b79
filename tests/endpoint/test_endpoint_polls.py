"""What code that polls the endpoint sees: what is due has run; while time stands, a warning, and later an error."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pytest
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.scf.v20180416 import models

from pytest_scf_async import CannotEndError, ScfAsyncWarning, ScfEndpoint, ScfRuntime, ScfSettings
from pytest_scf_async.endpoint.of_test import client_of

# once: rules of the platform, and of the endpoint: the same on all Pythons
pytestmark = pytest.mark.once


def sleeps(event: Any, context: object) -> None:
    time.sleep(3600)


def poll(client: Any, request_id: str, times: int = 1) -> None:
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = request_id
    for _ in range(times):
        client.GetAsyncEventStatus(request)


def returns(event: Any, context: object) -> Any:
    return event


def computes(event: Any, context: object) -> None:
    while True:
        pass


def sleeps_after_a_line(event: Any, context: object) -> None:
    print("begins")
    print("goes on")
    time.sleep(3600)


# -- what is due -----------------------------------------------------------------------------------------------------


def by_its_id(client: Any, request_id: str) -> str:
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = request_id
    return str(client.GetAsyncEventStatus(request).Result.Status)


def in_a_list(client: Any, request_id: str) -> str:
    request = models.ListAsyncEventsRequest()
    request.FunctionName, request.InvokeRequestId = "export", request_id
    return str(client.ListAsyncEvents(request).EventList[0].Status)


def among_requests(client: Any, request_id: str) -> str:
    request = models.GetRequestStatusRequest()
    request.FunctionName, request.FunctionRequestId = "export", request_id
    return "RUNNING" if client.GetRequestStatus(request).Data[0].RetMsg == "" else "FINISHED"


@pytest.mark.parametrize("asks", [by_its_id, in_a_list, among_requests])
def test_an_event_that_needs_no_time_has_ended_at_the_first_poll(
    scf_runtime: ScfRuntime, scf_client: Any, asks: Any
) -> None:
    began = scf_runtime.clock.now
    event = scf_runtime.deploy(returns, name="export").invoke_async({"rows": 20})

    assert asks(scf_client, event.request_id) == "FINISHED"
    assert (event.result, scf_runtime.clock.now) == ({"rows": 20}, began)


def test_a_poll_lets_no_time_pass_and_opens_no_gate(scf_runtime: ScfRuntime, scf_client: Any) -> None:
    began = scf_runtime.clock.now
    gated = scf_runtime.deploy(sleeps_after_a_line).invoke_async().wait_for_log("begins")
    event = scf_runtime.deploy(sleeps).invoke_async()
    assert event.doing == "pending"

    assert by_its_id(scf_client, event.request_id) == "RUNNING"

    assert (event.doing, gated.doing, scf_runtime.clock.now) == ("parked", "gated", began)
    assert "goes on" not in str(gated.log)


def test_what_computes_does_not_keep_a_poll(scf_settings: ScfSettings) -> None:
    with ScfRuntime(scf_settings.replace("test", real_timeout=0.2)) as runtime, ScfEndpoint(runtime) as endpoint:
        event = runtime.deploy(computes).invoke_async()
        client = client_of(endpoint, "test")

        assert [by_its_id(client, event.request_id) for _ in range(2)] == ["RUNNING"] * 2
        event.terminate()


# -- while time stands -----------------------------------------------------------------------------------------------


def test_the_fiftieth_poll_of_one_instant_warns_once(scf_runtime: ScfRuntime, scf_client: Any) -> None:
    event = scf_runtime.deploy(sleeps).invoke_async().settle()
    poll(scf_client, event.request_id, 49)
    scf_runtime.clock.advance(1)
    poll(scf_client, event.request_id, 49)

    named = r"asked 50 times .* scf_clock\.patched\(\) .* scf_clock\.running\(\)"
    with pytest.warns(ScfAsyncWarning, match=named):
        poll(scf_client, event.request_id)
    scf_runtime.clock.advance(1)
    poll(scf_client, event.request_id, 50)


def test_no_warning_while_time_flows(scf_runtime: ScfRuntime, scf_client: Any) -> None:
    event = scf_runtime.deploy(sleeps).invoke_async().settle()

    with scf_runtime.clock.running(rate=1):
        poll(scf_client, event.request_id, 60)


def test_an_error_made_of_the_warning_fails_the_test(scf_runtime: ScfRuntime) -> None:
    event = scf_runtime.deploy(sleeps).invoke_async().settle()
    endpoint = ScfEndpoint(scf_runtime)

    with warnings.catch_warnings():
        warnings.simplefilter("error", ScfAsyncWarning)
        poll(client_of(endpoint, "test"), event.request_id, 52)
    assert len(endpoint.calls) == 52

    with pytest.raises(ScfAsyncWarning, match="asked 50 times"):
        endpoint.close()


def test_reads_without_end_are_one_clear_sentence(scf_settings: ScfSettings) -> None:
    with ScfRuntime(scf_settings.replace("test", status_reads_limit=3)) as runtime:
        event = runtime.deploy(sleeps).invoke_async().settle()
        endpoint = ScfEndpoint(runtime)
        client = client_of(endpoint, "test")
        poll(client, event.request_id, 3)

        with pytest.raises(TencentCloudSDKException) as raised:
            poll(client, event.request_id)

        assert raised.value.get_code() == "InternalError"
        sentence = str(raised.value.get_message())
        assert f"(the status of event {event.request_id} was read 3 times (status_reads_limit, " in sentence
        assert "\n" not in sentence
        assert raised.value.get_request_id() == endpoint.calls[-1].request_id
        with pytest.raises(CannotEndError, match="was read 3 times"):
            endpoint.close()
