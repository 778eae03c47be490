"""PURE: plain data as XML: maps as elements, `@name` as attributes, `#text` as text, lists as repeated elements."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from latehook.base.errors import BodyError
from latehook.base.json_text import encode_json
from latehook.bodies.charsets import UTF_8, encode_charset

TEXT = "#text"

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


class XmlError(BodyError):
    """Data cannot be written as XML. `path` leads to what is wrong."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def encode_xml(document: Any, charset: str = UTF_8) -> bytes:
    """Return an XML document in a charset. Raises XmlError, BodyError.

    A null is left out. A value that is not known yet (a callable) is left out too: so a document can be checked before.
    """
    writer = _Writer()
    writer.write_document(document)
    text = f'<?xml version="1.0" encoding="{charset}"?>\n' + "".join(writer.pieces)
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        for name in writer.names:
            encode_charset(name, charset)
        return text.encode(charset, "xmlcharrefreplace")


_START = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff"
    "\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NCNAME = f"[{_START}][{_START}.0-9\xb7\u0300-\u036f\u203f\u2040-]*"
_NAME = re.compile(f"(?:(?P<prefix>{_NCNAME}):)?{_NCNAME}")
"""A name, perhaps with a prefix (Namespaces in XML 1.0 section 3)."""
_NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_IN_ATTRIBUTE = {**_IN_TEXT, '"': "&quot;", "\t": "&#9;", "\n": "&#10;"}


class _Writer:
    """Writes one document to `pieces`. `names` are those of its elements and attributes."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.names: set[str] = set()

    def write_document(self, document: Any) -> None:
        if callable(document):
            return
        if not isinstance(document, dict) or len(document) != 1:
            found = f"there are {', '.join(document)}" if isinstance(document, dict) and document else "there is none"
            raise XmlError((), f"XML has one root element, and {found}: write a map with one name")
        [(name, root)] = document.items()
        if name.startswith(("@", "#")) or root is None or isinstance(root, list):
            raise XmlError((name,), f"{name!r} cannot be the root element: write a name, and a map or a text")
        self._write_element(name, root, (name,), frozenset({"xml"}))

    def _write_element(self, name: str, value: Any, path: Path, prefixes: frozenset[str]) -> None:
        """Write an element. `prefixes` are those that the elements around it declare."""
        members = value if isinstance(value, dict) else {TEXT: value}
        declared = (key[7:] for key in members if key.startswith("@xmlns:"))
        prefixes = prefixes.union(declared)
        self._check_name(name, path, prefixes)
        self.pieces.append(f"<{name}")
        for key in members:
            if key.startswith("@"):
                self._write_attribute(key[1:], members[key], (*path, key), prefixes)
        content = [(key, item) for key, item in members.items() if not key.startswith("@") and item is not None]
        if not content:
            self.pieces.append("/>")
            return
        self.pieces.append(">")
        for key, item in content:
            self._write_content(key, item, (*path, key) if isinstance(value, dict) else path, prefixes)
        self.pieces.append(f"</{name}>")

    def _write_content(self, key: str, item: Any, path: Path, prefixes: frozenset[str]) -> None:
        if key == TEXT:
            self.pieces.append(_escaped(item, path, _IN_TEXT))
        elif isinstance(item, list):
            for index, each in enumerate(item):
                if isinstance(each, list):
                    raise XmlError((*path, index), "a list of repeated elements cannot have a list in it: write a map")
                if each is not None:
                    self._write_element(key, each, (*path, index), prefixes)
        else:
            self._write_element(key, item, path, prefixes)

    def _write_attribute(self, name: str, value: Any, path: Path, prefixes: frozenset[str]) -> None:
        if name != "xmlns" and not name.startswith("xmlns:"):
            self._check_name(name, path, prefixes)
        elif not _NAME.fullmatch(name) or (name != "xmlns" and value == ""):
            raise XmlError(path, f"{name!r} declares no namespace: write @xmlns or @xmlns:PREFIX, and its URI")
        if value is not None:
            self.pieces.append(f' {name}="{_escaped(value, path, _IN_ATTRIBUTE)}"')

    def _check_name(self, name: str, path: Path, prefixes: Iterable[str]) -> None:
        found = _NAME.fullmatch(name)
        if found is None:
            raise XmlError(path, f"{name!r} is not a name in XML: write letters, digits, `_`, `-` and `.`")
        prefix = found["prefix"]
        if prefix is not None and prefix not in prefixes:
            raise XmlError(path, f"the prefix {prefix!r} is not declared: write `@xmlns:{prefix}` with its namespace")
        self.names.add(name)


def _escaped(value: Any, path: Path, escapes: Mapping[str, str]) -> str:
    """Return a text, number or boolean with its marks escaped."""
    if value is None or callable(value):
        return ""
    if isinstance(value, (dict, list)):
        raise XmlError(path, "a map or a list cannot stand here: write a text, a number or a boolean")
    text = value if isinstance(value, str) else encode_json(value).decode()
    if found := _NO_CHARACTER.search(text):
        problem = (
            f"XML cannot hold the character U+{ord(found[0]):04X}, at {found.start()}: leave it out, or send base64"
        )
        raise XmlError(path, problem)
    return "".join(escapes.get(character, character) for character in text) if _MARKS.search(text) else text


_MARKS = re.compile('[&<>\r"\t\n]')
