"""Invoke and InvokeFunction, and what GetRequestStatus and GetFunctionLogs return for every invocation."""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta

import pytest
from internals import event_of
from process_support import START

from pytest_scf_async import ScfEndpoint
from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.operations import InvocationResult
from pytest_scf_async.scripted import finished

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

MINUTE = timedelta(minutes=1)
WORKS = """
    import time
    def main_handler(event, context):
        print("row", event.get("row"))
        time.sleep(event.get("seconds", 0))
        if event.get("fails"):
            raise ValueError(event["fails"])
        return {"row": event.get("row")}
"""


@pytest.fixture
def sync(deploy):
    return deploy(WORKS, name="export", async_run=False, timeout=900)


@pytest.fixture
def asynchronous(deploy):
    return deploy(WORKS, name="export")


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


# -- Invoke ----------------------------------------------------------------------------------------------------------


def test_a_sync_function_is_waited_for_and_its_result_is_the_json_that_it_returned(runtime, sync):
    result = runtime.invoke("export", '{"row": 7, "seconds": 1.25}')

    assert runtime.clock.now == START + timedelta(seconds=1.25)
    assert (result.ret_msg, result.err_msg, result.invoke_result) == ('{"row": 7}', "", 0)
    assert (result.duration, result.bill_duration, result.log) == (1250.0, 1300, "")
    assert result.function_request_id == sync.events[0].request_id
    assert f"MemUsage:{result.mem_usage / 1024 / 1024:.6f}MB" in str(sync.events[0].log)


BARE = 13 << 20


def test_mem_usage_is_at_least_that_of_a_bare_runtime_wherever_it_is_shown(runtime, sync):
    runtime.deploy_scripted("scripted", [finished()], async_run=False)

    for name in ("export", "scripted"):
        result = runtime.invoke(name, "{}")
        (status,) = runtime.request_status(name, result.function_request_id).data
        (row,) = runtime.function_logs(name).data

        assert (result.mem_usage, status.mem_usage, row.mem_usage) == (BARE, 13.0, BARE)
        assert row.log.endswith(" MemUsage:13.000000MB")


def test_nan_in_a_result_is_in_ret_msg_as_pythons_json_writes_it(deploy, runtime):
    deploy("def main_handler(event, context): return {'rate': float('nan')}", name="rate", async_run=False)

    result = runtime.invoke("rate", "{}")

    (status,) = runtime.request_status("rate", result.function_request_id).data
    (row,) = runtime.function_logs("rate").data
    assert {result.ret_msg, status.ret_msg, row.ret_msg} == {'{"rate": NaN}'}
    with ScfEndpoint(runtime) as endpoint:
        shown = urllib.request.urlopen(f"{endpoint.url}/_scf/events/{result.function_request_id}").read()
    assert json.loads(shown)["result"] == {"rate": "NaN"}  # a reader in another language takes JSON only


def test_no_event_text_is_an_empty_event(runtime, sync):
    assert runtime.invoke("export").ret_msg == '{"row": null}'
    assert runtime.invoke("export", "").ret_msg == '{"row": null}'


def test_an_error_of_the_users_code_is_1_and_its_body(runtime, sync):
    result = runtime.invoke("export", '{"fails": "no"}')

    assert result.ret_msg.startswith('{"errorCode":1,"errorMessage":"user code exception caught","requestId":"')
    assert result.ret_msg.endswith('","statusCode":430}')
    body = json.loads(result.ret_msg)
    assert body == sync.events[0].error
    assert (body["statusCode"], result.invoke_result, result.err_msg) == (430, 1, body["errorMessage"])
    assert "ValueError: no" in body["stackTrace"]


def test_an_error_of_the_platform_is_minus_1(runtime, deploy):
    deploy(WORKS, name="short", async_run=False, timeout=3)
    result = runtime.invoke("short", '{"seconds": 10}')

    assert (result.invoke_result, result.err_msg) == (-1, "Invoking task timed out after 3 seconds")
    assert result.duration == 3000.0


def test_tail_gives_the_end_of_the_log(runtime, deploy):
    deploy("def main_handler(event, context): print('é' * 3000); print('last')\n", name="logs", async_run=False)
    result = runtime.invoke("logs", log_type="Tail")

    lines = result.log.splitlines()
    assert len(result.log.encode()) in (4095, 4096)  # a letter of two bytes is whole or not there
    assert (lines[0].strip("é"), lines[1]) == ("", "last")
    assert lines[-1].startswith(f"Report RequestId:{result.function_request_id}")


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "Event"])
def test_an_async_function_only_accepts_the_event(runtime, asynchronous, invocation_type):
    result = runtime.invoke("export", '{"seconds": 100}', invocation_type=invocation_type, log_type="Tail")

    assert result == InvocationResult(asynchronous.events[0].request_id)
    assert (runtime.clock.now, asynchronous.events[0].doing) == (START, "pending")
    assert runtime.list_async_events("export").events[0].invoke_type == "OTHERS"


