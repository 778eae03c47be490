"""PURE: replaces secrets by *** in everything that people read."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any
from urllib.parse import quote

REDACTED = "***"

MIN_SECRET_LENGTH = 6
"""Characters of the shortest secret that is redacted: shorter ones occur in ordinary words."""


class Redaction:
    """The secrets to replace. Secrets can be added, not removed: old log lines and jobs may still contain them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Redact these secrets too."""
        stripped = (secret.strip() for secret in secrets)
        known = self._secrets | {secret for secret in stripped if len(secret) >= MIN_SECRET_LENGTH}
        if known != self._secrets:
            self._pattern = re.compile(_any_of({form for secret in known for form in _forms(secret)}))
            self._secrets = known

    def redact[Plain](self, value: Plain) -> Plain:
        """Return text or bytes with *** for each secret; a dict or list with redacted values and unchanged keys."""
        return value if self._pattern is None else _replaced(self._pattern, value)


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text and number in plain data as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif value is not None:
        yield str(value)


def _replaced(pattern: re.Pattern[str], value: Any) -> Any:
    if isinstance(value, str):
        return pattern.sub(REDACTED, value)
    if value is None:
        return None
    if isinstance(value, bytes):
        text = value.decode("utf-8", "surrogateescape")
        return pattern.sub(REDACTED, text).encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: _replaced(pattern, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(pattern, item) for item in value)
    return value


def _forms(secret: str) -> Iterator[str]:
    """Yield the secret, and its base64 at each of the three offsets: `Basic` encodes it behind a user name."""
    yield secret
    raw = secret.encode("utf-8", "surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            bits = 8 * before, 8 * (before + len(raw))
            yield encode(bytes(before) + raw)[-(-bits[0] // 6) : bits[1] // 6].decode()


def _any_of(forms: Iterable[str]) -> str:
    """Return a regular expression for all forms, grouped by first character: most texts fail at that fast."""
    groups = groupby(sorted(forms), key=lambda form: form[0])
    return "|".join(_pattern(first) + _longest_of([form[1:] for form in group]) for first, group in groups)


def _longest_of(forms: Iterable[str]) -> str:
    longest_first = sorted(forms, key=len, reverse=True)  # a form may be the beginning of another
    return f"(?:{'|'.join(map(_pattern, longest_first))})"


def _pattern(form: str) -> str:
    """Return a regular expression for a form as it is, in a URL, in JSON, and as Python quotes it in an error."""
    return "".join(map(_character, form))


def _character(character: str) -> str:
    if re.fullmatch(r"[\w.~-]", character, re.ASCII):  # written the same in all of these
        return re.escape(character)
    if character.isspace():  # an error of one line has a blank for a line break
        return r"(?:\s|\\[nrt]|\+|%(?i:20|0a|0d|09))"
    escaped = (character, "\\" + character, json.dumps(character)[1:-1], repr(character)[1:-1])
    percent = quote(character, safe="", errors="surrogateescape")
    return f"(?:{'|'.join(map(re.escape, dict.fromkeys(escaped)))}|(?i:{percent}))"
