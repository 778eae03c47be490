"""The OpenAPI document, made from the table of paths and the types of what is taken and given."""

import re
from typing import Any

import msgspec

from latehook.control import responses
from latehook.control.params import PostedMocks
from latehook.control.routes import OPERATIONS, PREFIX, Operation
from latehook.control.schemas import Problem, TimedOut

ANY = (400, 401, 403, 413, 503)
"""Statuses that any operation may have."""

OF_WRITES = (415,)
"""Those that one with a body may have besides."""

_TEXT = {"type": "string"}


def document(version: str) -> dict[str, Any]:
    """The API in OpenAPI 3.1."""
    kinds = list(dict.fromkeys([*_kinds(), Problem, TimedOut]))
    made, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(kinds, made, strict=True))
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        described = _described(operation, schemas, components)
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = described
    token = {"type": "http", "scheme": "bearer", "description": "mock_token, for clients on other machines"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latehook", "version": version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": token}},
        "security": [{}, {"token": []}],
    }


def _kinds() -> list[Any]:
    """The types of all that is taken and given, but for files and texts."""
    taken = [operation.takes for operation in OPERATIONS if operation.takes is not PostedMocks]
    queries = [operation.query for operation in OPERATIONS]
    return taken + queries + [operation.answers for operation in OPERATIONS if not isinstance(operation.answers, str)]


def _described(operation: Operation, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    statuses = sorted({*ANY, *operation.also, *(OF_WRITES if operation.writes else ())})
    properties = components[operation.query.__name__]["properties"]
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()} {operation.path or 'page'}",
        "summary": operation.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": _TEXT}
            for name in re.findall(r"{(\w+)}", operation.path)
        ]
        + [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()],
        "responses": {
            "200": {"description": "OK", "content": _content(operation, schemas)},
            **{str(status): _problem(status) for status in statuses},
        },
    }
    if operation.writes:
        schema = schemas.get(operation.takes, _TEXT)
        content = {media_type: {"schema": schema} for media_type in operation.media_types}
        described["requestBody"] = {"content": content, "required": True}
    return described


def _content(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    if isinstance(operation.answers, str):
        return {operation.answers: {"schema": _TEXT}}
    return {responses.JSON: {"schema": schemas[operation.answers]}}


def _problem(status: int) -> dict[str, Any]:
    shape = TimedOut if status == 408 else Problem
    schema = {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {"description": responses.title(status), "content": {responses.PROBLEM: {"schema": schema}}}
