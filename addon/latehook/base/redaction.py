"""PURE: replaces secrets by *** in everything that people read."""

import base64
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from latehook.base.unescaping import has_escapes, unescaped

REDACTED = "***"

MIN_SECRET_LENGTH = 6
"""Characters of the shortest secret that is redacted: shorter ones occur in ordinary words."""

_ESCAPED_LENGTH = 6
"""Characters that an escape has for one character, such as `\\u00e9`."""

_PREFIX = re.compile(r"whsec_|(?:bearer|basic|token)\s+", re.IGNORECASE)
"""What stands before a secret and is left out where it is used: by Standard Webhooks, and in Authorization headers."""


class Redaction:
    """The secrets to replace. Secrets can be added, not removed: old log lines and jobs may still contain them.

    A secret is found as it is, without its prefix, in base64 and in hexadecimal, and each of these in escapes: of URLs,
    of JSON, Python and HTML, of a part of its characters or of all, and in escapes of escapes.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0
        """Characters of the longest text in which a secret is found."""
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Redact these secrets too."""
        stripped = (secret.strip() for secret in secrets)
        variants = {variant for secret in stripped for variant in (secret, _PREFIX.sub("", secret, count=1))}
        known = self._secrets | {secret for secret in variants if len(secret) >= MIN_SECRET_LENGTH}
        if known != self._secrets:
            forms = {form for secret in known for form in _forms(secret)}
            forms |= {view.text for form in forms for view in unescaped(form)}
            self._longest = _ESCAPED_LENGTH * max(map(len, forms))
            self._pattern = re.compile(_any_of(form for form in forms if len(form) >= MIN_SECRET_LENGTH))
            self._secrets = known

    def redact[Plain](self, value: Plain) -> Plain:
        """Return text or bytes with *** for each secret; a dict or list with redacted values and unchanged keys."""
        return value if self._pattern is None else self._redacted(value)

    def cut(self, text: str, end: int) -> int:
        """Return where a text can be cut without cutting a secret in two: at `end`, or before the secret there."""
        if self._pattern is None or end >= len(text):
            return min(end, len(text))
        first = max(0, end - self._longest)
        for start, stop in self._spans(text[first : end + self._longest]):
            if first + start < end < first + stop:
                return first + start
        return end

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redacted_text(value)
        if value is None:
            return None
        if isinstance(value, bytes):
            text = value.decode("utf-8", "surrogateescape")
            return self._redacted_text(text).encode("utf-8", "surrogateescape")
        if isinstance(value, dict):
            return {key: self._redacted(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._redacted(item) for item in value)
        return value

    def _redacted_text(self, text: str) -> str:
        spans = self._spans(text)
        if not spans:
            return text
        parts = []
        shown_to = 0
        for start, end in spans:
            parts += [text[shown_to:start], REDACTED]
            shown_to = end
        return "".join(parts) + text[shown_to:]

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return where secrets are in a text, in order. What overlaps is one."""
        assert self._pattern is not None
        is_plain = not has_escapes(text)
        if is_plain and self._pattern.search(text) is None:  # as nearly every text
            return []
        found = [match.span() for match in self._pattern.finditer(text)]
        for view in () if is_plain else unescaped(text):
            found += [view.place(*match.span()) for match in self._pattern.finditer(view.text)]
        spans: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            else:
                spans.append((start, end))
        return spans


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text and number in plain data, or in what an expression has given, as text."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, (str, bytes)):
        yield value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    elif isinstance(value, Iterable):
        for item in value:
            yield from texts_in(item)
    elif value is not None:
        yield str(value)


def _forms(secret: str) -> Iterator[str]:
    """Yield the secret as it is, in another charset, in hexadecimal, and in base64.

    Base64 is at each of the three offsets: `Basic` encodes a password behind a user name.
    """
    yield secret
    raw = secret.encode("utf-8", "surrogateescape")
    yield raw.decode("latin-1")
    latin = secret.encode("latin-1", "replace")
    yield from (latin.decode("utf-8", errors) for errors in ("surrogateescape", "replace"))
    yield from (raw.hex(), raw.hex().upper())
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
    """Return a regular expression for a form. Its blanks and line breaks may be others: an error has one line."""
    return r"(?:\s|\+)+".join(map(re.escape, re.split(r"\s+", form)))
