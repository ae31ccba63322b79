"""The keywords of each trigger: what a test may want to change of its message. A time is aware, and by default now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypedDict

Uploaded = Literal["cos:ObjectCreated:*", "cos:ObjectCreated:Put", "cos:ObjectCreated:Post", "cos:ObjectCreated:Copy"]
MultipartOrFetched = Literal["cos:ObjectCreated:CompleteMultipartUpload", "cos:ObjectCreated:Origin"]
Removed = Literal["cos:ObjectRemove:*", "cos:ObjectRemove:Delete", "cos:ObjectRemove:DeleteMarkerCreated"]
OfCopies = Literal["cos:ObjectCreated:Replication", "cos:ObjectRestore:Post", "cos:ObjectRestore:Completed"]
CosEventName = Literal[Uploaded, MultipartOrFetched, Removed, OfCopies]


class TimerFields(TypedDict, total=False):
    """Of a timer."""

    name: str
    """That of the trigger; "EveryDay"."""
    message: str
    """Its argument; none."""
    time: datetime
    """When it was due."""


class CosFields(TypedDict, total=False):
    """Of COS."""

    bucket: str
    """With or without the AppId at its end; "examplebucket"."""
    key: str
    """Of the object, as COS has it; "exampleobject"."""
    event: CosEventName
    """"cos:ObjectCreated:Put"."""
    size: int
    """Bytes; 1029."""
    meta: Mapping[str, str]
    """Headers of the object, beside those of every message: "x-cos-meta-…", "Content-Type"."""
    time: datetime


class CkafkaFields(TypedDict, total=False):
    """Of CKafka."""

    topic: str
    """"test-topic"."""
    messages: Sequence[str]
    """One or more, for a batch; "Hello from Ckafka!"."""
    key: str
    """Of each message; "None"."""
    partition: int
    """0."""
    offset: int
    """Of the first message; 0."""


class CmqFields(TypedDict, total=False):
    """Of a topic of CMQ."""

    topic: str
    """"testtopic"."""
    message: str
    """"Hello from CMQ!"."""
    tags: Sequence[str]
    """"tag1" and "tag2"."""
    message_id: str
    """"123345346"."""
    time: datetime
    """When it was published."""


class ClsFields(TypedDict, total=False):
    """Of CLS."""

    topic_id: str
    """A UUID."""
    topic_name: str
    """"testname"."""
    records: Sequence[str]
    """The contents of the log records; "content"."""
    time: datetime
    """Of each record."""


class MpsFields(TypedDict, total=False):
    """Of MPS."""

    kind: Literal["WorkflowTask", "EditMediaTask"]
    """"WorkflowTask"."""
    bucket: str
    """Of the video, with the AppId; "input-1250000000"."""
    key: str
    """Of the video; "/video.mp4"."""
    task: Mapping[str, object]
    """What the task has instead, such as its "Status" or its "MediaProcessResultSet"; a transcoding that succeeded."""


class ClbFields(TypedDict, total=False):
    """Of a load balancer."""

    path: str
    """"/"."""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"]
    """"POST"."""
    headers: Mapping[str, str]
    """Beside those of every message, or instead of them."""
    payload: Mapping[str, object]
    """The body; {}."""
    time: datetime


class EventBridgeFields(TypedDict, total=False):
    """Of EventBridge."""

    type: str
    """"cos:created:object"."""
    source: str
    """"cos.cloud.tencent"."""
    subject: str
    """The resource, as in "qcs::cos:ap-guangzhou:uid1250000000:bucketname"."""
    data: Mapping[str, object]
    """{}."""
    time: datetime


class ApigwFields(TypedDict, total=False):
    """Of API Gateway."""

    path: str
    """"/"."""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"]
    """"GET"."""
    query: Mapping[str, str]
    """The whole query; {}."""
    headers: Mapping[str, str]
    """Beside those of every message, or instead of them; their names become small letters, as the service has them."""
    body: str
    """Empty."""
    path_parameters: Mapping[str, str]
    """Those that the API declares; {}."""
