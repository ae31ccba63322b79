"""The lines of a log that are most like what a test looked for and did not find: it may be a typo."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from ..model.log_lines import LogLine
from ..protocol.shortening import shortened_line

CLOSEST_LINES = 3
"""Log lines that a failed search shows as near misses."""
SHOWN = 80
"""Characters of each of them."""
COMPARED = 1000
"""Characters of a line that are compared."""
SIMILAR = 0.5
"""How much of a pattern a line of user code has (0 to 1), in pieces, from which it is a near miss."""
SIMILAR_PIECE = 0.5
"""How much of it a line of the platform has in one piece: these are long, and have small pieces of everything."""
PIECE = 6
"""So many characters of it, at least."""


def closest_lines(pattern: str | re.Pattern[str], log: Iterable[LogLine]) -> str:
    """``"; the closest is 'uploaded'"`` with the lines of *log* that are most like *pattern*; nothing if none is."""
    wanted = (pattern if isinstance(pattern, str) else pattern.pattern).strip().casefold()
    rated: dict[str, tuple[float, int]] = {}
    for line in log:
        text = line.text.strip()[:COMPARED].casefold()
        matcher = difflib.SequenceMatcher(None, wanted, text, autojunk=False)
        pieces = [block.size for block in matcher.get_matching_blocks() if block.size > 1]
        size = max(len(wanted), 1)
        likeness = sum(pieces) / size
        whole = line.source == "Custom" or max(pieces, default=0) >= max(size * SIMILAR_PIECE, PIECE)
        if whole and likeness >= SIMILAR:
            rated.setdefault(line.text, (-likeness, abs(len(text) - len(wanted))))
    nearest = sorted(rated, key=rated.__getitem__)[:CLOSEST_LINES]
    if not nearest:
        return ""
    in_order = [repr(shortened_line(text, SHOWN)) for text in rated if text in nearest]
    return f"; the closest {'is' if len(in_order) == 1 else 'are'} {', '.join(in_order)}"
