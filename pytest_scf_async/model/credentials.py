"""The temporary credentials of a function's role, which the platform hands to an event (documents 30228, 51519)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from types import MappingProxyType
from typing import Final

CREDENTIALS_LIFETIME_US: Final = 6 * 3600 * 1_000_000
"""Microseconds for which the credentials of an async event are valid at most (document 51519)."""

CREDENTIAL_HEADERS: Final = MappingProxyType(
    {
        "X-Scf-Session-Token": "TENCENTCLOUD_SESSIONTOKEN",
        "X-Scf-Secret-Id": "TENCENTCLOUD_SECRETID",
        "X-Scf-Secret-Key": "TENCENTCLOUD_SECRETKEY",
    }
)
"""The headers in which an image gets what a code package finds in its environment (document 56051)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def role_credentials(at_us: int) -> dict[str, str]:
    """Placeholders for the credentials that are issued at a time, by the names of their environment variables.

    Each value ends with the simulated time in UTC until which the platform's would be valid, so that a fake of another
    service can refuse them after that. The endpoint of the API does.
    """
    return dict(_issued((at_us + CREDENTIALS_LIFETIME_US) // 1_000_000))


@lru_cache(maxsize=1)
def _issued(second: int) -> Mapping[str, str]:
    """Those that expire at a whole *second* since the epoch: many events start within the same one."""
    until = (_EPOCH + timedelta(seconds=second)).strftime("%Y%m%dT%H%M%SZ")
    return MappingProxyType(
        {
            "TENCENTCLOUD_SESSIONTOKEN": f"scf-async-session-token-until-{until}",
            "TENCENTCLOUD_SECRETID": f"scf-async-secret-id-until-{until}",
            "TENCENTCLOUD_SECRETKEY": f"scf-async-secret-key-until-{until}",
        }
    )
