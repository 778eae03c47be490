"""The OpenAPI document, made from the table of operations, the structures and their docstrings."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from latehook.api import models, payloads
from latehook.api.defaults import MOCKS_WITH_FILES, PREFIX
from latehook.api.payloads import Problem, WaitProblem
from latehook.control import examples, params, responses
from latehook.control.descriptions import class_description, field_descriptions
from latehook.control.params import MocksWithFiles, PostedMocks
from latehook.control.routes import OPERATIONS, Operation

ALWAYS = (400, 401, 403, 413, 500, 503)
"""Statuses of problems that every operation may have."""

WITH_BODY = (415,)
"""Statuses that an operation with a body may have besides."""

TAGS = {
    "status": "Latehook as a whole, and its clock.",
    "jobs": "What accepted requests have started.",
    "webhooks": "Requests that are owed to the system under test, and the attempts to deliver them.",
    "requests": "The journal of requests to mocked hosts.",
    "variables": "The variables that mocks read as `vars`.",
    "mocks": "Mocks that are added while Latehook runs.",
    "files": "The page, certificates, and this document.",
}

IDS = {"jobs": "The job's id. A slash in it is written as `%2F`.", "webhooks": "The webhook's id."}
"""Descriptions of the parameter `id`, by the path's first segment."""

_DESCRIPTION = (
    "The control API of Latehook, which stands in for slow third-party services in tests: it lists jobs, webhooks and "
    "requests, waits for webhooks, operates on them, and moves the clock. Times are Unix seconds, durations seconds."
)
_STRUCTS = {
    name: value
    for module in (models, payloads, params)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Struct)
}
_TEXT = {"type": "string"}


def document(version: str) -> dict[str, Any]:
    """Return the description of the API in OpenAPI 3.1."""
    types = list(dict.fromkeys([*_json_types(), MocksWithFiles, Problem, WaitProblem]))
    made, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(types, made, strict=True))
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    token = {"type": "http", "scheme": "bearer", "description": "The option `mock_token`, for other machines."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latehook", "version": version, "description": _DESCRIPTION},
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {name: _described(name, schema) for name, schema in components.items()},
            "securitySchemes": {"token": token},
        },
        "security": [{}, {"token": []}],
    }


def _json_types() -> list[Any]:
    """Return the types of all JSON bodies and results."""
    bodies = [operation.body for operation in OPERATIONS if operation.body not in (None, PostedMocks)]
    return bodies + [operation.result for operation in OPERATIONS if not isinstance(operation.result, str)]


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a component, with the docstrings of the structure's fields as descriptions."""
    struct = _STRUCTS.get(name)
    if struct is None:
        return {"type": "string", **schema}  # an enum
    texts = field_descriptions(struct)
    members = {
        name: {**_without_tuples(member), "description": texts[name]} for name, member in schema["properties"].items()
    }
    return {**schema, "description": class_description(struct), "properties": members}


def _without_tuples(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the pairs in it as arrays of two: generators of clients do not read `"items": false`."""
    items = schema.get("items")
    if items is False:
        [kind] = {kind["type"] for kind in schema["prefixItems"]}
        rest = {name: value for name, value in schema.items() if name != "prefixItems"}
        return {**rest, "items": {"type": kind}}
    return schema if items is None else {**schema, "items": _without_tuples(items)}


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    statuses = sorted({*ALWAYS, *operation.problems, *(WITH_BODY if operation.writes else ())})
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": {"200": _success(operation, schemas), **{str(status): _problem(status) for status in statuses}},
    }
    if operation.writes:
        described["requestBody"] = {"content": _body(operation, schemas), "required": True}
    return described


def _body(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    if operation.body is not PostedMocks:
        return {responses.JSON: {"schema": schemas[operation.body], "example": operation.example}}
    content = {media_type: {"schema": _TEXT, "example": examples.MOCKS_TEXT} for media_type in operation.media_types}
    return {
        **content,
        responses.JSON: {"schema": {"type": "object"}, "example": examples.MOCKS},
        MOCKS_WITH_FILES: {"schema": schemas[MocksWithFiles], "example": examples.MOCKS_WITH_FILES},
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    description = IDS.get(path.partition("/")[0])
    return [
        {"name": name, "in": "path", "required": True, "description": description, "schema": _TEXT}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(query: type[Struct]) -> list[dict[str, Any]]:
    [_], components = msgspec.json.schema_components([query])
    texts = field_descriptions(query)
    return [
        {
            "name": name,
            "in": "query",
            "description": texts[name],
            "schema": {**_without_null(schema), "description": texts[name]},  # some generators read only this one
        }
        for name, schema in components[query.__name__]["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that does not mention null: in a query, a parameter is there or it is not."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    if len(kinds) == 1:
        return {**rest, **kinds[0]}
    return {**rest, "anyOf": kinds} if kinds else rest


def _success(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    if isinstance(operation.result, str):
        return {"description": operation.summary, "content": {operation.result: {"schema": _TEXT}}}
    example = msgspec.to_builtins(examples.RESULTS[operation.result])
    content = {"schema": schemas[operation.result], "example": example}
    return {"description": "Done.", "content": {responses.JSON: content}}


def _problem(status: int) -> dict[str, Any]:
    meaning, detail = examples.PROBLEMS[status]
    problem = (
        examples.WAIT_PROBLEM if status == 408 else Problem(title=responses.title(status), status=status, detail=detail)
    )
    schema = {"$ref": f"#/components/schemas/{type(problem).__name__}"}
    content = {"schema": schema, "example": msgspec.to_builtins(problem)}
    return {"description": meaning, "content": {responses.PROBLEM: content}}