def test_an_event_of_a_sync_function_is_retried_and_not_waited_for(runtime, sync):
    result = runtime.invoke("export", '{"fails": "no"}', invocation_type="Event")
    assert result == InvocationResult(sync.events[0].request_id)

    sync.events[0].wait()
    assert (runtime.clock.now, sync.events[0].retry_num) == (START + 2 * MINUTE, 2)


def test_who_waits_does_so_for_300_seconds(runtime, sync):
    assert runtime.invoke("export", '{"seconds": 300}').invoke_result == 0
    assert refused(runtime.invoke, "export", '{"seconds": 301}') == "FailedOperation.InvokeFunction"

    assert runtime.clock.now == START + timedelta(seconds=600)
    assert sync.events[-1].wait().status == "FINISHED"  # the function goes on


def test_invoke_function_waits_longer_and_gives_the_status_code(runtime, sync):
    assert runtime.invoke_function("export", '{"seconds": 301}').invoke_result == 200
    assert runtime.invoke_function("export", '{"fails": "no"}').invoke_result == 430


def test_invoke_function_of_an_async_function_is_an_accepted_event(runtime, asynchronous):
    result = runtime.invoke_function("export", "{}")
    assert result == InvocationResult(asynchronous.events[0].request_id, invoke_result=200)


