"""Who may use the API: this machine, and clients with the token. Pages of other sites may not (see `origin`)."""

import hmac
import ipaddress
from collections.abc import Callable

from starlette.requests import Request

from latehook.api.defaults import PREFIX
from latehook.base.control_path import CONTROL_PATH, OWN_ORIGIN
from latehook.base.hostnames import DEFAULT_PORTS
from latehook.base.urls import origin_of
from latehook.control import origin
from latehook.control.responses import Refusal
from latehook.options import TOKEN_FOR_SEVERAL

SAFE = ("GET", "HEAD")


class Access:
    """Decides whether a request may be carried out.

    `token` returns the option `mock_token`; `mocked` says whether a host, at a port, is mocked. `shared` says whether
    other processes may share the store: a client that seems to be on this machine may be a balancer, for any client.
    """

    def __init__(
        self, token: Callable[[], str | None], mocked: Callable[[str, int], bool], shared: Callable[[], bool]
    ) -> None:
        self._token = token
        self._mocked = mocked
        self._shared = shared

    def check(self, request: Request) -> None:
        """Raise Refusal unless the request may be carried out.

        Everybody gets the page if there is a token: it shows nothing, and asks its reader for the token.
        """
        is_page = _is_page(request)
        origin.check(request.headers, OWN_ORIGIN in request.scope.get("extensions", ()), is_page)
        if is_page and self._token():
            return
        has_token = self._has_token(request)
        if not has_token and (self._shared() or not _is_loopback(request.client.host if request.client else "")):
            self._demand_token(request)
        host = request.headers.get("host", "")
        if not has_token and not self._is_trusted(host, request.url.scheme):
            remedy = "use localhost, an address or a mocked host, or send the token"
            raise Refusal(403, f"the host {host!r} is not one of Latehook's: {remedy}")

    def _has_token(self, request: Request) -> bool:
        token = self._token()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode(), token.encode())

    def _demand_token(self, request: Request) -> None:
        if not self._token() and self._shared():
            raise Refusal(403, f"several processes share the store: {TOKEN_FOR_SEVERAL}")
        if not self._token():
            peer = request.client.host if request.client else "unknown"
            raise Refusal(403, f"{peer} is not this machine: start with --set mock_token=TOKEN to permit others")
        problem = "the token is wrong" if "authorization" in request.headers else "a token is needed"
        remedy = "send the header `Authorization: Bearer TOKEN` with the value of mock_token"
        raise Refusal(401, f"{problem}: {remedy}", {"www-authenticate": "Bearer"})

    def _is_trusted(self, host: str, scheme: str) -> bool:
        """Return whether a Host header is safe from DNS rebinding: others cannot make it lead to this machine."""
        named = origin_of(f"//{host}")
        if named is None:
            return False
        name, port = named.host, named.port or DEFAULT_PORTS.get(scheme, 80)
        return name == "localhost" or name.endswith(".localhost") or _is_address(name) or self._mocked(name, port)


def _is_page(request: Request) -> bool:
    """Return whether a request is for the page, or for the redirect to it. Both are the same for everybody."""
    return request.url.path in (CONTROL_PATH, PREFIX) and request.method in SAFE and not request.url.query


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
