"""What a step of a job does: it writes a file, which is on the disk, with its name, when this returns."""

import os
from pathlib import Path


def write(directory: str, name: str, text: str) -> None:
    with open(Path(directory, name), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    names = os.open(directory, os.O_RDONLY)
    os.fsync(names)
    os.close(names)
