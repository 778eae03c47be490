"""Who may ask: this machine, and whoever has the token; and no web page of somebody else's."""

import hmac
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request

from latehook.base.hostnames import DEFAULT_PORTS
from latehook.control.responses import Refusal

SAFE = ("GET", "HEAD")
JSON = "application/json"


class Access:
    """What a request must have to be carried out: `token` is the one that is set, `mocked` knows the mocked hosts."""

    def __init__(self, token: Callable[[], str | None], mocked: Callable[[str, int], bool]) -> None:
        self._token = token
        self._mocked = mocked

    def check(self, request: Request, shows_nothing: bool = False) -> None:
        """Refusal, where it is not to be carried out. What shows nothing is everybody's, where there is a token."""
        if shows_nothing and self._token():
            return
        has_token = self._has_token(request)
        if not has_token and not _is_loopback(request.client.host if request.client else ""):
            self._demand_token(request)
        if not has_token and not self._is_ours(request.headers.get("host", ""), request.url.scheme):
            raise Refusal(403, _not_ours(request.headers.get("host", "")))
        _check_origin(request)

    def _has_token(self, request: Request) -> bool:
        token = self._token()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode(), token.encode())

    def _demand_token(self, request: Request) -> None:
        if not self._token():
            peer = request.client.host if request.client else "unknown"
            raise Refusal(403, f"{peer} is not this machine: start with --set mock_token=TOKEN to let others ask")
        problem = "the token is another one" if "authorization" in request.headers else "a token is needed"
        remedy = "send the header `Authorization: Bearer TOKEN` with the value of mock_token"
        raise Refusal(401, f"{problem}: {remedy}", {"www-authenticate": "Bearer"})

    def _is_ours(self, host: str, scheme: str) -> bool:
        """Whether a Host header is one that no other's name can have led to this machine by."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(scheme, 80)
        except ValueError:
            return False
        return name == "localhost" or name.endswith(".localhost") or _is_address(name) or self._mocked(name, port)


def _not_ours(host: str) -> str:
    return f"the host {host!r} is none of Latehook's: ask by localhost, an address or a mocked host, or send the token"


def _check_origin(request: Request) -> None:
    """A page that a browser has from elsewhere may neither write nor read."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.headers.get("host", "").lower():
        raise Refusal(403, f"the origin {origin!r} is another site: only Latehook's own page may ask")


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
