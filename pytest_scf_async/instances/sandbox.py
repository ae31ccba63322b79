"""What an instance finds on disk: a view of its own, by a mount namespace, or else a ``TMPDIR`` of its own.

`Sandboxes` decides which, once a runtime, and what all instances of a runtime see; a `Sandbox` is one instance's.
"""

from __future__ import annotations

import os
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..errors import ScfUsageError, hidden_from_users
from ..linux.linux import remove_tree
from ..model.configuration import FunctionConfiguration
from ..options import ScfSettings
from ..protocol import messages
from .code import Code
from .layers import OPT, merged, opt_directory
from .zygote import Zygote, namespaces_refused, shared_zygote

__tracebackhide__ = hidden_from_users

USER_CODE = "/var/user"
StrPath = str | os.PathLike[str]
SHARED_MEMORY = "/dev/shm"
OWN_DIRECTORIES = ("/tmp", SHARED_MEMORY)
"""What is a new, empty directory in each instance. An instance's ``/tmp`` comes first."""
_MOST_LINKS = 40
"""How many symbolic links the kernel follows in a path."""
VIEWS_KEPT = 256
"""Views of function versions that are kept for the next runtimes: a session may have thousands of functions."""


class Sandbox(ABC):
    """The disk of one instance."""

    plan: messages.MountPlan | None = None
    """What the zygote mounts; None where instances have no mount namespace."""
    descriptors = 0
    """How many descriptors come with it from the zygote."""
    known: Sequence[str] = ()
    """Without a mount namespace: what below the machine's ``/tmp`` user code may open."""
    only_writes: list[str] | None = None
    """Without a mount namespace, in a sweep: the directories below which alone it may write."""
    lost_files: tuple[str, ...] = ()
    """What was in its ``/tmp`` when the instance was reclaimed: paths below it; empty before that."""

    def __init__(self, search_path: list[str], environment: dict[str, str]) -> None:
        self.search_path = search_path
        self.environment = environment

    @property
    @abstractmethod
    def tmp(self) -> str:
        """The host's path of the instance's own ``/tmp``, while the instance lives."""

    @abstractmethod
    def started(self, pid: int, *descriptors: int) -> None:
        """The instance is the process *pid*; the zygote has sent *descriptors* that belong to its disk."""

    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """What is in its ``/tmp`` now: paths below it, of all that is not a directory."""

    def hides(self, path: str) -> bool:
        """Whether this machine has *path*, below `OWN_DIRECTORIES`, and the instance does not find that there."""
        found = [] if self.plan is None else [f"{inside}/" for _, inside, _ in self.plan.common.binds]
        return self.plan is not None and os.path.exists(path) and not f"{path}/".startswith(tuple(found))

    @abstractmethod
    def made(self, path: str) -> None:
        """User code makes *path* in the machine's ``/dev/shm``."""

    @abstractmethod
    def remove(self) -> None:
        """The instance is gone: keep `lost_files`, and take everything away that it left."""


class Mounted(Sandbox):
    """A sandbox by a mount namespace, which the kernel takes away with the instance's last process."""

    descriptors = 1

    def __init__(self, plan: messages.MountPlan, search_path: list[str]) -> None:
        super().__init__(search_path, _MOUNTED_ENVIRONMENT)
        inodes = [os.stat(source).st_ino for source, _, _ in plan.common.binds]
        self.plan = plan._replace(inodes=inodes)
        self._pid = 0
        self._tmp: int | None = None

    @property
    def tmp(self) -> str:
        return f"/proc/{self._pid}/root/tmp"

    def started(self, pid: int, *descriptors: int) -> None:
        self._pid = pid
        (self._tmp,) = descriptors

    def files(self) -> tuple[str, ...]:
        return self.lost_files if self._tmp is None else tuple(_files_below(f"/proc/self/fd/{self._tmp}"))

    def made(self, path: str) -> None:
        pass  # the instance has a /dev/shm of its own

    def remove(self) -> None:
        if self._tmp is not None:
            self.lost_files = self.files()
            os.close(self._tmp)
            self._tmp = None


