"""PURE: runtime expressions of OpenAPI (section "Runtime Expressions"), as expressions of mocks."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from latehook.base.errors import LatehookError
from latehook.importing.shapes import literal

_EXPRESSION = r"\$?(?:url|method|statusCode|(?:request|response)\.[^{}]*)"
_INSIDE = re.compile(rf"\{{({_EXPRESSION})\}}")
_BARE = re.compile(r"\$(?:url|method|statusCode|(?:request|response)\.[^{}\s]*)")
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class NotUnderstood(LatehookError):
    """A text is no runtime expression that a mock can use. The text is the reason."""


def member(expression: str, name: str) -> str:
    """Return the expression of a member. A name that is no identifier stands in brackets."""
    if _PLAIN_NAME.fullmatch(name):
        return f"{expression}.{name}"
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"{expression}['{quoted}']"


def translate(text: str, body: str, response: Callable[[list[str]], str | None]) -> str:
    """Return a callback's URL as a text of a mocks file.

    `body` is the expression of the request's body, such as `request.json`. `response` returns the template of the value
    at a path of the response (`headers` and a name, or `body` and the names in it), None if it has none.
    Raises NotUnderstood.
    """
    if _BARE.fullmatch(text.strip()):
        text = f"{{{text.strip()}}}"
    parts = _INSIDE.split(text)
    pieces = [part if at % 2 else _literal(part) for at, part in enumerate(parts)]
    templates = [
        _template(piece.removeprefix("$"), body, response) if at % 2 else literal(piece)
        for at, piece in enumerate(pieces)
    ]
    if len(parts) == 3 and parts[0] == "" and parts[2] and (only := _only_expression(templates[1])) is not None:
        return f"{{{{ {only} and {only} ~ {_quoted(parts[2])} }}}}"  # null where the request names no URL
    return "".join(templates)


def _literal(text: str) -> str:
    if re.search(r"\{[^{}]*\}", text):
        raise NotUnderstood(f"{text!r} has braces around what is no runtime expression")
    return text


def _template(expression: str, body: str, response: Callable[[list[str]], str | None]) -> str:
    source, _, rest = expression.partition(".")
    if source in ("url", "method"):
        return f"{{{{ request.{source} }}}}"
    kind, _, name = rest.partition(".")
    names = _names(rest)
    if source == "request":
        if names is not None:
            return f"{{{{ {_at(body, names)} }}}}"
        if kind in ("query", "path") and name:
            return f"{{{{ {member(f'request.{kind}', capture(name) if kind == 'path' else name)} }}}}"
        if kind == "header" and name:
            return f"{{{{ request.headers.{re.sub(r'[^a-z0-9]', '_', name.lower())} }}}}"
    elif source == "response" and (names is not None or kind == "header"):
        found = response(["headers", name.lower()] if names is None else ["body", *names])
        if found is not None:
            return found
        raise NotUnderstood(f"the response of the document has nothing at ${expression}")
    raise NotUnderstood(f"${expression} is no runtime expression of OpenAPI")


def capture(name: str) -> str:
    """Return the name that the mocks file has for a parameter of a path."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "part"
    return f"p_{plain}" if plain[0].isdigit() else plain


def _names(rest: str) -> list[str] | None:
    """Return the names of `body#/a/b`, also of `body.a.b`, which is often written; None if it is not of a body."""
    found = re.fullmatch(r"body(?:#?/?|#/(?P<pointer>.+)|[.#](?P<dotted>.+))", rest)
    if found is None:
        return None
    if found["pointer"]:
        return [unquote(part).replace("~1", "/").replace("~0", "~") for part in found["pointer"].split("/")]
    return found["dotted"].split(".") if found["dotted"] else []


def _at(expression: str, names: list[str]) -> str:
    if not names and expression != "request.text":
        return f"({expression} if {expression} is string else request.text)"
    for name in names:
        expression = f"{expression}[{name}]" if name.isdecimal() else member(expression, name)
    return expression


def _only_expression(template: str) -> str | None:
    found = re.fullmatch(r"\{\{ ([^{}]+) \}\}", template)
    return found and found[1]


def _quoted(text: Any) -> str:
    escaped = str(text).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
