"""PURE: a text that matches a regular expression of a schema, for the simple ones that most documents have."""

import re

_ITEM = re.compile(
    r"(?P<one>\\.|\[\^?(?:\\.|[^\]\\])+\]|[^\\^$|()*+?{}\[\]])(?P<many>\{(?P<count>\d+)(?:,\d*)?\}|[*+?])?[?]?|[\^$()]|\(\?:"
)
_CANDIDATES = "a0A1bf-_. :/@+z9Z#"
MAX_LENGTH = 200


def text_like(pattern: str, otherwise: str) -> str:
    """Return a text that matches a regular expression; `otherwise` if it matches, or if none is found."""
    import re2  # in linear time, whatever the pattern is

    def fits(text: str) -> bool:
        return len(text) <= MAX_LENGTH and compiled.search(text) is not None

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return otherwise
    if fits(otherwise):
        return otherwise
    first = re.sub(r"\(\?:|\(([^()|]*)\|[^()]*\)", r"\1", pattern) if "(" in pattern else pattern.partition("|")[0]
    text = _made(first)
    return text if text is not None and fits(text) else otherwise


def _made(pattern: str) -> str | None:
    """Return the shortest text of a sequence of characters, classes and their counts; None for other patterns."""
    text, at = "", 0
    while at < len(pattern):
        found = _ITEM.match(pattern, at)
        if found is None:
            return None
        at = found.end()
        if found["one"] is None:
            continue
        count = int(found["count"]) if found["count"] else 0 if found["many"] in ("*", "?") else 1
        if count > MAX_LENGTH:
            return None
        text += _character(found["one"]) * count
    return text


def _character(item: str) -> str:
    """Return a character that an item of a pattern matches."""
    if len(item) == 1 and item != ".":
        return item
    return next((one for one in _CANDIDATES if re.fullmatch(item, one)), item[-1] if item[0] == "\\" else "x")
