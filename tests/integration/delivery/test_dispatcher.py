"""Slots, turns and the end of attempts, without sockets: the test makes the attempts and ends them."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from latehook.base.messages import Outcome, Outgoing
from latehook.delivery.dispatcher import STARTS_PER_TURN, Dispatcher
from latehook.delivery.slots import NEW, NEW_FOR_AT_FIRST
from support import virtual_time

DONE = Outcome(0.0, 0.0, 200)
KEPT_OPEN = Outcome(0.0, 0.0, 200, keeps_open=True)


class FakeAttempts:
    """Handles and sends attempts: each one runs until the test ends it."""

    def __init__(self, destinations: dict[int, str | None] | None = None) -> None:
        self.places = destinations or {}
        self.nothing_to_send: set[int] = set()
        self.prepared: list[int] = []
        self.sent: dict[int, asyncio.Future[Outcome]] = {}
        self.concluded: list[tuple[int, Outcome]] = []

    async def destinations(self, keys: Sequence[int]) -> list[str | None]:
        return [self.places.get(key, "http://sut.example") for key in keys]

    async def prepare(self, key: int) -> Outgoing | None:
        self.prepared.append(key)
        return None if key in self.nothing_to_send else Outgoing("POST", str(key), (), b"", 15.0)

    async def conclude(self, key: int, outcome: Outcome) -> None:
        self.concluded.append((key, outcome))

    async def send(self, outgoing: Outgoing, observer: object = None) -> Outcome:
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


async def start(attempts: FakeAttempts, keys: Iterable[int], workers: int = 2) -> Dispatcher:
    dispatcher = Dispatcher(attempts, attempts.send, workers)
    dispatcher.enqueue(keys)
    await settle()
    return dispatcher


async def test_an_attempt_is_made_sent_and_concluded() -> None:
    attempts = FakeAttempts()
    await start(attempts, [7])
    await attempts.end(7)

    assert (attempts.prepared, attempts.concluded) == ([7], [(7, DONE)])


async def test_a_destination_has_a_limited_number_of_attempts_at_once() -> None:
    attempts = FakeAttempts()
    await start(attempts, range(5), workers=2)
    assert list(attempts.sent) == [0, 1]

    await attempts.end(0)
    assert list(attempts.sent) == [0, 1, 2]

    await attempts.end(1, 2)
    assert list(attempts.sent) == [0, 1, 2, 3, 4]


async def test_all_slots_are_used_again_when_several_become_free() -> None:
    attempts = FakeAttempts()
    await start(attempts, range(3 * NEW), workers=NEW)
    for key in range(NEW):
        attempts.sent[key].set_result(DONE)
    await settle()

    assert list(attempts.sent) == list(range(2 * NEW))


def test_attempts_that_begin_at_once_are_few_until_the_receiver_keeps_connections_open() -> None:
    async def run() -> None:
        attempts = FakeAttempts()
        dispatcher = await start(attempts, range(100), workers=50)
        assert len(attempts.sent) == NEW

        attempts.sent[0].set_result(KEPT_OPEN)
        await settle()
        assert len(attempts.sent) == NEW + 2
        await dispatcher.abort()

    virtual_time.run(run())


def test_a_webhook_that_is_enqueued_again_while_its_attempt_begins_takes_and_frees_a_slot_of_its_own() -> None:
    async def run() -> None:
        attempts = FakeAttempts()
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        dispatcher = await start(attempts, [7], workers=50)
        attempts.nothing_to_send = {7}
        dispatcher.enqueue([7])
        await asyncio.sleep(2 * NEW_FOR_AT_FIRST)

        assert not errors
        await attempts.end(7)
        assert attempts.concluded == [(7, DONE)]

    virtual_time.run(run())


async def test_an_attempt_is_made_only_when_its_slot_is_free() -> None:
    attempts = FakeAttempts()
    await start(attempts, range(3), workers=1)
    assert attempts.prepared == [0]

    await attempts.end(0)
    assert attempts.prepared == [0, 1]


async def test_a_full_destination_does_not_delay_others() -> None:
    hanging = dict.fromkeys(range(1000), "http://hanging.example")
    attempts = FakeAttempts({**hanging, 1000: "http://quick.example"})
    dispatcher = await start(attempts, range(1000), workers=2)
    await settle()
    dispatcher.enqueue([1000])
    await settle()
    await attempts.end(1000)

    assert list(attempts.sent) == [0, 1, 1000]
    assert attempts.concluded == [(1000, DONE)]


async def test_webhooks_that_wait_for_a_slot_come_first() -> None:
    attempts = FakeAttempts()
    dispatcher = await start(attempts, [1, 2, 3], workers=1)
    dispatcher.enqueue([4])
    await settle()
    await attempts.end(1)
    await attempts.end(2)
    await attempts.end(3)

    assert list(attempts.sent) == [1, 2, 3, 4]


async def test_a_limited_number_of_attempts_start_in_one_turn_of_the_loop() -> None:
    attempts = FakeAttempts({key: f"http://sut{key}.example" for key in range(3 * STARTS_PER_TURN)})
    started_by_turn = []
    Dispatcher(attempts, attempts.send, workers=100).enqueue(range(3 * STARTS_PER_TURN))
    for _ in range(6):
        await asyncio.sleep(0)
        started_by_turn.append(len(attempts.prepared))

    steps = [after - before for before, after in zip([0, *started_by_turn], started_by_turn, strict=False)]
    assert max(steps) == STARTS_PER_TURN
    assert started_by_turn[-1] == 3 * STARTS_PER_TURN


async def test_a_webhook_that_is_not_sent_any_more_takes_no_slot() -> None:
    attempts = FakeAttempts({1: None})
    attempts.nothing_to_send = {2}
    await start(attempts, [1, 2, 3], workers=1)

    assert (attempts.prepared, list(attempts.sent)) == ([2, 3], [3])


async def test_an_error_in_an_attempt_is_logged_and_frees_its_slot(caplog: pytest.LogCaptureFixture) -> None:
    attempts = FakeAttempts()
    await start(attempts, [1, 2], workers=1)
    attempts.sent[1].set_exception(RuntimeError("a bug of ours"))
    await settle()

    assert list(attempts.sent) == [1, 2]
    assert "an attempt broke: RuntimeError('a bug of ours')" in caplog.text


async def test_drain_waits_for_running_attempts_and_starts_no_more() -> None:
    attempts = FakeAttempts()
    dispatcher = await start(attempts, [1, 2, 3], workers=2)
    draining = asyncio.create_task(dispatcher.drain(10))
    await settle()
    await attempts.end(1)
    assert not draining.done()

    await attempts.end(2)

    assert draining.done()
    assert [key for key, _ in attempts.concluded] == [1, 2]
    assert list(attempts.sent) == [1, 2]


async def test_drain_cancels_slow_attempts() -> None:
    attempts = FakeAttempts()
    dispatcher = await start(attempts, [1, 2], workers=2)
    await attempts.end(1)
    await dispatcher.drain(0.01)

    assert attempts.sent[2].cancelled()
    assert [key for key, _ in attempts.concluded] == [1]


async def test_after_drain_nothing_is_started() -> None:
    attempts = FakeAttempts()
    dispatcher = await start(attempts, [])
    await dispatcher.drain(10)
    dispatcher.enqueue([1])
    await settle()

    assert attempts.prepared == []


async def test_a_higher_number_of_slots_applies_to_the_next_attempt() -> None:
    attempts = FakeAttempts()
    dispatcher = await start(attempts, [1, 2], workers=1)
    dispatcher.set_workers(3)
    dispatcher.enqueue([3])
    await settle()

    assert list(attempts.sent) == [1, 3]


async def test_thousands_of_webhooks_to_a_full_destination_are_examined_in_few_turns() -> None:
    hanging = dict.fromkeys(range(3000), "http://hanging.example")
    attempts = FakeAttempts({**hanging, 3000: "http://quick.example"})
    turns = 0
    Dispatcher(attempts, attempts.send, workers=2).enqueue(range(3001))
    while 3000 not in attempts.sent:
        await asyncio.sleep(0)
        turns += 1

    assert turns < 30


async def test_a_waiting_webhook_that_is_not_sent_any_more_does_not_block_others() -> None:
    attempts = FakeAttempts()
    await start(attempts, [1, 2, 3, 4], workers=1)
    attempts.places |= {2: None, 3: None}
    attempts.nothing_to_send = {2, 3}
    await attempts.end(1)

    assert list(attempts.sent) == [1, 4]


async def test_an_error_about_destinations_does_not_block_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeAttempts):
        async def destinations(self, keys: Sequence[int]) -> list[str | None]:
            if 1 in keys:
                raise ValueError("a bug of ours")
            return await super().destinations(keys)

    attempts = Broken()
    dispatcher = await start(attempts, [1])
    dispatcher.enqueue([2])
    await settle()

    assert list(attempts.sent) == [2]
    assert "a bug of ours" in caplog.text
