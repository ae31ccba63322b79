"""``function.trigger``: each trigger invokes the function as its page says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async import HandlerError, ScfApiError, ScfUsageError
from pytest_scf_async.triggers import event_of, events

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

ECHO = """
    import os
    def main_handler(event, context):
        if os.environ.get("FAILS"):
            raise ValueError("no")
        return [event, os.environ.get("TRIGGER_SRC")]
"""
INVOKE_TYPES = {
    "timer": "TRIGGER_TIMER",
    "cos": "COS",
    "ckafka": "CKAFKA_TRIGGER",
    "cmq": "CMQ",
    "cls": "CLS_TRIGGER",
    "mps": "MPS_TRIGGER",
    "clb": "OTHERS",
    "eventbridge": "OTHERS",
    "apigw": "APIGW",
}
"""Document 52501."""
SYNCHRONOUS = ["ckafka", "clb", "apigw"]
"""Documents 17530, 39849 and 12513; the pages of the others say that they invoke asynchronously."""
ASYNCHRONOUS = [trigger for trigger in INVOKE_TYPES if trigger not in SYNCHRONOUS]


@pytest.mark.parametrize("trigger", INVOKE_TYPES)
def test_an_async_function_gets_the_message_and_its_event_the_type(deploy, runtime, trigger):
    event = deploy(ECHO, name="export").trigger(trigger).wait()

    message, source = event.result
    origin = events.EXAMPLE._replace(function="default.export.$LATEST")
    assert message == events.message_of("", trigger, {}, origin)
    assert source == ("timer" if trigger == "timer" else None)
    (listed,) = runtime.list_async_events("export").events
    assert (listed.invoke_type, listed.invoke_request_id) == (INVOKE_TYPES[trigger], event.request_id)


def test_times_region_and_appid_are_those_of_the_runtime(deploy, make_runtime):
    runtime = make_runtime(region="ap-chengdu", appid="1253970026", start=START)
    function = deploy(ECHO, to=runtime, name="export", namespace="prod")
    runtime.clock.advance(timedelta(hours=1))

    (record,) = function.trigger("cos", bucket="testpic-1253970026", key="testfile").wait().result[0]["Records"]
    timer = function.trigger("timer").wait().result[0]

    # as document 9707 has it
    cos = record["cos"]
    assert cos["cosObject"]["url"] == "http://testpic-1253970026.cos.ap-chengdu.myqcloud.com/testfile"
    assert cos["cosObject"]["key"] == "/1253970026/testpic/testfile"
    assert cos["cosBucket"] == {"region": "cd", "name": "testpic", "appid": "1253970026"}
    assert record["event"]["eventQueue"] == "qcs:0:scf:cd:appid/1253970026:prod.export.$LATEST"
    assert record["event"]["eventTime"] == START.timestamp() + 3600
    assert timer["Time"] == "2026-01-01T01:00:00Z"


def test_a_region_of_which_no_message_is_published_has_its_whole_name(deploy, make_runtime):
    function = deploy(ECHO, to=make_runtime(region="ap-singapore"), name="export")

    (record,) = function.trigger("cos").wait().result[0]["Records"]

    assert record["cos"]["cosBucket"]["region"] == "ap-singapore"
    assert record["event"]["eventQueue"].startswith("qcs:0:scf:ap-singapore:appid/")


@pytest.mark.parametrize("trigger", ASYNCHRONOUS)
def test_an_asynchronous_trigger_of_a_sync_function_is_tried_again_twice(deploy, runtime, trigger):
    event = deploy(ECHO, async_run=False, environment={"FAILS": "1"}).trigger(trigger).wait()

    assert (event.status, event.retry_num) == ("FAILED", 2)
    assert runtime.clock.now == START + timedelta(minutes=2)


@pytest.mark.parametrize("trigger", SYNCHRONOUS)
def test_a_caller_that_waits_is_tried_once_and_gets_the_answer(deploy, runtime, trigger):
    function = deploy(ECHO, async_run=False, environment={"FAILS": "1"})
    event = function.trigger(trigger)
    with pytest.raises(HandlerError, match="ValueError: no"):
        _ = event.wait().result
    function.update(environment=None)

    assert (event.retry_num, runtime.clock.now) == (0, START)
    assert function.trigger(trigger).wait().result[1] is None


@pytest.mark.parametrize("trigger", INVOKE_TYPES)
def test_over_a_quota_a_caller_that_waits_is_refused_and_others_are_queued(deploy, trigger):
    function = deploy(ECHO, max_instances=1, over_quota="queue")
    first = function.invoke_async()

    if trigger in SYNCHRONOUS:
        with pytest.raises(ScfApiError, match=r"LimitExceeded\.Quota"):
            function.trigger(trigger)
    else:
        event = function.trigger(trigger)
        assert event.doing == "queued"
        assert event.wait().status == "FINISHED"
    assert first.wait().status == "FINISHED"


def test_messages_of_a_sync_caller_may_have_6_mb_and_others_128_kb(deploy):
    function = deploy(ECHO, async_run=False)

    assert len(function.trigger("ckafka", messages=["x" * 200_000]).wait().result[0]["Records"]) == 1
    with pytest.raises(ScfUsageError, match="the data of an async event may have 131,072 at most"):
        function.trigger("cmq", message="x" * 200_000)


def test_the_asynchronous_reading_of_ckafka_is_invoke_async(deploy):
    function = deploy(ECHO, async_run=False, environment={"FAILS": "1"})

    event = function.invoke_async(event_of("ckafka"), invoke_type="CKAFKA_TRIGGER").wait()

    assert (event.status, event.retry_num) == ("FAILED", 2)


@pytest.mark.parametrize(
    ("trigger", "given", "sentence"),
    [
        ("kos", {}, "trigger('kos'): there is no trigger 'kos'; did you mean 'cos'?"),
        ("cos", {"size": "3"}, "size='3' (trigger('cos')) is not valid: it must be a whole number, 0 or more"),
        ("cos", {"qualifier": "1"}, "trigger('cos') has no keyword 'qualifier' (valid keywords: bucket, key, event, "),
        ("eventbridge", {"data": {"a": object}}, 'payload["data"]["a"]'),
    ],
)
def test_what_is_wrong_is_refused_and_invokes_nothing(deploy, trigger, given, sentence):
    function = deploy(ECHO)

    with pytest.raises(ScfUsageError) as raised:
        function.trigger(trigger, **given)

    assert str(raised.value).startswith(sentence)
    assert function.events == []


def test_a_trigger_of_a_deleted_function(deploy):
    function = deploy(ECHO)
    function.delete()

    with pytest.raises(ScfApiError, match=r"ResourceNotFound\.Function"):
        function.trigger("timer")
