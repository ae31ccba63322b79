"""Sleeps as often as its event says, for a second each time, or for as long as that says."""

import time


def main_handler(event, context):
    for _ in range(event["seconds"]):
        time.sleep(event.get("each", 1))
