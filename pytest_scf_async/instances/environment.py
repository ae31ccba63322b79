"""The environment of instances: what the platform's container has, and nothing of the host's."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..model.configuration import HOME, FunctionConfiguration
from ..options import ScfSettings
from ..protocol.messages import EndpointConfig
from ..protocol.official_hosts import trust, without_proxy

_KEPT = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "PYTHONPLATLIBDIR",
    "LD_LIBRARY_PATH",
    "HOME",
)
"""What the interpreter needs to find the same packages as the test's own; instances do not see it."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def interpreter_environment() -> dict[str, str]:
    """What an interpreter of ours is started with: it finds the packages of the test's own, from any directory."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if "PYTHONPATH" in environment:
        entries = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
    return {**environment, "PYTHONHASHSEED": "0"}


def of_code_package(
    configuration: FunctionConfiguration, version: str, settings: ScfSettings, of_sandbox: Mapping[str, str]
) -> dict[str, str]:
    """What the instance of a code package finds (document 30228)."""
    return {
        **of_container(configuration, version, settings, of_sandbox),
        "_SCF_SERVER_PORT": "28902",
        "PYTHONDONTWRITEBYTECODE": "x",
        "CLASSPATH": "/var/runtime/java8:/var/runtime/java8/lib/*:/opt",
        "NODE_PATH": "/var/user:/var/user/node_modules:/var/lang/node6/lib/node_modules:/opt:/opt/node_modules",
        "_": "/var/lang/python3/bin/python3",
        "HOME": HOME,
        "LOGNAME": "qcloud",
        "LANG": "en_US.UTF8",
        "LC_ALL": "en_US.UTF8",
        "PATH": PATH,
        "SHELL": "/bin/bash",
        "SHLVL": "3",
        "LD_LIBRARY_PATH": "/var/runtime/java8:/var/user:/opt",
        "SCF_RUNTIME": configuration.runtime,
        "SCF_NAMESPACE": configuration.namespace,
        "TENCENTCLOUD_TZ": "UTC",
        **of_sandbox,
        **configuration.environment,
    }


def of_container(
    configuration: FunctionConfiguration,
    version: str,
    settings: ScfSettings,
    of_sandbox: Mapping[str, str],  # noqa: ARG001  (a container has a disk of its own)
) -> dict[str, str]:
    """What the platform adds to the environment of an image (document 56051)."""
    return {
        "TENCENTCLOUD_RUNENV": "SCF",
        "USER_CODE_ROOT": "/var/user/",
        "USER": "qcloud",
        "SCF_FUNCTIONNAME": configuration.name,
        "SCF_FUNCTIONVERSION": version,
        "TENCENTCLOUD_REGION": settings.region,
        "TENCENTCLOUD_APPID": settings.appid,
        "TENCENTCLOUD_UIN": settings.uin,
        **configuration.environment,
    }


def with_endpoint(
    environment: dict[str, str], own: Mapping[str, str], endpoint: EndpointConfig | None
) -> dict[str, str]:
    """*environment*, and where there is an *endpoint* what has programs trust it, and ask no proxy for it.

    What the function's *own* variables say of whom to trust stays.
    """
    if endpoint is None:
        return environment
    trusted: dict[str, str] = {}
    trust(trusted, endpoint.bundle)
    trusted |= {name: own[name] for name in trusted.keys() & own.keys()}
    proxies = without_proxy(environment, f"{endpoint.host}:{endpoint.port}") if endpoint.leads else {}
    return {**environment, **trusted, **proxies}
