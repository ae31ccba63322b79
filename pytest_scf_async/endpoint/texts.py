"""The messages of errors, in the language that a client asks for (``X-TC-Language``).

In Chinese the first sentence says what kind of error it is, as the platform's own do; the details follow in English.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

from ..errors import ScfApiError
from .request import Language

_KINDS: Final[Mapping[str, str]] = {
    "AuthFailure": "身份验证失败。",
    "FailedOperation": "操作失败。",
    "InternalError": "内部错误。",
    "InvalidAction": "接口不存在。",
    "InvalidParameter": "参数错误。",
    "InvalidParameterValue": "参数取值错误。",
    "InvalidRequest": "请求格式错误。",
    "LimitExceeded": "超过配额限制。",
    "MissingParameter": "缺少参数。",
    "NoSuchVersion": "接口版本不存在。",
    "RequestLimitExceeded": "请求的次数超过了频率限制。",
    "RequestSizeLimitExceeded": "请求包超过限制大小。",
    "ResourceInUse": "资源被占用。",
    "ResourceNotFound": "资源不存在。",
    "UnknownParameter": "未知参数。",
    "UnsupportedOperation": "操作不支持。",
    "UnsupportedProtocol": "请求协议不支持。",
}
"""By the first part of the code."""
_PATH: Final = re.compile(r"(?<![\w.:/~%-])(?:/[\w.@+~%=-]+){2,}")
_VALUE: Final = "{}取值与规范不符，请修正后再试。"
"""Of a value that has a code of its own, as in ``InvalidParameterValue.Limit``."""


def message_of(error: ScfApiError, language: Language) -> str:
    """What the envelope says."""
    if language == "en-US":
        return error.platform_message
    kind, _, what = error.code.partition(".")
    chinese = _VALUE.format(what) if kind == "InvalidParameterValue" and what else _KINDS.get(kind, "")
    return f"{chinese}({error.platform_message})" if chinese else error.platform_message


def without_paths(message: str, directories: Iterable[str], sent: bytes) -> str:
    """*message* without the directories of this machine: of a path there is the last name, unless the client *sent* it.

    The *directories* are those of the project, in whose paths there may be spaces.
    """
    for directory in filter(os.path.basename, directories):
        message = message.replace(f"{directory}/", "")

    def shortened(found: re.Match[str]) -> str:
        path = found[0]
        is_here = os.path.lexists(f"/{path.split('/')[1]}")
        return os.path.basename(path) if is_here and path.encode() not in sent else path

    return _PATH.sub(shortened, message)
