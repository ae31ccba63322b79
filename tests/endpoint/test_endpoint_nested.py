"""A handler that invokes another function by the SDK, and waits for its answer."""

from __future__ import annotations

import json
from typing import Any

from pytest_scf_async import ScfEndpoint, ScfRuntime


def slow(event: Any, context: object) -> object:
    import time

    time.sleep(event["seconds"])
    return {"rows": event["seconds"]}


def calls(event: Any, context: object) -> object:
    import time

    from tencentcloud.common.credential import Credential
    from tencentcloud.scf.v20180416 import models
    from tencentcloud.scf.v20180416.scf_client import ScfClient

    client = ScfClient(Credential(event["secret_id"], event["secret_key"]), "ap-guangzhou")
    request = models.InvokeRequest()
    request.FunctionName, request.ClientContext = "slow", '{"seconds": 40}'
    began = time.time()
    result = client.Invoke(request).Result
    return [result.RetMsg, round(time.time() - began)]


def test_a_handler_waits_for_a_slow_function(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint) -> None:
    scf_runtime.deploy(slow, name="slow", async_run=False, timeout=60)
    outer = scf_runtime.deploy(calls, name="calls")

    event = outer.invoke_async({"secret_id": scf_endpoint.secret_id, "secret_key": scf_endpoint.secret_key}).wait()

    assert event.result == [json.dumps({"rows": 40}), 40]
    assert [call.action for call in scf_endpoint.calls] == ["Invoke"]
