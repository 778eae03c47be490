"""Slots, turns and the end of attempts. No sockets: delivery is handed what makes attempts and what sends them."""

import asyncio
from collections.abc import Iterable

import pytest

from latehook.base.model import Outcome, Outgoing
from latehook.delivery.dispatcher import STARTS_A_TURN, Dispatcher

DONE = Outcome(0.0, 0.0, 200)


class StoredWebhook:
    """The engine's side and the sender's: every attempt is under way until the test ends it."""

    def __init__(self, destinations: dict[int, str | None] | None = None) -> None:
        self.destinations = destinations or {}
        self.nothing_to_send: set[int] = set()
        self.prepared: list[int] = []
        self.sent: dict[int, asyncio.Future[Outcome]] = {}
        self.concluded: list[tuple[int, Outcome]] = []

    def destination(self, key: int) -> str | None:
        return self.destinations.get(key, "http://sut.example")

    async def prepare(self, key: int) -> Outgoing | None:
        self.prepared.append(key)
        return None if key in self.nothing_to_send else Outgoing("POST", str(key), (), b"", 15.0)

    async def conclude(self, key: int, outcome: Outcome) -> None:
        self.concluded.append((key, outcome))

    async def send(self, outgoing: Outgoing) -> Outcome:
        self.sent[int(outgoing.url)] = asyncio.get_running_loop().create_future()
        return await self.sent[int(outgoing.url)]

    async def end(self, *keys: int) -> None:
        for key in keys:
            self.sent[key].set_result(DONE)
        await settle()


async def settle() -> None:
    """Return when all that can happen without the test has happened: nothing here waits for sockets or time."""
    for _ in range(100):
        await asyncio.sleep(0)


async def start(owed: StoredWebhook, keys: Iterable[int], workers: int = 2) -> Dispatcher:
    delivery = Dispatcher(owed, owed.send, workers)
    delivery.enqueue(keys)
    await settle()
    return delivery


async def test_an_attempt_is_made_sent_and_concluded() -> None:
    owed = StoredWebhook()
    await start(owed, [7])
    await owed.end(7)

    assert (owed.prepared, owed.concluded) == ([7], [(7, DONE)])


async def test_a_destination_has_so_many_attempts_at_once_and_no_more() -> None:
    owed = StoredWebhook()
    await start(owed, range(5), workers=2)
    assert list(owed.sent) == [0, 1]

    await owed.end(0)
    assert list(owed.sent) == [0, 1, 2]

    await owed.end(1, 2)
    assert list(owed.sent) == [0, 1, 2, 3, 4]


async def test_an_attempt_is_made_only_when_its_slot_is_free() -> None:
    owed = StoredWebhook()
    await start(owed, range(3), workers=1)
    assert owed.prepared == [0]

    await owed.end(0)
    assert owed.prepared == [0, 1]


async def test_a_destination_that_is_full_holds_back_no_other() -> None:
    hanging = dict.fromkeys(range(1000), "http://hanging.example")
    owed = StoredWebhook({**hanging, 1000: "http://quick.example"})
    delivery = await start(owed, range(1000), workers=2)
    await settle()
    delivery.enqueue([1000])
    await settle()
    await owed.end(1000)

    assert list(owed.sent) == [0, 1, 1000]
    assert owed.concluded == [(1000, DONE)]


async def test_those_that_waited_for_a_slot_come_before_those_that_became_due_later() -> None:
    owed = StoredWebhook()
    delivery = await start(owed, [1, 2, 3], workers=1)
    delivery.enqueue([4])
    await settle()
    await owed.end(1)
    await owed.end(2)
    await owed.end(3)

    assert list(owed.sent) == [1, 2, 3, 4]


async def test_in_one_turn_of_the_loop_only_some_attempts_start() -> None:
    owed = StoredWebhook()
    started_by_turn = []
    Dispatcher(owed, owed.send, workers=100).enqueue(range(3 * STARTS_A_TURN))
    for _ in range(6):
        await asyncio.sleep(0)
        started_by_turn.append(len(owed.prepared))

    steps = [after - before for before, after in zip([0, *started_by_turn], started_by_turn, strict=False)]
    assert max(steps) == STARTS_A_TURN
    assert started_by_turn[-1] == 3 * STARTS_A_TURN


async def test_what_is_not_to_be_sent_any_more_takes_no_slot() -> None:
    owed = StoredWebhook({1: None})
    owed.nothing_to_send = {2}
    await start(owed, [1, 2, 3], workers=1)

    assert (owed.prepared, list(owed.sent)) == ([2, 3], [3])


async def test_an_attempt_that_breaks_is_reported_and_gives_its_slot_back(caplog: pytest.LogCaptureFixture) -> None:
    owed = StoredWebhook()
    await start(owed, [1, 2], workers=1)
    owed.sent[1].set_exception(RuntimeError("a bug of ours"))
    await settle()

    assert list(owed.sent) == [1, 2]
    assert "an attempt broke: RuntimeError('a bug of ours')" in caplog.text


async def test_draining_waits_for_what_is_under_way_and_starts_nothing_more() -> None:
    owed = StoredWebhook()
    delivery = await start(owed, [1, 2, 3], workers=2)
    draining = asyncio.create_task(delivery.drain(10))
    await settle()
    await owed.end(1)
    assert not draining.done()

    await owed.end(2)

    assert draining.done()
    assert [key for key, _ in owed.concluded] == [1, 2]
    assert list(owed.sent) == [1, 2]


async def test_draining_breaks_off_what_takes_too_long() -> None:
    owed = StoredWebhook()
    delivery = await start(owed, [1, 2], workers=2)
    await owed.end(1)
    await delivery.drain(0.01)

    assert owed.sent[2].cancelled()
    assert [key for key, _ in owed.concluded] == [1]


async def test_after_draining_what_becomes_due_is_not_started() -> None:
    owed = StoredWebhook()
    delivery = await start(owed, [])
    await delivery.drain(10)
    delivery.enqueue([1])
    await settle()

    assert owed.prepared == []


async def test_more_slots_count_from_the_next_start() -> None:
    owed = StoredWebhook()
    delivery = await start(owed, [1, 2], workers=1)
    delivery.workers = 3
    delivery.enqueue([3])
    await settle()

    assert list(owed.sent) == [1, 3]


async def test_thousands_owed_to_a_full_destination_are_put_aside_in_few_turns() -> None:
    hanging = dict.fromkeys(range(3000), "http://hanging.example")
    owed = StoredWebhook({**hanging, 3000: "http://quick.example"})
    turns = 0
    Dispatcher(owed, owed.send, workers=2).enqueue(range(3001))
    while 3000 not in owed.sent:
        await asyncio.sleep(0)
        turns += 1

    assert turns < 30


async def test_of_those_that_wait_one_that_is_not_to_be_sent_any_more_holds_back_no_other() -> None:
    owed = StoredWebhook()
    await start(owed, [1, 2, 3, 4], workers=1)
    owed.destinations |= {2: None, 3: None}
    owed.nothing_to_send = {2, 3}
    await owed.end(1)

    assert list(owed.sent) == [1, 4]


async def test_one_whose_destination_cannot_be_told_holds_back_no_other() -> None:
    class Broken(StoredWebhook):
        def destination(self, key: int) -> str | None:
            if key == 1:
                raise ValueError("a bug of ours")
            return super().destination(key)

    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    owed = Broken()
    await start(owed, [1, 2])

    assert list(owed.sent) == [2]
    assert [str(context["exception"]) for context in reported] == ["a bug of ours"]
