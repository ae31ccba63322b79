"""The bugs of the seeded set that no template repairs, and what random kills tell of them, each with the reason.

The reasons were found by reading each handler beside its fixed twin. A bug for which a repair is found is taken off.
"""

from __future__ import annotations

__all__ = ["LOSES_NOTHING", "MOST", "UNREPAIRED"]

MOST = 15
"""Bugs without a repair; it only falls."""
UNREPAIRED = {
    "batch_removed_in_pieces": "The batch has to be renamed to a place that the handler does not list.",
    "counted_twice": "Two files have to become one, which is another format.",
    "generator_not_closed": "The consumer has to close the generator, and no template puts a `with` around a loop.",
    "global_checkpoint": "The position has to be counted in a file that the function with the loop does not name.",
    "index_of_dbm": "The library itself moves its index away, so that the table has to be kept by another one.",
    "key_of_the_instance": "The key is the handler's own idea of a job, and has to go.",
    "marked_in_another_place": "The rates have to be beside their mark, which leaves one more file undisturbed.",
    "numbers_from_a_global": "The names of files have to be made of another number.",
    "renamed_in_wrong_order": "The order is that of two tuples, which one expression takes apart.",
    "result_differs": "The result has to be made of all files in the end, which is another computation.",
    "retry_not_idempotent": "A table needs a key, which is in a text of SQL.",
    "rows_in_a_global": "The rows have to be read from a file at the start, and no code does that.",
    "seen_in_a_global": "What was seen has to be read from the file of names, and no code does that.",
    "temporary_left": "A file that is left behind fails no assertion, so there is nothing to repair.",
    "two_files_in_one_call": "The order is that of two tuples, which one expression takes apart.",
}
LOSES_NOTHING = {
    "except_eats_stop": "It ends late, which a kill does not show.",
    "half_a_record_appended": "The window is between two system calls of one function in C.",
    "late_stop": "It ends late, which a kill does not show.",
    "signal_forgotten": "It ends late, which a kill does not show.",
    "temporary_left": "A file is left behind, and nothing is lost.",
}
"""Of these bugs random kills show nothing."""
