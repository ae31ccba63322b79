"""Zips of code and of layers: what is refused, and how they are unpacked.

A zip comes from outside and may be wrong or hostile: members outside its directory, links that lead out of it, sizes
that fill the disk. All of that is found before the first byte is written, except what only reading the data shows.
"""

from __future__ import annotations

import errno
import lzma
import os
import posixpath
import stat
import zipfile
import zlib

from ..errors import ScfUsageError, hidden_from_users
from ..protocol.shortening import shortened

__tracebackhide__ = hidden_from_users

LARGEST_CODE = 500 * 1024 * 1024
"""Bytes of code that the platform takes, unpacked and with its layers (document 11637)."""
MOST_MEMBERS = 65_535
"""Files, directories and links in one zip: as many as the form of zips that all tools read can count."""
MOST_LEVELS = 100
"""Directories within one another: far more than code has, and few enough for every tool that walks them."""
_ENCRYPTED = 1
"""The bit of a member's flags."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


def check_archive(path: str, what: str) -> None:
    """Raise ``ScfUsageError`` for a zip that `unpack` would refuse; the data of its members is not read."""
    _members(path, what)


def unpack(path: str, target: str, what: str) -> None:
    """Unpack the zip *path* of a *what* into the directory *target*, with the permissions and links that it has kept.

    Raises ``ScfUsageError`` that says what is wrong with the zip, and ``OSError`` where *target* cannot be written to.
    """
    members = _members(path, what)
    links: list[zipfile.ZipInfo] = []
    with zipfile.ZipFile(path) as archive:
        for member in members:
            if _kind(member) == stat.S_IFLNK:
                links.append(member)
                continue
            try:
                made = archive.extract(member, target)
            except _DAMAGED as error:
                raise _damaged(path, member.filename, error) from None
            except OSError as error:
                raise _unmade(path, member.filename, error) from None
            permissions = (member.external_attr >> 16) & 0o777
            if permissions and not member.is_dir():
                os.chmod(made, permissions)
        # Links come last, so that no member can be written through one.
        made_links = [_make_link(archive, member, path, target) for member in links]
    inside = os.path.realpath(target) + os.sep
    for member, link in zip(links, made_links, strict=True):
        if not (os.path.realpath(link) + os.sep).startswith(inside):
            raise ScfUsageError(
                f"{path} has the link {member.filename!r} to {os.readlink(link)!r}, which lies outside the {what} "
                "directory"
            )


def _make_link(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, target: str) -> str:
    try:
        leads_to = archive.read(member)
    except (*_DAMAGED, OSError) as error:
        raise _damaged(path, member.filename, error) from None
    link = os.path.join(target, *_parts(member))
    if not leads_to or b"\0" in leads_to:
        raise ScfUsageError(f"{path} has the link {member.filename!r}, which leads nowhere")
    os.makedirs(os.path.dirname(link), exist_ok=True)
    try:
        os.symlink(os.fsdecode(leads_to), link)
    except OSError as error:
        raise _unmade(path, member.filename, error) from None
    return link


def _members(path: str, what: str) -> list[zipfile.ZipInfo]:
    """The members of the zip *path*, all of which can be unpacked into a *what* directory."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*_DAMAGED, NotImplementedError, UnicodeDecodeError) as error:
        raise ScfUsageError(f"{path} is a damaged zip: {error}") from None
    if len(members) > MOST_MEMBERS:
        raise ScfUsageError(f"{path} has {len(members):,} members, and at most {MOST_MEMBERS:,} are unpacked")
    size = sum(member.file_size for member in members)
    if size > LARGEST_CODE:
        raise ScfUsageError(
            f"{path} has {size:,} bytes unpacked, and the platform takes {LARGEST_CODE:,} bytes of code with its layers"
        )
    names: dict[tuple[str, ...], bool] = {}
    for member in members:
        parts = _parts(member)
        name = f"{path} has the member {_shown(member.filename)}"
        if member.filename.startswith("/") or ".." in member.filename.replace("\\", "/").split("/"):
            raise ScfUsageError(f"{name}, which lies outside the {what} directory")
        if not parts and not member.is_dir():
            raise ScfUsageError(f"{name}, which is the {what} directory itself")
        if len(parts) > MOST_LEVELS:
            raise ScfUsageError(f"{name}, {len(parts)} levels deep; at most {MOST_LEVELS} are unpacked")
        if member.flag_bits & _ENCRYPTED:
            raise ScfUsageError(f"{name}, which is encrypted; make the zip without a password")
        if member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
            zipfile.ZIP_BZIP2,
            zipfile.ZIP_LZMA,
        ):
            raise ScfUsageError(
                f"{name}, compressed by method {member.compress_type}; valid are stored, deflate, bzip2 and LZMA"
            )
        if _kind(member) not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise ScfUsageError(f"{name}, which is neither a file nor a directory nor a link")
        if not member.is_dir() and parts in names:
            raise ScfUsageError(f"{name} twice")
        names[parts] = member.is_dir()
    for parts in names:
        for depth in range(1, len(parts)):
            if names.get(parts[:depth], True) is False:
                behind, inside = "/".join(parts[:depth]), "/".join(parts)
                raise ScfUsageError(
                    f"{path} has the member {_shown(inside)}, and {_shown(behind)}, which is not a directory"
                )
    return members


def _kind(member: zipfile.ZipInfo) -> int:
    """The kind of file in the form of ``st_mode``; 0 where the tool that made the zip kept none."""
    return stat.S_IFMT(member.external_attr >> 16)


def _parts(member: zipfile.ZipInfo) -> tuple[str, ...]:
    return tuple(part for part in posixpath.normpath(member.filename).split("/") if part not in ("", "."))


def _shown(name: str) -> str:
    return repr(shortened(name, 100))


def _damaged(path: str, member: str, error: Exception) -> ScfUsageError:
    return ScfUsageError(f"{path} is a damaged zip, at the member {_shown(member)}: {error}")


def _unmade(path: str, member: str, error: OSError) -> Exception:
    """What *error* means: a name that no file system takes is the zip's fault, all else the disk's."""
    if error.errno is None:  # of a decompressor
        return _damaged(path, member, error)
    if error.errno in (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return ScfUsageError(f"{path} has the member {_shown(member)}, which cannot be made: {error.strerror}")
    return error
