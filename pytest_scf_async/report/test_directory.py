"""The directory of what is kept of a test that failed."""

from __future__ import annotations

import hashlib
import re
from typing import Final

NAME_CHARACTERS: Final = 120
"""Characters of a test's name that its directory has; the digest behind them distinguishes cut names."""


def directory_name(nodeid: str) -> str:
    """The name of a test's directory: what can be read of its id, and a digest of the whole."""
    readable = re.sub(r"[^\w.\[\]-]+", "-", nodeid, flags=re.ASCII).strip("-.")
    digest = hashlib.sha256(nodeid.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{readable[:NAME_CHARACTERS]}-{digest}"
