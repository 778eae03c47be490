"""The loop of simulated processes behaves as a real one, where Latehook relies on it."""

import asyncio

from support.simulation.loop import SimulatedLoop


def test_an_eager_task_starts_at_once() -> None:
    seen: list[str] = []

    async def eager() -> None:
        seen.append("eager")

    async def work() -> None:
        task = asyncio.Task(eager(), loop=asyncio.get_running_loop(), eager_start=True)
        seen.append("work")
        await task

    loop = SimulatedLoop(lambda: 0.0)
    task = loop.create_task(work())
    loop.turn()
    assert task.done() and seen == ["eager", "work"]
    loop.end()
