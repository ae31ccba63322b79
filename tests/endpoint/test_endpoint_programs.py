"""Programs that are no Python find the endpoint at the platform's own hosts, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from endpoint_handlers import signed_by_the_sdk
from runtimes_table import file_in

from pytest_scf_async import ScfEndpoint, ScfRuntime

# once: programs that are no Python: the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.nodejs]

ASKS = """
const https = require('https');
const ask = (url) => new Promise((resolve) => {
  https.get(url, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => resolve(text));
  }).on('error', (error) => resolve(error.code));
});
exports.main_handler = async (event) => {
  const answers = {};
  for (const host of event.hosts) answers[host] = await ask(`https://${host}/`);
  return answers;
};
"""


def test_a_handler_in_node(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path) -> None:
    hosts = ["scf.tencentcloudapi.com", "scf.ap-guangzhou.tencentcloudapi.com", "cos.tencentcloudapi.com"]
    file_in(tmp_path, "index.js", ASKS)
    function = scf_runtime.deploy(tmp_path, runtime="Nodejs18.15")

    answers: Any = function.run({"hosts": hosts})

    assert "MissingParameter" in answers[hosts[0]]
    assert "MissingParameter" in answers[hosts[1]]
    assert answers[hosts[2]] in ("ENOTFOUND", "EAI_AGAIN")
    assert len(scf_endpoint.calls) == 2


def test_a_handler_in_node_with_the_network_of_the_machine(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path
) -> None:
    file_in(tmp_path, "index.js", ASKS)
    function = scf_runtime.deploy(tmp_path, runtime="Nodejs18.15", network="all")

    answers: Any = function.run({"hosts": ["scf.tencentcloudapi.com"]})

    assert answers["scf.tencentcloudapi.com"] == "ECONNREFUSED"
    assert scf_endpoint.calls == []


POSTS = """
const http = require('http');
exports.main_handler = (event) => new Promise((resolve, reject) => {
  const began = Date.now();
  const request = http.request(event.url, { method: 'POST', headers: event.headers }, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => resolve([JSON.parse(text).Response, Date.now() - began]));
  }).on('error', reject);
  request.end(event.body);
});
"""


@pytest.mark.parametrize("network", ["loopback", "all"])
def test_a_delayed_answer_takes_simulated_time(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path, network: Any
) -> None:
    file_in(tmp_path, "index.js", POSTS)
    signed = signed_by_the_sdk(scf_endpoint, "none")
    scf_endpoint.delay("GetAsyncEventStatus", 60)
    url = scf_endpoint.url if network == "all" else "http://scf.tencentcloudapi.com"
    function = scf_runtime.deploy(tmp_path, runtime="Nodejs18.15", network=network, timeout=600)

    answer, milliseconds = function.run({"url": url, **signed})

    assert answer["Error"]["Code"] == "ResourceNotFound.AsyncEvent"
    assert milliseconds == 60_000
