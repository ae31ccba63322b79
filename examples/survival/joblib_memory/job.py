"""Keeps the result of each step in the cache of a joblib.Memory."""

import sys
from pathlib import Path

from joblib import Memory

directory = Path(sys.argv[1])
memory = Memory(directory / "cache", verbose=0)


@memory.cache
def text_of(step: int) -> str:
    return f"step {step} " * 1000


(directory / "result.txt").write_text("\n".join(map(text_of, range(3))))
