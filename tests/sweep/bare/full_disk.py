"""Runs a program on a file system that is full, and says what becomes of it: real errors, for those of the sweep.

It shares no code with the package. In a mount namespace of its own it makes a ``tmpfs`` with so many blocks and inodes,
and runs the program there. Then there is room again, and the program is started until it is done.

As a script, it reads a list of cases as JSON from its standard input, and writes what it has found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

sys.path.append(os.path.dirname(__file__))

from bare_processes import listing

BLOCK = 4096
MUCH = 10_000
"""Blocks, or inodes, of a disk with room."""
_ATTEMPTS = 5
_OWN = (1, 3)
"""How many blocks and inodes are in use when a program begins: a block, as a ``tmpfs`` of none has no limit."""


def run_on_full_disks(command: list[str], out: str, cases: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """What becomes of *command* in the directory *out*, with so many blocks and inodes for it: in each of the *cases*.

    ``first`` is the exit code and the output of the first process, and ``after`` what it leaves; ``final`` is what is
    there when it is done.
    """
    job = json.dumps({"command": command, "out": out, "cases": cases})
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-I", __file__],
        input=job,
        env={"OUT": out, "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def run_with_error(command: list[str], out: str, calls: str, number: int, error: str) -> dict[str, Any]:
    """What becomes of *command* in the empty directory *out*, where strace has the call with that number fail.

    It is one of all its *calls*, which are names of one system call in its variants. Answers as above.
    """
    inject = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={calls}:error={error}:when={number}"]
    os.environ["OUT"] = out
    first = _run([*inject, *command])
    after = listing(out)
    last = first if first[0] == 0 else _run(command)
    return {"first": first, "after": after, "last": last, "final": listing(out)}


def _run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def _on_full_disk(command: list[str], out: str, blocks: int, inodes: int) -> dict[str, Any]:
    mount = os.path.dirname(out)
    limits = f"size={(blocks + _OWN[0]) * BLOCK},nr_inodes={inodes + _OWN[1]}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", limits, "tmpfs", mount], check=True)
    try:
        os.mkdir(out)
        with open(os.path.join(mount, "block"), "wb") as file:
            file.write(bytes(BLOCK))
        first = _run(command)
        after = listing(out)
        room = f"remount,size={MUCH * BLOCK},nr_inodes={MUCH}"
        subprocess.run(["mount", "-o", room, mount], check=True)
        attempts = [first]
        while attempts[-1][0] != 0 and len(attempts) <= _ATTEMPTS:
            attempts.append(_run(command))
        return {"first": first, "after": after, "last": attempts[-1], "final": listing(out)}
    finally:
        subprocess.run(["umount", mount], check=True)


def main() -> None:
    job = json.load(sys.stdin)
    found = [_on_full_disk(job["command"], job["out"], *case) for case in job["cases"]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
