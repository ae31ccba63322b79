"""An instance's own view of the file system, by mount namespaces. It uses system calls only: no tool must be installed.

The zygote builds a tree of mounts once: the host's tree, read-only, with directories for ``/var/user`` and ``/opt``.
For each instance it creates a copy of that namespace, ahead of time, and adds the instance's own mounts. To do so the
zygote itself moves to the new namespace and forks the instance there; for the next instance it moves on to another one.
If the instance made these calls itself, right after the fork, each would take several times as long.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from ..linux import procfs
from ..linux.bind_mounts import are_up_to_date
from ..linux.mount_namespaces import (
    CAPABILITIES_V3,
    CLONE_NEWNS,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    give_up_capabilities,
    separate,
)
from ..linux.mount_namespaces import libc as _libc
from ..linux.mount_namespaces import mounted as _mounted
from ..linux.mount_namespaces import require as _require
from ..protocol import messages

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOSYMFOLLOW = 1, 2, 4, 8, 256
MS_REMOUNT = 0x20
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
"""The numbers of these system calls, which are the same on every architecture."""

TMP_MEGABYTES = 512
"""The size of ``/tmp`` (document 11637), and of ``/dev/shm``."""
LAYER_MEGABYTES = 512
"""How much an image may write into its directory (document 56051)."""
USER_CODE = "/var/user"
HOSTS = "/etc/hosts"
_NEW_HOSTS = "/tmp/.scf-async-hosts"
"""Where an instance writes the new `HOSTS` before it mounts that: it can write to no other directory than ``/tmp``."""
ROOT_DIRECTORIES = {"tmp": 0o1777, "opt": 0o755, "var": 0o755}
"""The directories that the root directory must have, with their permissions."""
_STATVFS_FLAGS = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC, 0x2000: MS_NOSYMFOLLOW}

_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

_prepared = False
"""Whether this process is in a mount namespace that `prepare` made."""
_as_user = False
"""Whether an ordinary user made the namespaces, in a user namespace."""


def _call(number: int, what: str, *arguments: int | bytes | None) -> int:
    converted = (ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments)
    return _require(_syscall(ctypes.c_long(number), *converted), what)


def _clone(path: str) -> int:
    """Copy the mounts at and below *path*; returns a descriptor of the copy, which is attached nowhere yet."""
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
    """Move this process to a new mount namespace."""
    global _as_user
    _as_user = separate()


def _entries(directory: str, without: str = "") -> Iterator[tuple[str, str | int]]:
    """The entries of *directory* except *without*: each path, and the target of a link or a descriptor of its mounts.

    The descriptor is of a copy of the mounts (`_clone`).
    """
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        path = os.path.join(directory, name)
        if name == without:
            continue
        if not os.path.islink(path):
            yield path, _clone(path)
        elif directory != "/" or name not in ROOT_DIRECTORIES:
            yield path, os.readlink(path)


def _fill(place: str, entries: Iterable[tuple[str, str | int]], directory: str) -> None:
    """Put the *entries* of *directory*, as `_entries` gives them, into the directory *place*."""
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
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # some seccomp filters answer EPERM
            raise
        _remount_read_only()


def _remount_read_only() -> None:
    """Make all mounts read-only, one after the other: a kernel before 5.12 has no mount_setattr."""
    for path in procfs.mount_points():
        try:
            _remount(path, MS_RDONLY)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EACCES, errno.ENOENT):  # another mount hides it
                raise


def _remount(path: str, flags: int) -> None:
    """Give the mount at *path* these *flags* in addition to its own, except MS_RDONLY, which only *flags* decide."""
    has = os.statvfs(path).f_flag
    for known, flag in _STATVFS_FLAGS.items():
        flags |= flag if has & known else 0
    _mounted(None, path, None, MS_REMOUNT | MS_BIND | flags)


# -- in the zygote, for each instance ----------------------------------------------------------------------------------


class Trees:
    """The mount namespaces of instances. Each is made before an instance needs it."""

    def __init__(self, place: str) -> None:
        """Move this process to a read-only tree of its own, built on the directory *place*.

        Raises an OSError that says what the kernel refused; this process cannot serve as a zygote then.
        """
        prepare(place)
        self.origin = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        """The namespace of which all others are copies."""
        self._root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        """The root of the tree in that namespace. Under ``chroot`` the namespace's own root is another one, outside."""
        self._common: messages.CommonMounts | None = None
        """The mounts of the namespace that is ready; None: no namespace is ready."""
        self._tmp = -1
        self.make_ready(messages.CommonMounts(["/tmp"], []))  # find out now what the kernel refuses
        self._drop()
        self._return()  # the package may be in /tmp, and modules of it are still to be imported

    def make_ready(self, common: messages.CommonMounts, inodes: list[int] | None = None) -> None:
        """Move to a new namespace with the mounts that instances of one runtime have in common.

        If the namespace that was made ahead has these mounts, this process stays in it. With *inodes*, the directories
        that are mounted there must also still have these inode numbers. Otherwise one of them was replaced or removed,
        and the namespace is dropped.
        """
        if self._common == common and (inodes is None or are_up_to_date("", common.binds, inodes)):
            return
        self._drop()
        self._return()
        _require(_libc.unshare(CLONE_NEWNS), "unshare of the mount namespace")
        sources: list[int] = []
        try:
            for source, _, _ in common.binds:
                sources.append(_open_path(source))  # appended one by one: if one fails, those before are closed
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

    def see_all_of(self, common: messages.CommonMounts) -> None:
        """Be where the files of *common* are seen: another runtime's namespace has its own ``/tmp`` in their place."""
        if self._common != common:
            self._drop()
            self._return()

    def hand_over(self) -> int:
        """Leave the namespace to the instance that was just forked.

        Returns a descriptor of the instance's ``/tmp``, which the caller closes.
        """
        tmp, self._tmp, self._common = self._tmp, -1, None
        return tmp

    def descriptors(self) -> list[int]:
        """The descriptors that an instance must not keep."""
        return [self.origin, self._root, *([self._tmp] if self._tmp >= 0 else ())]

    def _return(self) -> None:
        """Return to the namespace of which all others are copies."""
        _require(_libc.setns(self.origin, CLONE_NEWNS), "setns to the zygote's first mount namespace")
        os.fchdir(self._root)
        os.chroot(".")

    def _drop(self) -> None:
        self._common = None
        if self._tmp >= 0:
            os.close(self._tmp)
            self._tmp = -1


