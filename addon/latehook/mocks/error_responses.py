"""PURE: the responses that Latehook gives itself, where no mock does."""

from collections.abc import Sequence
from typing import Any

from latehook.base.errors import shorten
from latehook.base.json_text import encode_json
from latehook.base.messages import Request, Response
from latehook.base.redaction import Redaction
from latehook.mocks.bodies import JSON_TYPE
from latehook.mocks.near_misses import NearMiss

UNMATCHED = 501
"""The status of the response to a request that no mock matches."""


def failure(status: int, error: str, request: Request, redaction: Redaction, **details: Any) -> Response:
    """Return a response whose JSON says what is wrong, names the request, and has `details` as further members."""
    named = {"method": shorten(request.method), "url": shorten(request.url)}
    body = encode_json(redaction.redact({"error": f"latehook: {shorten(error)}", "request": named, **details}))
    return Response(status, (("content-type", JSON_TYPE), ("content-length", str(len(body)))), body)


def unmatched(request: Request, near_misses: Sequence[NearMiss], redaction: Redaction) -> Response:
    """Return the 501 for a request that no mock answers, with the mocks that came nearest."""
    nearest = [{"mock": miss.mock, "at": miss.at, "differs": miss.differs} for miss in near_misses]
    return failure(UNMATCHED, "no mock matches this request", request, redaction, nearest=nearest)
