"""What the synchronous client has besides the methods of `sync.py`: `vars`, `aio` and a hint in failures."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from latehook.client import calls, failures
from latehook.client.aio import AsyncLatehook
from latehook.client.calls import Call
from latehook.client.failures import ExpectationFailed
from latehook.client.session import Session
from latehook.client.transport import AsyncTransport, Transport

__tracebackhide__ = failures.hides_frames


class Variables(Mapping[str, Any]):
    """The variables of the mocks, as a dict that is read and written in the proxy at once.

    Variables cannot be added or deleted: mocks files define them, and mocks may read them. A `reset` sets them back.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def update(self, values: Mapping[str, Any] = {}, /, **more: Any) -> None:
        """Set several variables at once.

        Raises:
            ControlError: A name is not under `vars` in any mocks file.
        """
        self._transport.run(calls.set_variables({**values, **more}))

    def _all(self) -> dict[str, Any]:
        return self._transport.run(calls.get_variables())


class SyncSession(Session[Transport]):
    """The base of the synchronous client."""

    @property
    def aio(self) -> AsyncLatehook:
        """The same client with methods to await.

        Use it where the system under test runs in the test's own event loop: a call that is not awaited stops the loop,
        and nothing answers the webhooks.

        Example:
            await latehook.aio.advance("65s")
        """
        return AsyncLatehook(AsyncTransport(self._transport.address), self._folder)

    @property
    def vars(self) -> Variables:
        """The variables of the mocks, as a dict that is read and written in the proxy at once.

        Example:
            latehook.vars["verdict"] = "failed"
        """
        return Variables(self._transport)

    def _run[Result](self, call: Call[Result]) -> Result:
        try:
            return self._transport.run(call)
        except ExpectationFailed as error:
            if _in_event_loop():
                error.add_note(
                    "This was called within a running event loop, which stood still: where the receiver runs in it, "
                    "await the same method of `latehook.aio`"
                )
            raise


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
