"""The seeded set: handlers with one known window each, and their fixed twins, which have none.

Where a handler fails stands in its source, at the end of the line: ``# window: forced lost; graceful lost``. *forced*
is a forced termination before this line, at some pass of it. *graceful* is SIGTERM taken on this line: after a call in
it, at the entry of the function whose first line it is, or at the back edge to the loop whose head it is. *second* is a
forced termination before this line after a graceful one, and *again* a second SIGTERM taken on it. *effect* is a forced
termination between two system calls that this line makes, within a function of a library. *cold* is SIGTERM taken on
this line by an event that returns then, and a cold start of the next one. For the kinds in
``Seeded.how`` every line that fails is marked, and no other.

No window depends on what differs by Python or by how points are counted: whether a ``while`` jumps back before its
condition or behind it, whether the exit of a ``with`` passes its line once more, and whether an operator that runs
library code (``path / name``) takes signals.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ON_EVERY_PYTHON", "SEARCHED", "SEEDED", "Seeded", "digest_of", "path_of", "windows"]

FOLDER = Path(__file__).parent / "seeded"
SEARCHED = Path(__file__).parent / "searched.json"
"""For each handler the digest of what its windows were searched in: `search_windows` writes it (``make windows``)."""
MARK = "  # window: "


@dataclass(frozen=True)
class Seeded:
    """A handler of the set, and how it is swept; its twin has the same name with ``_fixed`` behind it."""

    name: str
    payload: dict[str, int]
    why: str
    """What is wrong, in a few words."""
    how: tuple[str, ...] = ("graceful", "forced")
    within: float | None = None
    """Simulated seconds after which a graceful stop is late."""
    exactly_once: bool = False
    """Whether *doubled* is a failure; where it is not, such lines are not marked."""


GRACEFUL = ("graceful",)
"""These promise nothing for a forced termination, twins included."""
AT_EFFECTS = ("forced", "effect")
"""Killed before each line, and between the system calls of one."""
COLD = ("graceful", "cold")
"""Right where the next event finds the same instance, and wrong where it does not."""

SEEDED = [
    Seeded("acknowledged_first", {"rows": 2}, "a job is acknowledged before its result is written"),
    Seeded("appended_without_key", {"messages": 2}, "a resumed event appends a message again", exactly_once=True),
    Seeded("buffer_not_flushed", {"rows": 2}, "a row counts while it is in a buffer that os._exit drops"),
    Seeded("checkpoint_first", {"rows": 2}, "the checkpoint moves on before the work is done"),
    Seeded(
        "checkpoint_in_listener",
        {"rows": 2},
        "the listener writes its checkpoint in place",
        how=("graceful", "forced", "second"),
    ),
    Seeded("counted_twice", {"invoices": 2}, "a sum and its position are saved one after the other"),
    Seeded("except_eats_stop", {"rows": 4}, "except Exception takes the listener's exception", within=10),
    Seeded("exit_interrupted", {"rows": 2}, "the listener's exception leaves __exit__ before its end", how=GRACEFUL),
    Seeded("exit_in_listener", {"rows": 2}, "sys.exit comes when the position has moved on and the row is not written"),
    Seeded("finally_returns", {"rows": 2}, "finally: return drops the listener's exception"),
    Seeded("flushed_after_checkpoint", {"rows": 2}, "the checkpoint counts a row that is in the buffer"),
    Seeded("generator_not_closed", {"rows": 2}, "an asynchronous generator is left without aclose"),
    Seeded("global_checkpoint", {"rows": 2}, "the position survives warm, not cold", how=GRACEFUL, exactly_once=True),
    Seeded("item_not_put_back", {"items": 2}, "an item is taken from the queue and not put back"),
    Seeded("late_stop", {"files": 3}, "nothing reads the flag for 40 seconds", within=30),
    Seeded(
        "listener_reentered",
        {"rows": 3},
        "a second SIGTERM runs the listener within itself",
        how=("graceful", "again"),
        exactly_once=True,
    ),
    Seeded("listener_too_late", {"jobs": 2}, "jobs are claimed before the listener is installed", how=GRACEFUL),
    Seeded("lock_left", {"rows": 2}, "a lock file is there for ever after a stop"),
    Seeded(
        "published_before_commit",
        {"orders": 2},
        "a record is published whose mark is not committed",
        how=GRACEFUL,
        exactly_once=True,
    ),
    Seeded("renamed_before_flush", {"days": 2}, "a file gets its final name while its content is in the buffer"),
    Seeded("result_differs", {"rows": 2}, "the result of a resumed event lacks what the first one has done"),
    Seeded("retry_not_idempotent", {"orders": 2}, "a retry repeats what had succeeded", exactly_once=True),
    Seeded(
        "second_termination",
        {"rows": 2},
        "the way out saves the position before the rows",
        how=("graceful", "forced", "second"),
    ),
    Seeded("signal_forgotten", {"rows": 4}, "a signal that comes in a critical section is dropped", within=10),
    Seeded("state_in_tmp", {"rows": 2}, "the position goes with the instance", how=GRACEFUL, exactly_once=True),
    Seeded("swallowed_exception", {"rows": 2}, "the listener's exception looks like an error that is skipped"),
    Seeded("temporary_left", {"rows": 2}, "a temporary file has another name in each attempt"),
    Seeded("thread_outlives_handler", {"rows": 2}, "a thread writes after the handler has returned"),
    Seeded("two_transactions", {"transfers": 2}, "debit and credit are two transactions"),
    Seeded("written_in_place", {"pages": 2}, "a file is there before it is complete"),
    Seeded("added_to_a_zip", {"reports": 2}, "a zip file is written to in place", how=AT_EFFECTS),
    Seeded("checkpoint_in_place", {"rows": 2}, "a checkpoint is written in place", how=AT_EFFECTS),
    Seeded("copied_to_its_name", {"pages": 2}, "a copy has its name before its content", how=AT_EFFECTS),
    Seeded("half_a_record_appended", {"records": 2}, "a record is two writes", how=AT_EFFECTS),
    Seeded("header_by_existence", {"rows": 2}, "a header counts as there where its file exists", how=AT_EFFECTS),
    Seeded("index_of_dbm", {"orders": 2}, "an index is moved away before the new one is there", how=AT_EFFECTS),
    Seeded("link_removed_first", {"orders": 2}, "a link is removed before it is made anew", how=AT_EFFECTS),
    Seeded("moved_to_a_backup", {"orders": 2}, "a file is moved to its backup, which nobody reads", how=AT_EFFECTS),
    Seeded("removed_before_written", {"orders": 2}, "a file is removed before it is written anew", how=AT_EFFECTS),
    Seeded("rows_each_committed", {"invoices": 2}, "rows that belong together have no transaction", how=AT_EFFECTS),
    Seeded("rows_written_one_by_one", {"pages": 2}, "a file counts as there while it is written", how=AT_EFFECTS),
    Seeded("script_without_transaction", {"transfers": 2}, "a script in SQL has no transaction", how=AT_EFFECTS),
    Seeded("state_dumped_in_place", {"pages": 2}, "JSON is dumped to the file that it was read from", how=AT_EFFECTS),
    Seeded("tree_copied_to_its_name", {"sites": 2}, "a tree has its name before it has its files", how=AT_EFFECTS),
    Seeded("batch_removed_in_pieces", {"batches": 2}, "a batch lacks items while it is removed", how=AT_EFFECTS),
    Seeded("directories_by_existence", {"customers": 2}, "a directory stands for what is in it", how=AT_EFFECTS),
    Seeded("migration_without_transaction", {"orders": 2}, "a database is between two versions", how=AT_EFFECTS),
    Seeded("renamed_in_wrong_order", {"pages": 2}, "what counts as done is renamed first", how=AT_EFFECTS),
    Seeded("settings_in_place", {"orders": 2}, "an empty file of settings is a valid one", how=AT_EFFECTS),
    Seeded("truncated_before_written", {"orders": 2}, "a file is emptied before it is written anew", how=AT_EFFECTS),
    Seeded("two_files_in_one_call", {"pages": 2}, "of two files the one that counts is written first", how=AT_EFFECTS),
    Seeded("xml_written_in_place", {"orders": 2}, "an empty file of XML is none", how=AT_EFFECTS),
    Seeded("buffer_in_a_global", {"rows": 2}, "rows are in a buffer of the instance", how=COLD),
    Seeded("key_of_the_instance", {"rows": 2}, "a position counts for one instance", how=COLD, exactly_once=True),
    Seeded("marked_in_another_place", {"sums": 2}, "a mark stays, and what it marks does not", how=COLD),
    Seeded("numbers_from_a_global", {"rows": 2}, "a counter begins anew", how=COLD),
    Seeded("rows_in_a_global", {"rows": 2}, "rows are in a global", how=COLD),
    Seeded("rows_in_tmp", {"rows": 2}, "rows are in /tmp", how=COLD),
    Seeded("seen_in_a_global", {"orders": 2}, "what was seen is in a global", how=COLD, exactly_once=True),
    Seeded("transaction_in_a_global", {"rows": 2}, "a transaction is left open in a connection", how=COLD),
]

ON_EVERY_PYTHON = ("checkpoint_in_listener", "counted_twice", "exit_interrupted", "listener_reentered")
"""Those that are swept on every Python."""


def path_of(name: str) -> Path:
    (path,) = FOLDER.glob(f"*/{name}.py")
    return path


def windows(name: str) -> set[tuple[int, str, str]]:
    """What the source says: line, how it is interrupted, and the class of the outcome."""
    found = set()
    for line, text in enumerate(path_of(name).read_text(encoding="utf-8").splitlines(), 1):
        _, mark, windows = text.partition(MARK)
        for window in windows.split("; ") if mark else ():
            how, outcome = window.split(" ", 1)
            found.add((line, how, outcome))
    return found


def digest_of(seeded: Seeded, name: str) -> str:
    """A digest of all that the windows of the handler *name* depend on: its source, how it is swept, and the model."""
    sources = [path_of(name), Path(__file__).with_name("model.py")]
    return hashlib.sha256(b"".join([*(path.read_bytes() for path in sources), repr(seeded).encode()])).hexdigest()
