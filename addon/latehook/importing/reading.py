"""Reads recordings: flow files of mitmproxy, and HAR."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mitmproxy import exceptions, http
from mitmproxy.io import FlowReader

from latehook.base.errors import LatehookError
from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_matches
from latehook.base.urls import origin_of, path_of
from latehook.importing.exchanges import Exchange, Message, Recording, leaves

ATTEMPT_MARK = ":outbox_tray:"
"""The marker that Latehook sets on flows of its own webhooks."""


def read(files: Sequence[Path], hosts: Sequence[str]) -> list[Recording]:
    """Return the recordings of these files. `hosts` are those to convert; if there are none, the only one.

    Raises LatehookError if a file cannot be read, or if a recording has several hosts and `hosts` names none.
    """
    flows = [_flows(file) for file in files]
    wanted = [_pattern(host) for host in hosts] or [_only_host(flows)]
    return [
        _recording(file, number, found, wanted) for number, (file, found) in enumerate(zip(files, flows, strict=True))
    ]


def _flows(file: Path) -> list[http.HTTPFlow]:
    try:
        with file.open("rb") as opened:
            found = [flow for flow in FlowReader(opened).stream() if isinstance(flow, http.HTTPFlow)]
    except OSError as error:
        raise LatehookError(f"{file} cannot be read: {error.strerror}") from None
    except exceptions.FlowReadException:
        raise LatehookError(
            f"{file} is no flow file of mitmproxy and no HAR file: record one with `latehook record`"
        ) from None
    if not found:
        raise LatehookError(f"{file} has no HTTP requests: did the system under test use the proxy?")
    return sorted(found, key=lambda flow: flow.request.timestamp_start)


def _pattern(host: str) -> str:
    return f"*.{canonical_host(host[2:])}" if host.startswith("*.") else canonical_host(host)


def _only_host(flows: Iterable[Sequence[http.HTTPFlow]]) -> str:
    counts: dict[str, int] = {}
    for recording in flows:
        webhooks = _Webhooks(recording, [])
        for flow in recording:
            if not webhooks.has(flow):
                host = _host(flow)
                counts[host] = counts.get(host, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    listed = ", ".join(
        f"{host} ({count})" for host, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    if not counts:
        raise LatehookError("the recording has webhooks only, and no request to a third party")
    raise LatehookError(
        f"the recording has requests to {len(counts)} hosts: {listed}. Name those to convert with --host"
    )


def _host(flow: http.HTTPFlow) -> str:
    return canonical_host(flow.request.pretty_host)


def _callback_urls(flows: Iterable[http.HTTPFlow]) -> set[tuple[str, int, str]]:
    """Return host, port and path of every URL that a request names: a later request to one of them is a webhook."""
    found = set()
    for flow in flows:
        message = _message(flow.request)
        texts = [value for _, value in leaves(message.body.value)] + list(flow.request.query.values())
        for text in texts:
            is_text = isinstance(text, str) and text.startswith(("http://", "https://"))
            if is_text and (origin := origin_of(text)):
                found.add((canonical_host(origin.host), origin.port or 0, path_of(text) or "/"))
    return found


class _Webhooks:
    """Tells the webhooks of a recording from the requests to the third party. `wanted` are the hosts of that."""

    def __init__(self, flows: Sequence[http.HTTPFlow], wanted: Sequence[str]) -> None:
        self._wanted = wanted
        self._callbacks = _callback_urls(flows)
        regular = [flow for flow in flows if not _is_reverse(flow) and self.is_wanted(_host(flow))]
        self._is_proxied = bool(regular)
        self._port = regular[0].request.port if regular else 0

    def is_wanted(self, host: str) -> bool:
        return any(host_matches(pattern, host) for pattern in self._wanted)

    def has(self, flow: http.HTTPFlow) -> bool:
        """Return whether a request is a webhook: it came by a reverse proxy, or goes to a URL that a request named.

        Receiver and third party may have the same host, as on one machine. Then the port tells them apart; and where
        the third party is reached by a proxy, what comes by a reverse proxy is a webhook.
        """
        if flow.marked == ATTEMPT_MARK:
            return True
        if _is_reverse(flow):
            target = flow.client_conn.proxy_mode.address[0]  # type: ignore[attr-defined]
            return self._is_proxied or not self.is_wanted(canonical_host(target))
        path = flow.request.path.partition("?")[0]
        ports = {port for host, port, named in self._callbacks if (host, named) == (_host(flow), path)}
        if self.is_wanted(_host(flow)):
            return flow.request.port in ports and flow.request.port != self._port
        return bool(ports)


def _is_reverse(flow: http.HTTPFlow) -> bool:
    return flow.client_conn.proxy_mode.type_name == "reverse"


def _recording(file: Path, number: int, flows: Sequence[http.HTTPFlow], wanted: Sequence[str]) -> Recording:
    recording = Recording(str(file))
    webhooks = _Webhooks(flows, wanted)
    for flow in flows:
        host = _host(flow)
        if webhooks.has(flow):
            recording.exchanges.append(_exchange(flow, True, number))
        elif webhooks.is_wanted(host):
            recording.exchanges.append(_exchange(flow, False, number))
        else:
            recording.others[host] = recording.others.get(host, 0) + 1
    return recording


def _exchange(flow: http.HTTPFlow, inbound: bool, number: int) -> Exchange:
    request, response = flow.request, flow.response
    sent = request.timestamp_end or request.timestamp_start
    ended = (response.timestamp_end or response.timestamp_start or sent) if response else sent
    host, port = _named(flow) if inbound else (_host(flow), request.port)
    return Exchange(
        inbound=inbound,
        method=request.method.upper(),
        scheme=request.scheme,
        host=host,
        port=port,
        target=request.path,
        request=_message(request, inbound),
        response=Message() if response is None else _message(response),
        status=0 if response is None else response.status_code,
        started=request.timestamp_start,
        sent=sent,
        ended=ended,
        recording=number,
    )


def _named(flow: http.HTTPFlow) -> tuple[str, int]:
    """Return host and port by which a webhook's sender named the receiver: its header Host."""
    named = origin_of(f"//{flow.request.host_header or flow.request.pretty_host}")
    if named is None:
        return _host(flow), flow.request.port
    return canonical_host(named.host), named.port or DEFAULT_PORTS.get(flow.request.scheme, 0)


def _message(message: Any, is_webhook: bool = False) -> Message:
    fields = message.headers.fields
    headers = tuple((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in fields)
    return Message(headers, message.raw_content or b"", is_webhook)
