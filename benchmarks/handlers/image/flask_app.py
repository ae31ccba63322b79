"""An image: a Flask handler that sleeps, second by second, until SIGTERM has set a flag."""

import signal
import sys
import time

from flask import Flask

app = Flask(__name__)
stopping = False


def on_sigterm(signum, frame):
    global stopping
    stopping = True


@app.post("/event-invoke")
def event_invoke():
    global stopping
    stopping = False
    print("ready", flush=True)
    passes = 0
    while True:
        time.sleep(1)
        passes += 1
        if stopping:
            break
    return {"passes": passes}


signal.signal(signal.SIGTERM, on_sigterm)
app.run(host="0.0.0.0", port=int(sys.argv[1]))
