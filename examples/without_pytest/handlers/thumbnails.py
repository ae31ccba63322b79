"""Makes thumbnails, one every two seconds, and prints what is left when it is stopped."""

import signal
import time


def main_handler(event: dict[str, list[str]], context: dict[str, str]):
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, frame: stopped.append(signum))
    left = list(event["pictures"])
    while left and not stopped:
        time.sleep(2)
        print(f"{left.pop(0)}: done")
    return {"left": left}
