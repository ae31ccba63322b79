"""The rows of programs and of other languages."""

from __future__ import annotations

from typing import Any

from rows import Row

NODE = "https://nodejs.org/api/fs.html#fswritefilesyncfile-data-options"
CP = "https://www.gnu.org/software/coreutils/manual/html_node/cp-invocation.html"
SYNC = "https://www.gnu.org/software/coreutils/manual/html_node/sync-invocation.html"
BASH = "https://www.gnu.org/software/bash/manual/html_node/Redirections.html"
GIT = "https://git-scm.com/docs/git-config#Documentation/git-config.txt-corefsync"
GO = "https://pkg.go.dev/os#WriteFile"
BUILD = ("go", "build", "-o", "{program}", "main.go")


def in_shell(name: str, title: str, directory: str, *options: str, promise: str, page: str, **more: Any) -> Row:
    command = ("bash", "job.sh", "{path}", *options)
    given = {"needs": ("bash",), "in_ci": True, "page": page, "survives_by": "", **more}
    return Row(name=name, title=title, directory=directory, command=command, promise=promise, **given)


def in_node(name: str, title: str, *options: str, promise: str, survives_by: str = "") -> Row:
    return Row(
        name=name,
        title=title,
        directory="node_write",
        command=("node", "job.js", "{path}", *options),
        promise=promise,
        page=NODE,
        survives_by=survives_by,
        needs=("node",),
    )


ROWS = (
    in_shell(
        "bash-redirect",
        "bash, `>`",
        "bash_redirect",
        promise="the file is truncated to zero size",
        page=BASH,
        survives_by="`sync` of a new file, then `mv`",
    ),
    in_shell(
        "bash-move",
        "bash, `>` and `mv`",
        "bash_redirect",
        "move",
        promise="promises nothing about power",
        page=BASH,
        survives_by="`sync` of a new file, then `mv`",
        in_ci=False,
    ),
    in_shell(
        "bash-sync-move",
        "bash, `>`, `sync` and `mv`",
        "bash_redirect",
        "move",
        "sync",
        promise="`sync` synchronizes a file to disk",
        page=SYNC,
        in_ci=False,
    ),
    in_shell(
        "cp",
        "`cp`",
        "cp_file",
        promise="promises nothing",
        page=CP,
        survives_by="`cp` to a new name, `sync` and `mv`",
    ),
    in_shell(
        "cp-move",
        "`cp` and `mv`",
        "cp_file",
        "move",
        promise="promises nothing about power",
        page=CP,
        survives_by="`cp` to a new name, `sync` and `mv`",
        in_ci=False,
    ),
    in_shell(
        "cp-sync-move",
        "`cp`, `sync` and `mv`",
        "cp_file",
        "move",
        "sync",
        promise="`sync` synchronizes a file to disk",
        page=SYNC,
        in_ci=False,
    ),
    in_node(
        "node-write",
        "Node.js, `fs.writeFileSync()`",
        promise="replaces the file; nothing about a kill",
        survives_by="a new file with `flush: true`, and `fs.renameSync()`",
    ),
    in_node(
        "node-rename",
        "Node.js, `fs.writeFileSync()` and `fs.renameSync()`",
        "rename",
        promise="nothing about power",
        survives_by="`flush: true`",
    ),
    in_node(
        "node-rename-flush",
        "Node.js, `fs.writeFileSync()` with `flush: true`, and `fs.renameSync()`",
        "rename",
        "flush",
        promise="`flush` is `fs.fsyncSync()`",
    ),
    Row(
        name="go-write",
        title="Go, `os.WriteFile`",
        directory="go_write",
        command=("{program}", "{path}"),
        build=BUILD,
        promise="a failure can leave the file partially written",
        page=GO,
        survives_by="a new file, `File.Sync` and `os.Rename`",
        needs=("go",),
    ),
    Row(
        name="go-rename",
        title="Go, `os.WriteFile` and `os.Rename`",
        directory="go_write",
        command=("{program}", "{path}", "rename"),
        build=BUILD,
        promise="nothing about power",
        page="https://pkg.go.dev/os#Rename",
        survives_by="`File.Sync` before `os.Rename`",
        needs=("go",),
    ),
    in_shell(
        "git-commit",
        "`git commit`",
        "git_commit",
        promise="nothing about locks that are left; hardens what is committed, but for loose objects",
        page=GIT,
        needs=("git",),
        ignore=("repository/*",),
        why_ignored="the repository; the patches in its log are",
        survives_by="removing the `*.lock` of a dead `git`; for power nothing here",
        limit=120,
        limit_of_twice=40,
        in_ci=False,
    ),
    in_shell(
        "git-commit-unlock",
        "`git commit`, after the locks of a dead `git` are removed",
        "git_commit",
        "unlock",
        promise="hardens what is committed, but for loose objects",
        page=GIT,
        needs=("git",),
        ignore=("repository/*",),
        why_ignored="the repository; the patches in its log are",
        survives_by="for power nothing here",
        limit=120,
        limit_of_twice=40,
        in_ci=False,
    ),
    in_shell(
        "git-fsync",
        "`git commit`, after the locks of a dead `git` are removed, `core.fsync=all`",
        "git_commit",
        "unlock",
        "fsync",
        promise="`core.fsync=all` hardens objects, the index and references",
        page=GIT,
        needs=("git",),
        ignore=("repository/*",),
        why_ignored="the repository; the patches in its log are",
        survives_by="nothing that it offers",
        limit=120,
        limit_of_twice=40,
        in_ci=False,
        waits="with core.fsync=all, which names references, `git init` leaves HEAD unsynced",
    ),
)
