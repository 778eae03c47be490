"""PURE: secrets kept out of what people read: text goes in, and comes out with *** in their place."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any
from urllib.parse import quote

HIDDEN = "***"

LEAST = 6
"""Characters of the shortest secret that is hidden: a shorter one stands in ordinary text too, and would maul it."""


class Redaction:
    """Secrets, to be hidden in whatever is shown. What was one once stays one: they are only added."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these too."""
        stripped = (secret.strip() for secret in secrets)
        known = self._secrets | {secret for secret in stripped if len(secret) >= LEAST}
        if known != self._secrets:
            self._pattern = re.compile(_any_of({form for secret in known for form in _forms(secret)}))
            self._secrets = known

    def redact[Plain](self, value: Plain) -> Plain:
        """Text or bytes without the secrets; a map or list with the texts in it so, its keys as they are."""
        return value if self._pattern is None else _replaced(self._pattern, value)


def texts_in(value: Any) -> Iterator[str]:
    """Every text and number in plain data, as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif value is not None:
        yield str(value)


def _replaced(pattern: re.Pattern[str], value: Any) -> Any:
    if isinstance(value, str):
        return pattern.sub(HIDDEN, value)
    if value is None:
        return None
    if isinstance(value, bytes):
        text = value.decode("utf-8", "surrogateescape")
        return pattern.sub(HIDDEN, text).encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: _replaced(pattern, item) for key, item in value.items()}
    return [_replaced(pattern, item) for item in value] if isinstance(value, list) else value


def _forms(secret: str) -> Iterator[str]:
    """The secret, and what is left of it in base64, wherever it begins there: behind a user's name, as Basic has it."""
    yield secret
    raw = secret.encode("utf-8", "surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            bits = 8 * before, 8 * (before + len(raw))
            yield encode(bytes(before) + raw)[-(-bits[0] // 6) : bits[1] // 6].decode()


def _any_of(forms: Iterable[str]) -> str:
    """A regular expression for all of them, by their first character: it is fast as long as most do not come near."""
    groups = groupby(sorted(forms), key=lambda form: form[0])
    return "|".join(_pattern(first) + _longest_of([form[1:] for form in group]) for first, group in groups)


def _longest_of(forms: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(_pattern, sorted(forms, key=len, reverse=True)))})"  # one may begin with another


def _pattern(form: str) -> str:
    """A regular expression for it as it is, in a URL, in JSON, and as Python quotes it in an error."""
    return "".join(map(_character, form))


def _character(character: str) -> str:
    if re.fullmatch(r"[\w.~-]", character, re.ASCII):  # the same everywhere
        return re.escape(character)
    if character.isspace():  # an error in one line has a blank for a line break
        return r"(?:\s|\\[nrt]|\+|%(?i:20|0a|0d|09))"
    escaped = (character, "\\" + character, json.dumps(character)[1:-1], repr(character)[1:-1])
    percent = quote(character, safe="", errors="surrogateescape")
    return f"(?:{'|'.join(map(re.escape, dict.fromkeys(escaped)))}|(?i:{percent}))"
