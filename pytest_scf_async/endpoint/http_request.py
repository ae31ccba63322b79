"""HTTP requests as they were received, and what answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request as it was received, before anything of it is believed."""

    method: str
    """``GET``, ``POST``, …"""
    path: str
    """As on the wire: ``/`` usually; some SDKs allow a suffix."""
    query: str
    """The raw query string without ``?``."""
    headers: Mapping[str, str]
    """By name in lower case; values as received, without the white space around them."""
    body: bytes
    unreadable: str = ""
    """Why it is no HTTP request; then it has nothing else."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What answers a request: JSON, and a status, which is 200 in the API whatever happened."""

    body: bytes
    status: int = 200
