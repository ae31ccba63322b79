"""An endpoint goes on after the zygote, or the reaper above it, was killed: so do its clients, and what starts then."""

from __future__ import annotations

import os
import signal
import ssl
import urllib.request
from typing import Any

import pytest
from internals import pool_of
from process_support import END_OF_ZYGOTE, eventually, family_is_gone, mark_of

from pytest_scf_async import HarnessError, ScfEndpoint, ScfRuntime

# once: files of the test's process, and processes: the same on all Pythons
pytestmark = pytest.mark.once

TRUSTS = """
import ssl, urllib.request

def main_handler(event, context):
    return urllib.request.urlopen(event, context=ssl.create_default_context()).status
"""


@pytest.mark.parametrize("which", ["zygote", "reaper"])
def test_it_goes_on(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, deploy: Any, which: str) -> None:
    url = scf_endpoint.url.replace("http:", "https:") + "/"
    function = deploy(TRUSTS, to=scf_runtime)
    assert function.run(url) == 200
    zygote = pool_of(scf_runtime).sandboxes.zygote()
    mark = mark_of(zygote.pid)
    os.kill(zygote.pid if which == "zygote" else zygote.process.pid, signal.SIGKILL)
    assert eventually(lambda: family_is_gone(zygote.pid, mark))
    with pytest.raises(HarnessError, match=END_OF_ZYGOTE):
        function.run(url)

    assert function.run(url) == 200
    assert deploy(TRUSTS, to=scf_runtime).run(url) == 200
    with urllib.request.urlopen(url, context=ssl.create_default_context()) as answer:
        assert answer.status == 200
