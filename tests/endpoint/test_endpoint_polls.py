"""Code that polls the endpoint while simulated time stands gets a warning, and later an error."""

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
