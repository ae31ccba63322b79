"""The code that the command deploys: it does what its event says. ``{"seconds": 30, "on_sigterm": "return"}``.

``on_sigterm``, each after 5 s in the listener: ``return`` (the handler returns), ``raise``, ``sys_exit``, ``exit`` (the
process ends with 0). ``ignore`` ignores it; without any, nothing listens. ``then`` is what it does at its end:
``raise``, ``sys_exit``, ``no_json`` (it returns what is none), or ``nan`` (it returns what only Python takes for JSON).
"""

import os
import signal
import sys
import time
from typing import Any

INSTANCE = os.urandom(8).hex()
LISTENS = 5.0
"""By how long an event ends after SIGTERM it can be seen that it has listened."""


class Raised(Exception):
    """What ``raise`` raises."""


def main_handler(event: Any, context: Any) -> dict[str, Any]:
    """Do what *event* says, and return it."""
    asked = event if isinstance(event, dict) else {}
    on_sigterm, seconds = asked.get("on_sigterm", "default"), asked.get("seconds", 0)
    received: list[int] = []
    own = INSTANCE, os.environ.get("OWN")
    os.environ["OWN"] = "changed"  # the next event on this instance says whether it is set again

    def listener(signum: int, frame: object) -> None:
        received.append(signum)
        time.sleep(LISTENS)
        if on_sigterm == "raise":
            raise Raised("SIGTERM")
        if on_sigterm == "sys_exit":
            sys.exit(0)
        if on_sigterm == "exit":
            os._exit(0)

    # An instance that is used again has the listener of the event before.
    actions: dict[str, Any] = {"default": signal.SIG_DFL, "ignore": signal.SIG_IGN}
    signal.signal(signal.SIGTERM, actions.get(on_sigterm, listener))
    if on_sigterm == "default":
        time.sleep(seconds)
    else:
        until = time.time() + seconds
        while time.time() < until and not received:
            time.sleep(0.5)
    if asked.get("then") == "raise":
        raise Raised("the end")
    if asked.get("then") == "sys_exit":
        sys.exit(0)
    if asked.get("then") == "no_json":
        return {"nobody": {1, 2}}
    if asked.get("then") == "nan":
        return {"rate": float("nan")}
    return {"event": repr(event), "sigterm": bool(received), "own": own}
