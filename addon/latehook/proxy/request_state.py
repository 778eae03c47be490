"""What is known of each request on its way through the proxy, and whether it is mocked."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from latehook.base import logs
from latehook.base.control_path import CONTROL_PATH
from latehook.base.hostnames import canonical_host
from latehook.base.messages import ResponseFault
from latehook.bodies.codings import MAX_BODY_SIZE
from latehook.bodies.forms import MultipartReader
from latehook.proxy import listeners, origins, sniffing
from latehook.proxy.mocked_hosts import ClosedHosts

log = logging.getLogger(logs.LOGGER)


@dataclass(slots=True)
class Upload:
    """A request's body as it arrives. All of it is counted, and kept up to `bodies.codings.MAX_BODY_SIZE` bytes.

    `reader` and `hash` are there if a form or a hash is needed of a body that may be too large to keep.
    """

    size: int = 0
    kept: bytearray | None = field(default_factory=bytearray)
    reader: MultipartReader | None = None
    hash: "hashlib._Hash | None" = None

    def add(self, data: bytes) -> None:
        """Add the next bytes of the body."""
        self.size += len(data)
        if self.reader is not None:
            self.reader.feed(data)
        if self.hash is not None:
            self.hash.update(data)
        if self.size > MAX_BODY_SIZE:
            self.kept = None
        elif self.kept is not None:
            self.kept += data

    def replace(self, body: bytes) -> None:
        """Take this body, as other addons have left it. A body that was too large to keep is b"" for them."""
        if self.kept is None and not body:
            return
        self.size, self.kept, self.reader, self.hash = 0, bytearray(), None, None
        self.add(body)

    @property
    def body(self) -> bytes | None:
        """The whole body; None if it is too large to keep."""
        return None if self.kept is None else bytes(self.kept)


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The host that a request names, before mitmproxy changes it.

    `direct`: the request line names none, only the Host header does. The client asks this server, not a proxy.
    """

    host: str
    direct: bool


@dataclass(slots=True)
class RequestState:
    """What is known of one request.

    `host` and `port` are those by which it is mocked: of several names, the one whose mocks answer. It is `refused` if
    no mock names them and nothing may leave for such hosts. `forward` says that it goes to the real service, and
    `forwarded_to` has the names whose mocks say so. `answer` is the task that makes its response. `fault` is the fault
    of that response. `control` is there if the request is for the control API, and `on_disconnect` is then called when
    its client disconnects. `to_page`: it is for the root of this proxy itself. `own_origin` says whether only the
    control API is at the origin of that request. `is_in_our_layers`: Latehook's own layers carry it, and answer it.
    """

    mocked: bool
    host: str = ""
    port: int = 0
    forward: bool = False
    forwarded_to: frozenset[tuple[str, int]] = frozenset()
    refused: bool = False
    answer: "asyncio.Task[http.Response | None] | None" = None
    fault: ResponseFault | None = None
    control: RequestTarget | None = None
    to_page: bool = False
    own_origin: bool = False
    on_disconnect: Callable[[], object] | None = None
    is_in_our_layers: bool = False
    upload: Upload = field(default_factory=Upload)

    @property
    def answered_here(self) -> bool:
        """Whether Latehook answers, and nothing goes to the third party."""
        return self.mocked and not self.forward


class RequestStates:
    """The states of all requests under way."""

    def __init__(self, hosts: ClosedHosts) -> None:
        self._hosts = hosts
        self._targets: WeakKeyDictionary[http.Request, RequestTarget] = WeakKeyDictionary()
        self._states: WeakKeyDictionary[http.HTTPFlow, RequestState] = WeakKeyDictionary()

    def note_target(self, request: http.Request, target: RequestTarget) -> None:
        """Keep what a request named as its host, in case it is for the control API."""
        self._targets[request] = target

    def of(self, flow: http.HTTPFlow) -> RequestState:
        """Return the state of a flow's request. Whether it is mocked is decided at the first call."""
        known = self._states.get(flow)
        if known is None:
            try:
                known = self._decide(flow)
            except Exception:
                log.exception("latehook: cannot tell whether a request is mocked: it is treated as mocked")
                known = RequestState(True)
            self._states[flow] = known
        return known

    def _decide(self, flow: http.HTTPFlow) -> RequestState:
        state = self._find_host(flow)
        if state.control is not None:
            state.own_origin = origins.is_own(flow, state.control.host, state.control.direct, self._hosts.mocked)
        return state

    def _find_host(self, flow: http.HTTPFlow) -> RequestState:
        """Look for a mocked host in all names of a request: it is mocked if one of them is."""
        request = flow.request
        control = self._control_target(request)
        for host, port in _names(flow):
            if self._hosts.mocked.contains(host, port):
                return RequestState(True, host, port, control=control)
        if control is not None and (control.direct or _is_for_this_proxy(flow)):
            return RequestState(True, request.host, request.port, control=control)
        is_root = request.path == "/" and request.method in ("GET", "HEAD")
        if (is_root or request.method == "CONNECT") and listeners.is_own_proxy(request.host, request.port):
            return RequestState(True, request.host, request.port, to_page=is_root)
        if self._hosts.refuses_others():
            return RequestState(True, request.host, request.port, refused=True)
        return RequestState(False)

    def mocked_names(self, flow: http.HTTPFlow) -> list[tuple[str, int]]:
        """Return the mocked hosts that a request names, in canonical form, each once."""
        names = ((canonical_host(host), port) for host, port in _names(flow))
        return list(dict.fromkeys(name for name in names if self._hosts.mocked.contains(*name)))

    def _control_target(self, request: http.Request) -> RequestTarget | None:
        return self._targets.get(request) if _is_control_path(request.path) else None


def _names(flow: http.HTTPFlow) -> Iterator[tuple[str, int]]:
    """Yield every host that a request names, with its port.

    These are the Host header or `:authority`, the URL, the TLS handshake, and what only a request with several names
    has: further Host headers, and an absolute URL in a tunnel, which mitmproxy replaces by the tunnel's destination.
    Over HTTP/2 such a URL is in `:path`. Some servers take a carriage return in a header for the end of it.
    """
    request = flow.request
    port = request.port
    written = request.host_header or ""
    if written:
        yield _with_port(written, port)
    yield request.host, port
    if flow.client_conn.sni:
        yield flow.client_conn.sni, port
    authority = request.authority
    if authority and authority != written:
        yield _with_port(authority, port)
    for name, value in request.headers.fields:
        if len(name) == 4 and name.lower() == b"host":
            yield _with_port(value.decode("latin-1"), port)
        elif b"\r" in value:
            for host in sniffing.header_values(value, b"host"):
                yield _with_port(host.decode("latin-1"), port)
    if not request.data.path.startswith(b"/") and (host_in_path := sniffing.host_in_target(request.data.path)):
        yield _with_port(host_in_path, port)


def _with_port(authority: str, port: int) -> tuple[str, int]:
    host, at = sniffing.authority(authority)
    return host, at or port


def _is_control_path(path: str) -> bool:
    return path.startswith(CONTROL_PATH) and path[len(CONTROL_PATH) :][:1] in ("", "/", "?")


def _is_for_this_proxy(flow: http.HTTPFlow) -> bool:
    """Return whether a request names one of the proxy's own addresses, or came to a reverse proxy."""
    if isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode):
        return True
    return listeners.is_own(flow.request.host, flow.request.port)
