"""Fixtures of the tests of the client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import latehook
from latehook.client.sync import Latehook
from support.jobs import MOCKS, post
from support.receivers import Receiver


@pytest.fixture(scope="module")
def started() -> Iterator[Latehook]:
    with latehook.start(MOCKS) as client:
        yield client


@pytest.fixture
def client(started: Latehook) -> Iterator[Latehook]:
    """The client of the file's proxy, which is reset after the test."""
    yield started
    started.reset()


@pytest.fixture
def create(client: Latehook, sut: Receiver) -> Callable[..., str]:
    """`create(**order)` starts a job whose webhooks go to the receiver, and returns its id."""

    def create(**order: Any) -> str:
        response = post(client, json={"url": f"{sut.url}/hook", **order})
        return str(response.json()["id"])

    return create
