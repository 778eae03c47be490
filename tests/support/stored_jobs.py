"""A mocked service whose jobs are in a store file, for tests that restart the proxy."""

import json
from collections.abc import Callable

import latehook
from support.process import Proxy
from support.programs import curl

MOCKS = """
vars: {verdict: good}
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id or uuid() }}"}
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ env.CALLBACK_URL }}"
      json: {id: "{{ job.id }}", status: "{{ job.status }}", nonce: "{{ uuid() }}", secret: "{{ env.EXTRA }}"}
      headers: {x-webhook: "{{ webhook.id }}", x-attempt: "{{ webhook.attempt }}"}
      retry: [1s, 1s, 1s]
    stages:
      - {after: AFTER, status: first, webhook: true}
      - {after: 1h, status: second}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {status: "{{ job.status }}"}}
"""


Start = Callable[..., Proxy]
"""Start a proxy with the store: `start(after, *arguments, mocks=TEXT, without=NAME, **environment)`."""


def post(proxy: Proxy, **document: str) -> str:
    """Start a job; return its id."""
    sent = curl("-x", proxy.url, "-d", json.dumps(document), "http://api.slow.example/jobs")
    return str(json.loads(sent.stdout)["id"])


def advance(proxy: Proxy, duration: str = "1h") -> None:
    """Advance the clock, so that what is due until then is sent."""
    with latehook.connect(proxy.port) as client:
        client.advance(duration)
