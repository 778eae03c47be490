"""PURE: forms, urlencoded and multipart. A multipart body can be read while it arrives: only its fields are kept."""

import hashlib
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from latehook.base.errors import BodyError
from latehook.base.model import FilePart, FormParts

MAX_URLENCODED_SIZE = 4 * 1024 * 1024
"""Bytes of an urlencoded form: parsing a larger one would delay all other requests."""

MAX_FIELDS_SIZE = 1024 * 1024
"""Bytes of all fields of a form together. The rest is cut off."""

MAX_PARTS = 1000
"""Fields and files of one form, or parameters of one query. Only the first ones are kept."""


class MultipartReader:
    """Reads a multipart body piece by piece, in constant memory."""

    def __init__(self, content_type: str) -> None:
        self._fields: list[tuple[str, str]] = []
        self._files: list[FilePart] = []
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
        """Return the fields and files that were read so far."""
        return FormParts(tuple(self._fields), tuple(self._files))

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
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
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
        self._kept += piece[: self._left]
        self._left = max(self._left - len(piece), 0)

    def _end(self) -> None:
        if self._filename is None:
            self._fields.append((self._field, self._kept.decode("utf-8", "replace")))
            return
        kind = self._headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
        filename = self._filename.decode("utf-8", "replace")
        self._files.append(FilePart(self._field, filename, kind, self._size, self._hash.hexdigest()))


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
        return FormParts(tuple(parse_urlencoded(body.decode("utf-8", "replace"))))
    return FormParts()


def parse_urlencoded(text: str) -> list[tuple[str, str]]:
    """Return the names and values of a query or an urlencoded form."""
    first = text.split("&", MAX_PARTS)[:MAX_PARTS]
    return parse_qsl("&".join(first), keep_blank_values=True)
