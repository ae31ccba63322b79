"""Effects of runs that are compared, and the texts of how they differ."""

from __future__ import annotations

import time

from hypothesis import strategies as st
from sweep_internals import difference_text, sweep_comparison, sweep_effects, sweep_ignored

Effects = sweep_effects.Effects
FileContent = sweep_effects.FileContent
Ignored = sweep_ignored.Ignored
Key = sweep_effects.Key
compare = sweep_comparison.compare

DIRECTORY = FileContent("directory")
DATABASE = FileContent("database")


def file(content: str | bytes) -> FileContent:
    return FileContent("file", content.encode() if isinstance(content, str) else content)


def files(**contents: str | bytes | FileContent) -> Effects:
    """Files; ``__`` in a keyword is the dot of its name."""
    return Effects(
        files={
            name.replace("__", "."): content if isinstance(content, FileContent) else file(content)
            for name, content in contents.items()
        }
    )


def result(value: object) -> Effects:
    return Effects(result=value, has_result=True)


def observed(value: object) -> Effects:
    return Effects(observed={"objects": value})


def records(*keys: str) -> Effects:
    return Effects(records=[("put", {"key": key}) for key in keys])


def rows(*values: dict[str, object], key: Key | None = None) -> Effects:
    where = ("orders.db", "orders")
    return Effects(rows={where: [*values]}, files={"orders.db": DATABASE}, keys={where: key} if key else {})


AUTOMATIC = Key(("id",), automatic=True)
NAME = Key(("name",))


def by_id(*names: str) -> Effects:
    return rows(*({"id": at, "name": name} for at, name in enumerate(names, 1)), key=AUTOMATIC)


def texts(undisturbed: Effects, found: Effects, ignored: Ignored | None = None) -> list[str]:
    return [difference_text(each) for each in compare(undisturbed, found, ignored or Ignored())]


def seconds_of(undisturbed: Effects, found: Effects, ignored: Ignored) -> tuple[float, list[str]]:
    """The best of a few times, and what was found."""
    times = []
    for _ in range(5):
        again = Effects(files=found.files)
        before = time.process_time()
        differences = compare(undisturbed, again, ignored)
        times.append(time.process_time() - before)
    return min(times), [*map(difference_text, differences)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.floats(width=16) | st.text("ab 1-:.", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab1-", max_size=3), inner, max_size=3),
    max_leaves=8,
)
"""Values of JSON."""
CONTENTS = st.lists(st.sampled_from([b"a", b"a 1", b"a 2", b"b", b"\xff", b"\n", b"\n", b"\0"])).map(b"".join)
"""Contents of files."""
