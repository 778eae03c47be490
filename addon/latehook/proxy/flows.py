"""Attempts as flows, in mitmproxy's list and files, for those who look there."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.flow import Error
from mitmproxy.hooks import Hook
from mitmproxy.master import Master
from mitmproxy.proxy.layers.http import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

from latehook.base.hostnames import DEFAULT_PORTS
from latehook.base.model import Outcome, Outgoing, WireTrace
from latehook.delivery.attempts import RunningAttempt

MARKER = ":outbox_tray:"
"""What tells an attempt from a request of the SUT."""

WEBHOOK = "latehook_webhook"
"""Of an attempt's metadata, which go with it into files and copies: its webhook's id."""

LOOKERS = ("view", "save", "savehar")
"""mitmproxy's addons that are shown attempts. To any other they would be requests, to be answered, changed or held."""


def show(master: Master, flow: http.HTTPFlow) -> None:
    """Have a flow that has ended take its way through those who look."""
    for looker in filter(None, map(master.addons.get, LOOKERS)):
        for hook in _life(flow):
            master.addons.invoke_addon_sync(looker, hook)


def _life(flow: http.HTTPFlow) -> Iterator[Hook]:
    yield HttpRequestHeadersHook(flow)
    yield HttpRequestHook(flow)
    if flow.response is not None:
        yield HttpResponseHeadersHook(flow)
    yield HttpResponseHook(flow) if flow.error is None else HttpErrorHook(flow)


def comment(job: str) -> str:
    """What a flow that has to do with a job says of it."""
    return f"latehook: job {job}"


def of_attempt(ended: RunningAttempt, outcome: Outcome, hide: Callable[[str], str]) -> http.HTTPFlow:
    """An attempt as it went over the wire; where nothing did, as it would have. What is said of it hides secrets."""
    outgoing, wire = ended.outgoing, ended.outgoing.wire or WireTrace()
    request = _request(outgoing, wire, outcome.started_at)
    client = Client(peername=("", 0), sockname=("", 0), timestamp_start=outcome.started_at)
    flow = http.HTTPFlow(client, Server(address=wire.server or (request.host, request.port)))
    flow.request = request
    flow.response = _response(wire, outcome)
    if outcome.error is not None:
        flow.error = Error(hide(outcome.error), outcome.ended_at)
    flow.timestamp_created = outcome.started_at
    flow.marked = MARKER
    flow.comment = hide(_said(ended))
    flow.metadata[WEBHOOK] = ended.stored.webhook.id
    return flow


def _said(ended: RunningAttempt) -> str:
    webhook = ended.stored.webhook
    event = "" if webhook.event is None else f" ({webhook.event})"
    fault = "" if ended.outgoing.fault is None else f", fault: {ended.outgoing.fault}"
    return f"{comment(ended.stored.job.id)}, webhook {webhook.id}{event}, attempt {ended.number}{fault}"


def _request(outgoing: Outgoing, wire: WireTrace, started_at: float) -> http.Request:
    scheme, host, port, target = _parts(outgoing.url)
    headers = outgoing.headers if wire.headers is None else wire.headers
    return http.Request(
        host=host,
        port=port,
        method=outgoing.method.encode(),
        scheme=scheme.encode(),
        authority=b"",
        path=(wire.target or target).encode("utf-8", "replace"),
        http_version=b"HTTP/1.1",
        headers=http.Headers([(name.encode(), value.encode("utf-8", "replace")) for name, value in headers]),
        content=outgoing.body,
        trailers=None,
        timestamp_start=started_at,
        timestamp_end=wire.sent_at,
    )


def _parts(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and target; of what is no URL all as the target."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0, url
    query = f"?{parts.query}" if parts.query else ""
    return parts.scheme, parts.hostname or "", port, f"{parts.path or '/'}{query}"


def _response(wire: WireTrace, outcome: Outcome) -> http.Response | None:
    """The answer, as far as it came: without a body where that broke off."""
    head = wire.answer
    if head is None:
        return None
    is_whole = outcome.error is None
    return http.Response(
        http_version=head.version.encode(),
        status_code=head.status,
        reason=head.reason.encode("latin-1", "replace"),
        headers=http.Headers(head.headers),
        content=outcome.body if is_whole else None,
        trailers=None,
        timestamp_start=head.at,
        timestamp_end=outcome.ended_at if is_whole else None,
    )
