"""Makes the JSON Schema of mocks files, by which editors complete, explain and check them."""

import re
from typing import Any

import msgspec

from latehook.mocksfile.entries import File


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema, made from the types of the entries."""
    schema = msgspec.json.schema(File)
    for name, kind in schema["$defs"].items():
        kind["title"] = " ".join(re.findall("[A-Z][a-z]+", name.removesuffix("Entry"))).capitalize()
    schema["$defs"]["File"]["patternProperties"] = {"^x-": {"description": "Ignored: a place for YAML anchors."}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A Latehook mocks file", **schema}
