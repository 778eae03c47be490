"""How many attempts to one destination may run at once, and begin at once."""

import asyncio
import math
from collections import deque
from collections.abc import Callable

NEW = 6
"""Attempts to one destination that may be new at once, at first.

A receiver lets few connections wait until it accepts them, Python's http.server five
(`socketserver.TCPServer.request_queue_size`). Others are ignored. TCP repeats them at growing intervals, all of them at
the same moments, so that most are ignored again until their time is up.
"""

NEW_FOR = 0.1
"""Seconds for which an attempt without an answer counts as new: after that, most receivers have accepted it."""

NEW_FOR_AT_FIRST = 0.004
"""The same while nothing is known of a receiver. A fast one has answered soon, and a slow one must not cost time."""

SLOW = 0.02
"""Seconds. A receiver that answers faster needs no more attempts at once."""

AS_FAST = 1.5
"""An answer that took at most so many times as long as the fastest one did not wait for others."""

FULL_FOR = 5.0
"""Seconds for which a receiver gets no more than it has room for, after a connection has stalled.

Meanwhile the stalled ones find room: TCP repeats them after 1 s and 3 s. It ends because the receiver may have been
busy only for a moment.
"""


class Slots:
    """The attempts to one destination that run, and the webhooks that wait for their turn, by their keys.

    `on_free` is called when an attempt is not new any more: another one may be free to start.
    """

    def __init__(self, on_free: Callable[[], None]) -> None:
        self.waiting = deque[int]()
        self.running = 0
        self._on_free = on_free
        self._new_for = NEW_FOR_AT_FIRST
        self._may_be_new = NEW
        self._fastest = math.inf  # seconds until an answer
        self._has_connected = False
        self._full_until = 0.0  # by the loop's clock
        self._new: dict[asyncio.Task[None], asyncio.TimerHandle] = {}

    def is_free(self, workers: int) -> bool:
        """Return whether one more attempt may start, where `workers` may run at once."""
        new = self.running if self._is_full() else len(self._new)
        return self.running < workers and (new < self._may_be_new or self._may_be_new >= workers)

    def start(self, attempt: asyncio.Task[None], workers: int) -> None:
        """Note that an attempt starts."""
        self.running += 1
        if self._may_be_new < workers:
            self._new[attempt] = asyncio.get_running_loop().call_later(self._new_for, self._age, attempt)

    def connected(self) -> None:
        """Note that a connection to the receiver was made."""
        self._has_connected = True

    def stalled(self) -> None:
        """Note that a connection was not made at once. Where others were, the receiver lets no more wait.

        For `FULL_FOR` seconds, attempts count as new until they end, and only connections that stay open let more run.
        """
        if self._has_connected:
            self._full_until = asyncio.get_running_loop().time() + FULL_FOR
            self._may_be_new = NEW

    def answered(self, took: float, keeps_open: bool) -> None:
        """Note an answer that `took` so many seconds, and whether its connection stays open: a later attempt uses it.

        One more may be new if the connection stays open, or if others wait, and a slow receiver has answered as fast as
        if it had nothing else to do and can let more wait.
        """
        self._new_for = NEW_FOR
        self._fastest = min(self._fastest, took)
        if keeps_open or (self.waiting and SLOW <= took <= AS_FAST * self._fastest and not self._is_full()):
            self._may_be_new += 1

    def end(self, attempt: asyncio.Task[None]) -> None:
        """Note that an attempt has ended."""
        self.running -= 1
        if (timer := self._new.pop(attempt, None)) is not None:
            timer.cancel()

    def _is_full(self) -> bool:
        return self._full_until > 0 and asyncio.get_running_loop().time() < self._full_until

    def _age(self, attempt: asyncio.Task[None]) -> None:
        del self._new[attempt]
        self._on_free()
