"""PURE: compares requests with an operation of an OpenAPI document."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from latehook.base.errors import BodyError, ExpressionError
from latehook.base.json_text import encode_json
from latehook.base.messages import Request, Response
from latehook.expressions.views import RequestView
from latehook.openapi.document import as_map
from latehook.openapi.operations import Operation
from latehook.openapi.samples import flat_schema, sample_of_media
from latehook.openapi.schemas import Check, Schemas

MAX_PROBLEMS = 10
"""Differences that are named of one request."""
MAX_LENGTH = 300
"""Characters of one of them: it may quote the request."""

_NOT_COMPARED = ("accept", "content-type", "authorization")  # OpenAPI says that these have no schema
_JSON = re.compile(r"application/json|.*\+json|text/json")


class Validation:
    """Compares the requests of a mock with its operation. `refuses`: a request that differs gets an error response."""

    def __init__(self, operation: Operation, schemas: Schemas, refuses: bool) -> None:
        """`schemas` are those of the operation's document. Call `compile` when all validations are made."""
        self.refuses = refuses
        self._document = operation.document
        body = operation.document.map(operation.data.get("requestBody"))
        self._needs_body = body.get("required") is True
        self._media = {
            name.partition(";")[0].strip().lower(): value for name, value in as_map(body.get("content")).items()
        }
        self._bodies = {name: schemas.check(as_map(media).get("schema", {})) for name, media in self._media.items()}
        self._parameters = [(one, schemas.check(one.get("schema", {}))) for one in operation.parameters]
        self._refusal = _refusal(operation)

    def compile(self) -> None:
        """Raises UnusableSchema if a schema of the operation is not valid."""
        for check in (*self._bodies.values(), *(check for _, check in self._parameters)):
            check.compile()

    def problems(self, request: Request) -> Sequence[str]:
        """Return in what a request differs from the operation."""
        found = []
        for problem in (*self._in_parameters(request), *self._in_body(request)):
            found.append(problem if len(problem) <= MAX_LENGTH else f"{problem[: MAX_LENGTH - 1]}…")
            if len(found) == MAX_PROBLEMS:
                break
        return tuple(found)

    def refusal(self) -> Response | None:
        """Return the error response of the document, None if it has none."""
        return self._refusal

    def _in_parameters(self, request: Request) -> Iterator[str]:
        query: dict[str, list[str]] = {}
        for name, text in parse_qsl(request.target.partition("?")[2], keep_blank_values=True, errors="replace"):
            query.setdefault(name, []).append(text)
        for parameter, check in self._parameters:
            place, name = str(parameter.get("in")), str(parameter["name"])
            if place not in ("query", "header") or (place == "header" and name.lower() in _NOT_COMPARED):
                continue
            values = query.get(name, []) if place == "query" else _header(request, name)
            if not values:
                is_nested = any(key.startswith(f"{name}[") for key in query)
                if parameter.get("required") is True and not is_nested:
                    yield f"{place} {name}: it is missing"
                continue
            schema = flat_schema(self._document, parameter.get("schema"))
            value: Any = (
                values if "array" in _types(schema) and parameter.get("explode", True) is not False else values[0]
            )
            yield from _named(f"{place} {name}", check(self._typed(value, schema)))

    def _in_body(self, request: Request) -> Iterator[str]:
        if not self._media:
            return
        view = RequestView(request)
        sent = str(view.content_type or "").partition(";")[0].strip().lower()
        if not request.size:
            if self._needs_body:
                yield "body: it is missing"
            return
        kind = next((one for one in (sent, f"{sent.partition('/')[0]}/*", "*/*") if one in self._media), None)
        if kind is None:
            yield f"header content-type: {sent or 'nothing'} is not {' or '.join(self._media)}"
            return
        try:
            if _JSON.fullmatch(sent):
                yield from self._in_json(view, self._bodies[kind])
            elif sent in ("application/x-www-form-urlencoded", "multipart/form-data"):
                schema = flat_schema(self._document, as_map(self._media[kind]).get("schema"))
                fields = {**_plain(view.form), **dict.fromkeys(view.files, "")}
                yield from _named("body", self._bodies[kind](self._typed(fields, schema)))
        except (BodyError, ExpressionError, ValueError) as error:
            yield f"body: {error}"

    def _in_json(self, view: RequestView, check: Check) -> Iterator[str]:
        value = view.json
        if value is None and view.text.strip() != "null":
            yield "body: it is not JSON"
            return
        yield from _named("body", check(json.loads(encode_json(value))))

    def _typed(self, value: Any, schema: Mapping[str, Any]) -> Any:
        """Return a value of a form or query as its schema means it: there, everything is a text."""
        kinds = _types(schema)
        if isinstance(value, Mapping):
            properties = as_map(schema.get("properties"))
            return {
                name: self._typed(item, flat_schema(self._document, properties.get(name)))
                for name, item in value.items()
            }
        if "array" in kinds and not isinstance(value, list):
            value = value.split(",")
        if isinstance(value, list):
            items = flat_schema(self._document, schema.get("items"))
            return [self._typed(item, items) for item in value]
        if kinds & {"integer", "number"} and re.fullmatch(r"-?\d{1,400}(\.\d+)?([eE][+-]?\d{1,3})?", value):
            return int(value) if value.lstrip("-").isdigit() else float(value)
        if "boolean" in kinds and value in ("true", "false"):
            return value == "true"
        if kinds & {"object"} and value[:1] == "{":  # a part of a form may be JSON
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                return value
        return value


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    return {str(one) for one in (kind if isinstance(kind, list) else [kind])}


def _named(place: str, errors: Sequence[tuple[list[Any], str]]) -> Iterator[str]:
    for path, message in errors:
        yield f"{place}{''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in path)}: {message}"


def _header(request: Request, name: str) -> list[str]:
    wanted = name.lower().encode()
    return [value.decode(errors="replace") for key, value in request.headers if key.lower() == wanted]


def _plain(value: Any) -> Any:
    """Return a form as plain data."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else str(value)


def _refusal(operation: Operation) -> Response | None:
    """Return the documented response for a request that is not valid: 400 or 422, otherwise the first other 4xx."""
    responses = {
        str(code).upper(): value for code, value in operation.document.map(operation.data.get("responses")).items()
    }
    others = [code for code in responses if re.fullmatch(r"4\d\d", code) and code not in ("401", "403", "404", "429")]
    for code in ("400", "422", *others, "4XX"):
        if code in responses:
            content = as_map(operation.document.map(responses[code]).get("content"))
            name = next((name for name in content if _JSON.fullmatch(name.partition(";")[0].strip())), None)
            status = int(code) if code.isdigit() else 400
            if name is None:
                return Response(status, (("content-length", "0"),))
            body = encode_json(sample_of_media(operation.document, operation.document.map(content[name])).value)
            return Response(status, (("content-type", name), ("content-length", str(len(body)))), body)
    return None
