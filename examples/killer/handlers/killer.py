"""The common form of a listener: an object that receives the signal, and a loop that checks it once a second."""

import signal
import time


class Killer:
    def __init__(self):
        self.asked = None
        signal.signal(signal.SIGTERM, self.take)

    def take(self, signum: int, frame: object):
        self.asked = signal.Signals(signum).name
        print(f"{self.asked} received")


def main_handler(event: dict[str, int], context: dict[str, str]):
    killer = Killer()
    seconds = 0
    while killer.asked is None:
        time.sleep(1)
        seconds += 1
    print("closing")
    return f"stopped by {killer.asked} after {seconds} s"
