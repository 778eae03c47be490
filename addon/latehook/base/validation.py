"""PURE: msgspec's validation errors, as data and in plain words."""

import re
from dataclasses import dataclass

import msgspec

_WORDS = {"array": "a list", "object": "a map", "str": "text", "int or float": "a number", "int": "a number"}
_WORDS |= {"float": "a number", "NumberAsWritten": "a number", "bool": "true or false"}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where data does not match a type, and why.

    `path` are the keys and indexes that lead there. `unknown` is a key that the type does not have, `missing` one that
    it requires; otherwise `expected` says what is expected there, and `got` what is there.
    """

    path: tuple[str | int, ...]
    unknown: str | None = None
    missing: str | None = None
    expected: str = ""
    got: str = ""


def parse_validation_error(error: msgspec.ValidationError) -> Mismatch:
    """Return what a message of msgspec says, such as ``Expected `int`, got `str` - at `$.mocks[0].times` ``."""
    problem, at_marker, at = str(error).rpartition(" - at `")
    if not at_marker:
        problem, at = str(error), ""
    path = tuple(int(index) if index else name for name, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", at))
    if found := re.search(r"unknown field `(.*)`", problem, re.DOTALL):
        return Mismatch(path, unknown=found[1])
    if found := re.search(r"missing required field `(.*)`", problem, re.DOTALL):
        return Mismatch(path, missing=found[1])
    expected, _, got = problem.removeprefix("Expected ").partition(", got ")
    return Mismatch(path, expected=_plain(expected), got=_plain(got))


def _plain(words: str) -> str:
    words = words.replace("`", "").replace(" | ", " or ")
    for theirs, ours in _WORDS.items():
        words = re.sub(rf"\b{theirs}\b", ours, words)
    return words
