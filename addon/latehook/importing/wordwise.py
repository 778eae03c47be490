"""PURE: a text whose words come from the request, the job or its status: `3 numbers from 919` is one of these."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from latehook.importing.scrubbing import Scrubber
from latehook.importing.shapes import literal
from latehook.importing.situations import Situation, braces

MAX_WORDS = 60
"""Words and separators of the longest text that is compared word by word."""


def by_words(samples: Sequence[tuple[str, Situation]], scrubber: Scrubber) -> str | None:
    """Return the text that has expressions for the words in which these texts differ, None if a word has none."""
    rows = [re.split(r"(\W+)", text) for text, _ in samples]
    if len(samples) < 2 or len(rows[0]) > MAX_WORDS or len(rows[0]) == 1:
        return None
    parts: list[tuple[bool, str]] = []
    for column in zip_longest(*rows):
        if all(word == column[0] for word in column):
            parts.append((False, column[0]))
            continue
        found = [list(_expressions(word, situation)) for word, (_, situation) in zip(column, samples, strict=True)]
        common = [expression for expression in found[0] if all(expression in other for other in found)]
        if not common:
            return None
        parts.append((True, common[0]))
    return _joined(parts, scrubber)


def _joined(parts: Sequence[tuple[bool, str]], scrubber: Scrubber) -> str:
    text, plain = "", ""
    for is_expression, part in [*parts, (True, "")]:
        if not is_expression:
            plain += part
            continue
        text += literal(scrubber.clean_text(plain)) + (braces(part) if part else "")
        plain = ""
    return text


def _expressions(word: str | None, situation: Situation) -> Iterator[str]:
    if not word:
        return
    if word in situation.known:
        yield situation.known[word]
    if word == situation.status:
        yield "job.status"
    for source in situation.sources:
        if isinstance(source.value, (str, int)) and not isinstance(source.value, bool) and str(source.value) == word:
            yield source.expression
