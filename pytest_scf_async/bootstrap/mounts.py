"""An instance's own view of the disk, by mount namespaces: the kernel's calls alone, nothing needs to be installed.

The zygote makes a tree once: the host's with everything read-only, and a place for ``/var/user`` and ``/opt``. For each
instance it copies that and mounts what is the instance's own, ahead of time: it moves to the new namespace itself, an
instance is born in it, and the zygote moves on. A process just forked would pay several times as much for each call.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from ..protocol import messages, procfs
from ..protocol.bind_mounts import are_up_to_date

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOSYMFOLLOW = 1, 2, 4, 8, 256
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
AT_NO_AUTOMOUNT = 0x800
OPEN_TREE_CLONE = 1
MOVE_MOUNT_FLAGS = 0x4 | 0x10
"""The source is the descriptor itself; a target that is a symbolic link is followed."""
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 1, 6
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
"""Numbers of system calls, the same on every architecture."""
CAPABILITIES_V3 = 0x20080522

TMP_MEGABYTES = 512
"""The size of ``/tmp`` (document 11637), and of ``/dev/shm``."""
LAYER_MEGABYTES = 512
"""How much an image may write into its directory (document 56051)."""
USER_CODE = "/var/user"
HOSTS = "/etc/hosts"
_NEW_HOSTS = "/tmp/.scf-async-hosts"
"""Where an instance has it for a moment: its ``/tmp`` is the only place that it can write to."""
ROOT_DIRECTORIES = {"tmp": 0o1777, "opt": 0o755, "var": 0o755}
"""What has to be there as a directory of the root, with its permissions."""
_STATVFS_FLAGS = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC, 0x2000: MS_NOSYMFOLLOW}

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_mount = _libc.mount
_mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)

_prepared = False
"""This process is in a mount namespace of ours."""
_as_user = False
"""The namespaces are those of an ordinary user."""


def _require(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _call(number: int, what: str, *arguments: int | bytes | None) -> int:
    converted = (ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments)
    return _require(_syscall(ctypes.c_long(number), *converted), what)


def _mounted(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = (None if each is None else os.fsencode(each) for each in (source, target, kind))
    first, second, third = encoded
    data = None if options is None else options.encode()
    _require(_mount(first, second, third, flags, data), f"mount {kind or source or ''} on {target}")


def _clone(path: str) -> int:
    """A descriptor of what is mounted at and below *path*, attached nowhere."""
    flags = OPEN_TREE_CLONE | AT_RECURSIVE | AT_NO_AUTOMOUNT | os.O_CLOEXEC
    return _call(OPEN_TREE, f"open_tree {path}", AT_FDCWD, os.fsencode(path), flags)


def _attach(fd: int, target: str) -> None:
    _call(MOVE_MOUNT, f"move_mount to {target}", fd, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_FLAGS)


# -- in the zygote, once -----------------------------------------------------------------------------------------------


def prepare(place: str) -> None:
    """Move this process to a read-only tree of its own, built on the directory *place*."""
    global _prepared
    _separate()
    _mounted(None, "/", None, MS_REC | MS_PRIVATE)
    split = not os.path.isdir(USER_CODE)
    entries = list(_entries("/", without="var" if split else ""))
    inside = list(_entries("/var")) if split else []
    _mounted("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for name, permissions in ROOT_DIRECTORIES.items():
        os.mkdir(os.path.join(place, name))
        os.chmod(os.path.join(place, name), permissions)
    _fill(place, entries, "/")
    if split:
        os.mkdir(place + USER_CODE, 0o755)
        _fill(place + "/var", inside, "/var")
    os.chdir(place)
    _require(_libc.pivot_root(b".", b"."), "pivot_root")
    _require(_libc.umount2(b".", MNT_DETACH), "umount of the host's root")
    os.chdir("/")
    _make_read_only()
    _prepared = True


def _separate() -> None:
    """Have a mount namespace, in a user namespace where an ordinary user can have it in no other way."""
    global _as_user
    if _libc.unshare(CLONE_NEWNS) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    try:
        _require(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare of user and mount namespaces")
    except OSError as error:
        if error.errno == errno.ENOSPC:  # the kernel's word for a limit that is reached
            raise OSError(error.errno, f"{error.strerror} (see /proc/sys/user/max_user_namespaces)") from None
        raise
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _as_user = user != 0


def _entries(directory: str, without: str = "") -> Iterator[tuple[str, str | int]]:
    """The entries of *directory*: each path with its target, of a symbolic link, or a descriptor of its tree."""
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        path = os.path.join(directory, name)
        if name == without:
            continue
        if not os.path.islink(path):
            yield path, _clone(path)
        elif directory != "/" or name not in ROOT_DIRECTORIES:
            yield path, os.readlink(path)


def _fill(place: str, entries: Iterable[tuple[str, str | int]], directory: str) -> None:
    """Put the *entries* of *directory* into the directory *place*."""
    for path, entry in entries:
        target = os.path.join(place, os.path.relpath(path, directory))
        if isinstance(entry, str):
            os.symlink(entry, target)
            continue
        with contextlib.suppress(FileExistsError):
            if stat.S_ISDIR(os.fstat(entry).st_mode):
                os.mkdir(target, 0o755)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o644))
        try:
            _attach(entry, target)
        finally:
            os.close(entry)


def _make_read_only() -> None:
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    try:
        _call(MOUNT_SETATTR, "mount_setattr", AT_FDCWD, b"/", AT_RECURSIVE, bytes(attributes), 32)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # EPERM: how some filters of system calls say it
            raise
        _remount_read_only()


def _remount_read_only() -> None:
    """What mount_setattr does, on a kernel before 5.12: one mount after the other."""
    for path in procfs.mount_points():
        try:
            _remount(path, MS_RDONLY)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EACCES, errno.ENOENT):  # nobody can reach it: mounted over
                raise


def _remount(path: str, flags: int) -> None:
    """Give the mount at *path* these flags, and those that it has but for MS_RDONLY."""
    has = os.statvfs(path).f_flag
    for known, flag in _STATVFS_FLAGS.items():
        flags |= flag if has & known else 0
    _mounted(None, path, None, MS_REMOUNT | MS_BIND | flags)


# -- in the zygote, for each instance ----------------------------------------------------------------------------------


class Trees:
    """The mount namespaces of instances, each made before it is needed."""

    def __init__(self, place: str) -> None:
        """Move this process to a read-only tree of its own, built on the directory *place*.

        Raises OSError that says what the kernel refused; the process is of no use as a zygote then.
        """
        prepare(place)
        self.origin = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        """The namespace that all others are copies of."""
        self._root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        """Its tree, which is not its root where pytest runs under ``chroot``: that is what lies outside."""
        self._common: messages.CommonMounts | None = None
        """What the namespace that is ready has; None where none is ready."""
        self._tmp = -1
        self.make_ready(messages.CommonMounts(["/tmp"], []))  # what the kernel refuses of it is to be known now
        self._drop()
        self._return()  # the package may lie in /tmp, and not all of it has been imported

    def make_ready(self, common: messages.CommonMounts, inodes: list[int] | None = None) -> None:
        """Be in a new namespace with all that instances of one runtime have in common.

        One that was made ahead is dropped where a directory in it is not the one any more whose number is in *inodes*.
        """
        if self._common == common and (inodes is None or are_up_to_date("", common.binds, inodes)):
            return
        self._drop()
        self._return()
        _require(_libc.unshare(CLONE_NEWNS), "unshare of the mount namespace")
        sources: list[int] = []
        try:
            for source, _, _ in common.binds:
                sources.append(_look_at(source))  # those before one that fails are closed, too
            tmp, *others = common.tmpfs
            self._tmp = _new_tmpfs(TMP_MEGABYTES)
            _attach(self._tmp, tmp)
            for target in others:
                _mounted("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"size={TMP_MEGABYTES}m,mode=1777")
            for fd, (_, target, writable) in zip(sources, common.binds, strict=True):
                _bind(f"/proc/self/fd/{fd}", target, writable)
        finally:
            for fd in sources:
                os.close(fd)
        self._common = common

    def hand_over(self) -> int:
        """The namespace belongs to the instance that was just forked: a descriptor of its ``/tmp``, to be closed."""
        tmp, self._tmp, self._common = self._tmp, -1, None
        return tmp

    def descriptors(self) -> list[int]:
        """What an instance must not inherit."""
        return [self.origin, self._root, *([self._tmp] if self._tmp >= 0 else ())]

    def _return(self) -> None:
        """Be in the namespace that all others are copies of."""
        _require(_libc.setns(self.origin, CLONE_NEWNS), "setns to the zygote's first mount namespace")
        os.fchdir(self._root)
        os.chroot(".")

    def _drop(self) -> None:
        self._common = None
        if self._tmp >= 0:
            os.close(self._tmp)
            self._tmp = -1


def _new_tmpfs(megabytes: int) -> int:
    """A descriptor of a new tmpfs; who has it sees what is in it, whoever mounts it and ends."""
    context = _call(FSOPEN, "fsopen tmpfs", b"tmpfs", FSOPEN_CLOEXEC)
    try:
        for key, value in ((b"size", f"{megabytes}m".encode()), (b"mode", b"1777")):
            _call(FSCONFIG, "fsconfig tmpfs", context, FSCONFIG_SET_STRING, key, value, 0)
        _call(FSCONFIG, "fsconfig tmpfs", context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(FSMOUNT, "fsmount tmpfs", context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def _look_at(path: str) -> int:
    """A descriptor by which *path* can be mounted once something else is mounted over it."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _bind(source: str, target: str, writable: bool) -> None:
    if not os.path.isdir(target):
        _make_room(target)
    _mounted(source, target, None, MS_BIND | MS_REC)
    if writable:
        _remount(target, 0)


