"""Adds a member for each step to a tar archive; with "replace" to a copy of it, which replaces it."""

import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

archive, replaces = Path(sys.argv[1], "steps.tar"), "replace" in sys.argv[2:]
target = archive.with_suffix(".new") if replaces else archive
names: list[str] = []
if archive.exists():
    with tarfile.open(archive) as file:
        names = file.getnames()
for step in range(len(names), 3):
    if replaces and archive.exists():
        shutil.copyfile(archive, target)
    with tarfile.open(target, "a" if archive.exists() else "w") as file:
        member = tarfile.TarInfo(f"step-{step}.txt")
        member.size = 7_000
        file.addfile(member, io.BytesIO(f"step {step} ".encode() * 1000))
    if replaces:
        with open(target, "rb") as written:
            os.fsync(written.fileno())
        os.replace(target, archive)
with tarfile.open(archive) as file:
    texts = [(member.name, file.extractfile(member).read()) for member in file]
archive.with_name("result.txt").write_text(f"{texts}\n")
