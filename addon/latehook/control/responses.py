"""Responses of the API: JSON, files and problems."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from latehook.api.payloads import FileProblem, Problem
from latehook.base.errors import FileNotSent
from latehook.base.json_numbers import NumberAsWritten
from latehook.base.json_text import encode_json, without_lone_surrogates
from latehook.base.redaction import Redaction
from latehook.base.turns import Turns

JSON = "application/json"
PROBLEM = "application/problem+json"

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


TEXT_PER_TURN = 64 * 1024
"""Characters of a text that are made in one turn of the event loop."""

LARGEST_SECRET = 32 * 1024
"""Characters behind them that are looked at for a secret that begins before the end."""


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
    """Makes every JSON response, without secrets. A long text is made in several turns of the event loop."""

    def __init__(self, redaction: Redaction, turns: Turns) -> None:
        self._redaction = redaction
        self._turns = turns

    def encode(self, value: Any) -> msgspec.Raw:
        """Return a structure of the API, or plain data, as JSON without secrets."""
        return _encode(self._redaction.redact(_plain(value)))

    async def json(self, value: Any) -> Response:
        """Return a response of status 200 with a structure of the API or plain data."""
        parts: list[bytes] = []
        await self._encode_in_turns(_plain(value), parts)
        return _response(b"".join(parts), 200, JSON)

    def members(self, **members: Any) -> Response:
        """Return a response of status 200 with an object. What is encoded already stays as it is."""
        return _response(_encode(members), 200, JSON)

    def page(self, items: Sequence[msgspec.Raw], next: int | None) -> Response:
        """Return a page of a list, whose items are encoded."""
        return self.members(items=items, next=None if next is None else str(next))

    def refuse(self, refusal: Refusal) -> Response:
        problem = Problem(title=title(refusal.status), status=refusal.status, detail=str(refusal))
        return self.problem(problem, refusal.headers)

    def problem(
        self, problem: Problem, headers: dict[str, str] | None = None, **lists: Sequence[msgspec.Raw]
    ) -> Response:
        """Return a problem in the format of RFC 9457. `lists` are members of it whose items are encoded."""
        members = {**self._redaction.redact(_plain(problem)), **lists}
        return _response(_encode(members), problem.status, PROBLEM, headers)

    async def _encode_in_turns(self, value: Any, parts: list[bytes]) -> None:
        """Add plain data as JSON to `parts`: joined once, at the end. A text takes as many turns as it is long."""
        if isinstance(value, dict):
            parts.append(b"{")
            for number, (name, item) in enumerate(value.items()):
                parts += (b"," if number else b"", bytes(_encode(str(name))), b":")
                await self._encode_in_turns(item, parts)
            parts.append(b"}")
        elif isinstance(value, (list, tuple)):
            parts.append(b"[")
            for number, item in enumerate(value):
                parts.append(b"," if number else b"")
                await self._encode_in_turns(item, parts)
            parts.append(b"]")
        elif isinstance(value, str) and len(value) > TEXT_PER_TURN:
            await self._encode_text(value, parts)
        else:
            parts.append(bytes(_encode(self._redaction.redact(value))))

    async def _encode_text(self, text: str, parts: list[bytes]) -> None:
        parts.append(b'"')
        start = 0
        while start < len(text):
            await self._turns.next()
            part = text[start : start + TEXT_PER_TURN + LARGEST_SECRET]
            end = self._redaction.cut(part, TEXT_PER_TURN) or TEXT_PER_TURN
            parts.append(bytes(_encode(self._redaction.redact(part[:end])))[1:-1])  # without the quotation marks
            start += end
        parts.append(b'"')


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(NumberAsWritten,))


def _encode(value: Any) -> msgspec.Raw:
    content = encode_json(value)
    if b"\\ud" in content:  # an error message may quote half a character that a request sent
        content = encode_json(without_lone_surrogates(value))
    return msgspec.Raw(content)


def _response(
    content: msgspec.Raw | bytes, status: int, media_type: str, headers: dict[str, str] | None = None
) -> Response:
    return Response(bytes(content), status, {**_HEADERS, **(headers or {})}, media_type)
