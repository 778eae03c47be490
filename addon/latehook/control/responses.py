"""What leaves the API, each in one way: JSON, a problem, a file."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from latehook.control.schemas import Problem

JSON = "application/json"
PROBLEM = "application/problem+json"

_ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Refusal(Exception):
    """A request that is not carried out."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def title(status: int) -> str:
    return HTTPStatus(status).phrase


def file(content: bytes | str, media_type: str, headers: dict[str, str] | None = None) -> Response:
    return Response(content, 200, {**_ALWAYS, **(headers or {})}, media_type)


class Answers:
    """All JSON that leaves. `hide` gives plain data without what is not to be shown."""

    def __init__(self, hide: Callable[[Any], Any]) -> None:
        self._hide = hide

    def answer(self, value: Any) -> Response:
        """200, with a shape or plain data."""
        return self._response(value, 200, JSON)

    def refuse(self, refusal: Refusal) -> Response:
        shape = Problem(title=title(refusal.status), status=refusal.status, detail=str(refusal))
        return self.problem(shape, refusal.headers)

    def problem(self, problem: Problem, headers: dict[str, str] | None = None) -> Response:
        """RFC 9457."""
        return self._response(problem, problem.status, PROBLEM, headers)

    def _response(self, value: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
        shown = self._hide(msgspec.to_builtins(value))
        return Response(msgspec.json.encode(shown), status, {**_ALWAYS, **(headers or {})}, media_type)
