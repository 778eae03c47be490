"""PURE: bodies and headers of an OpenAPI document, as mocks write them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from latehook.importing.exchanges import KeyPath
from latehook.importing.openapi.values import Perspective, find_id, templates
from latehook.importing.shapes import literal
from latehook.openapi.document import Document, as_map
from latehook.openapi.samples import Sample, flat_schema, sample_of_media, sample_of_parameter

_LEFT_OUT_HEADERS = re.compile(r"(?i)content-type|content-length|authorization|accept|.*rate-?limit.*|set-cookie")
_WANTED_HEADERS = re.compile(r"(?i)location|operation-location|retry-after|x-next.*")


class Body:
    """A body of a message: its kind, its example, and the content type if that does not follow from the kind."""

    def __init__(self, document: Document, content: Mapping[str, Any]) -> None:
        self.document = document
        self.kind, name = _preferred(content)
        self.media = document.map(content.get(name))
        self.sample = sample_of_media(document, self.media) if self.kind else Sample()
        plain = name.partition(";")[0].strip().lower()
        if self.kind in ("xml", "text") and isinstance(self.sample.value, str):
            self.kind = "text"
        self.content_type = None if plain in ("application/json", "", "text/plain") or "*" in plain else plain
        if self.kind in ("form", "multipart") or (self.kind == "xml" and plain == "application/xml"):
            self.content_type = None

    def written(self, perspective: Perspective, id_path: KeyPath | None = None) -> dict[str, Any]:
        """Return the body's key of a mock with its value, and nothing if there is no body."""
        value = templates(self.sample, perspective, id_path)
        if self.kind == "json":
            return (
                {} if value is None and "schema" not in self.media and "example" not in self.media else {"json": value}
            )
        if self.kind in ("form", "multipart"):
            return {self.kind: dict(_flat(value))} if isinstance(value, dict) else {}
        if self.kind == "xml":
            return {"xml": {self._root(): value}} if isinstance(value, dict) else {}
        return {"text": value} if isinstance(value, str) else {}

    def id_path(self, wanted: list[str]) -> KeyPath | None:
        """Return where the id is, by its names; the best come first."""
        return find_id(self.sample, wanted)

    def _root(self) -> str:
        """Return the name of the root element of XML."""
        schema = self.media.get("schema")
        named = as_map(flat_schema(self.document, schema).get("xml")).get("name")
        reference = str(as_map(schema).get("$ref", "")).rpartition("/")[2]
        name = str(named or reference)
        return name if re.fullmatch(r"[A-Za-z_][\w.-]*", name) else "response"


def _preferred(content: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind of body and the media type that a mock has: JSON if there is a choice."""
    kinds = (
        ("json", r"application/json.*|[^;]*\+json.*|text/json.*|application/x-ndjson.*"),
        ("json", r"\*/\*|application/\*"),
        ("form", r"application/x-www-form-urlencoded.*"),
        ("multipart", r"multipart/form-data.*"),
        ("xml", r"(application|text)/xml.*|[^;]*\+xml.*"),
        ("text", r".*"),
    )
    for kind, pattern in kinds:
        for name in content:
            if re.fullmatch(pattern, name.strip(), re.IGNORECASE | re.DOTALL):
                return kind, name
    return "", ""


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Return the fields of a form: members of maps have their names in brackets."""
    for key, item in value.items():
        inner = f"{name}[{key}]" if name else str(key)
        if isinstance(item, dict):
            yield from _flat(item, inner)
        elif isinstance(item, list):
            yield inner, [one for one in item if not isinstance(one, (dict, list))]
        else:
            yield inner, "" if item is None else item


def headers(document: Document, described: Mapping[str, Any], content_type: str | None) -> dict[str, Any]:
    """Return the headers of a response: those that clients need, with an example."""
    found: dict[str, Any] = {} if content_type is None else {"content-type": content_type}
    for name, header in described.items():
        data = document.map(header)
        if _WANTED_HEADERS.fullmatch(name) or (data.get("required") is True and not _LEFT_OUT_HEADERS.fullmatch(name)):
            found[name.lower()] = _text(sample_of_parameter(document, data))
    return found


def parameters(document: Document, described: Iterable[Mapping[str, Any]], place: str) -> dict[str, Any]:
    """Return the required parameters of a webhook that are in `place`, with their examples."""
    return {
        str(one["name"]): _text(sample_of_parameter(document, one))
        for one in described
        if one.get("in") == place and one.get("required") is True and not _LEFT_OUT_HEADERS.fullmatch(str(one["name"]))
    }


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return literal(re.sub(r"[\x00-\x1f\x7f]", " ", value))
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else literal(str(value or ""))
