"""Executable files: what system and processor they are for."""

from __future__ import annotations

OWN_EXECUTABLE = "/proc/self/exe"
ELF_BYTES = 20
"""As much of an ELF file's header as says what it is for."""
_ELF_CLASSES = {1: "32-bit", 2: "64-bit"}
_MACHINES = {
    3: "x86 (GOARCH=386)",
    8: "MIPS (GOARCH=mips)",
    21: "PowerPC (GOARCH=ppc64)",
    22: "s390 (GOARCH=s390x)",
    40: "ARM (GOARCH=arm)",
    62: "x86-64 (GOARCH=amd64)",
    183: "ARM64 (GOARCH=arm64)",
    243: "RISC-V (GOARCH=riscv64)",
    258: "LoongArch (GOARCH=loong64)",
}
"""By ``e_machine`` of an ELF file."""
_OTHER_SYSTEMS = {
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
    b"MZ": "Windows",
}
"""By how an executable file of theirs begins."""


def why_foreign(path: str) -> tuple[str, bool]:
    """Why the file *path* is no program of this machine, and whether it is one of another processor.

    An empty text where it is one of this machine's.
    """
    found, own = beginning(path), beginning(OWN_EXECUTABLE)
    for magic, system in _OTHER_SYSTEMS.items():
        if found.startswith(magic):
            return f"is a program for {system}", False
    if not found.startswith(b"\x7fELF") or len(found) < ELF_BYTES:
        return "is not a program (not an ELF file)", False
    if _architecture(found) != _architecture(own):
        return f"is a program for {_architecture(found)}, and this machine is {_architecture(own)}", True
    return "", False


def beginning(path: str) -> bytes:
    with open(path, "rb") as file:
        start = file.read(ELF_BYTES)
    return start[:8] if start.startswith(b"!<arch>\n") else start


def _architecture(elf: bytes) -> str:
    machine = int.from_bytes(elf[18:20], "big" if elf[5] == 2 else "little")
    order = ", big-endian" if elf[5] == 2 else ""
    return f"{_ELF_CLASSES.get(elf[4], 'unknown')} {_MACHINES.get(machine, f'machine {machine}')}{order}"
