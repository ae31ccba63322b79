"""Keeps its state in an environment of LMDB, a transaction a step; "aside" makes that under another name first."""

import os
import shutil
import sys
from pathlib import Path

import lmdb

directory, options = Path(sys.argv[1]), sys.argv[2:]
state = directory / "state"
if "aside" in options and not state.exists():
    shutil.rmtree(directory / "new", ignore_errors=True)
    lmdb.open(str(directory / "new")).close()
    os.rename(directory / "new", state)
environment = lmdb.open(
    str(state), writemap="writemap" in options, map_async="writemap" in options, sync="nosync" not in options
)
with environment.begin() as transaction:
    done = transaction.stat()["entries"]
for step in range(done, 3):
    with environment.begin(write=True) as transaction:
        transaction.put(b"step %d" % step, b"step %d " % step * 1000)
with environment.begin() as transaction:
    texts = [value.decode() for _key, value in transaction.cursor()]
(directory / "result.txt").write_text("\n".join(texts))
