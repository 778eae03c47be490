"""The OpenAPI document describes everything, and its examples fit."""

import keyword
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from latehook.control import openapi, parsing, responses
from latehook.control.params import NoParameters, PostedMocks, Variables
from latehook.control.routes import OPERATIONS, Operation
from latehook.delivery import advance

DOCUMENT = openapi.document("1.0")
DESCRIBED = [
    pytest.param(
        operation, DOCUMENT["paths"][f"/_latehook/{operation.path}"][operation.method.lower()], id=operation.id
    )
    for operation in OPERATIONS
]


@pytest.mark.parametrize(("operation", "described"), DESCRIBED)
def test_every_operation_is_described(operation: Operation, described: dict[str, Any]) -> None:
    assert re.fullmatch("[a-z][a-z_]*", described["operationId"]) and not keyword.iskeyword(described["operationId"])
    assert described["summary"] and described["description"].endswith(".")
    assert set(described["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(parameter["description"] for parameter in described["parameters"])
    assert all(response["description"] for response in described["responses"].values())
    assert {"200", "400", "401", "403", "413", "500", "503"} <= described["responses"].keys()
    assert ("415" in described["responses"]) == ("requestBody" in described) == (operation.method != "GET")


def test_operations_have_ids_of_their_own_and_every_tag_is_used() -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    assert {operation.tag for operation in OPERATIONS} == {tag["name"] for tag in DOCUMENT["tags"]}


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_structure_and_every_field_is_described(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]

    assert schema["description"]
    assert [field for field, described in schema.get("properties", {}).items() if not described["description"]] == []


@pytest.mark.parametrize(("operation", "described"), DESCRIBED)
def test_the_examples_of_an_operation_fit(operation: Operation, described: dict[str, Any]) -> None:
    for response in described["responses"].values():
        for media_type, content in response["content"].items():
            assert "example" in content or media_type not in (responses.JSON, responses.PROBLEM)
    if operation.body not in (None, PostedMocks):
        example = described["requestBody"]["content"][responses.JSON]["example"]
        parsing.from_body(operation.body, msgspec.json.encode(example))
    if operation.query is not NoParameters:
        for parameter in described["parameters"]:
            for example in parameter["schema"].get("examples", ()):
                parsing.from_query(operation.query, [(parameter["name"], str(example))])
    if not isinstance(operation.result, str) and operation.result is not Variables:
        msgspec.convert(described["responses"]["200"]["content"][responses.JSON]["example"], operation.result)


def test_no_schema_is_in_a_form_that_generators_do_not_read() -> None:
    def schemas(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from schemas(item)

    found = list(schemas(DOCUMENT["components"]["schemas"]))
    assert not [schema for schema in found if schema.get("items") is False or "prefixItems" in schema]
    assert not [schema for schema in found if "enum" in schema and "type" not in schema]


def test_an_advance_says_its_limit() -> None:
    [clock] = [operation for operation in OPERATIONS if operation.id == "advance_clock"]

    assert f"after {advance.LIMIT:g} s" in clock.description
