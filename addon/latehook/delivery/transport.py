"""Send attempts: one attempt is one request, and one more for each redirect that is followed.

httpx's requests and responses are used with a transport of our own, without httpx's client in between: the client would
add half of an attempt's cost, for cookies, redirects, default headers and proxies, none of which a webhook may have.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import httpx
from msgspec.structs import replace

from latehook.base.errors import BodyError
from latehook.base.hostnames import DEFAULT_PORTS
from latehook.base.messages import Answer, Outcome, Outgoing, Redirect, WebhookFault, WireTrace
from latehook.bodies.codings import codings_of, decompress
from latehook.delivery.addresses import Lookup, system_lookup
from latehook.delivery.attempts import ConnectObserver
from latehook.delivery.connections import Connections, Refusal, Refused
from latehook.delivery.redirects import following
from latehook.delivery.reporting import without_user
from latehook.delivery.timeouts import timeout
from latehook.webhooks.targets import Origin
from latehook.webhooks.urls import split_target

MAX_ANSWER = 64 * 1024
"""Bytes that are read of an answer's body. The rest of a longer one is left: its status counts all the same."""

MAX_REASON = 200
"""Characters of an error: it may quote what a receiver has sent."""

Route = Callable[[Origin], Origin]
"""Takes the origin in a webhook's URL. Returns the origin to connect to."""

DROPPED = "dropped on purpose (fault)"


class _Answer(NamedTuple):
    """An answer as it came, with up to MAX_ANSWER bytes of its body; and the body decompressed."""

    whole: Answer
    body: bytes
    retry_after: str | None
    location: str | None
    keeps_open: bool


class Transport:
    """Sends attempts.

    `refusal` is asked before each connection, `route` says where to connect to, `now` gives Unix seconds, and `lookup`
    finds the addresses of a host.
    """

    def __init__(
        self,
        refusal: Refusal,
        route: Route = lambda origin: origin,
        now: Callable[[], float] = time.time,
        lookup: Lookup = system_lookup,
    ) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # every record runs through all of mitmproxy's addons
        self._refusal = refusal
        self._route = route
        self._now = now
        self._connections = Connections(refusal, lookup, now)

    async def send(self, outgoing: Outgoing, observer: ConnectObserver | None = None) -> Outcome:
        """Send an attempt and return how it ended. Never raises: an error is an outcome.

        `observer` is told how the receiver takes the connection, if a new one is made.
        """
        if outgoing.fault is WebhookFault.DROP:
            return Outcome(self._now(), self._now(), None, DROPPED, final=True)
        if outgoing.fault is WebhookFault.DUPLICATE:
            untraced = replace(outgoing, wire=None)
            return (await asyncio.gather(self._send(outgoing, observer), self._send(untraced, observer)))[0]
        return await self._send(outgoing, observer)

    async def _send(self, outgoing: Outgoing, observer: ConnectObserver | None) -> Outcome:
        started_at = self._now()
        redirects: list[Redirect] = []
        is_final = False
        try:
            async with timeout(outgoing.timeout):
                answer = await self._follow(outgoing, redirects, observer)
            whole = answer.whole
            end = Outcome(
                started_at,
                self._now(),
                whole.status,
                None,
                answer.body,
                answer.retry_after,
                answer=whole,
                keeps_open=answer.keeps_open,
            )
            return replace(end, redirects=tuple(redirects)) if redirects else end
        except TimeoutError:
            error = f"no answer within {outgoing.timeout:g} s"
        except Refused as refused:
            error, is_final = str(refused), True
        except httpx.InvalidURL as invalid:
            error = f"the URL cannot be used: {invalid}"
        except (httpx.HTTPError, OSError, ValueError) as failed:
            error = " ".join(str(failed).split())[:MAX_REASON] or type(failed).__name__
        return Outcome(started_at, self._now(), None, error, final=is_final, redirects=tuple(redirects))

    async def close(self) -> None:
        await self._connections.aclose()

    async def _follow(
        self, outgoing: Outgoing, redirects: list[Redirect], observer: ConnectObserver | None
    ) -> "_Answer":
        """Send a request, and those that its redirects lead to, which are added to the list. Return the last answer."""
        while True:
            answer = await self._exchange(outgoing, observer)
            follows = len(redirects) < outgoing.redirects
            redirected = following(outgoing, answer.whole.status or 0, answer.location) if follows else None
            if redirected is None:
                return answer
            redirects.append(Redirect(answer.whole.status or 0, without_user(redirected.url)))
            outgoing = redirected
            if outgoing.wire is not None:
                _restart(outgoing.wire, outgoing)

    async def _exchange(self, outgoing: Outgoing, observer: ConnectObserver | None) -> "_Answer":
        base, target = split_target(outgoing.url)
        url, named = _parse(base)
        origin = self._route(named)
        if reason := self._refusal(origin.host, origin.port, None):
            raise Refused(reason)
        request = httpx.Request(
            outgoing.method,
            url,
            headers=[(name.encode(), value.encode()) for name, value in outgoing.headers],
            content=outgoing.body or None,
            extensions={
                "target": target.encode(),
                "connect_to": origin,
                "verify": outgoing.verify,
                "wire": outgoing.wire,
                "observer": observer,
            },
        )
        if "user-agent" not in request.headers:
            request.headers["User-Agent"] = "Latehook"
        response = await self._connections.handle_async_request(_authenticated(request))
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        try:
            body, is_cut = await _read_body(stream)
        finally:
            await stream.aclose()
        if outgoing.wire is not None:
            outgoing.wire.body = body
        headers = response.headers
        whole = Answer(response.status_code, None, tuple(headers.raw), body, is_cut)
        later = headers.get("retry-after"), headers.get("location")
        return _Answer(whole, _decompressed(body, response), *later, self._connections.has_idle(request))


def _restart(wire: WireTrace, redirected: Outgoing) -> None:
    """Have a trace record the request that follows a redirect."""
    wire.server = wire.target = wire.headers = wire.sent_at = wire.answer = wire.body = None
    wire.redirected = redirected


def _authenticated(request: httpx.Request) -> httpx.Request:
    """Add Basic authentication by the user name and password in the URL, unless the mock has an `Authorization`."""
    if request.url.username and "authorization" not in request.headers:
        auth = httpx.BasicAuth(request.url.username, request.url.password)
        return next(auth.auth_flow(request))
    return request


@lru_cache(256)  # a system has few receivers, while each webhook may have a URL of its own
def _parse(base: str) -> tuple[httpx.URL, Origin]:
    """Parse a URL without path and query. Raises httpx.InvalidURL, Refused."""
    url = httpx.URL(base)
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused("not a URL that starts with http:// or https:// and a host")
    return url, Origin(url.scheme, url.raw_host.decode(), url.port or DEFAULT_PORTS[url.scheme])


def _decompressed(body: bytes, response: httpx.Response) -> bytes:
    """Return an answer's body without its content codings, up to MAX_ANSWER bytes; as it came if it is not whole."""
    codings = response.headers.get_list("content-encoding")
    try:
        return decompress(body, codings_of(codings))[:MAX_ANSWER] if codings else body
    except BodyError:
        return body


async def _read_body(stream: httpx.AsyncByteStream) -> tuple[bytes, bool]:
    """Read the body, up to MAX_ANSWER bytes. Return it, and whether there is more."""
    body = bytearray()
    async for piece in stream:
        body += piece
        if len(body) > MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER]), len(body) > MAX_ANSWER
