"""Asks for the status of an event until that has ended, each 30 s, as code that watches events does."""

from __future__ import annotations

import os
import time
from typing import Any


def main_handler(event: dict[str, str], context: Any) -> int:
    from tencentcloud.common.credential import Credential
    from tencentcloud.scf.v20180416 import models
    from tencentcloud.scf.v20180416.scf_client import ScfClient

    names = ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN")
    client = ScfClient(Credential(*(os.environ[name] for name in names)), "ap-guangzhou")
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = event["id"]
    polls = 1
    while client.GetAsyncEventStatus(request).Result.Status == "RUNNING":
        time.sleep(30)
        polls += 1
    return polls
