"""Convert mitmproxy's requests to Latehook's, and Latehook's responses to mitmproxy's."""

import hashlib
from http import HTTPStatus
from urllib.parse import quote_from_bytes

from mitmproxy import http

from latehook.base.messages import Request, Response
from latehook.bodies.forms import MultipartReader
from latehook.expressions.body_members import held_by
from latehook.proxy import fast
from latehook.proxy.request_state import RequestState, Upload


def request_of(flow: http.HTTPFlow, state: RequestState) -> Request:
    """Return a flow's request, with the host by which it is mocked."""
    data = flow.request.data
    upload = state.upload
    return Request(
        method=data.method.decode("latin-1"),
        scheme=data.scheme.decode("latin-1"),
        host=_as_text(state.host or data.host),
        port=state.port or data.port,
        target=_escaped(data.path),
        headers=data.headers.fields,
        body=upload.body,
        size=upload.size,
        parts=None if upload.reader is None else upload.reader.parts(),
        sha256=None if upload.hash is None else upload.hash.hexdigest(),
        authority=data.authority.decode("utf-8", "backslashreplace"),
    )


def _escaped(target: bytes) -> str:
    """Return path and query in ASCII: other bytes, which a request line may not have, are escaped as browsers do."""
    return target.decode("ascii") if target.isascii() else quote_from_bytes(target, safe=_VISIBLE)


_VISIBLE = bytes(range(0x21, 0x7F))


def _as_text(host: str) -> str:
    """Return a host without surrogates: mitmproxy has them for bytes that are not UTF-8."""
    return host if host.isascii() else host.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_while_arriving(upload: Upload, members: frozenset[str], request: http.Request) -> None:
    """Prepare an upload for the members of `request` that expressions read, in case it is too large to keep."""
    if held_by("parts", members) and "content-encoding" not in request.headers:
        content_type = request.headers.get("content-type", "")
        if content_type.lower().startswith("multipart/form-data"):
            upload.reader = MultipartReader(content_type)
    if held_by("sha256", members):
        upload.hash = hashlib.sha256()


def remove_upgrade(request: http.Request) -> None:
    """Remove the wish for another protocol than WebSocket from a request that is forwarded (RFC 9110 section 7.8).

    What a client sends in that protocol would leave unseen: over h2c, requests that no mock forwards.
    """
    wanted = request.headers.get("upgrade")
    if wanted is None or wanted.strip().lower() == "websocket":
        return
    for name in ("upgrade", "http2-settings"):
        request.headers.pop(name, None)
    tokens = [token.strip() for token in request.headers.get("connection", "").split(",")]
    kept = [token for token in tokens if token and token.lower() not in ("upgrade", "http2-settings")]
    request.headers.pop("connection", None)
    if kept:
        request.headers["connection"] = ", ".join(kept)


def http_response(response: Response, method: str) -> http.Response:
    """Return mitmproxy's response to a request with this method.

    It has no body for HEAD: the client would take the body for the beginning of the connection's next response.
    """
    fields = [(name.encode("latin-1", "replace"), value.encode()) for name, value in response.headers]
    body = b"" if method == "HEAD" else response.body
    return fast.make_response(response.status, _REASONS.get(response.status, ""), fields, body)


_REASONS = {int(status): status.phrase for status in HTTPStatus}
