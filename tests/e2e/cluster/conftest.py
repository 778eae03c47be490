"""Instances with one store, shared by the tests of a module: each test finds them all up, and without jobs."""

from collections.abc import Iterator

import pytest

from support.cluster import MOCKS, ROUNDS, Cluster, cluster
from support.postgres import PostgresServer
from support.receivers import answer, receiver


@pytest.fixture(scope="module", params=[2, 3] if ROUNDS else [3], ids=lambda count: f"{count} instances")
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Cluster]:
    """The instances, and the receiver of their webhooks."""
    confdir = request.getfixturevalue("confdir")
    with receiver() as hooks:
        store = postgres_server.url(f"{request.module.__name__.rpartition('.')[2]}_{request.param}")
        with cluster(tmp_path_factory.mktemp("cluster"), confdir, MOCKS, hooks, request.param, store) as started:
            yield started


@pytest.fixture(params=range(ROUNDS or 1), ids=lambda number: f"round {number}")
def instances(shared: Cluster) -> Iterator[Cluster]:
    """The instances, all of which run. They are reset after the test."""
    yield shared
    for number, instance in enumerate(shared.instances):
        if instance.process.poll() is not None:
            shared.restart(number)
    with shared.client(0) as client:
        client.reset()
    shared.sut.behave = answer()
    shared.sut.requests.clear()
    shared.cuts.clear()
