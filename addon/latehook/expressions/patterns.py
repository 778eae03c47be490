"""PURE: regular expressions that take linear time: the syntax of RE2.

Python's own `re` can take hours for a pattern that a request or a mocks file brings.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import nodes

MAX_PATTERN_LENGTH = 1000
"""Characters of a pattern."""

MAX_MEMORY = 1024 * 1024
"""Bytes that RE2 may use for one pattern: for its program, and for the states that it keeps while it searches."""

NOT_IN_RE2 = "lookaround, backreferences and possessive quantifiers do not exist here, because they take too much time"

_UNSUPPORTED = re.compile(r"\(\?(<?[=!]|>|P=)|\\[1-9]|\\k|[*+?}]\+")
"""What other regular expressions have, and RE2 has not."""

_ESCAPES = dict(zip("\0\x01\x02\x03\x04\x05\x06\x07\b", [*"01234567b"], strict=True))
"""Characters that an expression makes of a single backslash and what follows it."""


class PatternError(ValueError):
    """A regular expression, or what replaces its matches, cannot be used."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled regular expression. `size` is the number of its instructions: the time of a search grows with it."""

    text: str
    size: int
    _compiled: Any

    def is_found_in(self, text: str) -> bool:
        """Return whether some part of a text matches."""
        return self._compiled.search(_searchable(text)) is not None

    def replace(self, text: str, replacement: str) -> Iterator[str]:
        r"""Yield the pieces of a text in which every match is replaced; `\1` and `\g<name>` stand for groups."""
        template = list(self._template(replacement))
        end = 0
        for match in self._compiled.finditer(_searchable(text)):
            yield text[end : match.start()]
            for piece in template:
                yield piece if isinstance(piece, str) else match.group(piece[0]) or ""
            end = match.end()
        yield text[end:]

    def _template(self, replacement: str) -> Iterator[str | tuple[int | str]]:
        """Yield the pieces of a replacement: texts, and groups, each as a tuple of its number or name."""
        _check_escapes(replacement, "replacement")
        end = 0
        for found in _REFERENCE.finditer(replacement):
            yield replacement[end : found.start()]
            end = found.end()
            name = found["number"] or found["name"]
            if name is None:
                yield "\\"
                continue
            group = int(name) if name.isdigit() else name
            if group not in self._compiled.groupindex and not (isinstance(group, int) and group <= self._groups):
                raise PatternError(f"the pattern {self.text!r} has no group {name}")
            yield (group,)
        yield replacement[end:]

    @property
    def _groups(self) -> int:
        return int(self._compiled.groups)


_REFERENCE = re.compile(r"\\(?:(?P<number>[0-9])|g<(?P<name>[A-Za-z0-9_]+)>|\\)")


@lru_cache  # of 128, as that of RE2 itself: each may have MAX_MEMORY
def compile_pattern(text: str) -> Pattern:
    """Return a regular expression, compiled. Raises PatternError with a text for people."""
    import re2  # loading it takes longer than most searches, and few mocks need it

    if len(text) > MAX_PATTERN_LENGTH:
        raise PatternError(f"a pattern of {len(text):,} characters is too long: at most {MAX_PATTERN_LENGTH:,}")
    _check_escapes(text, "pattern")
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    try:
        compiled = re2.compile(_searchable(text), options)
    except re2.error as error:
        hint = f": {NOT_IN_RE2}" if _UNSUPPORTED.search(text) else ""
        raise PatternError(f"the pattern {text!r} cannot be used: {_reason(error)}{hint}") from None
    return Pattern(text, compiled.programsize, compiled)


def check_patterns(tree: nodes.Template) -> None:
    """Compile every pattern that an expression has as a text. Raises PatternError for the first that is wrong."""
    for text in _patterns(tree):
        compile_pattern(text)


def _patterns(tree: nodes.Template) -> Iterator[str]:
    """Yield the patterns in `x is matching('…')`, `x | regex_replace('…')` and `x | select('matching', '…')`."""
    for found in (*tree.find_all(nodes.Test), *tree.find_all(nodes.Filter)):
        at = _PATTERN_AT.get(found.name)
        arguments = [each.value if isinstance(each, nodes.Const) else None for each in found.args]
        if at is not None and at < len(arguments) and (at == 0 or arguments[at - 1] == "matching"):
            pattern = arguments[at]
            if isinstance(pattern, str):
                yield pattern


_PATTERN_AT = {"matching": 0, "regex_replace": 0, "select": 1, "reject": 1, "selectattr": 2, "rejectattr": 2}
"""Tests and filters that take a pattern → which argument it is. In front of others there is the name of the test."""


def _check_escapes(text: str, what: str) -> None:
    r"""Refuse a character that was written as `\b` or `\1`: in an expression a backslash is written twice."""
    for character in text:
        if character in _ESCAPES:
            letter = _ESCAPES[character]
            raise PatternError(f"the {what} has the character {character!r}: write \\\\{letter} for \\{letter}")


def _searchable(text: str) -> str:
    """Return a text that RE2 takes: it works on UTF-8. Raises PatternError for half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PatternError("a text with half of a surrogate pair cannot be searched") from None
    return text


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
