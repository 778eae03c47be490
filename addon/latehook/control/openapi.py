"""The OpenAPI document, made from the table of paths and the types of what is taken and given."""

import re
from typing import Any

import msgspec

from latehook.control import answers
from latehook.control.routes import OPERATIONS, PREFIX, Operation
from latehook.control.shapes import Problem, TimedOut

ANY = (400, 401, 403, 413, 503)
"""Statuses that any operation may have."""

_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def document(version: str) -> dict[str, Any]:
    shapes = [operation.answers for operation in OPERATIONS if not _is_media_type(operation.answers)]
    taken = [operation.takes for operation in OPERATIONS]
    kinds = list(dict.fromkeys([*map(_hashable, shapes), *taken, Problem, TimedOut]))
    made, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(kinds, made, strict=True))
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        described = _described(operation, schemas, components)
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latehook", "version": version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "mock_token"}},
        },
        "security": [{}, {"token": []}],
    }


def _hashable(shape: Any) -> Any:
    return shape


def _is_media_type(shape: Any) -> bool:
    return isinstance(shape, str)


def _described(operation: Operation, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    taken = components[operation.takes.__name__]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()} {operation.path or 'page'}",
        "summary": operation.summary,
        "responses": {
            "200": {"description": "OK", "content": _content(operation, schemas)},
            **{str(status): _problem(status) for status in sorted({*ANY, *operation.also, *_of_writing(operation)})},
        },
    }
    if operation.writes:
        described["requestBody"] = {"content": {answers.JSON: {"schema": schemas[operation.takes]}}}
    else:
        parameters += [
            {"name": name, "in": "query", "schema": schema} for name, schema in taken.get("properties", {}).items()
        ]
    return {**described, "parameters": parameters} if parameters else described


def _content(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    if _is_media_type(operation.answers):
        return {operation.answers: {"schema": {"type": "string"}}}
    return {answers.JSON: {"schema": schemas[operation.answers]}}


def _of_writing(operation: Operation) -> tuple[int, ...]:
    return (415,) if operation.writes else ()


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/TimedOut"} if status == 408 else _PROBLEM
    return {"description": answers.title(status), "content": {answers.PROBLEM: {"schema": schema}}}
