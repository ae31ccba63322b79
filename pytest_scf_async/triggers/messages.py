"""The types of the messages with which triggers invoke functions (document 31927), for users to import."""

from __future__ import annotations

from typing import Literal, TypedDict

from ..model import timer_message

TimerEvent = timer_message.TimerEvent


class CosObject(TypedDict):
    """The object that was created, removed or restored."""

    url: str
    meta: dict[str, str]
    vid: str
    key: str
    """``/`` and the AppId, the bucket and the object's key."""
    size: int
    """Bytes."""


class Cos(TypedDict):
    """The bucket and the object."""

    cosSchemaVersion: str
    cosObject: CosObject
    cosBucket: dict[Literal["region", "name", "appid"], str]
    """The region in short, as in ``gz``, and the name without the AppId."""
    cosNotificationId: str


class CosOperation(TypedDict):
    """What was done."""

    eventName: str
    eventVersion: str
    eventTime: int
    """Seconds since the Unix epoch."""
    eventSource: str
    requestParameters: dict[str, object]
    eventQueue: str
    reservedInfo: str
    reqid: int


class CosRecord(TypedDict):
    """One operation on one object."""

    cos: Cos
    event: CosOperation


class CosEvent(TypedDict):
    """The message of COS (document 9707)."""

    Records: list[CosRecord]


class CkafkaMessage(TypedDict):
    """A message of a topic."""

    topic: str
    partition: int
    offset: int
    msgKey: str
    msgBody: str


class CkafkaEvent(TypedDict):
    """The message of CKafka (document 17530): one or more of its topic's."""

    Records: list[dict[Literal["Ckafka"], CkafkaMessage]]


class CmqMessage(TypedDict):
    """A message of a topic."""

    type: Literal["topic", "queue"]
    topicOwner: int
    topicName: str
    subscriptionName: str
    publishTime: str
    """UTC, with milliseconds and ``Z``."""
    msgId: str
    requestId: str
    msgBody: str
    msgTag: str
    """With commas between the tags."""


class CmqEvent(TypedDict):
    """The message of a topic of CMQ (document 11517)."""

    Records: list[dict[Literal["CMQ"], CmqMessage]]


class ClsEvent(TypedDict):
    """The message of CLS (document 38845)."""

    clslogs: dict[Literal["data"], str]
    """JSON, compressed by gzip, in Base64: topic_id, topic_name and records, each with timestamp (µs) and content."""


class MpsEvent(TypedDict, total=False):
    """The message of MPS (document 39163): what its type says, and beside that the task of that name."""

    EventType: Literal["WorkflowTask", "EditMediaTask"]
    WorkflowTaskEvent: dict[str, object]
    EditMediaTaskEvent: dict[str, object]


class ClbEvent(TypedDict):
    """The message of a load balancer (CLB, document 39849)."""

    headers: dict[str, str]
    payload: dict[str, object]
    isBase64Encoded: str


class EventBridgeEvent(TypedDict):
    """The message of EventBridge (documents 59100, and 46254 of product 1108): a CloudEvent."""

    specversion: str
    id: str
    type: str
    source: str
    subject: str
    time: str
    """Milliseconds since the Unix epoch."""
    region: str
    datacontenttype: str
    data: dict[str, object]


class ApigwEvent(TypedDict):
    """The message of API Gateway (document 12513)."""

    requestContext: dict[str, object]
    """The API that was called, and by whom; requestId has 32 hexadecimal digits."""
    headers: dict[str, str]
    body: str
    pathParameters: dict[str, str]
    queryStringParameters: dict[str, str]
    headerParameters: dict[str, str]
    stageVariables: dict[str, str]
    path: str
    queryString: dict[str, str]
    httpMethod: str
