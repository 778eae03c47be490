"""How many attempts to one destination begin at once, in virtual time."""

import asyncio
from collections.abc import Callable

from latehook.delivery.slots import FULL_FOR, NEW, NEW_FOR, NEW_FOR_AT_FIRST, SLOW, Slots
from support import virtual_time

WORKERS = 20


class Destination:
    """Starts as many attempts as may start, whenever one more may."""

    def __init__(self) -> None:
        self.attempts: list[asyncio.Task[None]] = []
        self.slots = Slots(self.start)

    @property
    def started(self) -> int:
        return len(self.attempts)

    def start(self) -> None:
        while self.slots.is_free(WORKERS):
            self.start_one()

    def start_one(self) -> None:
        self.attempts.append(asyncio.create_task(asyncio.sleep(1000)))
        self.slots.start(self.attempts[-1], WORKERS)

    def answer(self, number: int, keeps_open: bool, took: float = 0.001) -> None:
        self.slots.answered(took, keeps_open)
        self.slots.end(self.attempts[number])
        self.start()


def started_after(*steps: float | Callable[[Destination], None]) -> list[int]:
    """Return how many attempts have started at first, and after each step: seconds that pass, or an event."""

    async def run() -> None:
        destination = Destination()
        destination.start()
        started.append(destination.started)
        for step in steps:
            if callable(step):
                step(destination)
            else:
                await asyncio.sleep(step)
            started.append(destination.started)

    started: list[int] = []
    virtual_time.run(run())
    return started


def answer(
    number: int, took: float, keeps_open: bool = False, is_waited_for: bool = True
) -> Callable[[Destination], None]:
    """Return an event: the receiver answers the attempt with this number, while other webhooks wait or do not."""

    def do(destination: Destination) -> None:
        if is_waited_for:
            destination.slots.waiting.append(0)
        destination.answer(number, keeps_open, took)
        destination.slots.waiting.clear()

    return do


def test_while_nothing_is_known_of_a_receiver_a_few_begin_every_few_milliseconds() -> None:
    a_little_later = NEW_FOR_AT_FIRST * 1.01
    assert started_after(*[a_little_later] * 4) == [NEW, 2 * NEW, 3 * NEW, WORKERS, WORKERS]


def test_a_receiver_that_closes_its_connections_gets_the_next_after_an_answer_or_a_tenth_of_a_second() -> None:
    answer = [lambda destination, number=number: destination.answer(number, False) for number in range(NEW)]
    steps = [*answer, NEW_FOR * 0.9, NEW_FOR * 0.2]
    assert started_after(*steps) == [NEW, *range(NEW + 1, 2 * NEW + 1), 2 * NEW, 3 * NEW]


def test_each_answer_whose_connection_stays_open_lets_one_more_begin() -> None:
    answer = [lambda destination, number=number: destination.answer(number, True) for number in range(4)]
    assert started_after(*answer) == [NEW, NEW + 2, NEW + 4, NEW + 6, NEW + 8]


def test_while_others_wait_each_answer_of_a_slow_receiver_that_did_not_wait_itself_lets_one_more_begin() -> None:
    others_did_wait = answer(2, 2 * SLOW)
    nobody_waits = answer(3, SLOW, is_waited_for=False)
    fast = answer(4, SLOW / 2)
    steps = [answer(0, SLOW), answer(1, 1.2 * SLOW), others_did_wait, nobody_waits, fast]
    assert [after - NEW for after in started_after(*steps)] == [0, 2, 4, 5, 6, 7]


def connected(destination: Destination) -> None:
    destination.slots.connected()


def stalled(destination: Destination) -> None:
    destination.slots.stalled()


def test_while_a_receiver_takes_no_more_connections_an_attempt_begins_when_another_ends() -> None:
    ends = [answer(number, SLOW) for number in range(NEW, 2 * NEW)]
    steps = [connected, NEW_FOR_AT_FIRST * 1.01, stalled, *[answer(number, SLOW) for number in range(NEW)]]
    waits_for_the_first = [NEW, NEW, 2 * NEW, 2 * NEW, *[2 * NEW] * NEW]
    one_for_each = [2 * NEW + number + 1 for number in range(NEW)]

    started = started_after(*steps, NEW_FOR * 2, *ends, NEW_FOR * 2, answer(2 * NEW, SLOW, keeps_open=True))

    assert started == [*waits_for_the_first, 2 * NEW, *one_for_each, 3 * NEW, 3 * NEW + 2]


def test_a_receiver_that_took_no_more_connections_gets_more_at_once_after_a_while() -> None:
    *ends, next_end = [lambda destination, at=at: destination.answer(at, False) for at in range(NEW + 1)]

    started = started_after(connected, NEW_FOR_AT_FIRST * 1.01, stalled, *ends, FULL_FOR, next_end)

    assert started[-2:] == [2 * NEW, 3 * NEW]


def test_a_receiver_that_takes_no_connection_at_all_is_not_spared() -> None:
    a_little_later = NEW_FOR_AT_FIRST * 1.01
    assert started_after(stalled, a_little_later, a_little_later) == [NEW, NEW, 2 * NEW, 3 * NEW]


def test_a_receiver_that_keeps_enough_connections_open_gets_as_many_as_may_run() -> None:
    async def run() -> None:
        destination = Destination()
        destination.start()
        for number in range(WORKERS):
            destination.answer(number, True)
        assert destination.started == 2 * WORKERS
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        timers = loop.running_timers
        destination.start_one()
        assert loop.running_timers == timers  # it would cost time for nothing

    virtual_time.run(run())
