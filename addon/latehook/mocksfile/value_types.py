"""Types of single values in a mocks file, with what the JSON Schema says about them.

The JSON Schema lets an editor refuse wrong texts. The compilers check them again, with better messages.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta

from latehook.base.durations import DURATION_HINT, DURATION_PATTERN
from latehook.mocks.matching import MATCH_HINT
from latehook.webhooks.targets import URL_HINT

EXPRESSION_PATTERN = r"\{\{|\{%|\{#"
"""A text that contains this is an expression, or has one in it."""


def about(text: str, default: Any = None, otherwise: str | None = None, examples: Sequence[Any] = ()) -> Meta:
    """Describe a key. `default` is the value without the key; `otherwise` says in words what happens without it."""
    words = shown(default) if otherwise is None and default is not None else otherwise
    return Meta(
        description=text if words is None else f"{text} Default: {words}.",
        examples=list(examples) or None,
        extra_json_schema=None if default is None else {"default": default},
    )


def shown(value: Any) -> str:
    """Return a value as it is written in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def text_like(*patterns: str, hint: str | None = None) -> Meta:
    """Describe a text that matches one of these regular expressions (ECMA 262), or has an expression in it.

    `hint` says what to write. It is not in JSON Schema, but editors show it instead of the regular expression.
    """
    schema = {"pattern": "|".join((*patterns, EXPRESSION_PATTERN))}
    return Meta(extra_json_schema=schema if hint is None else {**schema, "patternErrorMessage": hint})


def one_of(values: Iterable[str], *patterns: str) -> Meta:
    """Describe a text that is one of `values`, or as in `text_like`. A mapping says what each value means."""
    choice: dict[str, Any] = {"enum": list(values)}
    if isinstance(values, Mapping):
        choice["enumDescriptions"] = list(values.values())  # not in JSON Schema, but editors show them
    return Meta(extra_json_schema={"anyOf": [choice, text_like(*patterns).extra_json_schema]})


OnlyExpression = Annotated[str, text_like(hint="write one expression, {{ … }}, or a value of another type")]
Templated = dict[str, Any] | OnlyExpression
"""A map, or one expression that gives a map."""
Seconds = Annotated[float, Meta(extra_json_schema={"minimum": 0})]
Duration = Annotated[str, text_like(DURATION_PATTERN, hint=DURATION_HINT)] | Seconds
SignedDuration = Annotated[str, text_like(DURATION_PATTERN.replace("^", "^-?", 1))] | float
Match = Annotated[str, text_like(r"^\s*[A-Za-z]+(\|[A-Za-z]+)*\s+[^\s/]+(//[^\s/]+)?/\S*\s*$", hint=MATCH_HINT)]
Url = Annotated[str, text_like(r"^[Hh][Tt][Tt][Pp][Ss]?://[^/]", hint=URL_HINT)]
Method = Annotated[str, text_like(r"^[A-Za-z]+$")]
Times = Annotated[int, Meta(extra_json_schema={"minimum": 1})] | Annotated[str, text_like(r"^\d+$")]
ResponseStatus = (
    Annotated[int, Meta(extra_json_schema={"minimum": 200, "maximum": 599})] | Annotated[str, text_like(r"^[2-5]\d\d$")]
)
StatusPattern = (
    Annotated[str, Meta(extra_json_schema={"pattern": r"^[1-5]([xX][xX]|\d\d)$"})]
    | Annotated[int, Meta(extra_json_schema={"minimum": 100, "maximum": 599})]
)
"""A status, or `2xx` for all that begin with this digit."""
