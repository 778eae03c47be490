"""Responses of the API: JSON, files and problems."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from latehook.api.payloads import FileProblem, Problem
from latehook.base.errors import FileNotSent
from latehook.base.json_numbers import NumberAsWritten
from latehook.base.json_text import encode_json, without_lone_surrogates

JSON = "application/json"
PROBLEM = "application/problem+json"

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


class Refusal(Exception):
    """A request that is not carried out: the response's status, and the problem's `detail` as the message."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def title(status: int) -> str:
    """Return the name of a status: the `title` of a problem."""
    return HTTPStatus(status).phrase


def file_problem(error: FileNotSent) -> FileProblem:
    return FileProblem(title=title(400), status=400, detail=str(error), file=error.name)


def file(content: bytes | str, media_type: str, headers: dict[str, str] | None = None) -> Response:
    return Response(content, 200, {**_HEADERS, **(headers or {})}, media_type)


class Responder:
    """Makes every JSON response. `redact` replaces the secrets in plain data."""

    def __init__(self, redact: Callable[[Any], Any]) -> None:
        self._redact = redact

    def json(self, value: Any) -> Response:
        """Return a response of status 200 with a structure of the API or plain data."""
        return self._response(value, 200, JSON)

    def refuse(self, refusal: Refusal) -> Response:
        problem = Problem(title=title(refusal.status), status=refusal.status, detail=str(refusal))
        return self.problem(problem, refusal.headers)

    def problem(self, problem: Problem, headers: dict[str, str] | None = None) -> Response:
        """Return a problem in the format of RFC 9457."""
        return self._response(problem, problem.status, PROBLEM, headers)

    def _response(self, value: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
        shown = self._redact(msgspec.to_builtins(value, builtin_types=(NumberAsWritten,)))
        content = encode_json(shown)
        if b"\\ud" in content:  # an error message may quote half a character that a request sent
            content = encode_json(without_lone_surrogates(shown))
        return Response(content, status, {**_HEADERS, **(headers or {})}, media_type)
