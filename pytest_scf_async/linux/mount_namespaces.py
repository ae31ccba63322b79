"""Move this process to a mount namespace of its own, as zygotes and the workers of a sweep do."""

from __future__ import annotations

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
CAPABILITIES_V3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)
_mount = libc.mount
_mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def require(result: int, what: str) -> int:
    """Raise the ``OSError`` of a call of the C library that has failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mounted(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount *source* on *target*: mount(2)."""
    encoded = (None if each is None else os.fsencode(each) for each in (source, target, kind))
    first, second, third = encoded
    data = None if options is None else options.encode()
    require(_mount(first, second, third, flags, data), f"mount {kind or source or ''} on {target}")


def separate() -> bool:
    """Move this process to a new mount namespace; whether an ordinary user has made it.

    An ordinary user may not create one alone, so the process moves to a new user namespace, too.
    """
    if libc.unshare(CLONE_NEWNS) == 0:
        return False
    user, group = os.geteuid(), os.getegid()
    try:
        require(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare of user and mount namespaces")
    except OSError as error:
        if error.errno == errno.ENOSPC:  # the kernel's answer if a limit is reached
            raise OSError(error.errno, f"{error.strerror} (see /proc/sys/user/max_user_namespaces)") from None
        raise
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return user != 0


def give_up_capabilities() -> None:
    """Leave this process an ordinary user's permissions, as it had before it made namespaces."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
    require(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def find_at(path: str, directory: str) -> None:
    """Have this process, which has one thread, and all that it starts from here on find *directory* at *path*."""
    as_user = separate()
    mounted(None, "/", None, MS_REC | MS_PRIVATE)
    mounted(directory, path, None, MS_BIND)
    if as_user:
        give_up_capabilities()
