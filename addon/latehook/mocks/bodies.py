"""PURE: the kinds of bodies that a response or webhook can have. Each kind renders itself and describes itself."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from latehook.base.errors import BodyError, ExpressionError, Place
from latehook.base.json_text import encode_finite_json
from latehook.base.model import Moment
from latehook.bodies.charsets import UTF_8, declared_charset, encode_charset, parameter
from latehook.expressions.expression import Expression, Render, as_written
from latehook.expressions.values import to_text
from latehook.mocks.fields import items_of, pairs_of, require_map

JSON_TYPE = "application/json"
XML_TYPE = "application/xml"
FORM_TYPE = "application/x-www-form-urlencoded"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class BodySpec:
    """A body as a mock describes it: its compiled value, and where it is written. There is one subclass a kind.

    `render_value` renders the value.
    """

    value: Any
    place: Place
    render_value: Render = field(compare=False)

    NAME: ClassVar[str]
    """The kind, in descriptions."""

    IS_COMPRESSED: ClassVar[bool] = True
    """Whether content codings are applied to the body. A file is sent as it is."""

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        """Return the body and its content type. Raises ExpressionError.

        `content_type` is that of the mock's headers, None if they have none. Its charset is the body's.
        """
        raise NotImplementedError

    def problem_in(self, charset: str) -> str | None:
        """Return why the fixed texts of the body cannot be sent in a charset; None if they can."""
        try:
            for text in _fixed_texts(self.value):
                encode_charset(text, charset)
        except BodyError as error:
            return str(error)
        return None

    def _charset(self, content_type: str | None) -> str:
        try:
            return (content_type and declared_charset(content_type)) or UTF_8
        except BodyError as error:
            raise ExpressionError(self.place, str(error)) from None

    def _encode(self, text: str, charset: str) -> bytes:
        try:
            return encode_charset(text, charset)
        except BodyError as error:
            raise ExpressionError(self.place, str(error)) from None

    def describe(self) -> str:
        """Return the kind and the names of the fields, or the value as it is written."""
        if isinstance(self.value, dict):
            return f"{self.NAME}: {', '.join(self.value)}"
        return f"{self.NAME} {as_written(self.value)}"


class JsonBody(BodySpec):
    __slots__ = ()
    NAME = "JSON"

    def problem_in(self, charset: str) -> str | None:
        return None  # JSON has escapes for all characters

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        value = self.render_value(scope)
        try:
            encoded = encode_finite_json(value)  # a mocks file has no other numbers, nor has an expression's value
        except (ValueError, RecursionError) as error:
            raise ExpressionError(self.place, f"this is not JSON: {error}") from None
        charset = self._charset(content_type)
        if charset.lower() not in _UTF_8_NAMES:
            encoded = _json_in_charset(encoded.decode(), charset)
        return encoded, content_type or JSON_TYPE


class XmlBody(BodySpec):
    __slots__ = ()
    NAME = "XML"

    def problem_in(self, charset: str) -> str | None:
        return None  # XML has escapes for all characters

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        from latehook.bodies.xml_writing import (
            XmlError,
            encode_xml,
        )  # its patterns take 20 ms: only who sends XML waits

        charset = self._charset(content_type)
        try:
            return encode_xml(self.render_value(scope), charset), content_type or XML_TYPE
        except XmlError as error:
            at = f"{''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in error.path)[1:]}: "
            raise ExpressionError(self.place, f"{at if error.path else ''}{error}") from None
        except BodyError as error:
            raise ExpressionError(self.place, str(error)) from None


class FormBody(BodySpec):
    __slots__ = ()
    NAME = "a form body"

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        fields = require_map(self.render_value(scope), self.place, "form")
        charset, pairs = self._charset(content_type), pairs_of(fields)
        try:
            return urlencode(pairs, encoding=charset, errors="strict").encode("ascii"), content_type or FORM_TYPE
        except UnicodeEncodeError:
            self._encode("".join(map("".join, pairs)), charset)  # it raises the error that says which character it is
            raise


class TextBody(BodySpec):
    __slots__ = ()
    NAME = "the text"

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        value = self.value(scope, keep_bytes=True) if isinstance(self.value, Expression) else self.render_value(scope)
        if isinstance(value, bytes):
            return value, content_type or BYTES_TYPE
        text = to_text(value)
        return self._encode(text, self._charset(content_type)), content_type or TEXT_TYPE


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
    IS_COMPRESSED = False

    def problem_in(self, charset: str) -> str | None:
        return None  # its bytes are sent as they are

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        return self.value.content, content_type or self.value.type

    def describe(self) -> str:
        return f"{self.NAME} {self.value.filename}"


class MultipartBody(BodySpec):
    """A form of RFC 7578. Values of its fields may be FileSpecs."""

    __slots__ = ()
    NAME = "a multipart body"

    def render(self, scope: Mapping[str, Any], moment: Moment, content_type: str | None) -> tuple[bytes, str]:
        fields = require_map(self.render_value(scope), self.place, "multipart")
        charset = self._charset(content_type)
        drawn = f"latehook-{moment.random.getrandbits(96):024x}"
        boundary = parameter(content_type or "", "boundary") or drawn
        body = bytearray()
        for name, item in ((name, item) for name, value in fields.items() for item in items_of(value)):
            disposition = f'form-data; name="{_quoted(name)}"'
            if isinstance(item, FileSpec):
                disposition += f'; filename="{_quoted(item.filename)}"\r\nContent-Type: {item.type}'
            content = item.content if isinstance(item, FileSpec) else self._encode(to_text(item), charset)
            head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n"
            body += self._encode(head, charset) + content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return bytes(body), _with_boundary(content_type or "multipart/form-data", boundary)


KINDS: dict[str, type[BodySpec]] = {
    "json": JsonBody,
    "xml": XmlBody,
    "form": FormBody,
    "text": TextBody,
    "file": FileBody,
    "multipart": MultipartBody,
}
"""The keys of a response or webhook that give it a body → the kind of body."""


def _fixed_texts(value: Any) -> Iterator[str]:
    """Yield the texts in a compiled value that are no expressions."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _fixed_texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _fixed_texts(item)


_UTF_8_NAMES = ("utf-8", "utf8")


def _json_in_charset(text: str, charset: str) -> bytes:
    """Return JSON in a charset, with escapes for the characters that the charset does not have."""
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text).encode(charset)


_NOT_ASCII = re.compile("[^\x00-\x7f]+")


def _with_boundary(content_type: str, boundary: str) -> str:
    """Return a content type that names the boundary, if it is one of multipart bodies and does not name it yet."""
    if not content_type.lower().startswith("multipart/") or parameter(content_type, "boundary"):
        return content_type
    return f"{content_type}; boundary={boundary}"


def _quoted(name: str) -> str:
    """Return a name as browsers write it: RFC 7578 leaves it open, the HTML standard does not."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
