"""Search the windows of the seeded set with the model, and note the sources in which that was done (``make windows``).

The search depends on nothing but what `digest_of` reads. So it is made when a file of that has changed, and not in each
run of the tests, which look whether it was.
"""

from __future__ import annotations

import json
import sys

from model import failing
from seeded_set import SEARCHED, SEEDED, Seeded, digest_of, path_of, windows


def wrong_in(seeded: Seeded, name: str) -> str:
    """What the source of the handler *name* says otherwise than the model; empty if nothing."""
    found = failing(path_of(name), seeded.payload, seeded.how, seeded.within)
    if not seeded.exactly_once:
        found = {failure for failure in found if failure[2] != "doubled"}
    marked = windows(name)
    if found != marked:
        return f"{name}: not marked {sorted(found - marked)}, marked and not found {sorted(marked - found)}"
    if bool(found) != (name == seeded.name):
        return f"{name}: " + ("the fixed twin has a window" if found else "it has no window")
    return ""


def main() -> int:
    digests, wrong = {}, []
    for seeded in SEEDED:
        for name in (seeded.name, f"{seeded.name}_fixed"):
            text = wrong_in(seeded, name)
            if text:
                print(text, file=sys.stderr)
                wrong.append(name)
            else:
                digests[name] = digest_of(seeded, name)
    SEARCHED.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(digests)} handlers have the windows that they are marked with, {len(wrong)} have others")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
