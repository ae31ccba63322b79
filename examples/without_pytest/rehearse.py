"""ScfRuntime without pytest: what would a termination after 5 seconds leave undone? Run: python rehearse.py"""

from datetime import datetime, timezone
from pathlib import Path

from pytest_scf_async import ScfRuntime

HERE = Path(__file__).parent
PICTURES = ["cat.png", "dog.png", "owl.png", "fox.png", "elk.png"]


def rehearse():
    """The event, after its end."""
    with ScfRuntime(start=datetime(2026, 1, 1, tzinfo=timezone.utc), lookup=[HERE]) as runtime:
        event = runtime.deploy("handlers/thumbnails.py:main_handler").invoke_async({"pictures": PICTURES})
        runtime.clock.advance(5)
        event.terminate(grace_shutdown=True)
        return event.wait()


if __name__ == "__main__":
    event = rehearse()
    print(event.timeline)
    print(f"left undone: {', '.join(event.result['left'])}")
