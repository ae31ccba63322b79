"""A backup whose listener ends the process, as programs outside the platform do."""

import signal
import sys
import time


def stop(signum: int, frame: object):
    print("tidied up, leaving")
    sys.exit(0)


def main_handler(event: dict[str, int], context: dict[str, str]):
    signal.signal(signal.SIGTERM, stop)
    for part in range(event["parts"]):
        print(f"part {part} begins")
        time.sleep(600)
    return event["parts"]
