"""What the worker of RQ does."""

from pathlib import Path


def write(directory: str, step: int) -> None:
    Path(directory, f"step-{step}.txt").write_text(f"step {step} " * 1000)
