"""Sleeps as often as it is told, for a second each time, or for as long as it is told."""

import time


def main_handler(event, context):
    for _ in range(event["seconds"]):
        time.sleep(event.get("each", 1))
