"""The client, for tests and scripts that wait for each answer."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

import httpx

from latehook.client import calls, failures, process
from latehook.client.address import Place
from latehook.client.aio import Latehook as AsyncLatehook
from latehook.client.calls import Answer, Ask, Call, Filters, OfRequests, OfWebhooks
from latehook.client.http import CLIENT, Shell, answer
from latehook.client.mocks import Mocks, read_mocks
from latehook.client.models import Job, Request, Webhook

__tracebackhide__ = failures.is_told


@contextmanager
def connect(port: int, host: str = "127.0.0.1", token: str | None = None) -> Iterator["Latehook"]:
    """A client of a proxy that runs. `token` is its `mock_token`, where it is on another machine."""
    with TemporaryDirectory(prefix="latehook-") as folder, httpx.Client(**CLIENT) as http:
        place = Place(host, port, Path(folder) / "ca-bundle.pem", token)
        latehook = Latehook(place, http)
        place.ca_bundle.write_bytes(latehook._do(calls.ca_bundle()))
        yield latehook


@contextmanager
def start(mocks: Mocks | None = None, **options: str | Sequence[str]) -> Iterator["Latehook"]:
    """A proxy of one's own, with these mocks: a path, YAML text, or a dict. `options` are those of `--set`."""
    with process.started(mocks, options) as own, connect(own.port) as latehook:
        yield latehook


class Latehook(Shell):
    """A proxy's operations, and where it is."""

    def __init__(self, place: Place, http: httpx.Client, beside: Path | None = None) -> None:
        super().__init__(place, beside)
        self._http = http

    def reading_beside(self, folder: Path) -> "Latehook":
        """The same, for mocks files that lie in this folder."""
        return Latehook(self._place, self._http, folder)

    @property
    def aio(self) -> AsyncLatehook:
        """The same, awaitable."""
        return AsyncLatehook(self._place, *self._folders[:-1])

    @property
    def vars(self) -> "Vars":
        """The variables, as a dict: what is set counts at once."""
        return Vars(self)

    def load(self, mocks: Mocks) -> None:
        """Put mocks in front of those there are, until the next reset: a path, YAML text, or a dict."""
        self._do(calls.load(read_mocks(mocks, self._folders)))

    def advance(self, duration: str | float, job: str | None = None) -> None:
        """All that becomes due in this time happens now, in order. NotHappened says what has not within 10 s."""
        self._do(calls.advance(duration, job))

    def wait_for(
        self,
        *,
        state: str | Sequence[str] = "delivered",
        count: int = 1,
        timeout: str | float = "10s",
        **filters: Unpack[OfWebhooks],
    ) -> list[Webhook]:
        """The webhooks let through, once `count` of them are in this state. NotHappened says what did happen."""
        return self._do(calls.wait_for(state, count, timeout, filters))

    def pending(self, **filters: Unpack[OfWebhooks]) -> list[Webhook]:
        """What is owed, in the order in which it is due."""
        return self._do(calls.pending(filters))

    def webhooks(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Webhook]:
        return self._do(calls.webhooks(filters, limit))

    def requests(
        self, matched: bool | None = None, *, limit: int | None = None, **filters: Unpack[OfRequests]
    ) -> list[Request]:
        """The requests to mocked hosts, up to the last thousand; `matched=False`: those that no mock answered."""
        return self._do(calls.requests(matched, filters, limit))

    def jobs(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Job]:
        return self._do(calls.jobs(filters, limit))

    def fire(self, webhook: str | Webhook) -> Webhook:
        """Send it now, held or not, and move its job to its stage."""
        return self._do(calls.one("fire", webhook))

    def hold(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """Nothing starts any more: of one webhook, of those that the filters let through, or at all."""
        self._do(calls.several("hold", webhook, filters))

    def release(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """What was held goes out: at its time, or at once where that has passed."""
        self._do(calls.several("release", webhook, filters))

    def cancel(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """They are not sent any more. An attempt under way ends."""
        self._do(calls.several("cancel", webhook, filters))

    def resend(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """Send ended ones again: the same content, the next attempt number."""
        self._do(calls.several("resend", webhook, filters))

    def reset(self, **filters: Unpack[Filters]) -> None:
        """As at the start: no jobs, no requests, no loaded mocks; with filters, these jobs are forgotten."""
        self._do(calls.several("reset", None, filters))

    def check_strictly(self) -> None:
        """NotHappened where something is owed, has failed or matched nothing."""
        self._do(calls.strict())

    def _do[Result](self, call: Call[Result]) -> Result:
        try:
            ask = next(call)
            while True:
                ask = call.send(self._answer(ask))
        except StopIteration as ended:
            result: Result = ended.value
            return result
        except failures.NotHappened as error:
            if _in_event_loop():
                error.add_note(
                    "This was called within a running event loop, which stood still: where the receiver runs in it, "
                    "await the same method of `latehook.aio`"
                )
            raise

    def _answer(self, ask: Ask) -> Answer:
        try:
            return answer(self._http.send(self._request(ask)))
        except httpx.HTTPError as error:
            raise self._silence(error) from None


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Vars(Mapping[str, Any]):
    """The variables as they are now. A variable cannot be taken away: mocks may read it."""

    def __init__(self, latehook: Latehook) -> None:
        self._latehook = latehook

    def __getitem__(self, name: str) -> Any:
        return self._now()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __repr__(self) -> str:
        return repr(self._now())

    def update(self, values: Mapping[str, Any] = {}, /, **more: Any) -> None:
        """Set several at once."""
        self._latehook._do(calls.set_vars({**values, **more}))

    def _now(self) -> dict[str, Any]:
        return self._latehook._do(calls.get_vars())
