"""Sends nothing: keeps each attempt of a replay, and answers as the receiver of the recording did."""

import asyncio
from collections.abc import Sequence
from urllib.parse import parse_qsl

from latehook.base.messages import Answer, Outcome, Outgoing
from latehook.base.urls import path_of, query_of
from latehook.importing.comparing import Translation
from latehook.importing.exchanges import Exchange, Message


class ReplaySender:
    """Keeps each attempt with its time, and answers 200, or as a recorded check of the receiver was answered."""

    def __init__(self, checks: Sequence[Exchange]) -> None:
        self.sent: list[tuple[float, Outgoing]] = []
        self._checks = list(checks)

    def preload(self) -> None:
        pass

    async def send(self, outgoing: Outgoing, observer: object = None) -> Outcome:
        now = asyncio.get_running_loop().time()
        self.sent.append((now, outgoing))
        path = path_of(outgoing.url)
        same = (check for check in self._checks if (check.method, check.path) == (outgoing.method, path))
        check = next(same, None)
        if check is None:
            return Outcome(now, now, 200)
        self._checks.remove(check)
        body = _answered(check, outgoing)
        headers = tuple((name.encode("latin-1"), value.encode()) for name, value in check.response.headers)
        return Outcome(now, now, check.status, body=body, answer=Answer(check.status, None, headers, body))

    async def close(self) -> None:
        pass


def checks_of(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the webhooks that came before the response to a request."""
    requests = [exchange for exchange in exchanges if not exchange.inbound]
    return [one for one in exchanges if one.inbound and any(at.started < one.started < at.ended for at in requests)]


def _answered(check: Exchange, outgoing: Outgoing) -> bytes:
    """Return what the receiver answered, with the challenge of this attempt."""
    translation = Translation()
    translation.learn(check.request.body.value, message_of(outgoing).body.value)
    translation.learn(dict(check.query), dict(parse_qsl(query_of(outgoing.url))))
    text = check.response.content.decode("utf-8", "surrogateescape")
    return translation.apply(text).encode("utf-8", "surrogateescape")


def message_of(outgoing: Outgoing) -> Message:
    """Return an attempt as a message of a recording."""
    return Message(outgoing.headers, outgoing.body, is_webhook=True)
