"""PURE: the templates of a scheme: texts with tokens such as `{timestamp}`, which stand for values of a message."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from latehook.base.durations import parse_duration
from latehook.base.text import did_you_mean
from latehook.webhooks.keys import HASHES

ENCODINGS = ("hex", "base64", "base64url")

Template = str | tuple[str, ...]
"""A text with tokens. A tuple is such a text in pieces; those that are `Verbatim` have no tokens."""


class Verbatim(str):
    """A piece of a template that is the value of an expression: it goes out as it is, with its braces."""

    __slots__ = ()


class Token(NamedTuple):
    """`{name}`, or `{name` `mark` `argument}`."""

    name: str
    mark: str = ""
    argument: str = ""

    def __str__(self) -> str:
        return f"{{{self.name}{self.mark}{self.argument}}}"


_TOKEN = re.compile(r"\{([A-Za-z_]\w*(?:-[A-Za-z_]\w*)*)(?:([.:+-])([^{}]*))?\}", re.ASCII)
_PLAIN = ("id", "timestamp", "body", "url", "method", "form_sorted", "secret", "key_id", "uuid", "crc32")
_WITH_ARGUMENT = {"json": "/pointer", "field": "NAME", "header": "NAME", "lines": "NAME,NAME"}
_WITH_ENCODING = ("md5", *HASHES)
SIGNED = ("signature", "jwt")
"""The tokens whose values are known when the message has been signed."""
TOKENS = frozenset((*_PLAIN, *_WITH_ARGUMENT, *_WITH_ENCODING, *SIGNED, "signature_input"))


@lru_cache(1024)
def parse(text: str) -> tuple[str | Token, ...]:
    """Return a text's pieces: texts and tokens."""
    pieces: list[str | Token] = []
    end = 0
    for found in _TOKEN.finditer(text):
        pieces += [text[end : found.start()], Token(found[1], found[2] or "", found[3] or "")]
        end = found.end()
    return tuple(piece for piece in [*pieces, text[end:]] if piece != "")


def pieces_of(template: Template) -> Iterator[str | Token]:
    """Yield the texts and the tokens of a template."""
    for part in (template,) if isinstance(template, str) else template:
        if type(part) is str:
            yield from parse(part)
        else:
            yield part


def tokens_in(value: Any) -> Iterator[Token]:
    """Yield the tokens of a template, or of all templates in a map or list."""
    if isinstance(value, (str, tuple)):
        yield from (piece for piece in pieces_of(value) if isinstance(piece, Token))
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tokens_in(item)


def is_signed(template: Template) -> bool:
    """Return whether a template can be filled only when the message has been signed."""
    return any(token.name in SIGNED for token in tokens_in(template))


def parts_of(template: Template) -> tuple[str, list[list[str | Token]]]:
    """Return the separator in a template (a blank if it has one, else a comma) and the parts between it."""
    pieces = list(pieces_of(template))
    separator = " " if any(type(piece) is str and " " in piece for piece in pieces) else ","
    parts: list[list[str | Token]] = [[]]
    for piece in pieces:
        first, *others = piece.split(separator) if type(piece) is str else [piece]
        parts[-1].append(first)
        parts += [[other] for other in others]
    return separator, parts


def problem_of(token: Token, signed: bool, jwt: bool, http: bool) -> str | None:
    """Return what is wrong with a token, None if nothing is.

    `signed`: the template may have a signature, `jwt`: a JWT, `http`: the input of an HTTP message signature.
    """
    there = {"signature_input": http, "signature": signed, "jwt": jwt}
    special = [name for name, is_there in there.items() if is_there]
    if _is_known(token, special):
        return None
    names = [*_PLAIN, *_WITH_ENCODING, "sha256:base64", "timestamp+5m"]
    names += [f"{name}:{argument}" for name, argument in _WITH_ARGUMENT.items()]
    names += special + [more for more in ("signature.2", "jwt.detached") if more.partition(".")[0] in special]
    known = " ".join(f"{{{name}}}" for name in names)
    return f"{token} is not known{did_you_mean(token.name.lower(), names)}: use {known}"


def _is_known(token: Token, special: list[str]) -> bool:
    name, mark, argument = token
    if name in special:
        form = {"signature": r"(?:\.[1-9]\d?)?", "jwt": r"(?:\.detached)?"}.get(name, "")
        return re.fullmatch(form, mark + argument) is not None
    if name in _WITH_ARGUMENT:
        return mark == ":" and argument != ""
    if name in _WITH_ENCODING:
        return mark == "" or (mark == ":" and argument in ENCODINGS)
    if name == "timestamp" and mark in ("+", "-"):
        return offset_of(token) is not None
    return name in _PLAIN and not mark


def offset_of(token: Token) -> float | None:
    """Return the seconds that `{timestamp+5m}` adds; None if they are not a duration."""
    try:
        seconds = parse_duration(token.argument) if token.mark else 0.0
    except ValueError:
        return None
    return -seconds if token.mark == "-" else seconds
