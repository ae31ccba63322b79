"""Whether what an instance has mounted is still what lies there: the zygote and the harness both ask."""

from __future__ import annotations

import os
from collections.abc import Iterable


def are_up_to_date(root: str, binds: Iterable[tuple[str, str, bool]], inodes: Iterable[int]) -> bool:
    """Whether what is mounted below *root* has not been removed, nor replaced, nor unmounted by that."""
    for (_, target, writable), inode in zip(binds, inodes, strict=True):
        try:
            state = os.stat(root + target)
            if state.st_ino != inode or state.st_nlink == 0:
                return False
            if writable and os.statvfs(root + target).f_flag & os.ST_RDONLY:
                return False
        except OSError:
            return False
    return True
