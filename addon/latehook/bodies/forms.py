"""PURE: forms, urlencoded and multipart. A multipart body can be read while it arrives: only its fields are kept."""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from latehook.base.errors import BodyError
from latehook.base.messages import FilePart, FormParts
from latehook.bodies.charsets import UTF_8, checked, declared_charset, decode_charset

MAX_URLENCODED_SIZE = 4 * 1024 * 1024
"""Bytes of an urlencoded form: parsing a larger one would delay all other requests."""

MAX_FIELDS_SIZE = 1024 * 1024
"""Bytes of all fields of a form together. A larger form cannot be read: files may be of any size."""

MAX_PARTS = 1000
"""Fields and files of one form, or parameters of one query. Only the first ones are kept."""

MAX_SHOWN = 80
"""Characters of a field or parameter that an error quotes."""


OCTETS = b"application/octet-stream"
"""The content type of a file that names none."""


@dataclass(frozen=True, slots=True)
class _RawField:
    """A field of a multipart form as it was sent. `type` is its content type."""

    name: bytes
    value: bytes
    type: bytes

    def decoded(self, charset: str) -> tuple[str, str]:
        """Return name and value as text. Raises BodyError."""
        name = decode_charset(self.name, charset, "the name of a form's field")
        own = declared_charset(self.type.decode("latin-1"))
        return name, decode_charset(self.value, own or charset, f"the form's field {name[:MAX_SHOWN]!r}")


@dataclass(frozen=True, slots=True)
class _RawFile:
    """A file of a multipart form, without its content."""

    field: bytes
    filename: bytes
    type: bytes
    size: int
    sha256: str

    def decoded(self, charset: str) -> FilePart:
        """Return the file with its texts decoded. Raises BodyError."""
        field = decode_charset(self.field, charset, "the name of a form's field")
        what = f"of the form's file {field[:MAX_SHOWN]!r}"
        filename = decode_charset(self.filename, charset, f"the name {what}")
        kind = decode_charset(self.type, UTF_8, f"the content type {what}")
        return FilePart(field, filename, kind, self.size, self.sha256)


class MultipartReader:
    """Reads a multipart body piece by piece, in constant memory."""

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self._fields: list[_RawField] = []
        self._files: list[_RawFile] = []
        self._left = MAX_FIELDS_SIZE
        self._parser: MultipartParser | None = None
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }
        with suppress(ValueError):  # without a valid boundary it is not a form
            _, options = parse_options_header(content_type.encode("utf-8", "surrogateescape"))
            if boundary := options.get(b"boundary"):
                self._parser = MultipartParser(boundary, callbacks)

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body."""
        if self._parser is None:
            return
        try:
            self._parser.write(data)
        except FormParserError:  # malformed, or too many parts: the ones before are kept
            self._parser = None

    def parts(self) -> FormParts:
        """Return the fields and files that were read so far; their `error` where one of them is not text."""
        if self._left < 0:
            return FormParts(
                error=f"the fields of the form have more than {MAX_FIELDS_SIZE:,} bytes: files may have more"
            )
        try:
            default = self._default_charset()
            fields = [field.decoded(default) for field in self._fields]
            files = [file.decoded(default) for file in self._files]
        except BodyError as error:
            return FormParts(error=str(error))
        return FormParts(tuple(fields), tuple(files))

    def _default_charset(self) -> str:
        """Return the charset of fields that name none: that of the field `_charset_` (RFC 7578 section 4.6)."""
        named = next((field.value for field in self._fields if field.name == b"_charset_"), None)
        if named is not None:
            return checked(named.decode("latin-1").strip())
        return declared_charset(self._content_type) or UTF_8

    def _begin(self) -> None:
        if len(self._fields) + len(self._files) >= MAX_PARTS:
            raise FormParserError("the form has too many parts")
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"")
        self._filename = options.get(b"filename")
        self._kept = bytearray()
        self._size = 0
        self._hash = hashlib.sha256()

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        self._size += len(piece)
        if self._filename is not None:
            self._hash.update(piece)
            return
        self._kept += piece[: max(self._left, 0)]
        self._left -= len(piece)

    def _end(self) -> None:
        kind = self._headers.get(b"content-type", b"")
        if self._filename is None:
            self._fields.append(_RawField(self._field, bytes(self._kept), kind))
            return
        self._files.append(
            _RawFile(self._field, self._filename, kind or OCTETS, self._size, self._hash.hexdigest()),
        )


def parse_form(body: bytes, content_type: str) -> FormParts:
    """Return the fields and files of a form, none for other bodies. Raises BodyError for one that is too large."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        reader = MultipartReader(content_type)
        reader.feed(body)
        return reader.parts()
    if kind == "application/x-www-form-urlencoded":
        if len(body) > MAX_URLENCODED_SIZE:
            raise BodyError(
                f"the urlencoded form has {len(body):,} bytes, and may have {MAX_URLENCODED_SIZE:,}: use multipart"
            )
        charset = declared_charset(content_type) or _form_charset(body) or UTF_8
        return FormParts(tuple(parse_urlencoded(decode_charset(body, charset, "the form"), "the form", charset)))
    return FormParts()


def _form_charset(body: bytes) -> str | None:
    """Return the charset that an urlencoded form names in its field `_charset_`, as HTML has it. Raises BodyError."""
    found = _CHARSET_FIELD.search(body) if b"_charset_=" in body else None
    return None if found is None else checked(found[1].decode("ascii"))


_CHARSET_FIELD = re.compile(rb"(?:^|&)_charset_=([\w.:-]+)(?=&|$)", re.ASCII)


def parse_urlencoded(text: str, what: str, charset: str = UTF_8) -> list[tuple[str, str]]:
    """Return the names and values of a query or an urlencoded form.

    Raises BodyError for escaped bytes that are not text in this charset; `what` is what the error calls all of it.
    """
    first = text.split("&", MAX_PARTS)[:MAX_PARTS]
    try:
        return parse_qsl("&".join(first), keep_blank_values=True, encoding=charset, errors="strict")
    except UnicodeDecodeError:
        part = next(part for part in first if _undecodable(part, charset))
        raise BodyError(f"{what} has {part[:MAX_SHOWN]!r}, which is not {charset} text") from None


def _undecodable(part: str, charset: str) -> bool:
    try:
        parse_qsl(part, keep_blank_values=True, encoding=charset, errors="strict")
    except UnicodeDecodeError:
        return True
    return False
