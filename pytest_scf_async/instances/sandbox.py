"""What an instance finds on disk. Here: a ``/tmp`` of its own by way of ``TMPDIR``."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Sandbox:
    """The directories of one instance."""

    tmp: str
    """The host's path of the instance's own ``/tmp``."""
    code: str
    """Where the instance finds its code: what ``USER_CODE_ROOT`` and ``PWD`` say."""

    @classmethod
    def make(cls, scratch: str, code_directory: str, number: int) -> Sandbox:
        """Make the ``/tmp`` of instance *number* below *scratch*."""
        tmp = os.path.join(scratch, f"instance-{number}")
        os.mkdir(tmp, 0o700)
        return cls(tmp, code_directory)

    @property
    def environment(self) -> dict[str, str]:
        """What makes libraries use these directories."""
        return {"TMPDIR": self.tmp, "USER_CODE_ROOT": self.code + os.sep, "PWD": self.code, "PYTHONPATH": self.code}

    def remove(self) -> None:
        """Take everything away that the instance left."""
        shutil.rmtree(self.tmp, ignore_errors=True)