def test_qualifiers(runtime, deploy):
    function = deploy("def main_handler(event, context): return context['function_version']\n", async_run=False)
    function.publish_version()
    function.create_alias("live", "1")
    name = function.name

    assert [runtime.invoke(name, qualifier=each).ret_msg for each in ("1", "live", None)] == ['"1"', '"1"', '"$LATEST"']
    assert runtime.invoke_function(name).ret_msg == '"$LATEST"'
    function.update_alias("$DEFAULT", "1")
    assert (runtime.invoke(name).ret_msg, runtime.invoke_function(name).ret_msg) == ('"$LATEST"', '"1"')
    assert refused(runtime.invoke, name, qualifier="2") == "ResourceNotFound.Qualifier"


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameter.FunctionName", {"function_name": "-"}),
        ("ResourceNotFound.Function", {"function_name": "import"}),
        ("ResourceNotFound.Function", {"namespace": "other"}),
        ("InvalidParameterValue", {"invocation_type": "Sync"}),
        ("InvalidParameterValue", {"log_type": "Head"}),
        ("InvalidParameterValue", {"routing_key": "[]"}),
        ("InvalidParameterValue", {"routing_key": '{"User": ["Bob"]}'}),
        ("InvalidParameterValue", {"routing_key": json.dumps({"User": "B" * 1024})}),
        ("InvalidParameterValue.Param", {"client_context": "{"}),
        ("InvalidParameterValue.Param", {"client_context": "row 7"}),
        ("InvalidParameterValue.Param", {"client_context": '{"rate": NaN}'}),
        ("InvalidParameterValue.Param", {"client_context": "[" * 200_000}),
        ("InvalidParameterValue.Param", {"client_context": '"\ud800"'}),
        ("InvalidParameter.RequestTooLarge", {"client_context": f'"{"x" * (6 * 1024 * 1024 - 1)}"'}),
        (
            "InvalidParameter.RequestTooLarge",
            {"client_context": f'"{"x" * (128 * 1024 - 1)}"', "invocation_type": "Event"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_is_refused_leaves_no_event(runtime, sync, code, arguments):
    assert refused(runtime.invoke, **{"function_name": "export", **arguments}) == code
    assert sync.events == []


def test_the_largest_events_are_accepted(runtime, deploy):
    deploy("def main_handler(event, context): return len(event)\n", name="length", async_run=False)
    largest = 6 * 1024 * 1024 - 2
    assert runtime.invoke("length", f'"{"x" * largest}"').ret_msg == str(largest)
    runtime.invoke("length", f'"{"x" * (128 * 1024 - 2)}"', invocation_type="Event")


def test_an_async_event_has_the_small_limit_whoever_calls(runtime, asynchronous):
    assert refused(runtime.invoke, "export", f'"{"x" * 128 * 1024}"') == "InvalidParameter.RequestTooLarge"
    assert refused(runtime.invoke_function, "export", f'"{"x" * 128 * 1024}"') == "InvalidParameter.RequestTooLarge"


def test_over_a_quota_who_waits_is_refused_and_an_event_is_queued(runtime, deploy):
    function = deploy(WORKS, name="one", max_instances=1, over_quota="queue")
    runtime.invoke("one", '{"seconds": 30}')

    assert refused(runtime.invoke, "one", "{}") == "LimitExceeded.Quota"
    runtime.invoke("one", "{}", invocation_type="Event")
    assert function.events[-1].doing == "queued"
    request_id = function.events[-1].request_id
    assert runtime.request_status("one", request_id).data == []  # the platform has not accepted it
    function.events[-1].wait()
    assert [row.ret_code for row in runtime.request_status("one", request_id).data] == [0]


# -- GetRequestStatus ------------------------------------------------------------------------------------------------


def test_the_status_of_a_request_while_it_runs_and_after(runtime, asynchronous):
    request_id = runtime.invoke("export", '{"row": 1, "seconds": 90}').function_request_id
    runtime.clock.advance(60)
    (row,) = runtime.request_status("export", request_id).data
    assert (row.ret_code, row.ret_msg, row.duration, row.mem_usage) == (1, "", 0.0, 0.0)

    runtime.wait_all()
    page = runtime.request_status("export", request_id)
    (row,) = page.data
    assert page.total_count == 1
    assert (row.function_name, row.request_id, row.start_time) == ("export", request_id, START)
    assert (row.ret_code, row.ret_msg, row.duration, row.retry_num) == (0, '{"row": 1}', 90_000.0, 0)
    assert f"MemUsage:{row.mem_usage:.6f}MB" in str(asynchronous.events[0].log)


def test_each_attempt_is_a_row(runtime, sync):
    event = sync.invoke_async({"row": 1, "fails": "no"}).wait()
    rows = runtime.request_status("export", event.request_id).data

    assert [(row.retry_num, row.ret_code, row.start_time) for row in rows] == [
        (number, -1, START + number * MINUTE) for number in range(3)
    ]
    assert all(json.loads(row.ret_msg)["statusCode"] == 430 for row in rows)


def test_a_terminated_event_has_failed(runtime, asynchronous):
    event = asynchronous.invoke_async({"seconds": 60})
    event.terminate()
    assert [row.ret_code for row in runtime.request_status("export", event.request_id).data] == [-1]


def test_a_request_is_looked_for_in_the_last_15_minutes_unless_a_time_is_given(runtime, asynchronous):
    event = asynchronous.invoke_async({"seconds": 0}).wait()
    runtime.clock.advance(15 * 60)
    assert runtime.request_status("export", event.request_id).total_count == 1
    assert runtime.request_status("export", event.request_id, end=START + MINUTE).total_count == 1
    runtime.clock.advance(1)
    assert runtime.request_status("export", event.request_id).total_count == 0
    assert runtime.request_status("export", event.request_id, start=START, end=START + MINUTE).total_count == 1
    assert runtime.request_status("export", event.request_id, start=START - MINUTE, end=START).total_count == 1
    second = timedelta(seconds=1)
    assert runtime.request_status("export", event.request_id, start=START + second, end=START + MINUTE).data == []
    assert runtime.request_status("export", event.request_id, end=START + 16 * MINUTE).data == []


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameterValue.FunctionName", {"function_name": "-"}),
        ("ResourceNotFound.Function", {"function_name": "import"}),
        ("ResourceNotFound.Function", {"namespace": "other"}),
        ("InvalidParameterValue.FunctionRequestId", {"request_id": ""}),
        ("InvalidParameterValue.StartTimeOrEndTime", {"start": START}),
        ("InvalidParameterValue.StartTimeOrEndTime", {"end": START - 15 * MINUTE}),
        ("InvalidParameterValue.StartTimeOrEndTime", {"start": START, "end": START}),
    ],
)
def test_what_request_status_refuses(runtime, sync, code, arguments):
    assert refused(runtime.request_status, **{"function_name": "export", "request_id": "r", **arguments}) == code


def test_a_request_of_another_function_is_not_found(runtime, asynchronous, deploy):
    event = deploy(WORKS, name="other").invoke_async().wait()
    assert runtime.request_status("export", event.request_id).total_count == 0


def test_polling_request_status_looks_at_the_event(runtime, asynchronous):
    event = asynchronous.invoke_async({"fails": "no"}).wait()
    runtime.request_status("export", event.request_id)
    assert event_of(event).looked_at


# -- GetFunctionLogs -------------------------------------------------------------------------------------------------