def _make_room(target: str) -> None:
    """Have a directory *target*, in a tmpfs over the nearest directory that is there unless that can be written to."""
    try:
        os.makedirs(target, 0o755, exist_ok=True)
        return
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    parent = os.path.dirname(target)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == "/":  # of a tree that no other process has; the directory stays in it
        _remount("/", 0)
        os.makedirs(target, 0o755)
        _remount("/", MS_RDONLY)
        return
    entries = list(_entries(parent))
    _mounted("tmpfs", parent, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755")
    _fill(parent, entries, parent)
    os.makedirs(target, 0o755)
    _remount(parent, MS_RDONLY)


# -- in an instance ----------------------------------------------------------------------------------------------------


def complete(own: Iterable[tuple[str, str, bool]], layered: str | None) -> None:
    """Add what is one function's own to the namespace that this instance was born in."""
    if layered is not None:
        _add_layer(layered)
    for source, target, writable in own:
        _bind(source, target, writable)


def change_hosts(changed: Callable[[str], str]) -> None:
    """Have the file in which names are looked up first be what *changed* makes of it, where the machine has one."""
    try:
        with open(HOSTS, encoding="utf-8", errors="surrogateescape") as file:
            text = changed(file.read())
    except FileNotFoundError:
        return  # the tree is read-only, and without the file there is nothing to mount on
    with open(_NEW_HOSTS, "x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.chmod(_NEW_HOSTS, 0o444)
    _mounted(_NEW_HOSTS, HOSTS, None, MS_BIND)
    os.unlink(_NEW_HOSTS)  # what is mounted stays
    _remount(HOSTS, MS_RDONLY)


def replace_file(path: str, by: str) -> None:
    """Have who reads the file at *path* read that at *by*; nothing changes where this view of the disk has none."""
    if os.path.isfile(path):
        _mounted(by, path, None, MS_BIND)
        _remount(path, MS_RDONLY)


def _add_layer(directory: str) -> None:
    """Let *directory* be written: what is written lies in a tmpfs of this instance's, over the files of the host.

    What is mounted below it stays as it is. Where the kernel has no overlayfs, or none for ordinary users (before
    5.11), the directory stays read-only.
    """
    with contextlib.ExitStack() as opened:

        def look_at(path: str) -> int:
            fd = _look_at(path)
            opened.callback(os.close, fd)
            return fd

        lower = look_at(directory)
        state = os.stat(directory)
        kept = [(look_at(path), path) for path in _mounts_below(directory)]
        # The tmpfs is mounted on the directory itself: a mount that is attached nowhere cannot be an upper layer.
        _mounted("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, f"size={LAYER_MEGABYTES}m,mode=0755")
        upper, work = os.path.join(directory, "upper"), os.path.join(directory, "work")
        for path in (upper, work):
            os.mkdir(path)
        os.chmod(upper, stat.S_IMODE(state.st_mode))
        if not _as_user:
            os.chown(upper, state.st_uid, state.st_gid)
        # No path of the user's is in the options, where a comma or a colon would mean something.
        above = look_at(directory)
        options = (
            f"lowerdir=/proc/self/fd/{lower},upperdir=/proc/self/fd/{above}/upper,workdir=/proc/self/fd/{above}/work"
        )
        try:
            _mounted("overlay", directory, "overlay", MS_NOSUID | MS_NODEV, options + ",userxattr" * _as_user)
        except OSError:
            _require(_libc.umount2(os.fsencode(directory), MNT_DETACH), f"umount of the layer at {directory}")
            return
        for fd, path in kept:
            _mounted(f"/proc/self/fd/{fd}", path, None, MS_BIND | MS_REC)


def _mounts_below(directory: str) -> list[str]:
    """Where something is mounted below *directory*, without what lies below another of these."""
    found: list[str] = []
    for path in sorted(path for path in procfs.mount_points() if path.startswith(directory.rstrip("/") + "/")):
        if not found or not path.startswith(found[-1] + "/"):
            found.append(path)
    return list(dict.fromkeys(found))


def warm_up() -> None:
    """Do once, without effect, what the two others do: the first time after a fork costs many times the second."""
    if not _prepared:
        return  # this would be the machine's own namespace
    _bind("/tmp", USER_CODE, True)
    _require(_libc.umount2(os.fsencode(USER_CODE), MNT_DETACH), "umount of the warm-up")
    if _as_user:
        header, data = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
        _require(_libc.capget(header, data), "capget")
        _require(_libc.capset(header, data), "capset of what it has")


def drop_capabilities() -> None:
    """Have permissions act as for the ordinary user that this process belongs to, after what the namespaces needed."""
    if _as_user:
        header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
        _require(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
