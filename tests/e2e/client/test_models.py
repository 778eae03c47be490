"""The client reads what the control API gives: its frozen values beside the OpenAPI document of a real process."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import latehook
from latehook.client import models
from support.programs import curl

NAMED = {"Missed": "TimedOut", "Page": "Page_Webhook_"}
"""The schema of a value, where it has another name."""

PASSED_OVER = {
    "Advanced": {"clock"},
    "Missed": {"type", "title", "status", "detail"},
    "Problem": {"type", "title", "status"},
}
"""Members that the client has no use for."""

VALUES = {
    name: models.Page[models.Webhook] if name == "Page" else value
    for name, value in inspect.getmembers(models, inspect.isclass)
    if value.__module__ == models.__name__ and not name.startswith("_")
}


@pytest.fixture(scope="module")
def given() -> Iterator[dict[str, Any]]:
    """The schemas of what the API gives."""
    with latehook.start() as client:
        document = json.loads(curl(f"{client.proxy}/_latehook/openapi.json").stdout)
        yield document["components"]["schemas"]


READ = msgspec.json.schema_components(VALUES.values(), ref_template="#/{name}")[1]


def kinds(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """What a value may be: JSON's types, or schemas by their names; `[…]` is a list."""
    if "anyOf" in schema:
        return {kind for each in schema["anyOf"] for kind in kinds(each, schemas)}
    if items := schema.get("items"):
        return {f"[{kind}]" for kind in kinds(items, schemas)}
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {"string"} if "enum" in schemas[name] else {name}
    return {schema["type"]}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_has_the_members_that_are_given_and_takes_what_they_may_be(name: str, given: dict[str, Any]) -> None:
    read = READ["Page_Webhook_" if name == "Page" else name]
    schema = given[NAMED.get(name, name)]

    assert read["properties"].keys() == schema["properties"].keys() - PASSED_OVER.get(name, set())
    assert set(read.get("required", [])) <= set(schema["required"])
    for member, value in read["properties"].items():
        assert kinds(schema["properties"][member], given) <= kinds(value, READ), member


def test_a_strict_test_waits_by_a_revision_that_is_given(given: dict[str, Any]) -> None:
    assert kinds(given["Status"]["properties"]["revision"], given) == {"integer"}
