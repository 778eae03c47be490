"""PURE: the messages of a recording: requests of the SUT to a third party, and webhooks to the SUT."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from latehook.base.errors import BodyError
from latehook.base.hostnames import DEFAULT_PORTS, host_in_url
from latehook.bodies import decoding, forms, xml
from latehook.expressions.fields import nested
from latehook.importing.times import NOISE

KeyPath = tuple[str | int, ...]
"""The keys and indexes that lead to a value in a body."""

Leaf = tuple[KeyPath, Any]
"""A value that is no list and no map, with its place."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body, decoded. `kind` is none, json, xml, form, multipart, text or binary; `value` is its data.

    `json_fields` are fields of a form whose text is JSON: their values are its data. Names in XML have
    their prefixes, as the body kind `xml` is written.
    """

    kind: str = "none"
    value: Any = None
    raw: bytes = b""
    json_fields: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Message:
    """A request or a response: its headers, and its body as it was sent.

    In the forms of a webhook, fields that are JSON are read.
    """

    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    is_webhook: bool = False

    def header(self, name: str) -> str:
        """Return the first header of this name, in any case; an empty text if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @cached_property
    def body(self) -> Body:
        body = decode_body(self.content, self.header("content-type"), self.header("content-encoding"))
        return with_json_fields(body) if self.is_webhook and body.kind in ("form", "multipart") else body


@dataclass(frozen=True, eq=False)
class Exchange:
    """A request and its response. `inbound` is true for a webhook to the SUT.

    Times are Unix seconds: when the request began, when it had arrived, and when the response had. `status` is 0 if
    there was no response. `recording` numbers the file that it comes from. `retried` are the times at which a webhook
    was sent again, `is_delivered` whether one of these attempts was answered with 2xx. `redirects` counts those that
    its sender followed.
    """

    inbound: bool
    method: str
    scheme: str
    host: str
    port: int
    target: str
    request: Message
    response: Message
    status: int
    started: float
    sent: float
    ended: float
    recording: int = 0
    retried: tuple[float, ...] = ()
    is_delivered: bool = False
    redirects: int = 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def segments(self) -> list[str]:
        return self.path.split("/")[1:]

    @property
    def origin(self) -> str:
        """Scheme, host and port, as `match` has them."""
        port = "" if self.port == DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host_in_url(self.host)}{port}"

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 400

    @property
    def said(self) -> float:
        """When the provider decided what it says: at the end of a response that took long, as that of a long poll."""
        return self.ended if not self.inbound and self.ended - self.sent > NOISE else self.started

    @cached_property
    def request_words(self) -> frozenset[str]:
        """Every word in the request's URL and body: what may hold an id."""
        return words_in([unquote(self.target), *texts_of(self.request.body)])

    @cached_property
    def given_words(self) -> frozenset[str]:
        """Every word that the provider says in this exchange: in its response, or in its webhook."""
        if self.inbound:
            return self.request_words
        places = [self.response.header(name) for name in LOCATIONS]
        return words_in([*places, *texts_of(self.response.body)])


LOCATIONS = ("location", "operation-location", "content-location")
"""Headers that may hold the URL, and in it the id, of what a request started."""

_WORD = re.compile(r"[\w-]+")


def words_in(texts: Sequence[str]) -> frozenset[str]:
    """Return the words of texts: an id is one of them, or consists of several."""
    return frozenset(word for text in texts for word in _WORD.findall(text))


def mentions(words: frozenset[str], value: Any) -> bool:
    """Return whether a value, all words of it, is among these words."""
    own = _words_of(str(value))
    return bool(own) and all(word in words for word in own)


@lru_cache(4096)
def _words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def texts_of(body: Body) -> list[str]:
    """Return all texts and numbers in a body as text."""
    if body.kind == "text":
        return [body.value]
    return [str(value) for _, value in leaves(body.value) if value is not None]


def decode_body(content: bytes, content_type: str, coding: str) -> Body:
    """Return a body by its content type. One that says nothing or is wrong is recognised by its content."""
    if not content:
        return Body()
    try:
        codings = [name.strip().lower() for name in coding.split(",") if name.strip()]
        raw = decoding.decode(content, len(content), codings)
        value = decoding.parse_json(raw, len(raw), ())
        kind = content_type.partition(";")[0].strip().lower()
        if value is not None and (kind.endswith("json") or isinstance(value, (dict, list))):
            return Body("json", value, raw)
        if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            parts = forms.parse_form(raw, content_type)
            name = "multipart" if kind.startswith("multipart") else "form"
            value = {key: plain(item) for key, item in nested(parts.fields).items()}
            return Body(name, value if name == "form" else {**value, **{file.field: None for file in parts.files}}, raw)
        if kind.endswith("xml") and (document := _xml(raw, content_type)) is not None:
            return Body("xml", document, raw)
        if kind.startswith("text/") or kind.endswith(("xml", "javascript")):
            return Body("text", decoding.decode_text(raw, len(raw), (), content_type), raw)
        text = raw.decode()
        if kind.startswith("application/") and all(char.isprintable() or char in "\t\n\r" for char in text):
            return Body("text", text, raw)
    except BodyError:
        return Body("binary", None, content)
    except UnicodeDecodeError:
        pass
    return Body("binary", None, raw)


def with_json_fields(body: Body) -> Body:
    """Return the body of a form, with the data of its fields that are JSON."""
    found: dict[str, Any] = {}
    for name, text in body.value.items():
        if isinstance(text, str) and text[:1] in ("{", "["):
            try:
                found[name] = json.loads(text)
            except ValueError:
                continue
    return replace(body, value={**body.value, **found}, json_fields=frozenset(found)) if found else body


def _xml(raw: bytes, content_type: str) -> Any:
    """Return XML as data, None if it has a document type, or is not well-formed: then it stays text."""
    try:
        return xml.parse_xml(raw, content_type, with_prefixes=True)
    except BodyError:
        return None


def plain(value: Any) -> Any:
    """Return a value of a form without the classes that expressions need."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def leaves(value: Any, path: KeyPath = ()) -> Iterator[Leaf]:
    """Yield every value in data that is no map and no list, with its place. Empty maps and lists are values too."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items or not value:
        yield path, value
        return
    for key, item in items:
        yield from leaves(item, (*path, key))


@dataclass
class Recording:
    """What one file has: the exchanges in order of time, and how many requests went to which other hosts."""

    file: str
    exchanges: list[Exchange] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
