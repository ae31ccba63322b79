"""An image function: Flask on port 9000, which works until SIGTERM comes (the sample of document 63969)."""

import signal
import time

from flask import Flask, request

app = Flask(__name__)
stopping = False


def on_sigterm(signum: int, frame: object):
    global stopping
    print("stopping", flush=True)
    stopping = True


@app.post("/event-invoke")
def event_invoke():
    rows = request.get_json()["rows"]
    done = 0
    while done < rows and not stopping:
        time.sleep(1)
        done += 1
    return {"done": done}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, on_sigterm)
    app.run(host="0.0.0.0", port=9000)
