"""PURE: Responses of Latehook's own, where no mock answers."""

from collections.abc import Sequence
from typing import Any

from latehook.base.errors import shorten
from latehook.base.json_text import encode_json
from latehook.base.model import Request, Response
from latehook.base.redaction import Redaction
from latehook.mocks.near_misses import NearMiss
from latehook.mocks.rendering import JSON


def failure(status: int, error: str, request: Request, redaction: Redaction, **details: Any) -> Response:
    """Latehook's own answer where no mock gives one: JSON that says what is wrong and names the request."""
    asked = {"method": shorten(request.method), "url": shorten(request.url)}
    body = encode_json(redaction.redact({"error": f"latehook: {shorten(error)}", "request": asked, **details}))
    return Response(status, (("content-type", JSON), ("content-length", str(len(body)))), body)


def unmatched(request: Request, near: Sequence[NearMiss], redaction: Redaction) -> Response:
    """501: the request, and the mocks that came nearest."""
    shown = [{"mock": one.mock, "at": one.at, "differs": one.differs} for one in near]
    return failure(501, "no mock matches this request", request, redaction, nearest=shown)
