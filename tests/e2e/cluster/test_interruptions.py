"""Instances with one store that are killed, paused, stopped and started, and a database that restarts, all under load.

Each identifier that was answered is received. Received twice is only what was under way in a killed or paused instance.
"""

import socket
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack

import pytest

from support.cluster import JOBS, ROUNDS, Cluster, by_webhook, send
from support.limits import LIMIT, LONG_LIMIT
from support.load import Load
from support.postgres import PostgresServer
from support.raw_servers import raw_server
from support.receivers import Received, receiver
from support.waiting import wait_until

MORE = 300 if ROUNDS else 25
"""Responses to wait for before and after each interruption."""

UNDER_WAY = 2.0
"""Seconds that an attempt may be under way: its receiver answers at once, the machine may be busy."""


def received(instances: Cluster, jobs: Iterable[str]) -> dict[tuple[str, str], list[Received]]:
    """Return what was received by webhook, as soon as both webhooks of each job have come."""
    missing = {(job, event) for job in jobs for event in ("done", "after")}

    def all_have_come() -> bool:
        missing.difference_update(by_webhook(instances.sut.requests))
        return not missing

    wait_until(all_have_come, f"{len(missing)} webhooks", LONG_LIMIT)
    webhooks = by_webhook(instances.sut.requests)
    assert {
        webhook.query.get("said") for (_, event), came in webhooks.items() for webhook in came if event == "after"
    } == {"200"}
    return webhooks


def check_doubled(instances: Cluster, webhooks: dict[tuple[str, str], list[Received]]) -> None:
    """Check that webhooks which came twice are the same attempts, and were cut by a kill or a pause."""
    doubled = [came for came in webhooks.values() if len(came) > 1]
    print(f"{len(webhooks)} webhooks, {len(doubled)} of them doubled")
    for came in doubled:
        assert len({webhook.body for webhook in came}) == 1, came
        begun = float(came[0].json["begun"])
        assert any(cut - UNDER_WAY < begun < cut + 0.1 for cut in instances.cuts), (begun, instances.cuts)


def test_one_is_killed(instances: Cluster) -> None:
    with Load(rate=100) as load:
        load.send_to(instances.port)
        load.wait_for_more(MORE)
        instances.kill(0)
        load.wait_for_more(MORE)

    check_doubled(instances, received(instances, load.answered))


def test_one_is_paused_for_longer_than_the_lease_and_goes_on(instances: Cluster) -> None:
    """Mocks that are posted meanwhile are unknown to it: it lets no request to their host out when it goes on.

    A connection that has passed before ends.
    """
    passed: list[bytes] = []
    with receiver() as real, ExitStack() as stack, Load(rate=100) as load:
        passing = stack.enter_context(passing_connection(instances.ports[1], stack.enter_context(echo(passed))))
        load.send_to(instances.port)
        load.wait_for_more(MORE)
        with instances.paused(1):
            passing.sendall(b"after")
            with instances.client(0) as client:  # it waits until the lease of the paused one is over
                client.load(f"mocks: [{{match: 'ANY localhost:{real.port}/**', response: {{status: 202}}}}]")
            waiting = [stack.enter_context(waiting_request(instances.ports[1], real.port)) for _ in range(4)]
            received(instances, list(load.answered))  # the others send what this one owed
            load.wait_for_more(MORE)
        statuses = {int(connection.recv(1024).split(maxsplit=2)[1]) for connection in waiting}
        assert (passing.recv(1024), b"".join(passed)) == (b"", b"\0before")
        load.wait_for_more(MORE)
    webhooks = received(instances, load.answered)
    wait_until(lambda: send(instances.ports[1], "POST", JOBS)[0] == 200, "the instance works again")

    check_doubled(instances, webhooks)
    assert statuses <= {202, 503}
    assert not real.connections


def echo(passed: list[bytes]) -> AbstractContextManager[int]:
    """Run a server that sends back what it receives, and notes it."""

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            passed.append(data)
            connection.sendall(data)

    return raw_server(serve)


def passing_connection(port: int, to: int) -> socket.socket:
    """Connect through a proxy to a port of this machine, and send what is no HTTP and no TLS."""
    connection = socket.create_connection(("127.0.0.1", port), LIMIT)
    connection.sendall(f"CONNECT localhost:{to} HTTP/1.1\r\n\r\n".encode())
    assert b" 200 " in connection.recv(1024)
    connection.sendall(b"\0before")
    assert connection.recv(1024) == b"\0before"
    return connection


def waiting_request(port: int, to: int) -> socket.socket:
    """Send a request for a port of this machine to a proxy that does not answer yet."""
    connection = socket.create_connection(("127.0.0.1", port), LIMIT)
    connection.sendall(f"GET http://localhost:{to}/ HTTP/1.1\r\nHost: localhost:{to}\r\n\r\n".encode())
    return connection


def test_each_is_stopped_and_started_again(instances: Cluster) -> None:
    with Load(rate=100) as load:
        load.send_to(instances.port)
        for number in range(len(instances.ports)):
            load.wait_for_more(MORE)
            instances.stop(number)
            load.wait_for_more(MORE)
            instances.restart(number)

    webhooks = received(instances, load.answered)
    assert all(len(came) == 1 for came in webhooks.values())


@pytest.mark.parametrize("mode", ["immediate", "fast"] if ROUNDS else ["immediate"])
def test_the_database_restarts(instances: Cluster, postgres_server: PostgresServer, mode: str) -> None:
    with Load(rate=100) as load:
        load.send_to(instances.port)
        load.wait_for_more(MORE)
        postgres_server.stop(mode)
        try:
            wait_until(lambda: load.refused, "a 503 while the database is away")
        finally:
            postgres_server.start()
        load.wait_for_more(MORE)

    webhooks = received(instances, load.answered)
    assert all(len(came) == 1 for came in webhooks.values())
