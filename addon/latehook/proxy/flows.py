"""Show attempts at webhooks as flows in mitmproxy's list and in the files it saves."""

from collections.abc import Callable, Iterator

from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.flow import Error
from mitmproxy.hooks import Hook
from mitmproxy.master import Master

from latehook.base.messages import Outcome, Outgoing, WireTrace
from latehook.base.urls import origin_of, split_url
from latehook.delivery.attempts import RunningAttempt
from latehook.proxy.compat import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

MARKER = ":outbox_tray:"
"""The mark of a flow that is an attempt, not a request of the system under test."""

WEBHOOK = "latehook_webhook"
"""The key of the webhook's id in an attempt's metadata. mitmproxy saves and copies them with the flow."""

RECORDERS = ("view", "save", "savehar")
"""mitmproxy's addons that get attempts. Others would take them for requests, and answer, change or hold them."""


def record(master: Master, flow: http.HTTPFlow) -> None:
    """Pass a flow that has ended through the hooks of the addons that record flows."""
    for recorder in filter(None, map(master.addons.get, RECORDERS)):
        for hook in _hooks(flow):
            master.addons.invoke_addon_sync(recorder, hook)


def _hooks(flow: http.HTTPFlow) -> Iterator[Hook]:
    """Yield the hooks that mitmproxy would have called for a flow."""
    yield HttpRequestHeadersHook(flow)
    yield HttpRequestHook(flow)
    if flow.response is not None:
        yield HttpResponseHeadersHook(flow)
    yield HttpResponseHook(flow) if flow.error is None else HttpErrorHook(flow)


def comment(job: str) -> str:
    """Return the comment of a flow that belongs to a job."""
    return f"latehook: job {job}"


def of_attempt(ended: RunningAttempt, outcome: Outcome, redact: Callable[[str], str]) -> http.HTTPFlow:
    """Return an attempt as a flow: as it was sent, or as it would have been if it was not. It is the last request.

    `redact` removes secrets from the comment and the error; the request keeps them.
    """
    wire = ended.outgoing.wire or WireTrace()
    request = _request(wire.redirected or ended.outgoing, wire, outcome.started_at)
    client = Client(peername=("", 0), sockname=("", 0), timestamp_start=outcome.started_at)
    flow = http.HTTPFlow(client, Server(address=wire.server or (request.host, request.port)))
    flow.request = request
    flow.response = _response(wire, outcome)
    if outcome.error is not None:
        flow.error = Error(redact(outcome.error), outcome.ended_at)
    flow.timestamp_created = outcome.started_at
    flow.marked = MARKER
    flow.comment = redact(_comment(ended, outcome))
    flow.metadata[WEBHOOK] = ended.stored.webhook.id
    return flow


def _comment(ended: RunningAttempt, outcome: Outcome) -> str:
    webhook = ended.stored.webhook
    event = "" if webhook.event is None else f" ({webhook.event})"
    fault = "" if ended.outgoing.fault is None else f", fault: {ended.outgoing.fault}"
    redirects = "".join(f", {each.status} led to {each.url}" for each in outcome.redirects)
    return f"{comment(ended.stored.job.id)}, webhook {webhook.id}{event}, attempt {ended.number}{fault}{redirects}"


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
    """Return scheme, host, port and target of a URL. A text that is no URL is all target."""
    parts, origin = split_url(url), origin_of(url)
    if parts is None or origin is None:
        return "", "", 0, url
    query = f"?{parts.query}" if parts.query else ""
    return origin.scheme, origin.host, origin.port or 0, f"{parts.path or '/'}{query}"


def _response(wire: WireTrace, outcome: Outcome) -> http.Response | None:
    """Return the receiver's answer; without its body if that broke off, None if there was no answer."""
    head = wire.answer
    if head is None:
        return None
    is_whole = outcome.error is None
    return http.Response(
        http_version=head.version.encode(),
        status_code=head.status,
        reason=head.reason.encode("latin-1", "replace"),
        headers=http.Headers(head.headers),
        content=(outcome.body if wire.body is None else wire.body) if is_whole else None,
        trailers=None,
        timestamp_start=head.at,
        timestamp_end=outcome.ended_at if is_whole else None,
    )
