"""The operations as commands of mitmproxy."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from mitmproxy import command, exceptions

from latehook.base import logs
from latehook.base.coroutines import MustWait, result_at_once
from latehook.base.errors import LatehookError
from latehook.base.model import UNKNOWN, StoredWebhook, waits_for
from latehook.engine.filters import JOBS
from latehook.engine.operations import IdOrFilter, Operations

log = logging.getLogger(logs.LOGGER)


class Commands:
    """The operations as commands `mock.…` of mitmproxy. They start at once; their results are logged when they end."""

    name = "latehook-commands"

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._running: set[asyncio.Task[None]] = set()

    @command.command("mock.pending")
    def pending(self) -> Sequence[str]:
        """List the webhooks still owed: id, state, seconds to go, target, job."""
        try:
            unfinished = result_at_once(self._operations.queries.unfinished())
        except MustWait:
            problem = "the store is on another machine: see the page, or GET /_latehook/webhooks?state=pending"
            raise exceptions.CommandError(problem) from None
        return [self._line(owed) for owed in unfinished]

    @command.command("mock.hold")
    def hold(self, *which: str) -> None:
        """Hold webhooks, so that none starts: one by its id, those that filters select (state=pending …), or all."""
        self._run(self._on(self._operations.hold, which), "hold", *which)

    @command.command("mock.release")
    def release(self, *which: str) -> None:
        """Release held webhooks: one by its id, those that filters select, or all."""
        self._run(self._on(self._operations.release, which), "release", *which)

    @command.command("mock.fire")
    def fire(self, id: str) -> None:
        """Send a webhook now, and move its job to the webhook's stage."""
        self._run(self._operations.fire(id), "fire", id)

    @command.command("mock.cancel")
    def cancel(self, *which: str) -> None:
        """Cancel webhooks that are owed: one by its id, those that filters select, or all."""
        self._run(self._on(self._operations.cancel, which), "cancel", *which)

    @command.command("mock.resend")
    def resend(self, *which: str) -> None:
        """Send ended webhooks again: one by its id, those that filters select, or all."""
        self._run(self._on(self._operations.resend, which), "resend", *which)

    @command.command("mock.advance")
    def advance(self, duration: str, job: str = "") -> None:
        """Advance the clock of all jobs, or of one: what becomes due in this time happens now."""
        self._run(self._advance(duration, job or None), "advance", duration, job)

    @command.command("mock.reset")
    def reset(self, *filters: str) -> None:
        """Reset to the state after the start, or forget the jobs that filters select."""
        self._run(self._reset(filters), "reset", *filters)

    async def _on(self, operation: Callable[[IdOrFilter], Awaitable[object]], words: Sequence[str]) -> None:
        """Carry out an operation on the webhook with this id, on those that filters select, or on all without words."""
        if len(words) == 1 and "=" not in words[0]:
            await operation(words[0])
        else:
            await operation(self._operations.queries.parse_filter(_filters(words)))

    async def _reset(self, words: Sequence[str]) -> None:
        await self._operations.reset(self._operations.queries.parse_filter(_filters(words), JOBS))

    async def _advance(self, duration: str, job: str | None) -> str:
        left = await self._operations.advance(duration, job)
        return f"; not in time: {', '.join(owed.webhook.id for owed in left)}" if left else ""

    def _run(self, operation: Coroutine[Any, Any, object], *words: str) -> None:
        name = " ".join(words).strip()

        async def run() -> None:
            try:
                result = await operation
            except LatehookError as error:
                log.warning("latehook: %s: %s", name, error)
            else:
                log.info("latehook: %s: done%s", name, result if isinstance(result, str) else "")

        task = asyncio.get_running_loop().create_task(run(), name=f"latehook: {name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _line(self, owed: StoredWebhook) -> str:
        webhook = owed.webhook
        to_go = f"{self._operations.due_in(owed):.1f} s"
        if webhook.due == UNKNOWN:
            to_go = f"waits for {waits_for(owed.job.stages[: webhook.stage + 1])}"
        line = (
            f"{webhook.id} {webhook.state} {to_go} {webhook.to or '(a URL that is decided then)'} (job {owed.job.id})"
        )
        return self._operations.redact(line)


def _filters(words: Sequence[str]) -> dict[str, str]:
    """Return the filters that a command's words write as `state=held`."""
    return {name: value for name, _, value in (word.partition("=") for word in words)}