@pytest.fixture
def logs(runtime, deploy):
    """Events of four kinds: one succeeds, one fails, one is terminated, one runs into its timeout."""
    function = deploy(WORKS, name="export", timeout=60)
    function.invoke_async({"row": 0, "seconds": 1}).wait()
    function.invoke_async({"row": 1, "seconds": 2, "fails": "no"}).wait()
    terminated = function.invoke_async({"row": 2, "seconds": 3})
    runtime.clock.advance(0.25)
    terminated.terminate()
    function.invoke_async({"row": 3, "seconds": 90}).wait()
    return function


def test_a_row_of_the_log(runtime, logs):
    row = runtime.function_logs("export", order="asc").data[1]
    event = logs.events[1]

    assert (row.function_name, row.request_id, row.retry_num) == ("export", event.request_id, 0)
    assert (row.start_time, row.duration, row.bill_duration) == (START + timedelta(seconds=1), 2000.0, 2000)
    assert (row.ret_code, row.invoke_finished, json.loads(row.ret_msg)) == (1, 1, event.error)
    assert row.log == str(event.log)
    assert f"MemUsage:{row.mem_usage / 1024 / 1024:.6f}MB" in row.log


def test_the_codes_of_the_rows(runtime, logs):
    logs.invoke_async({"row": 4, "seconds": 1})
    page = runtime.function_logs("export")

    assert page.total_count == 5
    assert [(row.ret_code, row.invoke_finished) for row in page.data] == [(2, 0), (-1, 1), (3, 1), (1, 1), (0, 1)]


@pytest.mark.parametrize(
    ("ret_code", "rows"),
    [
        ("not0", [3, 2, 1]),
        ("is0", [0]),
        ("TimeLimitExceeded", [3]),
        ("UserCodeException", [1]),
        ("ResourceLimitExceeded", []),
        (None, [4, 3, 2, 1, 0]),
    ],
)
def test_the_filter_by_code(runtime, logs, ret_code, rows):
    logs.invoke_async({"row": 4, "seconds": 1})
    found = runtime.function_logs("export", ret_code=ret_code).data
    assert [row.request_id for row in found] == [logs.events[number].request_id for number in rows]


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ({"order": "asc"}, [0, 1, 2, 3]),
        ({"order_by": "duration"}, [3, 1, 0, 2]),
        ({"order_by": "duration", "order": "asc"}, [2, 0, 1, 3]),
        ({"order_by": "function_name", "order": "asc"}, [0, 1, 2, 3]),
        ({"offset": 1, "limit": 2}, [2, 1]),
        ({"offset": 4}, []),
        ({"qualifier": "$LATEST", "limit": 1}, [3]),
        ({"qualifier": "1"}, []),
        ({"start": START, "end": START + timedelta(seconds=1)}, [1, 0]),
        ({"start": START + timedelta(seconds=2), "end": START + timedelta(days=1)}, [3, 2]),
        ({"end": START + timedelta(seconds=1)}, [1, 0]),
    ],
)
def test_order_pages_and_filters(runtime, logs, arguments, rows):
    logs.publish_version()
    found = runtime.function_logs("export", **arguments).data
    assert [row.request_id for row in found] == [logs.events[number].request_id for number in rows]


def test_the_log_of_one_request(runtime, logs):
    request_id = logs.events[2].request_id
    assert [row.ret_code for row in runtime.function_logs("export", request_id=request_id).data] == [3]


def test_each_attempt_has_its_own_log(runtime, sync):
    event = sync.invoke_async({"row": 1, "fails": "no"}).wait()
    rows = runtime.function_logs("export", order="asc").data

    assert [row.retry_num for row in rows] == [0, 1, 2]
    assert [row.log.count("START RequestId:") for row in rows] == [1, 1, 1]
    assert "\n".join(row.log for row in rows) == str(event.log)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameterValue.FunctionName", {"function_name": "-"}),
        ("ResourceNotFound.Function", {"function_name": "import"}),
        ("ResourceNotFound.Qualifier", {"qualifier": "7"}),
        ("InvalidParameterValue.RetCode", {"ret_code": "0"}),
        ("InvalidParameterValue.Order", {"order": "DESC"}),
        ("InvalidParameterValue.OrderBy", {"order_by": "log"}),
        ("InvalidParameterValue.Offset", {"offset": -1}),
        ("InvalidParameterValue", {"limit": 0}),
        ("LimitExceeded.Offset", {"offset": 1, "limit": 10_000}),
        ("InvalidParameterValue.StartTimeOrEndTime", {"start": START}),
        ("InvalidParameterValue.StartTimeOrEndTime", {"start": START, "end": START + timedelta(days=1, seconds=1)}),
    ],
)
def test_what_function_logs_refuses(runtime, sync, code, arguments):
    assert refused(runtime.function_logs, **{"function_name": "export", **arguments}) == code
