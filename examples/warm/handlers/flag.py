"""A trap: the flag belongs to the instance, and the platform reuses an instance for the next event."""

import signal
import time

stopping = False


def stop(signum, frame):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)


def main_handler(event, context):
    done = 0
    while done < event["items"] and not stopping:
        time.sleep(1)
        done += 1
    return done