class MountedBesideContainer(Mounted):
    """The sandbox of an instance whose program is in a container: the ``/tmp`` there is the *directory* of the host."""

    def __init__(self, plan: messages.MountPlan, search_path: list[str], directory: str) -> None:
        super().__init__(plan, search_path)
        self._directory = directory
        os.mkdir(directory, 0o700)
        os.chmod(directory, 0o1777)  # whatever user the container has

    @property
    def tmp(self) -> str:
        return self._directory

    def files(self) -> tuple[str, ...]:
        return tuple(_files_below(self._directory)) if os.path.isdir(self._directory) else self.lost_files

    def remove(self) -> None:
        super().remove()
        remove_tree(self._directory)


_MOUNTED_ENVIRONMENT = {"USER_CODE_ROOT": f"{USER_CODE}/", "PWD": USER_CODE, "PYTHONPATH": f"{USER_CODE}:{OPT}"}


class Unmounted(Sandbox):
    """A sandbox without a mount namespace: a directory that ``TMPDIR`` names."""

    def __init__(
        self,
        directory: str,
        code_directory: str,
        search_path: list[str],
        known: Sequence[str],
        shared: Sequence[str] | None,
    ) -> None:
        """Without a mount namespace it may write to all that it finds, or, of that, only to *shared* and its own."""
        environment = {
            "TMPDIR": directory,
            "USER_CODE_ROOT": f"{code_directory}/",
            "PWD": code_directory,
            "PYTHONPATH": ":".join(search_path),
        }
        super().__init__(search_path, environment)
        self.known = known
        self.only_writes = None if shared is None else [directory, *shared]
        self._directory = directory
        self._made: list[str] = []
        """What user code made in ``/dev/shm``."""
        os.mkdir(directory, 0o700)

    @property
    def tmp(self) -> str:
        return self._directory

    def started(self, pid: int, *descriptors: int) -> None:
        pass

    def files(self) -> tuple[str, ...]:
        return tuple(_files_below(self.tmp)) if os.path.isdir(self.tmp) else self.lost_files

    def made(self, path: str) -> None:
        if os.path.dirname(os.path.normpath(path)) == SHARED_MEMORY:
            self._made.append(os.path.normpath(path))

    def remove(self) -> None:
        for path in self._made:
            if os.path.isdir(path) and not os.path.islink(path):
                remove_tree(path)
                continue
            try:
                os.unlink(path)
            except OSError:
                continue  # user code has removed it itself
        self._made.clear()
        try:
            os.rmdir(self.tmp)  # also where no descriptor is left to look into it
        except OSError:
            self.lost_files = self.files()
            remove_tree(self.tmp)


@dataclass(frozen=True)
class View:
    """What the instances of one function version see."""

    search_path: list[str]
    plan: messages.MountPlan | None = None
    known: Sequence[str] = ()


