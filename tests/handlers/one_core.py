"""A handler that sleeps by message, and tells on which cores it may run until it starts something, and after that."""

import os
import subprocess
import threading
import time


def allowed(of="/proc/thread-self/status"):
    with open(of) as file:
        return next(line.split()[1] for line in file if line.startswith("Cpus_allowed:"))


def sleeps():
    found = set()
    for _ in range(400):
        time.sleep(1)
        found.add(allowed())
    return found


def main_handler(event, context):
    before, during = allowed(), sleeps()
    if event == "child":
        after = subprocess.run(["/bin/grep", "Cpus_allowed:", "/proc/self/status"], capture_output=True, check=True)
        after = after.stdout.split()[1].decode()
    elif event == "thread":
        found = []
        thread = threading.Thread(target=lambda: found.append(allowed()))
        thread.start()
        thread.join()
        (after,) = found
    elif event.startswith("asks"):
        assert os.sched_getaffinity(0) == set(map(int, event.split()[1:]))
        after = allowed()
    elif event == "library":
        import ctypes

        ctypes.CDLL("libc.so.6")
        after = allowed()
    else:
        after = before
    still = {after} if event == "nothing" else sleeps()
    return [before, sorted(during - {before}), after, sorted(still)]
