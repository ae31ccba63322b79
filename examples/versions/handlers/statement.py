"""Writes a statement of all rows, and keeps every one of them in memory until the end."""

import time

ROW = 100_000


def main_handler(event: dict[str, int], context: dict[str, str]):
    rows: list[bytes] = []
    for number in range(1, event["rows"] + 1):
        rows.append(bytes([number % 255 + 1]) * ROW)
        if number % 100 == 0:
            time.sleep(1)
            print(f"row {number}")
    return {"version": context["function_version"], "bytes": sum(map(len, rows))}
