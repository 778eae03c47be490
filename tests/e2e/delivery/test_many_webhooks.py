"""Many webhooks of one job, and jobs that are taken back, through real processes: one is killed in the middle."""

import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import latehook
from support.limits import LIMIT
from support.process import Proxy
from support.programs import curl
from support.receivers import Handler, Receiver, answer
from support.stored_jobs import Start

MOCKS = """
mocks:
  - match: POST api.slow.example/encode
    job: {id: encode}
    webhook: {to: "{{ env.CALLBACK_URL }}/encode", json: ["{{ job.status }}", "{{ index }}", "{{ item.name }}"]}
    stages:
      - {after: "{{ request.json.first }}", status: part, webhook: {json: [part, "{{ index }}"]}, repeat: {every: 10s, times: "{{ request.json.parts }}"}}
      - {after: 50s, status: done, webhook: true, each: request.json.files}
  - match: POST api.slow.example/subscriptions
    job: {id: subscription, idempotency_key: "{{ request.headers.idempotency_key }}", vars: {token: "{{ random.hex(8) }}"}}
    response:
      - {when: job.webhooks.check.text == job.vars.token, status: 201}
      - {status: 422, rejects: true, json: {error: "{{ job.webhooks.check.status }}"}}
    stages:
      - after: before-response
        webhook: {event: check, to: "{{ env.CALLBACK_URL }}/check", query: {token: "{{ job.vars.token }}"}, retry: none}
      - {webhook: {to: "{{ env.CALLBACK_URL }}/active"}}
  - {match: "GET api.slow.example/jobs/{id}", lookup: request.path.id}
"""
ENCODE = {"first": "1m", "parts": 4, "files": [{"name": "a"}, {"name": 10**30}]}


def ask(proxy: Proxy, path: str, document: object = None) -> int:
    """Return the status that the mocked service answers."""
    data = [] if document is None else ["-d", json.dumps(document)]
    headers = ["-H", "idempotency-key: k"]
    got: subprocess.CompletedProcess[str] = curl(
        "-x", proxy.url, *headers, *data, "-o", "/dev/null", "-w", "%{http_code}", f"http://api.slow.example{path}"
    )
    return int(got.stdout or 0)


def echo(handler: Handler, number: int) -> None:
    """Answer with the token of the query."""
    answer(200, parse_qs(urlsplit(handler.path).query).get("token", [""])[0].encode())(handler, number)


def bodies(sut: Receiver, path: str) -> list[object]:
    return [json.loads(got.body) if got.body else None for got in list(sut.requests) if got.path == path]


def test_a_kill_loses_none_of_many_webhooks_and_takes_back_what_nobody_has_accepted(
    start_with_store: Start, sut: Receiver
) -> None:
    killed = threading.Event()
    checked = threading.Event()

    def hang_at_check(handler: Handler, number: int) -> None:
        if handler.path.startswith("/check"):
            checked.set()
            killed.wait(LIMIT)
        answer()(handler, number)

    sut.behave = hang_at_check
    proxy = start_with_store(mocks=MOCKS)
    assert ask(proxy, "/encode", ENCODE) == 200
    with latehook.connect(proxy.port) as client, ThreadPoolExecutor() as threads:
        client.advance("75s")
        assert [json.loads(got.body) for got in sut.requests] == [["part", 0], ["part", 1]]
        assert [one.event for one in client.pending()] == ["part"] * 2 + ["done"] * 2
        asking = threads.submit(ask, proxy, "/subscriptions", {})
        assert checked.wait(LIMIT)
        assert [one.id for one in client.jobs()] == ["encode", "subscription"]
        proxy.kill()
        killed.set()
        assert asking.result() == 0

    sut.behave = answer()
    again = start_with_store(mocks=MOCKS)
    again.wait_for("jobs taken back, because the proxy ended before it chose their responses: 1")
    assert ask(again, "/jobs/subscription") == 404
    with latehook.connect(again.port) as client:
        client.advance("1h")
        parts = [["part", number] for number in range(4)]
        assert bodies(sut, "/encode")[:4] == parts
        assert sorted(map(str, bodies(sut, "/encode")[4:])) == ["['done', 0, 'a']", f"['done', 1, {10**30}]"]

        assert ask(again, "/subscriptions", {}) == 422
        client.advance("1h")
        assert [one.id for one in client.jobs()] == ["encode"]
        assert [(one.status, one.job) for one in client.requests(limit=1)] == [(422, None)]
        sut.behave = echo
        assert ask(again, "/subscriptions", {}) == 201
        assert client.wait_for(job="subscription", count=2)[-1].attempts[-1].status == 200
    assert sum(got.path.startswith("/check") for got in sut.requests) == 3
    assert len(bodies(sut, "/active")) == 1
