"""Loops in C that stay on real time are named in the timeline, and refused at once where they serve an image."""

from __future__ import annotations

import pytest
from internals import remarks_of

from pytest_scf_async.errors import ScfUsageError

HANDLERS = {
    "gevent": """
        from gevent import monkey
        monkey.patch_all()
        import gevent, time

        def main_handler(event, context):
            gevent.joinall([gevent.spawn(time.sleep, 0.001) for _ in range(3)])
            return "slept"
    """,
    "eventlet": """
        import warnings
        warnings.simplefilter("ignore")
        import eventlet
        eventlet.monkey_patch()
        import time

        def main_handler(event, context):
            pool = eventlet.GreenPool()
            pool.spawn(time.sleep, 0.001)
            pool.waitall()
            return "slept"
    """,
}


@pytest.mark.parametrize("library", HANDLERS)
def test_a_loop_of_a_handler_is_in_the_timeline(deploy, library):
    event = deploy(HANDLERS[library]).invoke_async().wait()

    assert event.result == "slept"
    notes = remarks_of(event, "simulated")
    assert len(notes) == 1
    assert notes[0].endswith(
        f"runs a loop of {library}, whose sleeps and timeouts run in real time: no simulated time passes in them"
    )


GEVENT_SERVER = """
from gevent import monkey
monkey.patch_all()
from gevent.pywsgi import WSGIServer

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"answer"]

WSGIServer(("0.0.0.0", 9000), app).serve_forever()
"""
ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answer"})
"""
SERVERS = {
    "gevent": (
        ["python", "app.py"],
        GEVENT_SERVER,
        "port 9000 is served by a loop of gevent, which in_process=True cannot put on simulated time:",
    ),
    "granian": (
        ["granian", "--interface", "asgi", "--host", "0.0.0.0", "--port", "9000", "app:app"],
        ASGI,
        r"the program 'granian' forks at common\.py:\d+, .*:",
    ),
}


@pytest.mark.parametrize("server", SERVERS)
def test_an_image_that_is_served_by_such_a_loop_is_refused(make_runtime, tmp_path, server):
    command, source, said = SERVERS[server]
    (tmp_path / "app.py").write_text(source)
    runtime = make_runtime(real_timeout=600, real_limit=600)  # nothing else ends the call within the test's time
    event = runtime.deploy_image(command, cwd=tmp_path, in_process=True).invoke_async()

    with pytest.raises(ScfUsageError, match=f"{said} leave out in_process=True"):
        event.wait()
    assert event.status == "FAILED"
    assert runtime.deploy_image(command, cwd=tmp_path).run() == "answer"
