"""What leaves the API, each in one way: JSON, a problem, a file."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from latehook.control.shapes import Problem

JSON = "application/json"
PROBLEM = "application/problem+json"

_ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Refusal(Exception):
    """A request that is not carried out."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def answer(value: Any) -> Response:
    """200, with a shape or plain data as JSON."""
    return _response(value, 200, JSON)


def refuse(refusal: Refusal) -> Response:
    return problem(Problem(title=title(refusal.status), status=refusal.status, detail=str(refusal)), refusal.headers)


def problem(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """RFC 9457."""
    return _response(problem, problem.status, PROBLEM, headers)


def file(content: bytes | str, media_type: str) -> Response:
    return Response(content, 200, _ALWAYS, media_type)


def title(status: int) -> str:
    return HTTPStatus(status).phrase


def _response(value: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    return Response(told(value), status, {**_ALWAYS, **(headers or {})}, media_type)


def told(value: Any) -> bytes:
    """A value as people and programs read it. All JSON that leaves passes here: what is secret is to be hidden here."""
    return msgspec.json.encode(value)
