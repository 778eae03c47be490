"""The schedule, in virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from latehook.base.clock import Clock
from latehook.delivery.schedule import LONGEST_SLEEP, Schedule
from support import virtual_time
from support.virtual_time import NOON, SettableClock, VirtualTimeLoop, loop_time


class ScheduleSetup:
    """A schedule, its clock, and the keys with which it called `wake`, each list with the loop's time (0 at noon)."""

    def __init__(self) -> None:
        self.machine_clock = SettableClock()
        self.woken: list[tuple[float, list[int]]] = []
        self.slept = 0.0
        clock = Clock(self.machine_clock, steady=lambda: loop_time() + self.slept)
        self.schedule = Schedule(clock, self._wake)

    def _wake(self, keys: list[int]) -> None:
        self.woken.append((round(self.loop.time(), 3), keys))

    @property
    def loop(self) -> VirtualTimeLoop:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        return loop


def run(scenario: Callable[[ScheduleSetup], Coroutine[Any, Any, None]]) -> ScheduleSetup:
    setup = ScheduleSetup()
    virtual_time.run(scenario(setup))
    return setup


def test_keys_wake_in_the_order_of_due_times() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        for key, due in enumerate([30, 10, 20]):
            setup.schedule.push(NOON + due, key)
        await asyncio.sleep(60)

    assert run(scenario).woken == [(10, [1]), (20, [2]), (30, [0])]


def test_keys_that_are_due_together_wake_together_in_order() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        for key in (3, 1, 2):
            setup.schedule.push(NOON + 5, key)
        await asyncio.sleep(60)

    assert run(scenario).woken == [(5, [1, 2, 3])]


def test_one_timer_is_enough_for_a_thousand_webhooks() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        for key in range(1000):
            setup.schedule.push(NOON + 5 + key, key)

        assert len(setup.schedule) == 1000
        assert setup.loop.running_timers == 1
        assert len(setup.loop.timers) == 1  # a later one sets no timer at all

    run(scenario)


def test_a_key_pushed_later_may_be_due_earlier() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 20, 1)
        setup.schedule.push(NOON + 3, 2)
        assert setup.loop.running_timers == 1
        await asyncio.sleep(60)

    assert run(scenario).woken == [(3, [2]), (20, [1])]


def test_an_overdue_key_wakes_at_once_but_not_inside_push() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON - 100, 1)
        assert setup.woken == []
        await asyncio.sleep(1)

    assert run(scenario).woken == [(0, [1])]


def test_a_key_can_be_pushed_again_after_it_woke() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 1, 1)
        await asyncio.sleep(1)
        setup.schedule.push(NOON + 2, 1)  # a retry
        await asyncio.sleep(60)

    assert run(scenario).woken == [(1, [1]), (2, [1])]


def test_a_due_time_days_away_is_exact() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 86_400, 1)
        await asyncio.sleep(100_000)

    assert run(scenario).woken == [(86_400, [1])]


@pytest.mark.parametrize("jump", [3600.0, 86_400.0])
def test_a_machine_that_slept_is_noticed_soon(jump: float) -> None:
    """The loop's time stood still, the steady clock did not."""

    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 3600, 1)
        await asyncio.sleep(10)
        setup.slept += jump
        await asyncio.sleep(60)

    [(at, keys)] = run(scenario).woken
    assert keys == [1]
    assert at <= 10 + LONGEST_SLEEP


@pytest.mark.parametrize("step", [-1e9, -3600.0, -1.0, 1.0, 3600.0, 1e9])
def test_a_machine_whose_clock_is_set_makes_nothing_late_or_early(step: float) -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 20, 1)
        await asyncio.sleep(10)
        setup.machine_clock.offset += step
        setup.schedule.push(NOON + 40, 2)
        await asyncio.sleep(60)

    assert run(scenario).woken == [(20, [1]), (40, [2])]


def test_after_stop_nothing_wakes() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 5, 1)
        setup.schedule.stop()
        setup.schedule.push(NOON + 6, 2)
        assert setup.loop.running_timers == 0
        await asyncio.sleep(60)

    assert run(scenario).woken == []


@pytest.mark.parametrize("number", [0, 1, 7, 50, 200, 201])
def test_the_first_keys_are_those_that_are_due_first(number: int) -> None:
    source = random.Random(number)
    entries = [(NOON + source.randrange(100), key) for key in range(200)]

    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.load(entries[:100])
        for entry in entries[100:]:
            setup.schedule.push(*entry)
        assert setup.schedule.first(number) == [key for _, key in sorted(entries)[:number]]
        assert len(setup.schedule) == 200

    run(scenario)


def test_an_empty_schedule_has_no_timer() -> None:
    async def scenario(setup: ScheduleSetup) -> None:
        setup.schedule.push(NOON + 1, 1)
        await asyncio.sleep(5)
        assert (len(setup.schedule), setup.loop.running_timers) == (0, 0)

    run(scenario)
