"""Connections to receivers: httpx's requests over aiohttp, and the check where each connection is made.

httpx's own transport costs over twice the time an attempt and stalls the loop with a hundred under way; the published
bridge to aiohttp re-quotes URLs (`%2f`), which a signed URL does not survive. Hence this bridge.
"""

import os
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from latehook.base.model import ResponseHead, WireTrace

IDLE_KEPT = 1.0
"""Seconds an idle connection is kept: less than any common server keeps it, so that none is lost in a race."""

Refusal = Callable[[str, int, str | None], str | None]
"""Given a host, a port, and the address it has led to once that is known: why no webhook may go there, or None."""

_NO_HEADERS_OF_ITS_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

Lookup = type[AbstractResolver]
"""What finds the addresses of a name."""

SYSTEM: Lookup = aiohttp.ThreadedResolver
"""Asks the system, in a thread."""

HOST: ContextVar[str] = ContextVar("HOST", default="")
"""The host that the attempt under way connects to: whose address it is that a socket is made for."""


class Refused(OSError):
    """A destination to which no webhook may go, with the reason. To the HTTP client a connection that failed."""


class Bridge(httpx.AsyncBaseTransport):
    """httpx's requests over an aiohttp session, the URL exactly as it was written.

    What somebody looks at has a session of its own: there aiohttp tells each step, which the other does not pay for.
    """

    def __init__(self, refusal: Refusal, lookup: Lookup, now: Callable[[], float]) -> None:
        self._refusal = refusal
        self._lookup = lookup
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        self._told: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        wire = request.extensions.get("wire")
        try:
            answer = await self._session_for(wire).request(
                request.method,
                yarl.URL(request.extensions["url"], encoded=True),
                headers=list(request.headers.multi_items()),
                data=request.content or None,
                allow_redirects=False,
                ssl=self._verified_by(request.extensions.get("verify", True)),
                server_hostname=request.extensions.get("tls_name"),
                trace_request_ctx=wire,
            )
        except aiohttp.ClientError as error:
            if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, Refused):
                raise error.os_error from None
            raise httpx.TransportError(_reason(error), request=request) from error
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=Answer(answer), request=request)

    async def aclose(self) -> None:
        for session in filter(None, (self._session, self._told)):
            await session.close()

    def _session_for(self, wire: WireTrace | None) -> aiohttp.ClientSession:
        if wire is not None:
            self._told = self._told or self._open([_telling(self._now)])
            return self._told
        self._session = self._session or self._open([])
        return self._session

    def _open(self, traces: list[aiohttp.TraceConfig]) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=IDLE_KEPT,
                ttl_dns_cache=10,
                resolver=_Resolver(self._refusal, self._lookup()),
                socket_factory=self._checked_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            skip_auto_headers=_NO_HEADERS_OF_ITS_OWN,
            auto_decompress=False,
            trace_configs=traces,
        )

    def _verified_by(self, verify: bool | str) -> bool | ssl.SSLContext:
        if isinstance(verify, bool):
            return verify
        if verify not in self._contexts:
            self._contexts[verify] = ssl.create_default_context(cafile=verify)
        return self._contexts[verify]

    def _checked_socket(self, address: Any) -> socket.socket:
        """Called with each resolved address just before it is connected to: no name gets round this."""
        family, kind, protocol, _, sockaddr = address
        if reason := self._refusal(HOST.get(), sockaddr[1], sockaddr[0]):
            raise Refused(reason)
        return socket.socket(family, kind, protocol)


def _telling(now: Callable[[], float]) -> aiohttp.TraceConfig:
    """Has aiohttp tell an attempt's `WireTrace` what becomes of it."""

    async def begun(_: Any, context: Any, params: aiohttp.TraceRequestStartParams) -> None:
        context.trace_request_ctx.server = (params.url.raw_host, params.url.port)

    async def head_sent(_: Any, context: Any, params: aiohttp.TraceRequestHeadersSentParams) -> None:
        wire = context.trace_request_ctx
        wire.target, wire.headers, wire.sent_at = params.url.raw_path_qs, tuple(params.headers.items()), now()

    async def piece_sent(_: Any, context: Any, params: aiohttp.TraceRequestChunkSentParams) -> None:
        context.trace_request_ctx.sent_at = now()

    async def answered(_: Any, context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        answer = params.response
        version = answer.version or aiohttp.HttpVersion11
        protocol = f"HTTP/{version.major}.{version.minor}"
        head = ResponseHead(now(), protocol, answer.status, answer.reason or "", answer.raw_headers)
        context.trace_request_ctx.answer = head

    config = aiohttp.TraceConfig()
    config.on_request_start.append(begun)
    config.on_request_headers_sent.append(head_sent)
    config.on_request_chunk_sent.append(piece_sent)
    config.on_request_end.append(answered)
    return config


class _Resolver(AbstractResolver):
    """Of the addresses that a name has, those that may be connected to: one that may not keeps no other from it."""

    def __init__(self, refusal: Refusal, resolver: AbstractResolver) -> None:
        self._refusal = refusal
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        reasons = [self._refusal(host, port, one["host"]) for one in found]
        allowed = [one for one, reason in zip(found, reasons, strict=True) if reason is None]
        if reasons and not allowed:
            raise Refused(reasons[0])
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class Answer(httpx.AsyncByteStream):
    """What a receiver answers, as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> Any:
        try:
            async for piece in self._answer.content.iter_any():
                yield piece
        except aiohttp.ClientError as error:
            raise httpx.ReadError(_reason(error)) from error

    async def aclose(self) -> None:
        self._answer.release()  # it closes the connection, unless all of the answer was read


def _reason(error: aiohttp.ClientError) -> str:
    """An error of the HTTP client in one line, from the receiver's side."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} is not known"
        case aiohttp.ClientConnectorCertificateError():
            return f"TLS: {getattr(error.certificate_error, 'verify_message', '') or error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            return f"TLS: {getattr(error.os_error, 'reason', '') or error.os_error}"
        case aiohttp.ServerDisconnectedError():
            return "the receiver closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the receiver closed the connection in the middle of its answer"
        case aiohttp.ClientResponseError():
            return f"the answer is not HTTP: {error.message}"
        case aiohttp.ClientOSError() if error.errno:
            return os.strerror(error.errno)
    return str(error) or type(error).__name__
