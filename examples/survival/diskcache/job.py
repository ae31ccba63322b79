"""Keeps its state in a cache of diskcache: each step a value, and then the next step; "transact" writes both in one."""

import sys
from contextlib import nullcontext
from pathlib import Path

from diskcache import Cache

directory, options = Path(sys.argv[1]), sys.argv[2:]
settings = {"sqlite_synchronous": 2, "disk_min_file_size": 2**20} if "full" in options else {}
with Cache(directory / "cache", **settings) as cache:
    for step in range(cache.get("next", 0), 3):
        with cache.transact() if "transact" in options else nullcontext():
            cache[f"step {step}"] = f"step {step} " * 6000  # longer than 32 kB: by default in a file of its own
            cache["next"] = step + 1
    texts = [cache[f"step {step}"] for step in range(3)]
(directory / "result.txt").write_text("\n".join(texts))
