"""What can be imported in each Python of the platform beside the package: the standard library, and what is installed.

The standard library is that of the Python that runs here, with what has come and gone since 3.6.
"""

from __future__ import annotations

import sys
from typing import Final

Version = tuple[int, int]

ADDED: Final[dict[Version, str]] = {
    (3, 7): "contextvars dataclasses importlib.resources contextlib.nullcontext contextlib.AsyncExitStack",
    (3, 8): "importlib.metadata functools.cached_property typing.Final typing.Literal typing.Protocol typing.TypedDict",
    (3, 9): "graphlib zoneinfo asyncio.to_thread functools.cache importlib.resources.files typing.Annotated",
    (3, 10): "itertools.pairwise types.NoneType types.UnionType typing.ParamSpec typing.TypeAlias typing.TypeGuard",
    (3, 11): "tomllib asyncio.Runner asyncio.TaskGroup asyncio.timeout contextlib.chdir datetime.UTC enum.StrEnum "
    "enum.verify hashlib.file_digest http.HTTPMethod typing.LiteralString typing.Never typing.NotRequired "
    "typing.Required typing.Self typing.TypeVarTuple typing.Unpack typing.assert_never typing.dataclass_transform",
    (3, 12): "collections.abc.Buffer itertools.batched typing.TypeAliasType typing.override",
    (3, 13): "copy.replace queue.ShutDown typing.ReadOnly typing.TypeIs warnings.deprecated",
    (3, 14): "annotationlib compression concurrent.interpreters string.templatelib",
}
"""Modules, and names that are imported from one, by the version that they came with."""
_GONE: Final = (
    "_dummy_thread aifc asynchat asyncore audioop binhex cgi cgitb chunk crypt distutils dummy_threading formatter "
    "imghdr imp lib2to3 macpath mailcap msilib nis nntplib ossaudiodev parser pipes smtpd sndhdr spwd sunau symbol "
    "telnetlib uu xdrlib"
)
"""Modules of the standard library that a newer Python has no more, and the platform's have."""
_INSTALLED: Final = (
    "MySQLdb PIL absl asn1crypto astor bleach certifi cffi chardet cryptography dicttoxml gast google grpc html5lib "
    "idna iniparse markdown numpy psycopg2 pycparser pycurl pymysql pytz qcloud_cos qcloud_cos_v4 qcloud_cos_v5 "
    "qcloud_image qcloudsms_py requests serverless_db_sdk six tencentcloud tencentserverless tensorboard tensorflow "
    "tensorflow_serving termcolor urllib3 werkzeug wheel"
)
"""Of Python 3.6; later ones have no package beside the standard library (document 11061)."""
_OF_PIP: Final = ("_distutils_hack", "easy_install", "pip", "pkg_resources", "setuptools")
"""What an installation of Python may have: the documents do not say."""


def added(name: str, version: Version) -> str:
    """The version that *name* came with, a module or what one has, where *version* is older; empty where it is not."""
    later = (since for since, names in ADDED.items() if since > version and name in names.split())
    return ".".join(map(str, next(later, ())))


def importable(version: Version) -> frozenset[str]:
    """Top-level names that can be imported in the runtime with Python *version* without any package."""
    newer = [name for names in ADDED.values() for name in names.split() if added(name, version)]
    installed = _INSTALLED.split() if version == (3, 6) else ()
    return frozenset({*sys.stdlib_module_names, *_GONE.split(), *installed, *_OF_PIP}.difference(newer))
