"""What of the platform is not there: each is refused in one sentence, or taken and has no effect."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tencentcloud.common.exception import TencentCloudSDKException

from pytest_scf_async import AsyncEvent, ScfEndpoint, ScfRuntime
from pytest_scf_async.scripted import exited, failed, finished, running_for, timed_out

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

QUEUE = {"DeadLetterConfig": {"Type": "CMQ-QUEUE", "Name": "failures", "FilterType": ""}}
LAYERS = {"Layers": [{"LayerName": "numpy", "LayerVersion": 1}]}


def zipped(code: str) -> dict[str, str]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", code)
    return {"ZipFile": base64.b64encode(packed.getvalue()).decode()}


CREATE = {"FunctionName": "other", "Code": zipped("def main_handler(*_): return 1"), "Runtime": "Python3.10"}


# -- what is refused -------------------------------------------------------------------------------------------------


def by_the_endpoint(action: str) -> str:
    return f"The action {action} by the endpoint of pytest-scf-async is not supported."


@pytest.mark.parametrize(
    ("action", "sent", "sentence"),
    [
        (
            "CreateFunction",
            {**CREATE, **LAYERS},
            "A function with Layers, which nothing can publish here, is not supported.",
        ),
        (
            "UpdateFunctionConfiguration",
            {"FunctionName": "export", **LAYERS},
            "A function with Layers, which nothing can publish here, is not supported.",
        ),
        ("CreateFunction", {**CREATE, "Type": "HTTP"}, "A function of Type HTTP is not supported."),
        *(
            (action, {}, by_the_endpoint(action))
            for action in (
                *("PublishLayerVersion", "ListLayers", "ListLayerVersions", "GetLayerVersion", "DeleteLayerVersion"),
                *("CopyFunction", "GetFunctionAddress"),
                *(f"{verb}ProvisionedConcurrencyConfig" for verb in ("Put", "Get", "Delete")),
            )
        ),
    ],
)
def test_what_is_not_asked_for_is_refused_in_one_sentence(
    scf_runtime: ScfRuntime, scf_client: Any, action: str, sent: dict[str, Any], sentence: str
) -> None:
    """Layers over the API, copies, provisioned concurrency and web functions."""
    scf_runtime.deploy_scripted("export", [finished()])
    scf_client.profile.language = "en-US"

    with pytest.raises(TencentCloudSDKException) as raised:
        scf_client.call_json(action, sent)

    assert raised.value.get_code() == "UnsupportedOperation"
    assert raised.value.get_message() == sentence
    assert list(scf_runtime.functions) == ["export"]


@pytest.mark.parametrize("runtime", ["Python2.7", "Python3.6", "Python3.7", "Python3.9"])
def test_an_older_python_is_a_text_and_the_code_runs_on_that_of_the_tests(
    scf_runtime: ScfRuntime, scf_client: Any, runtime: str
) -> None:
    """Python2.7 is what CreateFunction takes where none is given (document 18586)."""
    code = "import os\ndef main_handler(event, context):\n  match event:\n    case _: return os.environ['SCF_RUNTIME']"

    scf_client.call_json("CreateFunction", {**CREATE, "Code": zipped(code), "Runtime": runtime})

    assert scf_runtime.functions["other"].run() == runtime


# -- dead letters ----------------------------------------------------------------------------------------------------


def waited(event: AsyncEvent) -> AsyncEvent:
    return event.wait()


def by_force(event: AsyncEvent) -> AsyncEvent:
    event.settle()
    event.terminate()
    return event


def by_signal(event: AsyncEvent) -> AsyncEvent:
    event.settle()
    event.terminate(grace_shutdown=True)
    return event.wait()


ENDS: dict[str, tuple[list[Any], dict[str, Any], Callable[[AsyncEvent], AsyncEvent]]] = {
    "FINISHED 200": ([finished(1)], {}, waited),
    **{
        f"FAILED {code}": ([failed(code)], {}, waited)
        for code in (405, 407, 430, 434, 437, 443, 444, 445, 446, 447, 449, 450, 500)
    },
    "FAILED 433": ([timed_out()], {}, waited),
    "FAILED 439": ([exited()], {}, waited),
    "ABORTED 499": ([running_for(60), finished()], {}, by_force),
    "FINISHED 200, after SIGTERM": ([running_for(60), failed()], {"on_terminate": "honour"}, by_signal),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_event_of_an_async_function_sends_no_dead_letter_however_it_ends(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, scf_client: Any, end: str
) -> None:
    """41138: retries and dead letters have no effect on errors during the execution of async functions."""
    steps, keywords, ends = ENDS[end]
    function = scf_runtime.deploy_scripted("export", steps, **keywords)
    scf_client.call_json("UpdateFunctionConfiguration", {"FunctionName": "export", **QUEUE})
    sent = {"FunctionName": "export", "InvocationType": "Event", "ClientContext": "{}"}
    request_id = scf_client.call_json("Invoke", sent)["Response"]["RequestId"]
    event = ends(scf_runtime.event(request_id))
    assert f"{event.status} {event.status_code}" == end.partition(",")[0]
    calls, timeline = len(scf_endpoint.calls), event.timeline

    scf_runtime.clock.advance(timedelta(hours=25))  # as long as the platform ever keeps an event

    assert (len(function.events), event.retry_num) == (1, 0)
    assert event.timeline == timeline
    assert len(scf_endpoint.calls) == calls
