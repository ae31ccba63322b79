"""Listens to SIGTERM, says that it is ready, and works until it is stopped; with "sleep" it is ready after a second."""

import signal
import time


def main_handler(event, context):
    stopped = []
    signal.signal(signal.SIGTERM, lambda signum, frame: stopped.append(signum))
    if event["sleep"]:
        time.sleep(1)
    print("ready", flush=True)
    steps = 0
    while not stopped:
        steps += 1
    print("closed", flush=True)
    return "stopped"
