"""PURE: finds what tells requests with the same match apart that were answered differently."""

import re
from collections.abc import Sequence, Set
from typing import Any

from latehook.importing.behaviours import alike
from latehook.importing.exchanges import Exchange, texts_of
from latehook.importing.relations import Relations
from latehook.importing.scrubbing import Scrubber, snake
from latehook.importing.shapes import is_opaque
from latehook.importing.sources import Reader, member

CREDENTIALS = "request.headers.authorization"

MAX_ALTERNATIVES = 3
"""Expressions that one condition may combine with `or`."""


_ACTION = re.compile(r"(^|_)(action|method|operation|command|op|verb|type)$")
"""Names of fields that say what is asked for, where one path serves everything."""


def condition(
    chosen: Sequence[Exchange], others: Sequence[Exchange], reader: Reader, relations: Relations, scrubber: Scrubber
) -> str | None:
    """Return an expression that holds for the chosen requests and for none of the others; None if there is none.

    A request that was refused usually lacks something that its response names; another one usually has something more.
    """
    kinds = {one.request.body.kind for one in (*chosen, *others)}
    mine = [_truths(one, reader, kinds) for one in chosen]
    theirs = [_truths(one, reader, kinds) for one in others]
    common = set.intersection(*(set(one) for one in mine)) - set().union(*theirs)
    lacking = set.intersection(*(set(one) for one in theirs)) - set().union(*mine)
    more = _best(common, mine[0])
    less = f"not {found}" if (found := _best(lacking, theirs[0], chosen)) else None
    for text in (more, less) if chosen[0].is_success else (less, more):
        if text:
            return text
    if not chosen[0].is_success and (text := _by_relation(chosen, others, relations)):
        return text
    if text := _equality(mine, theirs, scrubber):
        return text
    if alternatives := _alternatives(mine, theirs):
        return " or ".join(alternatives)
    if alternatives := _alternatives(theirs, mine):
        return f"not ({' or '.join(alternatives)})"
    return _by_relation(chosen, others, relations)


def telling_parameter(exchanges: Sequence[Exchange], reader: Reader) -> str | None:
    """Return the parameter of the query that some GETs have, where these get other fields than the rest."""
    successes = [exchange for exchange in exchanges if exchange.is_success and exchange.method == "GET"]
    for name in sorted({name for exchange in successes for name, _ in exchange.query}):
        expression = member("request.query", name)
        having = [one for one in successes if reads(reader, expression, one)]
        lacking = [one for one in successes if one not in having]
        if having and lacking and not any(alike(one, other) for one in having for other in lacking):
            return expression
    return None


def reads(reader: Reader, expression: str, exchange: Exchange) -> bool:
    """Return whether an expression reads something in a request."""
    return any(source.expression == expression and source.value for source in reader.sources(exchange))


def _by_relation(chosen: Sequence[Exchange], others: Sequence[Exchange], relations: Relations) -> str | None:
    """Return whether there is a job of another mock that the request is about: only some requests have one."""
    mine, theirs = ([{source.expression for source in relations.of(one)} for one in side] for side in (chosen, others))
    common = set.intersection(*mine) - set().union(*theirs)
    lacking = set.intersection(*theirs) - set().union(*mine)
    if common:
        return min(common, key=lambda text: (len(text), text))
    return f"not {min(lacking, key=lambda text: (len(text), text))}" if lacking else None


def _truths(exchange: Exchange, reader: Reader, kinds: Set[str]) -> dict[str, Any]:
    """Return the expressions that are true for a request, with their values.

    `kinds` are those of all bodies: a field that comes as JSON and as a form is one.
    """
    found = {source.expression: source.value for source in reader.sources(exchange) if source.value}
    if "json" in kinds and kinds & {"form", "multipart"}:
        for expression, value in list(found.items()):
            field = re.sub(r"^request\.(json|form)\.", "(request.json or request.form).", expression)
            found |= {field: value} if field != expression else {}
    if exchange.request.header("authorization"):
        found[CREDENTIALS] = True
    if exchange.request.content:
        found["request.size"] = len(exchange.request.content)
    return found


def _best(expressions: set[str], values: dict[str, Any], refused: Sequence[Exchange] = ()) -> str | None:
    """Return the expression that says most: what a refusal names, then a URL, then the shortest."""
    is_stranger = bool(refused) and all(exchange.status in (401, 403) for exchange in refused)
    named = " ".join(text.lower() for exchange in refused for text in texts_of(exchange.response.body))

    def rank(text: str) -> tuple[Any, ...]:
        is_named = re.search(rf"(?<![a-z]){re.escape(text.rpartition('.')[2].lower())}(?![a-z])", named) is not None
        is_url = not refused and _is_url(values.get(text))
        is_credential = text == CREDENTIALS
        is_size = text == "request.size"
        by_place = "headers" in text, text.count("."), len(text), text
        return is_credential is not is_stranger, not is_named, not is_url, is_size, *by_place

    return min(expressions, key=rank, default=None)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _equality(mine: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], scrubber: Scrubber) -> str | None:
    """Return `EXPRESSION == VALUE`, where the chosen have this value and the others do not, and it is not personal."""

    def rank(expression: str) -> tuple[Any, ...]:
        is_action = _ACTION.search(snake(expression.rpartition(".")[2])) is not None
        return not is_action, expression == "request.size", len(expression), expression

    for expression in sorted(set.intersection(*(set(one) for one in mine)), key=rank):
        values = [one[expression] for one in mine]
        if not isinstance(values[0], (str, int, bool)) or any(value != values[0] for value in values):
            continue
        if is_opaque(values[0]) or expression.startswith("request.path.id"):
            continue  # the id of something that does not exist, or a text that is new each time
        if any(one.get(expression) == values[0] for one in theirs):
            continue
        text = str(values[0])
        key = snake(expression.rpartition(".")[2])
        if (
            len(text) <= 40
            and "'" not in text
            and "\\" not in text
            and scrubber.clean((key,), values[0]) == (values[0], None)
        ):
            return f"{expression} == {values[0]!r}"
    return None


def _alternatives(mine: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> list[str] | None:
    """Return up to MAX_ALTERNATIVES expressions of which each chosen request has one, and no other request has any."""
    excluded: set[str] = set().union(*theirs)
    left = list(mine)
    found: list[str] = []
    while left and len(found) < MAX_ALTERNATIVES:
        counts: dict[str, int] = {}
        for one in left:
            for expression in one:
                if expression not in excluded:
                    counts[expression] = counts.get(expression, 0) + 1
        if not counts:
            return None
        best = min(counts, key=lambda text: (-counts[text], text.count("."), len(text), text))
        found.append(best)
        left = [one for one in left if best not in one]
    return found if not left else None
