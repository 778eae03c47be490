"""PURE: a message while it is being signed. It gives the tokens of templates their values."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.base.errors import SigningError
from latehook.base.timestamps import format_timestamp
from latehook.webhooks import message_body
from latehook.webhooks.jws import Unsigned
from latehook.webhooks.schemes import Scheme
from latehook.webhooks.templates import SIGNED, Template, Token, offset_of, parts_of, pieces_of
from latehook.webhooks.urls import authority

ENCODE: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
}
"""How bytes become text."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to sign. `timestamp` is in Unix seconds; `uuid` draws a UUID."""

    id: str
    timestamp: float
    method: str
    url: str
    body: bytes
    headers: Sequence[tuple[str, str]]
    uuid: Callable[[], str]

    @property
    def content_type(self) -> str:
        return next((value for name, value in self.headers if name.lower() == "content-type"), "")


@dataclass(slots=True)
class Draft:
    """A message while it is being signed by a scheme. `secrets` are those that may be sent.

    These grow: `body`; `headers`, which the scheme adds; `jws` or `signature_input`, if the scheme makes a JSON Web
    Signature or an HTTP message signature; `signatures`; `uuid`.
    """

    scheme: Scheme
    message: Message
    secrets: Sequence[str]
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    jws: Unsigned | None = None
    signature_input: str = ""
    signatures: Sequence[str] = ()
    uuid: str | None = None

    @property
    def all_headers(self) -> Sequence[tuple[str, str]]:
        """The message's own headers, those that the scheme has added, and those that follow from URL and body."""
        headers = [*self.message.headers, *self.headers.items()]
        if not any(name.lower() == "host" for name, _ in headers):
            headers.append(("host", authority(self.message.url)))
        if self.body and not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("content-length", str(len(self.body))))
        return headers

    def text(self, template: Template) -> str | None:
        """Return a template filled.

        Parts with a signature for which there is no secret are left out. None if no part is left.
        """
        separator, parts = parts_of(template)
        kept = [part for part in parts if not any(self._lacks(piece) for piece in part)]
        return separator.join("".join(map(self._text, part)) for part in kept) if kept else None

    def signed_bytes(self, template: Template, secret: str) -> bytes:
        """Return a template filled, with the body's own bytes in it. `{secret}` is this secret."""
        given = {"body": self.body, "secret": secret.encode()}
        pieces = list(pieces_of(template))
        return b"".join(
            given[piece.name]
            if isinstance(piece, Token) and piece.name in given
            else self._text(piece).encode("utf-8", message_body.LOSSLESS)
            for piece in pieces
        )

    def data(self, value: Any) -> Any:
        """Return data with all templates in it filled. Members with null are left out.

        A text that is nothing but `{timestamp}` is a number, as JWTs require (RFC 7519 section 2).
        """
        if isinstance(value, dict):
            return {name: self.data(item) for name, item in value.items() if item is not None}
        if isinstance(value, list):
            return [self.data(item) for item in value]
        if not isinstance(value, (str, tuple)):
            return value
        pieces = list(pieces_of(value))
        text = "".join(map(self._text, pieces))
        is_time = len(pieces) == 1 and isinstance(pieces[0], Token) and pieces[0].name == "timestamp"
        return int(text) if is_time and self.scheme.timestamp_format != "iso8601" else text

    def key_id(self) -> str:
        """Return the scheme's `key_id`; an empty text if it has none."""
        return self.text(self.scheme.key_id or "") or ""

    def _lacks(self, piece: str | Token) -> bool:
        """Return whether a piece is a signature for which there is no secret."""
        return isinstance(piece, Token) and piece.name in SIGNED and _number(piece) > len(self.signatures)

    def _text(self, piece: str | Token) -> str:
        if not isinstance(piece, Token):
            return piece
        value = _VALUES.get(piece.name)
        return self._hash(piece) if value is None else value(self, piece)

    def _hash(self, token: Token) -> str:
        return ENCODE[token.argument or "hex"](hashlib.new(token.name, self.body).digest())

    def _body_text(self, token: Token) -> str:
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            raise SigningError("{body} is not UTF-8 text, so a header or field cannot have it") from None

    def _timestamp(self, token: Token) -> str:
        return format_timestamp(self.message.timestamp + (offset_of(token) or 0.0), self.scheme.timestamp_format)

    def _header(self, token: Token) -> str:
        return ", ".join(value for name, value in self.all_headers if name.lower() == token.argument.lower())

    def _drawn_uuid(self) -> str:
        self.uuid = self.uuid or self.message.uuid()
        return self.uuid

    def _jwt(self, token: Token) -> str:
        return "" if self.jws is None else self.jws.compact(self.signatures[0], detached=token.argument == "detached")


def _number(token: Token) -> int:
    """Return which of the signatures a token stands for, from 1."""
    return int(token.argument) if token.argument.isdigit() else 1


_VALUES: dict[str, Callable[[Draft, Token], str]] = {
    "id": lambda draft, token: draft.message.id,
    "timestamp": Draft._timestamp,
    "body": Draft._body_text,
    "url": lambda draft, token: draft.message.url,
    "method": lambda draft, token: draft.message.method,
    "form_sorted": lambda draft, token: message_body.form_sorted(draft.body, draft.message.content_type),
    "secret": lambda draft, token: draft.secrets[0] if draft.secrets else "",
    "key_id": lambda draft, token: draft.key_id(),
    "uuid": lambda draft, token: draft._drawn_uuid(),
    "crc32": lambda draft, token: str(zlib.crc32(draft.body)),
    "json": lambda draft, token: message_body.json_text(draft.body, token.argument),
    "field": lambda draft, token: message_body.form_field(draft.body, token.argument),
    "header": Draft._header,
    "lines": lambda draft, token: message_body.lines(draft.body, token.argument),
    "signature": lambda draft, token: draft.signatures[_number(token) - 1],
    "signature_input": lambda draft, token: draft.signature_input,
    "jwt": Draft._jwt,
}
"""The tokens that are not hashes → their value."""
