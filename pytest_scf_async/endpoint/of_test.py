"""The fixtures of the endpoint; imported when a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ..errors import ScfUsageError
from ..runtime import ScfRuntime
from .hooks import PASSED
from .scf_endpoint import ScfEndpoint

if TYPE_CHECKING:
    from tencentcloud.scf.v20180416.scf_client import ScfClient


@contextmanager
def served(runtime: ScfRuntime) -> Iterator[ScfEndpoint]:
    """The endpoint of *runtime* while a test runs; ``pytest.UsageError`` where what it needs is not installed."""
    try:
        endpoint = ScfEndpoint(runtime)
    except ScfUsageError as error:
        raise pytest.UsageError(f"scf_endpoint: {error}") from None
    with endpoint:
        yield endpoint


def endpoint_of(runtime: ScfRuntime, test: pytest.Item) -> Iterator[ScfEndpoint]:
    """The endpoint of *runtime*; a *test* that has passed fails for a fault that never happened."""
    with served(runtime) as endpoint:
        yield endpoint
    unmet, passed = endpoint.faults_that_never_happened(), test.stash.get(PASSED, False)
    if unmet and passed:
        pytest.fail(
            f"no request has matched what the test declared: {', '.join(unmet)} (scf_endpoint.calls has the requests "
            "that came)",
            pytrace=False,
        )


def client_of(endpoint: ScfEndpoint, test: str) -> ScfClient:
    """The official client on *endpoint*; ``pytest.UsageError`` where it is not installed."""
    try:
        from tencentcloud.common.credential import Credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile
        from tencentcloud.scf.v20180416.scf_client import ScfClient
    except ImportError as error:
        raise pytest.UsageError(
            f"{test} uses scf_client, which needs {error.name}, and that is not installed: pip install "
            "tencentcloud-sdk-python-scf"
        ) from None
    http = HttpProfile(protocol="http", endpoint=endpoint.address)
    credential = Credential(endpoint.secret_id, endpoint.secret_key)
    return ScfClient(credential, endpoint.region, ClientProfile(httpProfile=http))
