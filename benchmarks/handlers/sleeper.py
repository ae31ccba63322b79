"""Sleeps as many seconds as it is told, one at a time."""

import time


def main_handler(event, context):
    for _ in range(event["seconds"]):
        time.sleep(1)
