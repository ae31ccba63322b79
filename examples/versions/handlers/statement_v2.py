"""The same, one row after the other."""

import time

ROW = 100_000


def main_handler(event: dict[str, int], context: dict[str, str]):
    written = 0
    for number in range(1, event["rows"] + 1):
        written += len(bytes([number % 255 + 1]) * ROW)
        if number % 100 == 0:
            time.sleep(1)
            print(f"row {number}")
    return {"version": context["function_version"], "bytes": written}
