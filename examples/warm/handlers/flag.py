"""A trap: the flag belongs to the instance, and the platform reuses an instance for the next event."""

import signal
import time

stopping = False


def stop(signum: int, frame: object):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)


def main_handler(event: dict[str, int], context: dict[str, str]):
    done = 0
    while done < event["items"] and not stopping:
        time.sleep(1)
        done += 1
    return done
