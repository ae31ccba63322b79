"""An account at an endpoint: calls by the official SDK, and the time there."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, Protocol

from ..errors import ScfUsageError

OFFICIAL: Final = "scf.tencentcloudapi.com"
_DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
REAL_LIMIT: Final = 330
"""Real seconds that a call may take: Invoke has a deadline of 300 (document 17243)."""
TRIES: Final = 5
"""How often a call is made that meets a limit of requests a second."""
NO_READING: Final = (
    *("ActionOffline", "AuthFailure", "ClientError", "ClientNetworkError", "ClientParamsError", "InternalError"),
    *("InvalidAction", "IpInBlacklist", "LimitExceeded", "MissingParameter", "RequestLimitExceeded"),
    *("ResourceInsufficient", "ResourceUnavailable", "ServerNetworkError", "UnauthorizedOperation"),
    "UnsupportedRegion",
)
"""Codes, by their first part, that say something of the account, of the way to the platform, or of a mistake of ours:
never an answer to a question."""


class Refused(Exception):
    """The platform refused a call: ``code`` is its error code."""

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{action}: {code}: {message}")
        self.code: Final = code


class Undecided(Exception):
    """A question got no answer, and this is why."""


class Pace(Protocol):
    """The time of the platform."""

    def now(self) -> datetime:
        """The time there, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait *seconds* of it."""


class RealTime:
    """The time of a platform that is real."""

    def now(self) -> datetime:
        """The time of this machine."""
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class EndpointClock:
    """The simulated time of an endpoint of ``serve``, at *url* (as in ``http://127.0.0.1:40001/_scf/clock``)."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        if not self._url.startswith("http://"):
            raise ScfUsageError(
                f"--clock {url} is not the address of a clock, such as http://127.0.0.1:40001/_scf/clock"
            )

    def now(self) -> datetime:
        """The simulated time."""
        return self._asked("", None)

    def sleep(self, seconds: float) -> None:
        """Advance it."""
        self._asked("/advance", {"seconds": seconds})

    def _asked(self, path: str, sent: Mapping[str, float] | None) -> datetime:
        body = None if sent is None else json.dumps(sent).encode()
        try:
            with _DIRECTLY.open(urllib.request.Request(self._url + path, data=body), timeout=REAL_LIMIT) as answer:
                return datetime.fromisoformat(json.load(answer)["now"])
        except urllib.error.HTTPError as error:
            raise Undecided(f"{self._url}{path}: {error.code} {error.read().decode(errors='replace')}") from None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise Undecided(f"{self._url}{path}: {type(error).__name__}: {error}") from None


class Address(NamedTuple):
    """Where the API is."""

    scheme: str
    host: str
    region: str

    def __str__(self) -> str:
        where = f"region {self.region}" if self.region else "no region yet"
        return f"{self.scheme}://{self.host} ({where})"


def address_of(environment: Mapping[str, str]) -> Address:
    """The endpoint that the environment names: by default the official one."""
    given = environment.get("SCF_ENDPOINT", "") or OFFICIAL
    scheme, separator, host = given.rpartition("://")
    if not separator:
        scheme = "http" if _is_of_loopback(host) else "https"
    if scheme not in ("http", "https") or not host or "/" in host:
        raise ScfUsageError(f"SCF_ENDPOINT is {given!r}; it must be a host, as in {OFFICIAL} or http://127.0.0.1:40001")
    return Address(scheme, host, environment.get("TENCENTCLOUD_REGION", ""))


def _is_of_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def connect(pace: Pace, environment: Mapping[str, str] = os.environ) -> Account:
    """The account of the environment; raises ``ScfUsageError`` for what is missing there, and without the SDK."""
    names = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_REGION")
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise ScfUsageError(f"{' and '.join(missing)} must be in the environment")
    address = address_of(environment)
    try:
        from tencentcloud.common.credential import Credential  # noqa: PLC0415  (an extra has it)
        from tencentcloud.common.exception import TencentCloudSDKException  # noqa: PLC0415
        from tencentcloud.common.profile.client_profile import ClientProfile  # noqa: PLC0415
        from tencentcloud.common.profile.http_profile import HttpProfile  # noqa: PLC0415
        from tencentcloud.scf.v20180416.scf_client import ScfClient  # noqa: PLC0415
    except ImportError as error:
        raise ScfUsageError(
            f"the official SDK is needed, and {error.name} is not installed: pip install tencentcloud-sdk-python-scf"
        ) from None
    http = HttpProfile(protocol=address.scheme, endpoint=address.host, reqTimeout=REAL_LIMIT)
    profile = ClientProfile(httpProfile=http)
    profile.language = "en-US"
    token = environment.get("TENCENTCLOUD_TOKEN") or None
    credential = Credential(environment[names[0]], environment[names[1]], token)
    client = ScfClient(credential, address.region, profile)

    def send(action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = client.call_json(action, dict(parameters))["Response"]
        except TencentCloudSDKException as error:
            raise Refused(action, str(error.get_code()), str(error.get_message())) from None
        return answer

    return Account(send, pace, address)


class Account:
    """Calls of the API. *send* makes one, and raises `Refused`."""

    def __init__(self, send: Callable[[str, Mapping[str, Any]], dict[str, Any]], pace: Pace, address: Address) -> None:
        self._send = send
        self.pace: Final = pace
        self.address: Final = address

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """What the platform answers. Raises `Refused`, and `Undecided` for a refusal that is no answer."""
        for left in reversed(range(TRIES)):
            try:
                return self._send(action, parameters)
            except Refused as refused:
                if left and refused.code.startswith("RequestLimitExceeded"):
                    self.pace.sleep(1)
                    continue
                if refused.code.split(".")[0] in NO_READING:
                    raise Undecided(str(refused)) from None
                raise
        raise AssertionError("unreachable")
