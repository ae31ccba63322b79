"""Listens to SIGTERM, says that it is ready, and works until it is stopped; with "sleep" a second at a time."""

import signal
import time


def main_handler(event, context):
    stopped = []
    signal.signal(signal.SIGTERM, lambda signum, frame: stopped.append(signum))
    print("ready", flush=True)
    steps = 0
    while not stopped:
        steps += 1
        if event["sleep"]:
            time.sleep(1)
    print("closed", flush=True)
    return "stopped"