def _new_tmpfs(megabytes: int) -> int:
    """A descriptor of a new tmpfs. Its files stay readable through the descriptor after every mount of it is gone."""
    context = _call(FSOPEN, "fsopen tmpfs", b"tmpfs", FSOPEN_CLOEXEC)
    try:
        for key, value in ((b"size", f"{megabytes}m".encode()), (b"mode", b"1777")):
            _call(FSCONFIG, "fsconfig tmpfs", context, FSCONFIG_SET_STRING, key, value, 0)
        _call(FSCONFIG, "fsconfig tmpfs", context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(FSMOUNT, "fsmount tmpfs", context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def _open_path(path: str) -> int:
    """A descriptor of *path*, by which it can still be mounted after another mount hides it."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _bind(source: str, target: str, writable: bool) -> None:
    if not os.path.isdir(target):
        _make_directory(target)
    _mounted(source, target, None, MS_BIND | MS_REC)
    if writable:
        _remount(target, 0)


def _make_directory(target: str) -> None:
    """Create the directory *target*.

    If it cannot be created, as the tree is read-only, the nearest parent that exists is replaced by a tmpfs that has
    the parent's entries, and *target* is created there.
    """
    try:
        os.makedirs(target, 0o755, exist_ok=True)
        return
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    parent = os.path.dirname(target)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == "/":  # the root of our own tree, which no other process has; the directory stays in it
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
    """Add the mounts of this instance's function to the namespace in which the instance was forked.

    *layered* is a directory that becomes writable, as a layer over the host's.
    """
    if layered is not None:
        _add_layer(layered)
    for source, target, writable in own:
        _bind(source, target, writable)


def change_hosts(changed: Callable[[str], str]) -> None:
    """Replace the text of ``/etc/hosts`` in this instance by *changed* of it; without that file nothing happens."""
    try:
        with open(HOSTS, encoding="utf-8", errors="surrogateescape") as file:
            text = changed(file.read())
    except FileNotFoundError:
        return  # a mount needs a file to be mounted on, and in a read-only tree none can be made
    with open(_NEW_HOSTS, "x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.chmod(_NEW_HOSTS, 0o444)
    _mounted(_NEW_HOSTS, HOSTS, None, MS_BIND)
    os.unlink(_NEW_HOSTS)  # the mount stays
    _remount(HOSTS, MS_RDONLY)


def replace_file(path: str, by: str) -> None:
    """Mount the file *by* over the file at *path*; without a file at *path* nothing happens."""
    if os.path.isfile(path):
        _mounted(by, path, None, MS_BIND)
        _remount(path, MS_RDONLY)


def _add_layer(directory: str) -> None:
    """Make *directory* writable: changes go to a tmpfs of this instance, and the host's files stay as they are.

    Mounts below the directory stay as they are. If the kernel has no overlayfs, or none for ordinary users (before
    5.11), the directory stays read-only.
    """
    with contextlib.ExitStack() as opened:

        def open_path(path: str) -> int:
            fd = _open_path(path)
            opened.callback(os.close, fd)
            return fd

        lower = open_path(directory)
        state = os.stat(directory)
        kept = [(open_path(path), path) for path in _mounts_below(directory)]
        # The tmpfs is mounted on the directory itself: a mount that is attached nowhere cannot be an upper layer.
        _mounted("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, f"size={LAYER_MEGABYTES}m,mode=0755")
        upper, work = os.path.join(directory, "upper"), os.path.join(directory, "work")
        for path in (upper, work):
            os.mkdir(path)
        os.chmod(upper, stat.S_IMODE(state.st_mode))
        if not _as_user:
            os.chown(upper, state.st_uid, state.st_gid)
        # The options name descriptors, not paths: a comma or a colon in a user's path would be read as a separator.
        above = open_path(directory)
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
    """The topmost mount points below *directory*: none of them is below another one."""
    found: list[str] = []
    for path in sorted(path for path in procfs.mount_points() if path.startswith(directory.rstrip("/") + "/")):
        if not found or not path.startswith(found[-1] + "/"):
            found.append(path)
    return list(dict.fromkeys(found))


def warm_up() -> None:
    """Bind a directory and set capabilities once, without lasting effect, to make the real calls fast.

    The first such call after a fork takes many times as long as the second.
    """
    if not _prepared:
        return  # without a namespace of ours this would change the machine's own mounts
    _bind("/tmp", USER_CODE, True)
    _require(_libc.umount2(os.fsencode(USER_CODE), MNT_DETACH), "umount of the warm-up")
    if _as_user:
        header, data = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
        _require(_libc.capget(header, data), "capget")
        _require(_libc.capset(header, data), "capset of what it has")


def drop_capabilities() -> None:
    """Give up the capabilities that the namespaces needed, so that this process has an ordinary user's permissions."""
    if _as_user:
        give_up_capabilities()
