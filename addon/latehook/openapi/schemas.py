"""PURE: the schemas of an OpenAPI document as JSON Schema 2020-12, for jsonschema-rs.

Only what says something about values is taken over. What OpenAPI 3.0 has of its own (`nullable`) is translated. What
real documents get wrong is read as it is meant: `additionalProperties: false` in a part of an `allOf` would refuse what
the other parts have, so it does not count there.
"""

import json
from typing import Any

from latehook.base.errors import LatehookError
from latehook.base.json_text import encode_json
from latehook.openapi.document import Document, as_list, as_map

EXTRA = "pip install 'latehook[openapi]'"
BASE = "urn:latehook:document"

_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_SEVERAL = ("allOf", "oneOf", "anyOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "dependentSchemas")
_NUMBERS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"),
)
_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))


class MissingExtra(LatehookError):
    """jsonschema-rs is not installed."""


class UnusableSchema(LatehookError):
    """A schema of a document is not valid. The text is the reason."""


def jsonschema() -> Any:
    """Return the module jsonschema_rs. Raises MissingExtra."""
    try:
        import jsonschema_rs
    except ImportError:
        raise MissingExtra(f"`validate` needs the package jsonschema-rs: {EXTRA}, or write `validate: off`") from None
    return jsonschema_rs


class Check:
    """Compares values with a schema. It is compiled when it is used first, or by `compile`."""

    def __init__(self, schemas: "Schemas", converted: dict[str, Any]) -> None:
        self._schemas = schemas
        self._converted = converted
        self._validator: Any = None

    def compile(self) -> None:
        """Raises UnusableSchema if the schema is not valid."""
        if self._validator is None:
            self._validator = self._schemas.validator(self._converted)

    def __call__(self, value: Any) -> list[tuple[list[Any], str]]:
        """Return the errors of a value: where each is, and what it is."""
        self.compile()
        return [(list(error.instance_path), error.message) for error in self._validator.iter_errors(value)]


class Schemas:
    """The schemas of one document, each converted once. Raises MissingExtra."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._library = jsonschema()
        self._converted: dict[tuple[str, bool], dict[str, Any]] = {}
        self._numbers: dict[tuple[str, bool], str] = {}
        self._count = -1
        self._registry: Any = None

    def check(self, schema: Any) -> "Check":
        """Return what compares values with a schema."""
        try:
            return Check(self, self._convert(schema, False))
        except RecursionError:
            raise UnusableSchema("it is nested too deeply") from None

    def validator(self, converted: dict[str, Any]) -> Any:
        """Return the compiled form of a converted schema. Raises UnusableSchema.

        First convert all schemas: whatever is converted later is compiled anew.
        """
        try:
            if self._count != len(self._converted):
                self._count = len(self._converted)
                named = {self._numbers[key]: value for key, value in self._converted.items()}
                self._registry = self._library.Registry([(BASE, _plain_json({"$defs": named}))])
            return self._library.Draft202012Validator(_plain_json(converted), registry=self._registry)
        except ValueError as error:
            raise UnusableSchema(" ".join(str(error).split())[:300]) from None

    def _convert(self, schema: Any, in_all_of: bool) -> dict[str, Any]:
        if not isinstance(schema, dict):
            return {"not": {}} if schema is False else {}
        if isinstance(schema.get("$ref"), str):
            found, reference = self._document.resolve(schema, with_beside=False)
            beside = self._convert({key: value for key, value in schema.items() if key != "$ref"}, in_all_of)
            return {**beside, **self._reference(found, reference, in_all_of)}
        result = self._plain(schema)
        for key in _ONE:
            value = schema.get(key)
            if isinstance(value, (dict, bool)) and not (in_all_of and key == "additionalProperties" and value is False):
                result[key] = value if isinstance(value, bool) else self._convert(value, False)
        for key in _SEVERAL:
            if parts := [self._convert(part, key == "allOf") for part in as_list(schema.get(key))]:
                result[key] = parts
        for key in _NAMED:
            if properties := as_map(schema.get(key)):
                result[key] = {name: self._convert(value, False) for name, value in properties.items()}
        return _nullable(result) if schema.get("nullable") is True else result

    def _reference(self, found: Any, reference: str, in_all_of: bool) -> dict[str, Any]:
        key = reference, in_all_of
        if key not in self._numbers:
            self._numbers[key] = str(len(self._numbers))
            self._converted[key] = {}
            self._converted[key] = self._convert(found, in_all_of)
        return {"$ref": f"{BASE}#/$defs/{self._numbers[key]}"}

    def _plain(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords of a schema that have no schemas in them."""
        result: dict[str, Any] = {}
        kinds = schema.get("type")
        known = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in _TYPES]
        if known:
            result["type"] = list(dict.fromkeys(known)) if len(known) > 1 else known[0]
        for key in _NUMBERS:
            if isinstance(schema.get(key), (int, float)) and not isinstance(schema[key], bool):
                result[key] = schema[key]
        for least in ("Minimum", "Maximum"):  # booleans in OpenAPI 3.0
            if schema.get(f"exclusive{least}") is True and least.lower() in result:
                result[f"exclusive{least}"] = result.pop(least.lower())
        if isinstance(schema.get("pattern"), str):
            result["pattern"] = schema["pattern"]
        if as_list(schema.get("enum")):
            result["enum"] = schema["enum"]
        if "const" in schema:
            result["const"] = schema["const"]
        if schema.get("uniqueItems") is True:
            result["uniqueItems"] = True
        if required := self._required(schema):
            result["required"] = required
        return result

    def _required(self, schema: dict[str, Any]) -> list[str]:
        """Return the members that a request must have: those that are `readOnly` only come in responses."""
        properties = as_map(schema.get("properties"))
        names = [name for name in as_list(schema.get("required")) if isinstance(name, str)]
        return [
            name
            for name in dict.fromkeys(names)
            if self._document.map(properties.get(name)).get("readOnly") is not True
        ]


def _plain_json(value: Any) -> Any:
    """Return a value with Python's own numbers."""
    return json.loads(encode_json(value))


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that permits null too."""
    kinds = schema.get("type")
    if isinstance(kinds, str) and not {"allOf", "oneOf", "anyOf"} & schema.keys():
        enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return {**schema, "type": [kinds, "null"], **enum}
    return {"anyOf": [{"type": "null"}, schema]}