class Sandboxes:
    """Makes the sandboxes of one runtime's instances."""

    def __init__(
        self, settings: ScfSettings, base_temp: StrPath | None, root: StrPath | None, scratch: Callable[[], str]
    ) -> None:
        self._setting = settings.sandbox
        self._source = settings.source("sandbox")
        self._settings = settings
        self._preload_source = settings.source("preload")
        self._root = None if root is None else os.fspath(root)
        self._scratch = scratch
        self.writable: list[str] = [] if base_temp is None else [os.fspath(base_temp)]
        """What instances may write at its own path, beside ``/tmp``, ``/dev/shm`` and their functions' ``mounts``."""
        self.readable: list[str] = []
        """What instances find at its own path besides, and may not write."""
        self._views: dict[object, View] = {}
        self._guards_writes = False

    def serve_sweep(self) -> None:
        """Have instances write only what is `writable` also where no mount namespace keeps them from more."""
        self._guards_writes = True

    def show(self, directories: Sequence[str]) -> None:
        """Have instances find *directories* at their own paths, too, where they may not write."""
        self.readable = list(directories)

    def removed_base_temp(self) -> str:
        """The base temp, where it is not there any more; empty: it is, or there never was one."""
        return next((path for path in (*self.readable, *self.writable) if not os.path.isdir(path)), "")

    def zygote(self) -> Zygote:
        """The zygote from which instances of this runtime are forked.

        Raises ``ScfUsageError`` where mount namespaces or the clock page are asked for and cannot be had, and for a
        module that cannot be preloaded.
        """
        try:
            zygote = zygote_of(self._settings)
        except ScfUsageError as error:
            raise ScfUsageError(f"preload ({self._preload_source}): {error}") from None
        if not zygote.namespaces and self._setting == "namespaces":
            raise ScfUsageError(
                f"sandbox='namespaces' ({self._source}) is not available on this machine: {namespaces_refused()}; "
                "sandbox='auto' and 'none' give each instance a TMPDIR of its own instead"
            )
        if self._settings.clock == "page" and zygote.is_ready() and zygote.no_clock_page:
            source = self._settings.source("clock")
            raise ScfUsageError(
                f"clock='page' ({source}) is not available on this machine: {zygote.no_clock_page}; "
                "clock='auto' and 'freezegun' give instances freezegun's classes instead"
            )
        return zygote

    def why_unmounted(self) -> str:
        """Why instances of this runtime have no mount namespace."""
        return f"sandbox='none', {self._source}" if self._setting == "none" else namespaces_refused()

    def why_no_namespaces(self) -> str:
        """Why they have none in this process, which may be a fork, whose zygotes are others; empty: they have."""
        return "" if self.zygote().namespaces else self.why_unmounted()

    def why_untraced(self) -> str:
        """Why instances of this runtime cannot trace programs, which is tried once a zygote; empty: they can."""
        return self.zygote().why_untraced()

    def make(
        self,
        zygote: Zygote,
        code: Code,
        configuration: FunctionConfiguration,
        programs: Sequence[str] = (),
        layered: str | None = None,
        *,
        shares_tmp: bool = False,
    ) -> Sandbox:
        """The sandbox of an instance that is forked from *zygote*; the directories of *programs* are in it, too.

        What is written to the directory *layered* is the instance's own. Its ``/tmp`` is a directory of the host where
        it *shares_tmp* with a container.
        """
        before_init = configuration.before_init  # where code of the test lies that instances import
        test_code = (*([] if before_init is None else [before_init.directory]), *programs)
        of_function = (code.directory, layered, configuration.layers, configuration.mounts)
        key = (zygote.mark, *of_function, *test_code, *self.writable, *self.readable)
        view = self._views.get(key)
        if view is None and zygote.namespaces:
            view = self._views[key] = self._mounted_view(zygote, code, configuration, test_code, layered)
        elif view is None:
            view = self._views[key] = self._unmounted_view(zygote, code, configuration, test_code)
        if view.plan is not None and not shares_tmp:
            return Mounted(view.plan, view.search_path)
        directory = os.path.join(zygote.scratch(), f"instance-{zygote.take_number()}")
        if view.plan is not None:
            return MountedBesideContainer(view.plan, view.search_path, directory)
        written = self.writable if self._guards_writes else None
        unmounted = Unmounted(directory, code.directory, view.search_path, view.known, written)
        if shares_tmp:
            os.chmod(directory, 0o1777)  # whatever user the container has
        return unmounted

    def kept(self, code: Code, configuration: FunctionConfiguration, more: Sequence[str] = ()) -> dict[str, bool]:
        """What has to be at its own path in an instance that runs *code*, each with whether it can be written to."""
        read = [code.directory, self._root, sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]
        read += [*_directories_of_links(sys.executable), *self.readable, *more]
        written = [*self.writable, *(host for host, inside in configuration.mounts if host == inside)]
        kept = {os.path.abspath(path): False for path in read if path and os.path.isdir(path)}
        return kept | {os.path.abspath(path): _can_be_written(path) for path in written if os.path.isdir(path)}

    def _unmounted_view(
        self, zygote: Zygote, code: Code, configuration: FunctionConfiguration, more: Sequence[str]
    ) -> View:
        for host, inside in configuration.mounts:
            if host != inside:
                raise ScfUsageError(
                    f"mounts has {(host, inside)!r}, and without mount namespaces a directory is at its own path only"
                )
        layers = merged(configuration.layers, self._scratch)
        search_path = [code.directory, *([] if layers is None else [layers])]
        known = [zygote.scratch(), *self.kept(code, configuration, more), *search_path]
        return View(search_path, known=[path for path in known if path.startswith("/tmp/")])

    def _mounted_view(
        self,
        zygote: Zygote,
        code: Code,
        configuration: FunctionConfiguration,
        more: Sequence[str],
        layered: str | None,
    ) -> View:
        own = tuple(directory for directory in OWN_DIRECTORIES if os.path.isdir(directory))
        if code.directory in own:
            raise ScfUsageError(
                f"the code directory is {code.directory} itself, and every instance has a {code.directory} of its own: "
                "move the code to a directory below it"
            )
        kept = self.kept(code, configuration, more)
        nested = tuple(sorted(os.path.relpath(path, OPT) for path in kept if _is_below(path, OPT)))
        opt = opt_directory(configuration.layers, nested, self._scratch if configuration.layers else zygote.scratch)
        elsewhere = tuple(
            (host, inside, _can_be_written(host)) for host, inside in configuration.mounts if host != inside
        )
        search_path = (code.directory, OPT) if configuration.layers else (code.directory,)
        return mounted_view(
            own,
            tuple(sorted(kept.items())),
            opt=opt,
            elsewhere=elsewhere,
            search_path=search_path,
            layered=layered,
        )


