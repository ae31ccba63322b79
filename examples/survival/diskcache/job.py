"""Keeps its state in a cache of diskcache: each step a value, and then the next step; "transact" writes both in one."""

import sys
from contextlib import nullcontext
from pathlib import Path

from diskcache import Cache

directory, options = Path(sys.argv[1]), sys.argv[2:]
with Cache(directory / "cache", sqlite_synchronous=2 if "full" in options else 1) as cache:
    for step in range(cache.get("next", 0), 3):
        with cache.transact() if "transact" in options else nullcontext():
            cache[f"step {step}"] = f"step {step} " * 6000  # longer than 32 kB: it goes into a file of its own
            cache["next"] = step + 1
    texts = [cache[f"step {step}"] for step in range(3)]
(directory / "result.txt").write_text("\n".join(texts))
