"""Instances with one store that are killed, paused, stopped and started, and a database that restarts, all under load.

Each identifier that was answered is received. Received twice is only what was under way in a killed or paused instance.
"""

import pytest

from support.cluster import JOBS, ROUNDS, Cluster, jobs_of, send
from support.limits import LONG_LIMIT
from support.load import Load
from support.postgres import PostgresServer
from support.receivers import Received
from support.waiting import wait_until

MORE = 300 if ROUNDS else 40
"""Responses to wait for before and after each interruption."""

UNDER_WAY = 2.0
"""Seconds that an attempt may be under way: its receiver answers at once, the machine may be busy."""


def received(instances: Cluster, load: Load) -> dict[str, list[Received]]:
    """Return the webhooks by job, as soon as each job that was answered has one."""
    missing = set(load.answered)

    def all_have_come() -> bool:
        missing.difference_update(jobs_of(instances.sut.requests))
        return not missing

    wait_until(all_have_come, f"a webhook for each of {len(load.answered)} jobs", LONG_LIMIT)
    return jobs_of(instances.sut.requests)


def check_doubled(instances: Cluster, webhooks: dict[str, list[Received]]) -> None:
    """Check that webhooks which came twice are the same attempts, and were cut by a kill or a pause."""
    doubled = [came for came in webhooks.values() if len(came) > 1]
    print(f"jobs {len(webhooks)}, doubled {len(doubled)}")
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

    check_doubled(instances, received(instances, load))


def test_one_is_paused_for_longer_than_the_lease_and_goes_on(instances: Cluster) -> None:
    with Load(rate=100) as load:
        load.send_to(instances.port)
        load.wait_for_more(MORE)
        with instances.paused(1):
            answered = Load(rate=1)
            answered.answered = list(load.answered)
            received(instances, answered)  # the others send what this one owed
            load.wait_for_more(MORE)
        load.wait_for_more(MORE)
    webhooks = received(instances, load)
    wait_until(lambda: send(instances.ports[1], "POST", JOBS)[0] == 200, "the instance works again")

    check_doubled(instances, webhooks)


def test_each_is_stopped_and_started_again(instances: Cluster) -> None:
    with Load(rate=100) as load:
        load.send_to(instances.port)
        for number in range(len(instances.ports)):
            load.wait_for_more(MORE)
            instances.stop(number)
            load.wait_for_more(MORE)
            instances.restart(number)

    webhooks = received(instances, load)
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

    webhooks = received(instances, load)
    assert all(len(came) == 1 for came in webhooks.values())
