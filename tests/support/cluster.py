"""Several mitmdump processes behind haproxy: with one CA, one receiver, and one store in PostgreSQL or a memory of each."""

import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import latehook
from support import balancer
from support.balancer import Balancer
from support.limits import LIMIT, TIME_SCALE
from support.ports import free_port
from support.process import LEASE, Proxy, mitmdump
from support.receivers import Received, Receiver

TOKEN = "t0ken"

SHORT_LEASE = 2.0 * TIME_SCALE
"""Seconds after which the others take over from an instance that is silent."""

ROUNDS = int(os.environ.get("LATEHOOK_CLUSTER_ROUNDS", "0"))
"""How often each proof is repeated, at full size; 0: once, in a small version that takes a second or some."""

MOCKS = """
vars: {verdict: good}
defaults:
  webhook:
    to: "{{ env.CALLBACK_URL }}"
    json: {id: "{{ job.id }}", event: "{{ webhook.event }}", begun: "{{ real_now }}", nonce: "{{ uuid() }}"}
    headers: {x-webhook: "{{ webhook.id }}", x-attempt: "{{ webhook.attempt }}"}
    retry: [1s, 1s, 1s]
mocks:
  - match: POST api.slow.example/jobs
    job: {idempotency_key: "{{ request.headers.idempotency_key }}"}
    response: {json: {id: "{{ job.id }}"}}
    stages:
      - {after: 500ms, webhook: {event: done}}
      - {after: {ended: done, plus: 200ms}, webhook: {event: after, query: {said: "{{ job.webhooks.done.status }}"}}}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {status: "{{ job.status }}", verdict: "{{ vars.verdict }}"}}
  - match: POST api.slow.example/orders
    response: {json: {id: "{{ job.id }}"}}
    stages:
      - {after: 1h, webhook: {event: "1"}}
      - {after: 1h, webhook: {event: "2"}}
      - {after: 2h, webhook: {event: "3"}}
  - {match: POST api.slow.example/rare, times: 5, response: {status: 201}}
  - {match: POST api.slow.example/rare, response: {status: 429}}
"""
"""A job of `/jobs` has a webhook half a second later, and another one after its end. One of `/orders` has three, an hour and
more later.
"""

JOBS, ORDERS = "http://api.slow.example/jobs", "http://api.slow.example/orders"


class Cluster:
    """Instances, numbered from 0. Each has its own folder, with a copy of the CA and of the mocks file.

    `port` is that of haproxy. `cuts` has the times (Unix seconds) at which a test killed or paused an instance. `store` is the
    option `mock_store` of all of them; without it, each has a memory of its own.
    """

    def __init__(self, folder: Path, confdir: Path, mocks: str, sut: Receiver, count: int, store: str | None) -> None:
        self.balancer: Balancer | None = None
        self.cuts: list[float] = []
        self.sut = sut
        self._store = store
        self._folders = [folder / f"instance-{number}" for number in range(count)]
        for own in self._folders:
            shutil.copytree(confdir, own / "confdir")
            (own / "mocks.yaml").write_text(mocks)
        self.ports = [free_port() for _ in range(count)]
        self._stacks = [ExitStack() for _ in range(count)]
        self.instances: list[Proxy] = []

    @property
    def port(self) -> int:
        assert self.balancer is not None
        return self.balancer.port

    @property
    def url(self) -> str:
        """The URL of haproxy, as clients write that of a proxy."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, number: int, *arguments: str) -> Proxy:
        """Start an instance, at its own port."""
        folder = self._folders[number]
        options = [f"mock_file={folder / 'mocks.yaml'}", f"mock_token={TOKEN}", "flow_detail=0"]
        options += [f"mock_store={self._store}"] if self._store else []
        arguments += tuple(word for option in options for word in ("--set", option))
        started = mitmdump(
            folder / "confdir",
            "-p",
            str(self.ports[number]),
            *arguments,
            env={"CALLBACK_URL": self.sut.url, LEASE: str(SHORT_LEASE)},
        )
        return self._stacks[number].enter_context(started)

    def restart(self, number: int) -> None:
        """Start an instance again that has ended, and wait until haproxy knows that."""
        assert self.balancer is not None
        self._stacks[number].close()
        self.instances[number] = self.start(number)
        self.balancer.wait_until_up(self.ports[number])

    def kill(self, number: int) -> None:
        """End an instance as a crash does."""
        self.cuts.append(time.time())
        self.instances[number].kill()

    def stop(self, number: int) -> None:
        """Ask an instance to end, and wait until it has ended."""
        assert self.instances[number].stop() == 0

    @contextmanager
    def paused(self, number: int) -> Iterator[None]:
        """Stop the instance's process (SIGSTOP) until the end of the block: it then goes on as if nothing had been."""
        process = self.instances[number].process
        self.cuts.append(time.time())
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self, number: int | None = None) -> Iterator[latehook.Latehook]:
        """Connect a client to an instance, or through haproxy to any of them."""
        with latehook.connect(self.port if number is None else self.ports[number], token=TOKEN) as client:
            yield client

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()


@contextmanager
def cluster(
    folder: Path, confdir: Path, mocks: str, sut: Receiver, count: int, store: str | None = None
) -> Iterator[Cluster]:
    """Run instances behind haproxy until the end of the block. Skip the test where there is no haproxy."""
    balancer.require()
    made = Cluster(folder, confdir, mocks, sut, count, store)
    try:
        made.instances = [made.start(number) for number in range(count)]
        with balancer.balancer(folder, made.ports) as made.balancer:
            yield made
    finally:
        made.close()


def send(port: int, method: str, url: str, **headers: str) -> tuple[int, Any]:
    """Send a request through the proxy at a port, on a connection of its own. Return the status, and the JSON if it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request(method, url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    is_json = "json" in response.headers.get("content-type", "")
    return response.status, json.loads(body) if is_json else body


def by_webhook(received: Iterable[Received]) -> dict[tuple[str, str], list[Received]]:
    """Return what was received by the webhook that it belongs to: by the job's id and the event."""
    webhooks: dict[tuple[str, str], list[Received]] = {}
    for webhook in list(received):
        webhooks.setdefault((webhook.json["id"], webhook.json["event"]), []).append(webhook)
    return webhooks
