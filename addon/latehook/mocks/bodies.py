"""PURE: the kinds of bodies that a response or webhook can have. Each kind renders itself and describes itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from latehook.base.errors import ExpressionError, Place
from latehook.base.json_text import encode_json
from latehook.base.model import Moment
from latehook.expressions.expression import as_written, render
from latehook.expressions.values import to_text
from latehook.mocks.fields import items_of, pairs_of, require_map

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class BodySpec:
    """A body as a mock describes it: its compiled value, and where it is written. There is one subclass a kind."""

    value: Any
    place: Place

    NAME: ClassVar[str]
    """The kind, in descriptions."""

    def render(self, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str]:
        """Return the body and its content type. Raises ExpressionError."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the kind and the names of the fields, or the value as it is written."""
        if isinstance(self.value, dict):
            return f"{self.NAME}: {', '.join(self.value)}"
        return f"{self.NAME} {as_written(self.value)}"


class JsonBody(BodySpec):
    __slots__ = ()
    NAME = "JSON"

    def render(self, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str]:
        value = render(self.value, scope)
        try:
            return encode_json(value), JSON_TYPE
        except (ValueError, RecursionError) as error:
            raise ExpressionError(self.place, f"this is not JSON: {error}") from None


class FormBody(BodySpec):
    __slots__ = ()
    NAME = "a form body"

    def render(self, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str]:
        fields = require_map(render(self.value, scope), self.place, "form")
        return _encode(urlencode(pairs_of(fields))), FORM_TYPE


class TextBody(BodySpec):
    __slots__ = ()
    NAME = "the text"

    def render(self, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str]:
        return _encode(to_text(render(self.value, scope))), TEXT_TYPE


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file's content, read when the mocks file was loaded, and its name and content type in messages."""

    content: bytes
    filename: str
    type: str


class FileBody(BodySpec):
    """The value is a FileSpec."""

    __slots__ = ()
    NAME = "the file"

    def render(self, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str]:
        return self.value.content, self.value.type

    def describe(self) -> str:
        return f"{self.NAME} {self.value.filename}"


class MultipartBody(BodySpec):
    """A form of RFC 7578. Values of its fields may be FileSpecs."""

    __slots__ = ()
    NAME = "a multipart body"

    def render(self, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str]:
        fields = require_map(render(self.value, scope), self.place, "multipart")
        boundary = f"latehook-{moment.random.getrandbits(96):024x}"
        body = bytearray()
        for name, item in ((name, item) for name, value in fields.items() for item in items_of(value)):
            disposition = f'form-data; name="{_quoted(name)}"'
            if isinstance(item, FileSpec):
                disposition += f'; filename="{_quoted(item.filename)}"\r\nContent-Type: {item.type}'
            content = item.content if isinstance(item, FileSpec) else _encode(to_text(item))
            body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return bytes(body), f"multipart/form-data; boundary={boundary}"


KINDS: dict[str, type[BodySpec]] = {
    "json": JsonBody,
    "form": FormBody,
    "text": TextBody,
    "file": FileBody,
    "multipart": MultipartBody,
}
"""The keys of a response or webhook that give it a body → the kind of body."""


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _quoted(name: str) -> str:
    """Return a name as browsers write it: RFC 7578 leaves it open, the HTML standard does not."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
