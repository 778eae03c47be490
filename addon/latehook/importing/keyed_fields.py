"""PURE: fields of a webhook that have an HMAC of fields beside them, inside a text, where `sign` cannot write."""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from latehook.importing.exchanges import KeyPath, leaves
from latehook.importing.json_texts import as_expression
from latehook.importing.scrubbing import snake
from latehook.importing.signature_texts import NAME, decode
from latehook.importing.situations import braces, from_environment
from latehook.importing.sources import quote

MAX_SIBLINGS = 8
"""Fields beside an HMAC of which combinations are tried."""

_ALGORITHMS = {20: "sha1", 32: "sha256", 64: "sha512"}
_SEPARATORS = ("", ".", ":", "|")


def with_hmacs(template: Any, values: Sequence[Any], secrets: Mapping[str, str]) -> Any:
    """Return a template with expressions for each HMAC of other fields. `values` are the data that it is made of.

    `secrets` are values with the names of their variables.
    """
    for path, value in list(leaves(values[0])):
        if path and isinstance(value, str) and NAME.search(snake(path[-1])):
            found = next(_makers(template, values, path, secrets), None)
            if found is not None:
                template = _replaced(template, path, found)
    return template


def _makers(template: Any, values: Sequence[Any], path: KeyPath, secrets: Mapping[str, str]) -> Iterator[str]:
    """Yield the expressions that give the values at a place."""
    rows = [dict(leaves(value)) for value in values]
    first = decode(rows[0][path])
    algorithm = None if first is None else _ALGORITHMS.get(len(first[1]))
    if first is None or algorithm is None or first[0] not in ("hex", "base64"):
        return
    beside = [other for other in rows[0] if other[:-1] == path[:-1] and other != path][:MAX_SIBLINGS]
    for size in (2, 1, 3):
        for chosen in permutations(beside, size):
            for separator in _SEPARATORS if size > 1 else ("",):
                for secret, name in secrets.items():
                    if all(_is_made(row, path, chosen, separator, secret, algorithm) for row in rows):
                        texts = [as_expression(_at(template, one)) for one in chosen]
                        text = f" ~ {quote(separator)} ~ ".join(texts) if separator else " ~ ".join(texts)
                        key = from_environment(name, secret)[3:-3]
                        yield braces(f"({text}) | hmac({key}, {quote(algorithm)}, {quote(first[0])})")


def _is_made(
    row: Mapping[KeyPath, Any], path: KeyPath, chosen: Sequence[KeyPath], separator: str, secret: str, algorithm: str
) -> bool:
    """Return whether a value is the HMAC of these fields."""
    found = decode(str(row.get(path)))
    if found is None or any(one not in row for one in chosen):
        return False
    message = separator.join(str(row[one]) for one in chosen)
    return hmac.digest(secret.encode(), message.encode(), algorithm) == found[1]


def _at(value: Any, path: KeyPath) -> Any:
    for key in path:
        value = value[key]
    return value


def _replaced(value: Any, path: KeyPath, new: str) -> Any:
    if not path:
        return new
    if isinstance(value, list):
        return [_replaced(item, path[1:], new) if at == path[0] else item for at, item in enumerate(value)]
    return {**value, path[0]: _replaced(value[path[0]], path[1:], new)}
