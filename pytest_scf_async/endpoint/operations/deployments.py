"""What CreateFunction, UpdateFunctionCode and UpdateFunctionConfiguration are given, as ``deploy`` takes it.

The platform's parameters differ from the keywords of ``deploy`` in their names and in some defaults, and what it
refuses it refuses with a code of its own.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...errors import HarnessError, ScfApiError, ScfUsageError, refusal_of
from ...instances.code import unpack_code
from ...model.configuration import DEFAULT_SYNC_TIMEOUT
from .error_texts import api_error
from .platform import Platform

DEFAULT_RUNTIME: Final = "Python2.7"
"""The runtime of CreateFunction without one (document 18586)."""
DEFAULT_TIMEOUT: Final = DEFAULT_SYNC_TIMEOUT
"""Seconds, for async functions too (document 18586)."""
LARGEST_ZIP: Final = 50 * 1024 * 1024
"""Bytes of a zip that is uploaded with the request (document 18586)."""

_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")

_SWITCHES: Final = ("AsyncRunEnable", "TraceEnable")
"""Those for which there is a code of their own."""
_OTHER_NAMES: Final = {"name": "FunctionName", "memory": "MemorySize"}
"""What the platform calls options of ``deploy`` whose names differ in more than their form."""


@contextmanager
def refusals(failed: str, function_name: str) -> Iterator[None]:
    """Within it the platform refuses: a ``ScfUsageError`` becomes a ``ScfApiError`` with the code for what was refused.

    What has no code of its own, such as code that cannot be built, is *failed* (``FailedOperation.CreateFunction``).
    """
    try:
        yield
    except ScfUsageError as error:
        refusal = refusal_of(error)
        if refusal is None or not refusal.code:
            reason = " ".join(str(error).splitlines())  # what a compiler says has several lines
            raise api_error(failed, function_name=function_name, reason=reason) from error
        name = _OTHER_NAMES.get(refusal.name) or platform_name(refusal.name)
        raise api_error(refusal.code, name=name, value=refusal.value, valid=refusal.valid) from error


def platform_name(name: str) -> str:
    """What the platform calls what is *name* in Python: ``init_timeout`` is ``InitTimeout``."""
    return "".join(map(str.capitalize, name.split("_")))


def is_on(name: str, value: object) -> bool:
    """What a switch of the platform says: ``TRUE`` or ``FALSE``; ScfApiError for anything else."""
    if value not in ("TRUE", "FALSE"):
        code = f"InvalidParameterValue.{name}" if name in _SWITCHES else "InvalidParameterValue"
        raise api_error(code, name=name, value=value, valid="it must be TRUE or FALSE")
    return value == "TRUE"


def code_of(zip_file: object, cos_file: str | None, scratch: str) -> str:
    """The directory, below *scratch*, with the code: that of *cos_file* (`cos_file_of`), or of *zip_file* in Base64.

    Raises ScfApiError ``MissingParameter.Code``, ``InvalidParameterValue.Code`` where there are both,
    ``InvalidParameterValue.ZipFileBase64BinasciiError``, ``.ZipFile`` and ``.CosObjectName``.
    """
    if cos_file is not None:
        if zip_file:
            raise api_error("InvalidParameterValue.Code", valid="it must have a ZipFile or an object of COS, not both")
        try:
            return unpack_code(cos_file, scratch)
        except ScfUsageError as error:
            raise _no_object(os.path.basename(cos_file), "it must be that of a zip of code") from error
    if zip_file is None or zip_file == "":
        raise api_error("MissingParameter.Code", name="Code.ZipFile")
    data = _decoded(zip_file)
    if len(data) > LARGEST_ZIP or not zipfile.is_zipfile(io.BytesIO(data)):
        raise _no_zip(len(data))
    try:
        with tempfile.NamedTemporaryFile(prefix="upload-", suffix=".zip", dir=scratch) as file:
            file.write(data)
            file.flush()
            return unpack_code(file.name, scratch)
    except OSError as error:
        raise HarnessError(f"the code cannot be written to {scratch}: {error.strerror or error}") from error
    except ScfUsageError as error:
        refused = _no_zip(len(data))
        raise ScfApiError(refused.code, refused.platform_message, str(error)) from error


def cos_file_of(platform: Platform, bucket: object, name: object) -> str | None:
    """The file of the object *name* of *bucket*, below the directory that is the setting ``cos_directory``.

    None where neither is given. Raises ScfApiError: ``UnsupportedOperation`` without that setting,
    ``InvalidParameterValue.CosBucketName`` and ``.CosObjectName`` for names that can be none, ``ResourceNotFound.Cos``
    and ``.CosObject`` for what is not there; and ScfUsageError where the setting names no directory.
    """
    if not bucket and not name:
        return None
    setting = platform.settings.cos_directory
    if setting is None:
        what = "Code with CosBucketName without the setting cos_directory, the directory that has the buckets,"
        raise api_error("UnsupportedOperation", what=what)
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise api_error("InvalidParameterValue.CosBucketName", value=bucket, valid="it must be a-z, 0-9 and hyphens")
    parts = name.removeprefix("/").split("/") if isinstance(name, str) else [""]
    if not {"", ".", ".."}.isdisjoint(parts):
        raise _no_object(name, "it must be the path of an object, as in /exports/code.zip")
    roots = [os.path.join(each, setting) for each in platform._lookup]
    root = next(filter(os.path.isdir, roots), None)
    if root is None:
        raise ScfUsageError(f"cos_directory={setting!r} is no directory: there is no {' and no '.join(roots)}")
    if not os.path.isdir(os.path.join(root, bucket)):
        raise api_error("ResourceNotFound.Cos", bucket=bucket)
    file = os.path.join(root, bucket, *parts)
    if not os.path.isfile(file):
        raise api_error("ResourceNotFound.CosObject", bucket=bucket, name=name)
    return file


def _no_object(name: object, valid: str) -> ScfApiError:
    return api_error("InvalidParameterValue.CosObjectName", value=name, valid=valid)


def _decoded(text: object) -> bytes:
    reason = "it must be a Base64 string"
    if isinstance(text, str):
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            reason = str(error)
    raise api_error("InvalidParameterValue.ZipFileBase64BinasciiError", reason=reason)


def _no_zip(size: int) -> ScfApiError:
    return api_error("InvalidParameterValue.ZipFile", size=size, most=LARGEST_ZIP)
