"""The messages of triggers: the platform's documents have them, and keywords change what a test wants to change."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import Any, get_type_hints

import pytest

from pytest_scf_async import ScfUsageError
from pytest_scf_async.model.payload import payload_text
from pytest_scf_async.model.records import INVOKE_TYPES
from pytest_scf_async.triggers import event_of, events, fields

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

message_of: Any = event_of
"""Without its types: tests give what is wrong."""
TIME = datetime(2026, 3, 1, 8, 30, 15, 250_000, tzinfo=timezone(timedelta(hours=8)))
DOCUMENTED = {
    # documents 31927 and those of each trigger: the keys, in the order of the documents
    "timer": "Type TriggerName Time Message",
    "cos": "Records.cos.cosSchemaVersion Records.cos.cosObject.url Records.cos.cosObject.meta.x-cos-request-id "
    "Records.cos.cosObject.meta.Content-Type Records.cos.cosObject.vid Records.cos.cosObject.key "
    "Records.cos.cosObject.size Records.cos.cosBucket.region Records.cos.cosBucket.name Records.cos.cosBucket.appid "
    "Records.cos.cosNotificationId Records.event.eventName Records.event.eventVersion Records.event.eventTime "
    "Records.event.eventSource Records.event.requestParameters.requestSourceIP "
    "Records.event.requestParameters.requestHeaders.Authorization Records.event.eventQueue Records.event.reservedInfo "
    "Records.event.reqid",
    "ckafka": "Records.Ckafka.topic Records.Ckafka.partition Records.Ckafka.offset Records.Ckafka.msgKey "
    "Records.Ckafka.msgBody",
    "cmq": "Records.CMQ.type Records.CMQ.topicOwner Records.CMQ.topicName Records.CMQ.subscriptionName "
    "Records.CMQ.publishTime Records.CMQ.msgId Records.CMQ.requestId Records.CMQ.msgBody Records.CMQ.msgTag",
    "cls": "clslogs.data",
    "clb": "headers.Content-type headers.Host headers.User-Agent headers.X-Stgw-Time headers.X-Client-Proto "
    "headers.X-Forwarded-Proto headers.X-Client-Proto-Ver headers.X-Real-IP headers.X-Forwarded-For "
    "headers.X-clb-stgw-vip headers.X-Forwarded-Port headers.X-Uri headers.X-Method headers.X-Real-Port payload "
    "isBase64Encoded",
    "eventbridge": "specversion id type source subject time region datacontenttype data",
    "apigw": "requestContext.serviceId requestContext.path requestContext.httpMethod requestContext.requestId "
    "requestContext.identity requestContext.sourceIp requestContext.stage headers.accept headers.accept-language "
    "headers.host headers.user-agent body pathParameters queryStringParameters headerParameters stageVariables.stage "
    "path queryString httpMethod",
}
OF_WORKFLOW = (
    "TaskId Status ErrCode Message InputInfo.Type InputInfo.CosInputInfo.Bucket InputInfo.CosInputInfo.Region "
    "InputInfo.CosInputInfo.Object"
)
TRIGGERS = [*DOCUMENTED, "mps"]


def keys(part: object, before: str = "") -> list[str]:
    """The keys of a message, those of each dict within it behind the ones that lead to it."""
    if isinstance(part, list) and part:
        return keys(part[0], before)
    if isinstance(part, dict) and part:
        return [key for name, value in part.items() for key in keys(value, f"{before}.{name}" if before else name)]
    return [before]


@pytest.mark.parametrize("trigger", DOCUMENTED)
def test_a_message_has_the_documented_fields(trigger: str) -> None:
    assert keys(message_of(trigger)) == DOCUMENTED[trigger].split()


def test_the_two_messages_of_mps() -> None:
    workflow, edit = event_of("mps"), event_of("mps", kind="EditMediaTask")
    assert (list(workflow), list(edit)) == (["EventType", "WorkflowTaskEvent"], ["EventType", "EditMediaTaskEvent"])
    assert keys(workflow["WorkflowTaskEvent"])[:8] == OF_WORKFLOW.split()
    assert list(workflow["WorkflowTaskEvent"])[-2:] == ["MetaData", "MediaProcessResultSet"]
    assert list(edit["EditMediaTaskEvent"]) == ["TaskId", "Status", "ErrCode", "Message", "Input", "Output"]
    result: Any = workflow["WorkflowTaskEvent"]["MediaProcessResultSet"]
    assert result[0]["TranscodeTask"]["Input"]["SegmentObjectName"] == "/output/video_transcode_10_{number}"
    storage = {"Bucket": "output-1250000000", "Region": "ap-guangzhou"}
    assert result[0]["TranscodeTask"]["Output"]["OutputStorage"] == {"Type": "COS", "CosOutputStorage": storage}


def test_a_message_of_cos() -> None:
    message = event_of(
        "cos",
        bucket="in-1250000000",
        key="a b/{x}.csv",
        event="cos:ObjectRemove:Delete",
        size=7,
        meta={"a": "b"},
        time=TIME,
    )
    (record,) = message["Records"]
    cos = record["cos"]
    assert cos["cosBucket"] == {"region": "gz", "name": "in", "appid": "1250000000"}
    assert cos["cosObject"]["url"] == "http://in-1250000000.cos.ap-guangzhou.myqcloud.com/a b/{x}.csv"
    assert (cos["cosObject"]["key"], cos["cosObject"]["size"]) == ("/1250000000/in/a b/{x}.csv", 7)
    assert cos["cosObject"]["meta"]["a"] == "b"
    assert record["event"]["eventName"] == "cos:ObjectRemove:Delete"
    assert record["event"]["eventTime"] == int(TIME.timestamp())
    assert event_of("cos", bucket="in") == event_of("cos", bucket="in-1250000000")


def test_a_batch_of_ckafka_has_its_messages_in_order() -> None:
    records = event_of("ckafka", topic="t", messages=["a", "b"], key="k", partition=3, offset=40)["Records"]
    same = {"topic": "t", "partition": 3, "msgKey": "k"}
    assert [each["Ckafka"] for each in records] == [
        {**same, "offset": 40, "msgBody": "a"},
        {**same, "offset": 41, "msgBody": "b"},
    ]


def test_logs_of_cls_are_compressed() -> None:
    data = event_of("cls", topic_id="id", topic_name="n", records=["ä", "b"], time=TIME)["clslogs"]["data"]
    at = f"{round(TIME.timestamp() * 1_000_000)}"
    assert json.loads(gzip.decompress(base64.b64decode(data))) == {
        "topic_id": "id",
        "topic_name": "n",
        "records": [{"timestamp": at, "content": "ä"}, {"timestamp": at, "content": "b"}],
    }


@pytest.mark.parametrize(
    ("trigger", "given", "place", "expected"),
    [
        ("timer", {"name": "nightly", "time": TIME}, ("TriggerName",), "nightly"),
        ("timer", {"time": TIME}, ("Time",), "2026-03-01T00:30:15Z"),
        ("timer", {"message": "all"}, ("Message",), "all"),
        ("cmq", {"time": TIME}, ("Records", 0, "CMQ", "publishTime"), "2026-03-01T00:30:15.250Z"),
        ("cmq", {"message": "m"}, ("Records", 0, "CMQ", "msgBody"), "m"),
        ("cmq", {"message_id": "7"}, ("Records", 0, "CMQ", "msgId"), "7"),
        ("cmq", {"topic": "t"}, ("Records", 0, "CMQ", "topicName"), "t"),
        ("cmq", {"tags": ["a", "b", "c"]}, ("Records", 0, "CMQ", "msgTag"), "a,b,c"),
        ("mps", {"bucket": "b-1"}, ("WorkflowTaskEvent", "InputInfo", "CosInputInfo", "Bucket"), "b-1"),
        ("mps", {"key": "/k"}, ("WorkflowTaskEvent", "InputInfo", "CosInputInfo", "Object"), "/k"),
        ("mps", {"task": {"Status": "PROCESSING"}}, ("WorkflowTaskEvent", "Status"), "PROCESSING"),
        ("clb", {"path": "/a"}, ("headers", "X-Uri"), "/a"),
        ("clb", {"method": "PUT"}, ("headers", "X-Method"), "PUT"),
        ("clb", {"headers": {"Host": "h"}}, ("headers", "Host"), "h"),
        ("clb", {"time": TIME}, ("headers", "X-Stgw-Time"), "1772325015.250"),
        ("clb", {"payload": {"a": 1}}, ("payload",), {"a": 1}),
        ("eventbridge", {"type": "t"}, ("type",), "t"),
        ("eventbridge", {"source": "s"}, ("source",), "s"),
        ("eventbridge", {"subject": "x"}, ("subject",), "x"),
        ("eventbridge", {"data": {"a": [1]}}, ("data",), {"a": [1]}),
        ("eventbridge", {"time": TIME}, ("time",), "1772325015250"),
        ("apigw", {"path": "/a"}, ("path",), "/a"),
        ("apigw", {"path": "/a"}, ("requestContext", "path"), "/a"),
        ("apigw", {"method": "POST"}, ("httpMethod",), "POST"),
        ("apigw", {"query": {"a": "b"}}, ("queryString",), {"a": "b"}),
        ("apigw", {"headers": {"X-Own": "h"}}, ("headers", "x-own"), "h"),
        ("apigw", {"body": "text"}, ("body",), "text"),
        ("apigw", {"path_parameters": {"id": "7"}}, ("pathParameters",), {"id": "7"}),
    ],
)
def test_a_keyword_changes_its_field(
    trigger: str, given: dict[str, Any], place: tuple[Any, ...], expected: Any
) -> None:
    found = message_of(trigger, **given)
    for name in place:
        found = found[name]
    assert found == expected


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_message_is_new_each_time_and_an_event(trigger: str) -> None:
    one, two = message_of(trigger), message_of(trigger)
    assert one == two
    one.clear()
    assert two == message_of(trigger)
    assert json.loads(payload_text(two)) == two


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_each_keyword_has_a_default_but_a_time(trigger: str) -> None:
    documented = events.documented()[trigger]
    keywords = get_type_hints(getattr(fields, documented["fields"]))
    assert keywords.keys() - {"time"} == documented["defaults"].keys()
    assert documented["invoke_type"] in INVOKE_TYPES
    assert message_of(trigger, **documented["defaults"]) == message_of(trigger)


NOW = "2026-01-01 00:00:00"
REFUSED = [
    (
        "kos",
        {},
        "event_of('kos'): there is no trigger 'kos'; did you mean 'cos'? (triggers: timer, cos, ckafka, cmq, cls, ",
    ),
    (["cos"], {}, "event_of(['cos']): there is no trigger ['cos']; did you mean 'cos'? (triggers: timer, cos, "),
    (
        "cos",
        {"keys": "a"},
        "event_of('cos') has no keyword 'keys'; did you mean 'key'? (valid keywords: bucket, key, event, ",
    ),
    ("timer", {"topic": "a"}, "event_of('timer') has no keyword 'topic' (valid keywords: name, message, time)"),
    ("cos", {"key": 7}, "key=7 (event_of('cos')) is not valid: it must be a text"),
    ("cos", {"size": -1}, "size=-1 (event_of('cos')) is not valid: it must be a whole number, 0 or more"),
    ("ckafka", {"offset": True}, "offset=True (event_of('ckafka')) is not valid: it must be a whole number, 0 or more"),
    ("cos", {"event": "Put"}, "event='Put' (event_of('cos')) is not valid: it must be one of 'cos:ObjectCreated:*', "),
    ("cos", {"time": NOW}, f"time='{NOW}' (event_of('cos')) is not valid: it must be an aware datetime"),
    (
        "cos",
        {"time": datetime(2026, 1, 1)},
        "time=datetime.datetime(2026, 1, 1, 0, 0) (event_of('cos')) is not valid: it ",
    ),
    ("cos", {"meta": {"a": 1}}, "meta={'a': 1} (event_of('cos')) is not valid: it must be a dict of texts"),
    (
        "ckafka",
        {"messages": "a"},
        "messages='a' (event_of('ckafka')) is not valid: it must be a list of texts, of one at least",
    ),
    (
        "ckafka",
        {"messages": []},
        "messages=[] (event_of('ckafka')) is not valid: it must be a list of texts, of one at least",
    ),
    ("clb", {"payload": {1: 2}}, "payload={1: 2} (event_of('clb')) is not valid: it must be a dict with texts as keys"),
    (
        "apigw",
        {"method": "get"},
        "method='get' (event_of('apigw')) is not valid: it must be one of 'GET', 'HEAD', 'POST', ",
    ),
    (
        "mps",
        {"kind": None},
        "kind=None (event_of('mps')) is not valid: it must be one of 'WorkflowTask', 'EditMediaTask'",
    ),
]


@pytest.mark.parametrize(("trigger", "given", "sentence"), REFUSED, ids=[f"{row[0]}-{[*row[1]]}" for row in REFUSED])
def test_what_is_wrong_is_refused_in_one_sentence(trigger: str, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ScfUsageError) as raised:
        message_of(trigger, **given)
    text = str(raised.value)
    assert text.startswith(sentence)
    assert "\n" not in text
