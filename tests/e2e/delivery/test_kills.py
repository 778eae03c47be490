"""The process is killed or stopped again and again while requests come: every client that got a response is called back."""

import json
import os
import random
import threading
from collections import Counter

import pytest

from support.limits import LIMIT
from support.load import Load
from support.receivers import Handler, Receiver, answer
from support.stored_jobs import Start
from support.waiting import wait_until

ROUNDS = int(os.environ.get("LATEHOOK_ROUNDS", "4"))
"""How often the process is killed. The full proof has 25 and more."""


@pytest.mark.slow
def test_every_answered_job_is_called_back_although_the_process_is_killed_repeatedly(
    start_with_store: Start, sut: Receiver
) -> None:
    chance = random.Random(4)
    sut.behave = answer(200)

    with Load(rate=100) as load:
        for _ in range(ROUNDS):
            proxy = start_with_store("500ms", EXTRA="x")
            load.send_to(proxy.port)
            load.wait_for_more(chance.randint(20, 150))
            proxy.kill()
            load.send_to(0)
    start_with_store("500ms")

    def received() -> Counter[str]:
        return Counter(json.loads(webhook.body)["id"] for webhook in list(sut.requests))

    wait_until(lambda: set(load.answered) <= set(received()), "every answered job is called back")
    unanswered = set(received()) - set(load.answered)
    twice = [id for id, count in received().items() if count > 1]
    print(
        f"{ROUNDS} rounds: {len(load.answered)} answered, {load.broken_off} broken off;"
        f" {len(unanswered)} received and not answered, {len(twice)} received twice, {max(received().values())} at most"
    )
    assert len(unanswered) <= load.broken_off
    assert len(twice) <= MOST_ATTEMPTS * ROUNDS  # at most the attempts that were running at each kill
    assert max(received().values()) <= 3


MOST_ATTEMPTS = 128
"""How many attempts to one destination run at once."""


@pytest.mark.slow
def test_a_process_that_is_stopped_sends_no_webhook_twice(start_with_store: Start, sut: Receiver) -> None:
    stopping = threading.Event()

    def answer_when_it_stops(handler: Handler, number: int) -> None:
        stopping.wait(LIMIT)
        answer(200)(handler, number)

    sut.behave = answer_when_it_stops
    with Load(rate=60) as load:
        for _ in range(3):
            stopping.clear()
            proxy = start_with_store("100ms")
            load.send_to(proxy.port)
            load.wait_for_more(40)
            load.send_to(0)
            stopping.set()
            assert proxy.stop() == 0
    start_with_store("100ms")

    wait_until(
        lambda: {json.loads(webhook.body)["id"] for webhook in list(sut.requests)} >= set(load.answered),
        "every answered job is called back",
    )
    assert set(Counter(json.loads(webhook.body)["id"] for webhook in sut.requests).values()) == {1}
