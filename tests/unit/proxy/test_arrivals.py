"""Clients that connect at one moment begin a few a turn: others are served in between."""

import asyncio

from latehook.proxy.arrivals import CLIENTS_PER_TURN, Arrivals


def test_of_many_clients_a_few_begin_at_once_and_each_other_one_in_a_turn_of_its_own() -> None:
    begun: list[int] = []
    turn = 0

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    async def begin(arrivals: Arrivals) -> None:
        await arrivals.next()
        begun.append(turn)

    async def run() -> None:
        arrivals = Arrivals()
        counting = asyncio.create_task(count_turns())
        for _ in range(2):  # the second time, in a later turn
            await asyncio.gather(*(begin(arrivals) for _ in range(30)))
        counting.cancel()

    asyncio.run(run())

    for first in (begun[:30], begun[30:]):
        assert len(set(first[:CLIENTS_PER_TURN])) == 1
        others = first[CLIENTS_PER_TURN:]
        assert others == sorted(set(others))