@lru_cache(maxsize=VIEWS_KEPT)
def mounted_view(
    own: tuple[str, ...],
    kept: tuple[tuple[str, bool], ...],
    *,
    opt: str | None,
    elsewhere: tuple[tuple[str, str, bool], ...],
    search_path: tuple[str, ...],
    layered: str | None,
) -> View:
    """What instances see that have the directories *own* empty and *kept* at their own paths, in the order of paths.

    *opt* is at ``/opt``, and *elsewhere* the mounts that have another path in an instance; each of these and of *kept*
    comes with whether it can be written to. The code is in the first directory of *search_path*.

    Each runtime looks at the disk anew, and the runtimes of a session mostly find the same: only what follows is kept.
    """
    binds: list[tuple[str, str, bool]] = []
    covers = list(own)
    if opt is not None:
        binds.append((opt, OPT, False))
        covers.append(OPT)
    seen: dict[str, bool] = {}
    for path, writable in kept:  # what lies in another comes after it
        if path in covers:
            continue
        around = max((other for other in seen if _is_below(path, other)), key=len, default=None)
        if around is not None:
            enough = seen[around] or not writable
        else:
            enough = not writable and not any(_is_below(path, cover) for cover in covers)
        if not enough:
            seen[path] = writable
            binds.append((path, path, writable))
    code_directory = search_path[0]
    around_code = [path for path in seen if path == code_directory or _is_below(code_directory, path)]
    writable = any(seen[path] for path in around_code)
    hides = any(_is_below(path, USER_CODE) for path, _ in kept)  # the host has a directory of that name, and uses it
    return View(
        list(search_path),
        messages.MountPlan(
            common=messages.CommonMounts(list(own), [*binds, *elsewhere]),
            own=[] if hides else [(code_directory, USER_CODE, writable)],
            layer=_layer(layered, seen),
            inodes=[],  # each instance has them as they are then
        ),
    )


def zygote_of(settings: ScfSettings) -> Zygote:
    """The zygote of this process for a runtime with these *settings*; ``ScfUsageError`` for a wrong preload."""
    return shared_zygote(
        namespaces=settings.sandbox != "none",
        preload=tuple(settings.preload),
        clock="freezegun" if settings.clock == "freezegun" else "page",
    )


def _layer(directory: str | None, seen: Mapping[str, bool]) -> str | None:
    """*directory*, where it needs a layer; *seen* is what is bound at its own path, each with whether one may write it.

    It needs none where it can be written anyway, as in pytest's base temp: there the test finds what a program wrote.
    """
    if directory is None or directory == "/":
        return None
    around = [path for path in seen if path == directory or _is_below(directory, path)]
    return None if around and seen[max(around, key=len)] else directory


def _directories_of_links(path: str) -> Iterator[str]:
    """The directory of *path*, and of each file that symbolic links lead to from there: it needs them all."""
    for _ in range(_MOST_LINKS):
        directory = os.path.dirname(path)
        yield directory
        if not os.path.islink(path):
            return
        path = os.path.join(directory, os.readlink(path))


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/") and path != directory


def _can_be_written(path: str) -> bool:
    """Whether the host has not mounted it read-only."""
    return not os.statvfs(path).f_flag & os.ST_RDONLY


def _files_below(directory: str, shown: str = "", device: int | None = None) -> Iterator[str]:
    """All below *directory* that is not a directory, in the order of names; nothing of what is mounted in it."""
    device = os.stat(directory).st_dev if device is None else device
    try:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield shown  # a directory that cannot be read is left, too
        return
    for entry in entries:
        state = entry.stat(follow_symlinks=False)
        if not stat.S_ISDIR(state.st_mode):
            yield shown + entry.name
        elif state.st_dev == device:
            yield from _files_below(entry.path, f"{shown}{entry.name}/", device)
