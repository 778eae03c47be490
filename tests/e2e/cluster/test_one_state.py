"""What an instance knows, all instances know: jobs, mocks, holds, the clock, counts."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException

from latehook import AdvanceTimeout
from support.cluster import JOBS, ORDERS, ROUNDS, Cluster, by_webhook, send
from support.limits import LONG_LIMIT
from support.load import Load
from support.receivers import Receiver, receiver
from support.waiting import wait_until

TIMES = 100 if ROUNDS else 10
PENDING = 10_000 if ROUNDS else 300
"""Webhooks that an advance sends."""


def test_a_job_is_found_everywhere_as_soon_as_it_is_answered(instances: Cluster) -> None:
    for number in range(TIMES):
        here, there = (instances.ports[(number + offset) % len(instances.ports)] for offset in (0, 1))
        _, job = send(here, "POST", JOBS)
        assert send(there, "GET", f"{JOBS}/{job['id']}")[0] == 200


def test_the_same_idempotency_key_everywhere_at_once_starts_one_job(instances: Cluster) -> None:
    everywhere = len(instances.ports)
    start = threading.Barrier(everywhere)

    def post(port: int, key: str) -> str:
        start.wait()
        status, job = send(port, "POST", JOBS, idempotency_key=key)
        assert status == 200, job
        return str(job["id"])

    jobs = set()
    with ThreadPoolExecutor(everywhere) as threads:
        for number in range(TIMES):
            [job] = set(threads.map(lambda port, key=f"key-{number}": post(port, key), instances.ports))
            jobs.add(job)
    webhooks = by_webhook(instances.sut.wait(2 * TIMES))

    assert webhooks.keys() == {(job, event) for job in jobs for event in ("done", "after")}
    assert all(len(came) == 1 for came in webhooks.values())


def test_times_count_over_all(instances: Cluster) -> None:
    ports = instances.ports * 8
    with ThreadPoolExecutor(len(ports)) as threads:
        statuses = list(threads.map(lambda port: send(port, "POST", "http://api.slow.example/rare")[0], ports))

    assert statuses.count(201) == 5


def test_variables_and_waits_are_for_all(instances: Cluster) -> None:
    first, last = 0, len(instances.ports) - 1
    _, job = send(instances.ports[first], "POST", JOBS)
    with instances.client(first) as here, instances.client(last) as there:
        here.vars["verdict"] = "bad"
        assert there.vars["verdict"] == "bad"
        assert send(instances.ports[last], "GET", f"{JOBS}/{job['id']}")[1]["verdict"] == "bad"

        webhooks = there.wait_for(job=job["id"], count=2)
        assert here.webhooks(job=job["id"]) == webhooks
        assert [request.job for request in there.requests(matched=True) if request.job] == [job["id"]] * 2


@contextmanager
def requests_to(url: str, instances: Cluster) -> Iterator[list[float]]:
    """Send requests to a URL through all instances until the end of the block. Yield the times at which they were sent.

    Each request has its time in its header `x-sent`.
    """
    sent: list[float] = []
    over = threading.Event()

    def run(port: int) -> None:
        while not over.wait(0.005):
            now = time.time()
            with suppress(OSError, HTTPException):  # its instance is not running
                send(port, "POST", url, x_sent=str(now))
                sent.append(now)

    with ThreadPoolExecutor(8) as threads:
        for port in [*instances.ports, instances.port]:
            threads.submit(run, port)
        try:
            yield sent
        finally:
            over.set()


def wait_for_more(sent: list[float]) -> None:
    wanted = len(sent) + 50
    wait_until(lambda: len(sent) >= wanted, "more requests")


def sent_to(real: Receiver) -> list[float]:
    return [float(request.headers["x-sent"]) for request in real.requests]


def test_mocks_that_are_posted_close_their_host_everywhere_before_the_answer(instances: Cluster) -> None:
    with receiver() as real, requests_to(f"http://localhost:{real.port}/orders", instances) as sent:
        real.wait(20)
        with instances.client() as client:
            client.load(f"mocks: [{{match: 'ANY localhost:{real.port}/**', response: {{status: 202}}}}]")
        closed = time.time()
        wait_for_more(sent)
        instances.stop(0)
        instances.restart(0)  # it knows the mocks before it takes a request
        wait_for_more(sent)

        assert max(sent_to(real)) < closed


def test_after_a_hold_nothing_begins_anywhere(instances: Cluster) -> None:
    with Load(rate=200) as load:
        load.send_to(instances.port)
        load.wait_for_more(100)
        instances.sut.wait(20)
        with instances.client() as client:
            client.hold()
            held = time.time()
        load.wait_for_more(200)  # a second, in which those of the last half second become due
    assert instances.sut.requests[-1].at < held + 1

    with instances.client() as client:
        assert all(webhook.attempts[0].at < held for webhook in client.webhooks(state="delivered"))
        client.release()
    done = {(job, "done") for job in load.answered}
    wait_until(lambda: done <= by_webhook(instances.sut.requests).keys(), "all are sent after the release")


def test_an_advance_sends_what_all_owe_in_the_order_of_each_job(instances: Cluster) -> None:
    jobs = []
    with ThreadPoolExecutor(8) as threads:
        for status, job in threads.map(lambda port: send(port, "POST", ORDERS), instances.ports * (PENDING // 9)):
            assert status == 200
            jobs.append(job["id"])
    with instances.client() as client:
        try:
            client.advance("2h")
        except AdvanceTimeout:
            assert ROUNDS, "a few hundred take less than ten seconds"
    webhooks = instances.sut.wait(3 * len(jobs), LONG_LIMIT)

    events: dict[str, list[str]] = {job: [] for job in jobs}
    for webhook in webhooks:
        events[webhook.json["id"]].append(webhook.json["event"])
    assert events == {job: ["1", "2", "3"] for job in jobs}
    for number in range(len(instances.ports)):
        with instances.client(number) as client:
            assert not client.pending()
