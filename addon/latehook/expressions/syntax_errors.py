"""PURE: what Jinja's parser says about a wrong expression, in plain words."""

import re

_TOKENS = {
    "end of print statement": "`}}`",
    "end of statement block": "`%}`",
    "end of template": "the end",
    "begin of print statement": "`{{`",
    "begin of statement block": "`{%`",
    "end of comment": "`#}`",
    "name": "a name",
    "string": "a text in quotes",
    "integer": "a number",
}
_WORDS = ("filter", "test", "if", "for", "set", "macro", "call", "with", "raw")
_TOKEN = r"(?:token )?'?([^']+?)'?"
_MESSAGES = (
    (rf"unexpected end of template, expected {_TOKEN}\.?", "it is not closed: {0} is missing"),
    (rf"expected token {_TOKEN}, got {_TOKEN}", "there is {1} where {0} should be"),
    (rf"unexpected {_TOKEN}, expected {_TOKEN}", "there is {0} where {1} should be"),
    (r"unexpected char ['\"](.+)['\"] at (\d+)", "the character {0} cannot be here, or a quote is not closed"),
    (rf"unexpected {_TOKEN}", "there is {0} where a value should be"),
    (rf"[Ee]xpected an expression, got {_TOKEN}", "there is {0} where a value should be"),
    (r"expected name or number", "a name is missing behind the dot"),
    (rf"No (filter|test) named {_TOKEN}\.", "there is no {0} {1}"),
    (rf"Encountered unknown tag {_TOKEN}\..*", "there is no statement {0}, or it has no beginning here"),
    (
        r"Unexpected end of template\..* innermost block that needs to be closed is '(\w+)'\.",
        "`{{% {0} %}}` has no end",
    ),
    (r"Missing end of comment tag", "a comment is not closed: `#}}` is missing"),
)
"""Patterns of Jinja's messages, and what they mean: `{0}`, `{1}` are the tokens that they name."""


def in_plain_words(message: str) -> str:
    """Return the meaning of a message of Jinja's parser; one that is not known stays as it is."""
    for pattern, meaning in _MESSAGES:
        if (found := re.fullmatch(pattern, message, re.DOTALL)) is not None:
            return meaning.format(*map(_token, found.groups()), *[""] * 2)
    return message


def _token(name: str) -> str:
    if name in _WORDS:
        return name
    return _TOKENS.get(name, f"`{name}`")
