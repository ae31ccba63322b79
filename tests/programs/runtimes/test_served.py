"""From where a port is served, as far as checks at different moments can show."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from program_internals import listening


@pytest.mark.parametrize("ends", [True, False], ids=["a loop that ends", "a loop that serves"])
def test_a_loop_that_polled_before_the_port_was_served_does_not_serve_it(monkeypatch, ends):
    loop = SimpleNamespace(polls=True, listens=not ends)

    def polls(pid):
        polled = loop.polls
        if ends:  # and another one begins to serve
            loop.polls, loop.listens = False, True
        return polled

    monkeypatch.setattr(listening, "_polls", polls)
    monkeypatch.setattr(listening, "_listens", lambda *_: loop.listens)
    monkeypatch.setattr(listening, "_became", lambda _: None)
    launch = SimpleNamespace(command=["python", "app.py"], port=9000)
    instance = SimpleNamespace(
        gone=False,
        pid=1,
        control=SimpleNamespace(port=0),
        children=SimpleNamespace(look=lambda: ()),
        has_closed_channel=lambda: False,
    )
    event = SimpleNamespace(real_time=("uvloop",), phase="init")

    said = listening.served_in_real_time(launch, listening.BY_IN_PROCESS, instance, event)  # type: ignore[arg-type]

    if ends:
        assert said is None
    else:
        assert said is not None
        assert said.startswith("port 9000 is served by a loop of uvloop, ")
