"""Adds a member for each step to a zip archive; with "replace" to a copy of it, which replaces it."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

archive, replaces = Path(sys.argv[1], "steps.zip"), "replace" in sys.argv[2:]
target = archive.with_suffix(".new") if replaces else archive
names: list[str] = []
if archive.exists():
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
for step in range(len(names), 3):
    if replaces and archive.exists():
        shutil.copyfile(archive, target)
    with zipfile.ZipFile(target, "a" if archive.exists() else "w") as file:
        file.writestr(zipfile.ZipInfo(f"step-{step}.txt"), f"step {step} " * 1000)
    if replaces:
        with open(target, "rb") as written:
            os.fsync(written.fileno())
        os.replace(target, archive)
with zipfile.ZipFile(archive) as file:
    texts = [(name, file.read(name)) for name in file.namelist()]
archive.with_name("result.txt").write_text(f"{texts}\n")
