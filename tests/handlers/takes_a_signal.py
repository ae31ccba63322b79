"""Which thread gets a signal that one waits for: a handler, or a program, ``python takes_a_signal.py EVENT``."""

import json
import os
import signal
import sys
import threading
import time


def main_handler(event, context):
    said, unit, signum = [], event["unit"], event["signum"]
    stops, is_set_up = threading.Event(), threading.Event()

    def leaves_it_unblocked():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])
        is_set_up.set()
        stops.wait(60 * unit)

    def start(target):
        is_set_up.clear()
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        is_set_up.wait()
        return thread

    def waits():
        is_set_up.set()
        if event["wait"] == "sigwait":
            said.append(["took", int(signal.sigwait([signum]))])
        elif event["wait"] == "sigwaitinfo":
            said.append(["took", signal.sigwaitinfo([signum]).si_signo])
        else:
            info = signal.sigtimedwait([signum], 4 * unit)
            said.append(["took", info and info.si_signo])

    if event["has_handler"]:
        signal.signal(signum, lambda signum, _: said.append(["handler", signum]))
    if event["another"] == "before":
        start(leaves_it_unblocked)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signum])
    thread = start(waits) if event["waits"] == "thread" else None
    if event["another"] == "after":
        time.sleep(unit / 2)
        start(leaves_it_unblocked)
    if signum == signal.SIGALRM:
        signal.setitimer(signal.ITIMER_REAL, 2 * unit)
    elif signum == signal.SIGUSR1:
        threading.Thread(target=lambda: (time.sleep(2 * unit), os.kill(os.getpid(), signum)), daemon=True).start()
    print("ready", flush=True)
    if thread is None:
        waits()
    else:
        thread.join(6 * unit)
    stops.set()
    return sorted(said)  # where the main thread waits, it calls a handler late for which another thread was interrupted


if __name__ == "__main__":
    print(json.dumps(main_handler(json.loads(sys.argv[1]), None)), flush=True)
    os._exit(0)
