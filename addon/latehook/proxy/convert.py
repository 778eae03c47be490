"""From mitmproxy's flow to a request, and from a response to mitmproxy's."""

import hashlib
import time
from http import HTTPStatus

from mitmproxy import http

from latehook.base.model import Request, Response
from latehook.bodies.forms import MultipartReader
from latehook.proxy.layers import Exchange, Upload


def request_of(flow: http.HTTPFlow, exchange: Exchange) -> Request:
    data = flow.request.data
    upload = exchange.upload
    return Request(
        method=data.method.decode("latin-1"),
        scheme=data.scheme.decode("latin-1"),
        host=_host(exchange.host or data.host),
        port=exchange.port or data.port,
        target=data.path.decode("latin-1"),
        headers=data.headers.fields,
        body=upload.body,
        size=upload.size,
        parts=None if upload.reader is None else upload.reader.parts(),
        sha256=None if upload.hash is None else upload.hash.hexdigest(),
    )


def _host(name: str) -> str:
    """A host's name as text: mitmproxy keeps bytes that are none as halves of characters."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_on_the_way(upload: Upload, reads: frozenset[str], request: http.Request) -> None:
    """Have read on the way what expressions may ask for and a large body would not be kept for."""
    if reads & {"form", "files"} and "content-encoding" not in request.headers:
        content_type = request.headers.get("content-type", "")
        if content_type.lower().startswith("multipart/form-data"):
            upload.reader = MultipartReader(content_type)
    if "sha256" in reads:
        upload.hash = hashlib.sha256()


def http_response(response: Response, method: str) -> http.Response:
    """The response as mitmproxy sends it. What answers HEAD ends with its headers: a body would be taken for the
    beginning of the connection's next response.
    """
    now = time.time()
    fields = [(name.encode("latin-1", "replace"), value.encode()) for name, value in response.headers]
    body = b"" if method == "HEAD" else response.body
    reason = HTTPStatus(response.status).phrase if response.status in _STATUSES else ""
    # Made past `__init__`: mitmproxy has each field's type checked there, which takes a twentieth of the whole request.
    made, data = http.Response.__new__(http.Response), http.ResponseData.__new__(http.ResponseData)
    data.__dict__ = {
        "http_version": b"HTTP/1.1",
        "status_code": response.status,
        "reason": reason.encode(),
        "headers": http.Headers(fields),
        "content": body,
        "trailers": None,
        "timestamp_start": now,
        "timestamp_end": now,
    }
    made.data = data
    return made


_STATUSES = frozenset(HTTPStatus)
