"""How far an advance may move the clock."""

import asyncio

from latehook.delivery.barrier import AdvanceBarrier
from latehook.webhooks.retries import NEVER


def test_an_empty_barrier_has_no_limit() -> None:
    barrier = AdvanceBarrier()

    assert (barrier.limit, barrier.is_empty) == (NEVER, True)


def test_the_clock_stops_at_a_due_time_until_the_least_wait_is_known() -> None:
    barrier = AdvanceBarrier()
    barrier.add([1, 2], 100.0)
    assert barrier.limit == 100.0

    barrier.set_least_wait(1, 10.0)
    assert barrier.limit == 100.0

    barrier.set_least_wait(2, 5.0)
    assert barrier.limit == 105.0


def test_an_attempt_that_has_ended_does_not_stop_the_clock() -> None:
    barrier = AdvanceBarrier()
    barrier.add([1, 2], 100.0)
    barrier.set_least_wait(1, 5.0)
    barrier.set_least_wait(2, NEVER)

    barrier.remove(1)

    assert (barrier.limit, barrier.keys(10), barrier.is_empty) == (NEVER, [2], False)
    barrier.remove(2)
    assert barrier.is_empty


def test_only_webhooks_that_became_due_in_the_advance_have_a_due_time() -> None:
    barrier = AdvanceBarrier()
    barrier.add([1], 100.0)
    barrier.set_least_wait(2, 5.0)

    assert (barrier.due_time(1), barrier.due_time(2), barrier.limit) == (100.0, None, 100.0)


async def test_changed_returns_when_the_limit_may_have_moved() -> None:
    barrier = AdvanceBarrier()
    barrier.add([1], 100.0)
    for change in (lambda: barrier.set_least_wait(1, 5.0), lambda: barrier.remove(1)):
        waiting = asyncio.create_task(barrier.changed())
        await asyncio.sleep(0)
        assert not waiting.done()

        change()
        await waiting
