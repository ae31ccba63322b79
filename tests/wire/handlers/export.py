"""The functions of wire_cases.py: it imports nothing else, as each instance loads it."""

import time


def main_handler(event, context):
    time.sleep(event["seconds"])
    if event.get("fails"):
        raise ValueError("no rows")
    return {"rows": 20}
