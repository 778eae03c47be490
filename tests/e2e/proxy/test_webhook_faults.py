"""Faults of webhooks, as real receivers see them, and the chance of faults."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

import latehook
from latehook.base.messages import WebhookFault
from support.limits import LIMIT
from support.process import Proxy, mitmdump
from support.receivers import Handler, Received, Receiver, answer

SECRET = b"s3cret"

MOCK = """
  - match: POST api.slow.example/FAULT
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ request.json.to }}"
      json: {id: "{{ job.id }}"}
      sign: {scheme: github, secret: s3cret}
      retry: [200ms]
      fault: FAULT
"""


@pytest.fixture(scope="module", params=["0", "1"], ids=["not printed", "printed"])
def proxy(request: pytest.FixtureRequest, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Run with flow_detail 0 and 1: where flows are printed, attempts are made into flows."""
    file = tmp_path_factory.mktemp("faults") / "mocks.yaml"
    file.write_text("mocks:" + "".join(MOCK.replace("FAULT", fault) for fault in WebhookFault))
    with mitmdump(confdir, "--set", f"mock_file={file}", "--set", f"flow_detail={request.param}") as proxy:
        yield proxy


def start_job(proxy: Proxy, fault: str, sut: Receiver) -> str:
    """Return the id of a job whose webhook has this fault."""
    url, proxies = f"http://api.slow.example/{fault}", {"http": proxy.url}
    return str(requests.post(url, json={"to": sut.url}, proxies=proxies, timeout=LIMIT).json()["id"])


def signature(body: bytes) -> str:
    """Return the right signature of a body."""
    return "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def is_signed(webhook: Received) -> bool:
    given = webhook.headers["x-hub-signature-256"]
    assert len(given) == len(signature(b""))
    return hmac.compare_digest(given, signature(webhook.body))


def test_a_dropped_webhook_is_neither_sent_nor_tried_again(proxy: Proxy, sut: Receiver) -> None:
    id = start_job(proxy, "drop", sut)
    line = proxy.wait_for(f"job {id}: webhook not delivered")

    assert line.endswith(f"attempt 1: {sut.url}: dropped on purpose (fault); given up")
    with latehook.connect(proxy.port) as client:
        assert client.pending(job=id) == []
    assert sut.connections == 0


def test_a_duplicate_is_the_same_request_twice_at_the_same_time(proxy: Proxy, sut: Receiver) -> None:
    both = threading.Barrier(2)

    def wait_for_the_other(handler: Handler, number: int) -> None:
        both.wait(LIMIT)
        answer(204, b"")(handler, number)

    sut.behave = wait_for_the_other

    id = start_job(proxy, "duplicate", sut)
    proxy.wait_for(f"job {id}: webhook delivered, attempt 1: .*: 204")

    first, second = sut.requests
    assert (first.headers, first.body) == (second.headers, second.body)
    assert json.loads(first.body) == {"id": id}
    assert is_signed(first)


def test_a_corrupt_body_is_not_what_was_signed_and_not_json(proxy: Proxy, sut: Receiver) -> None:
    id = start_job(proxy, "corrupt-body", sut)
    [webhook] = sut.wait(1)

    right = json.dumps({"id": id}, separators=(",", ":")).encode()
    assert (len(webhook.body), webhook.body[1:]) == (len(right), right[1:])
    assert not is_signed(webhook)
    assert webhook.headers["x-hub-signature-256"] == signature(right)
    with pytest.raises(ValueError):
        json.loads(webhook.body)


def test_a_corrupt_signature_comes_with_the_right_body(proxy: Proxy, sut: Receiver) -> None:
    id = start_job(proxy, "corrupt-signature", sut)
    [webhook] = sut.wait(1)

    assert json.loads(webhook.body) == {"id": id}
    assert not is_signed(webhook)


BY_CHANCE = """
mocks:
  - match: POST api.slow.example/{n}
    response: {text: fine, fault: {kind: empty, chance: 0.5}}
    webhook: {to: "{{ env.CALLBACK_URL }}/{{ request.path.n }}", fault: {kind: drop, chance: 0.5, count: 6}}
"""


def test_two_runs_with_the_same_seed_have_the_same_faults(start: Callable[..., Proxy], sut: Receiver) -> None:
    def run(seed: int) -> tuple[list[int], list[str]]:
        """Return the status of each request, 0 if it got no response, and the paths of the webhooks."""
        sut.requests.clear()
        proxy = start("--set", f"mock_seed={seed}", mocks=BY_CHANCE, env={"CALLBACK_URL": sut.url})
        statuses = []
        for number in range(20):
            url = f"http://api.slow.example/{number}"
            try:
                statuses.append(requests.post(url, proxies={"http": proxy.url}, timeout=LIMIT).status_code)
            except requests.ConnectionError:
                statuses.append(0)
        proxy.wait_for("webhook (not )?delivered", count=20)
        return statuses, sorted(webhook.path for webhook in sut.requests)

    first, second = run(7), run(7)

    assert first == second
    assert {0, 200} == set(first[0])
    assert 14 <= len(first[1]) < 20
