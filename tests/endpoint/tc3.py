"""A signer of requests for tests, written from the description of TC3-HMAC-SHA256 and not from the code under test."""

from __future__ import annotations

import hashlib
import hmac
import time

from pytest_scf_async.endpoint.http_request import HttpRequest


def signed(http: HttpRequest, secret_id: str, secret_key: str) -> HttpRequest:
    """*http* with the headers that an SDK would add, and the signature that belongs to it, made now."""
    method, query, body = http.method, http.query, http.body
    timestamp = int(time.time())
    sent = {
        "host": "scf.tencentcloudapi.com",
        "content-type": "application/json",
        "x-tc-version": "2018-04-16",
        "x-tc-region": "ap-guangzhou",
        "x-tc-timestamp": str(timestamp),
        **http.headers,
    }
    date = time.strftime("%Y-%m-%d", time.gmtime(timestamp))
    lines = f"content-type:{sent['content-type']}\nhost:{sent['host']}\n"
    canonical = "\n".join([method, "/", query, lines, "content-type;host", hashlib.sha256(body).hexdigest()])
    scope = f"{date}/scf/tc3_request"
    hashed = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    text = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}"
    key = f"TC3{secret_key}".encode()
    for part in (date, "scf", "tc3_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    sent["authorization"] = (
        f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders=content-type;host, Signature={key.hex()}"
    )
    return HttpRequest(method, "/", query, sent, body)
