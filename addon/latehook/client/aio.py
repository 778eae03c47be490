"""The client, awaitable: for tests whose system runs in the same event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

import httpx

from latehook.client import calls, failures, process
from latehook.client.address import Place
from latehook.client.calls import Answer, Ask, Call, Filters, OfRequests, OfWebhooks
from latehook.client.http import CLIENT, Shell, answer
from latehook.client.mocks import Mocks, read_mocks
from latehook.client.models import Job, Request, Webhook

__tracebackhide__ = failures.is_told


@asynccontextmanager
async def connect(port: int, host: str = "127.0.0.1", token: str | None = None) -> AsyncIterator["Latehook"]:
    """A client of a proxy that runs. `token` is its `mock_token`, where it is on another machine."""
    with TemporaryDirectory(prefix="latehook-") as folder:
        place = Place(host, port, Path(folder) / "ca-bundle.pem", token)
        latehook = Latehook(place)
        place.ca_bundle.write_bytes(await latehook._do(calls.ca_bundle()))
        yield latehook


@asynccontextmanager
async def start(mocks: Mocks | None = None, **options: str | Sequence[str]) -> AsyncIterator["Latehook"]:
    """A proxy of one's own, with these mocks: a path, YAML text, or a dict. `options` are those of `--set`."""
    own = process.started(mocks, options)
    async with AsyncExitStack() as stack:
        started = await asyncio.to_thread(own.__enter__)
        stack.push_async_exit(lambda *raised: asyncio.to_thread(own.__exit__, *raised))
        yield await stack.enter_async_context(connect(started.port))


class Latehook(Shell):
    """A proxy's operations, each awaited, and where it is. latehook.client.sync.Latehook says what each does.

    It holds no connection between two calls, so that it may be used from one loop after the other.
    """

    async def vars(self, **values: Any) -> dict[str, Any]:
        """Set these variables; how all of them stand."""
        if values:
            await self._do(calls.set_vars(values))
        return await self._do(calls.get_vars())

    async def load(self, mocks: Mocks) -> None:
        await self._do(calls.load(read_mocks(mocks, self._folders)))

    async def advance(self, duration: str | float, job: str | None = None) -> None:
        await self._do(calls.advance(duration, job))

    async def wait_for(
        self,
        *,
        state: str | Sequence[str] = "delivered",
        count: int = 1,
        timeout: str | float = "10s",
        **filters: Unpack[OfWebhooks],
    ) -> list[Webhook]:
        return await self._do(calls.wait_for(state, count, timeout, filters))

    async def pending(self, **filters: Unpack[OfWebhooks]) -> list[Webhook]:
        return await self._do(calls.pending(filters))

    async def webhooks(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Webhook]:
        return await self._do(calls.webhooks(filters, limit))

    async def requests(
        self, matched: bool | None = None, *, limit: int | None = None, **filters: Unpack[OfRequests]
    ) -> list[Request]:
        return await self._do(calls.requests(matched, filters, limit))

    async def jobs(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Job]:
        return await self._do(calls.jobs(filters, limit))

    async def fire(self, webhook: str | Webhook) -> Webhook:
        return await self._do(calls.one("fire", webhook))

    async def hold(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        await self._do(calls.several("hold", webhook, filters))

    async def release(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        await self._do(calls.several("release", webhook, filters))

    async def cancel(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        await self._do(calls.several("cancel", webhook, filters))

    async def resend(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        await self._do(calls.several("resend", webhook, filters))

    async def reset(self, **filters: Unpack[Filters]) -> None:
        await self._do(calls.several("reset", None, filters))

    async def check_strictly(self) -> None:
        await self._do(calls.strict())

    async def _do[Result](self, call: Call[Result]) -> Result:
        try:
            ask = next(call)
            while True:
                ask = call.send(await self._answer(ask))
        except StopIteration as ended:
            result: Result = ended.value
            return result

    async def _answer(self, ask: Ask) -> Answer:
        try:
            async with httpx.AsyncClient(**CLIENT) as http:
                return answer(await http.send(self._request(ask)))
        except httpx.HTTPError as error:
            raise self._silence(error) from None
