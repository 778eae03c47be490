"""A mocked service with jobs of 65 seconds, for tests of the client."""

from typing import Any

import requests

from latehook.client.sync import Latehook

HOST = "api.slow.example"
MOCKS = f"""
vars: {{verdict: completed, price: 3}}
mocks:
  - name: create
    match: POST {HOST}/jobs
    response: {{status: 201, json: {{id: "{{{{ job.id }}}}"}}}}
    stages:
      - {{after: 10s, status: queued, webhook: true}}
      - {{after: 65s, status: "{{{{ vars.verdict }}}}", webhook: true}}
    webhook:
      to: "{{{{ request.json.url }}}}"
      json: {{id: "{{{{ job.id }}}}", status: "{{{{ job.status }}}}"}}
      retry: none
"""


def post(client: Latehook, path: str = "/jobs", **arguments: Any) -> requests.Response:
    """Send the SUT's POST to the mocked service through the proxy."""
    with requests.Session() as session:
        session.trust_env = False
        proxies = {"http": client.proxy, "https": client.proxy}
        return session.post(f"https://{HOST}{path}", proxies=proxies, verify=client.ca_bundle, **arguments)
