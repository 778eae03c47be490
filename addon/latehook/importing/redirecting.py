"""PURE: webhooks that the receiver redirected: what the sender sent to each URL is one webhook."""

from collections.abc import Sequence
from dataclasses import replace

from latehook.base.urls import join_urls
from latehook.importing.exchanges import Exchange

MAX_SECONDS = 30.0
"""Seconds within which a sender follows a redirect."""


def without_redirects(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the exchanges with one for all requests of a webhook that was redirected: the first one.

    Its response is the last one's, and its `redirects` are counted.
    """
    kept: list[Exchange] = []
    waiting: dict[str, int] = {}  # the URL that a redirect named → the place of its webhook in `kept`
    for exchange in exchanges:
        at = waiting.pop(_url(exchange), None) if exchange.inbound else None
        if at is not None and exchange.started - kept[at].ended <= MAX_SECONDS:
            ended = {name: getattr(exchange, name) for name in ("status", "response", "ended")}
            kept[at] = replace(kept[at], redirects=kept[at].redirects + 1, **ended)
        else:
            at = len(kept)
            kept.append(exchange)
        location = exchange.response.header("location") if 300 <= exchange.status < 400 else None
        if exchange.inbound and location and (url := join_urls(_url(exchange), location)):
            waiting[url] = at
    return kept


def _url(exchange: Exchange) -> str:
    return f"{exchange.origin}{exchange.target}"
