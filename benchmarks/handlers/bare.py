"""What a Python function is without a platform: a program that says that it is ready, and ends at SIGTERM."""

import signal

signal.signal(signal.SIGTERM, lambda signum, frame: None)
print("ready", flush=True)
signal.pause()
