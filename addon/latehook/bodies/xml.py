"""PURE: XML bodies as plain data, read with limits. Python's own parser (expat) reads them; no entity is followed."""

import codecs
import re
from collections.abc import Sequence
from typing import Any
from xml.parsers import expat

from latehook.base.errors import BodyError
from latehook.bodies.charsets import UTF_8, checked, declared_charset, decode_charset

MAX_XML_MARKS = 200_000
"""Marks `<` and `=` in an XML body: an element has one or two, an attribute one. So many take a third of a second."""

MAX_XML_DEPTH = 200
"""Elements of an XML body, one inside the other."""

_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_UTF_16 = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
"""How an XML body in UTF-16 begins that has no byte order mark (XML 1.0 appendix F)."""
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")


def parse_xml(body: bytes, content_type: str, with_prefixes: bool = False) -> Any:
    """Return an XML body as a map with its root element; None where it is not well-formed XML.

    Names lose their prefixes; `with_prefixes` they keep them, as the body kind `xml` is written, and namespaces are
    attributes. An element is its text; or, where it has attributes or elements, a map: of its elements, which are a
    list where they are repeated, of its attributes as `@name`, and of its own text as `#text`. Raises BodyError for a
    document type (DTD), beyond the limits, and for a charset that does not fit.
    """
    text = _decoded(body, content_type)
    if text is None:
        return None
    if text.count("<") + text.count("=") > MAX_XML_MARKS:
        raise BodyError(f"the XML has more than {MAX_XML_MARKS:,} marks of elements and attributes")
    document = _Document(with_prefixes)
    parser = expat.ParserCreate(UTF_8)
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError):  # lone surrogates
        return None
    return document.root


def _decoded(body: bytes, content_type: str) -> str | None:
    """Return an XML body as text: by its byte order mark, its content type, or its declaration (RFC 7303 section 3)."""
    marked = next((charset for mark, charset in _BYTE_ORDER_MARKS.items() if body.startswith(mark)), None)
    charset = marked or declared_charset(content_type)
    if charset is not None:
        return decode_charset(body, charset).removeprefix("\ufeff")
    found = _DECLARED.match(body[:200])
    charset = _UTF_16.get(body[:2]) or (checked(found[1].decode()) if found else UTF_8)
    try:
        return decode_charset(body, charset)
    except BodyError:
        return None


def _refuse_doctype(*declaration: Any) -> None:
    raise BodyError("the XML has a document type (<!DOCTYPE>), which is not read: it could define entities")


class _Document:
    """Puts the document together from the parser's calls. `root` is the result."""

    def __init__(self, with_prefixes: bool) -> None:
        self.root: dict[str, Any] = {}
        self._with_prefixes = with_prefixes
        self._members: list[dict[str, Any]] = [self.root]
        self._texts: list[list[str]] = [[]]
        self._names: list[str] = []

    def start(self, name: str, attributes: Sequence[str]) -> None:
        if len(self._names) == MAX_XML_DEPTH:
            raise BodyError(f"the XML has more than {MAX_XML_DEPTH} elements, one inside the other")
        members: dict[str, Any] = {}
        for at in range(0, len(attributes), 2):
            attribute = attributes[at]
            if self._with_prefixes or (attribute != "xmlns" and not attribute.startswith("xmlns:")):
                _add(members, f"@{self._name(attribute)}", attributes[at + 1])
        self._names.append(self._name(name))
        self._members.append(members)
        self._texts.append([])

    def _name(self, name: str) -> str:
        return name if self._with_prefixes else name.rpartition(":")[2]

    def text(self, text: str) -> None:
        self._texts[-1].append(text)

    def end(self, name: str) -> None:
        members, text = self._members.pop(), "".join(self._texts.pop())
        has_elements = any(not member.startswith("@") for member in members)
        value: Any = members
        if not members:
            value = text
        elif text and not (has_elements and text.isspace()):  # blanks between elements only indent them
            members["#text"] = text
        _add(self._members[-1], self._names.pop(), value)


def _add(members: dict[str, Any], name: str, value: Any) -> None:
    if name not in members:
        members[name] = value
    elif isinstance(members[name], list):
        members[name].append(value)
    else:
        members[name] = [members[name], value]
