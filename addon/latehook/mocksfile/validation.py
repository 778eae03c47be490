"""Checks the keys and types of a mocks file, before its values are compiled."""

import types
import typing
from functools import lru_cache
from typing import Any

import msgspec

from latehook.base.errors import MocksError
from latehook.base.json_numbers import NumberAsWritten
from latehook.base.text import did_you_mean
from latehook.base.validation import Mismatch, parse_validation_error
from latehook.mocksfile.entries import File, MockEntry, ResponseEntry, StageEntry
from latehook.mocksfile.shared_entries import Entry
from latehook.mocksfile.source import KeyPath, Source
from latehook.mocksfile.webhook_entries import WebhookEntry


def to_entries(source: Source) -> File:
    """Return the data of a mocks file as entries. Raises MocksError for the first wrong key or type."""
    if not isinstance(source.data, dict):
        raise MocksError(source.place(()), "a mocks file is a map with the key `mocks`")
    if source.has_written_numbers:
        source.data = _with_floats(source.data, [File])
    data = {key: value for key, value in source.data.items() if not key.startswith("x-")}
    try:
        return msgspec.convert(data, File)
    except msgspec.ValidationError as error:
        raise _explained(source, parse_validation_error(error)) from None


def _with_floats(value: Any, kinds: list[Any]) -> Any:
    """Return data with a plain float for each number that keeps its text where Latehook computes with it.

    Such a number is a time, for example: a key that is declared as a float. `kinds` are the types that the value may
    have. Everything else is sent as it is written.
    """
    if isinstance(value, NumberAsWritten):
        return float(value) if float in kinds else value
    if isinstance(value, dict):
        return {key: _with_floats(item, _inside(kinds, key)) for key, item in value.items()}
    if isinstance(value, list):
        inner = _inside(kinds, "list")
        return [_with_floats(item, inner) for item in value] if inner else value
    return value


def _inside(kinds: list[Any], step: str) -> list[Any]:
    return [inner for kind in kinds for inner in _kinds_inside(kind, step)]


def _explained(source: Source, mismatch: Mismatch) -> MocksError:
    path = mismatch.path
    if mismatch.unknown is not None:
        keys = _keys_at(path)
        hint = (
            did_you_mean(mismatch.unknown, keys)
            or f"{_elsewhere(mismatch.unknown)}; the keys here are {', '.join(keys)}"
        )
        return MocksError(source.place((*path, mismatch.unknown)), f"the key {mismatch.unknown!r} is not known{hint}")
    if mismatch.missing is not None:
        return MocksError(source.place(path), f"the key {mismatch.missing!r} is missing")
    value = _shown(source.value(path))
    if "Invalid enum value" in mismatch.expected:
        return MocksError(source.place(path), f"{value} does not fit here: write a map, a list of maps, or `forward`")
    got = f", got {mismatch.got}" if mismatch.got else ""
    return MocksError(source.place(path), f"{value} does not fit here: expected {mismatch.expected}{got}")


_OWNERS = {"a mock": MockEntry, "a response": ResponseEntry, "a stage": StageEntry, "a webhook": WebhookEntry}


def _elsewhere(key: str) -> str:
    """Return what an unknown key is a key of, if it is one of something else."""
    owners = [owner for owner, kind in _OWNERS.items() if key in kind.__struct_fields__]
    return f": it is a key of {' and of '.join(owners)}" if owners else ""


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _keys_at(path: KeyPath) -> list[str]:
    """Return the keys that are known at this path."""
    kinds: list[Any] = [File]
    for part in path:
        step = "list" if isinstance(part, int) else part
        kinds = _inside(kinds, step)
    return [key for kind in kinds if _is_entry(kind) for key in kind.__struct_fields__]


@lru_cache(1024)
def _kinds_inside(kind: Any, step: str) -> list[Any]:
    """Return the types of a key of an entry, or of the items of a list."""
    if step == "list":
        return [alternative for item in typing.get_args(kind) for alternative in _alternatives(item)]
    return _alternatives(typing.get_type_hints(kind).get(step)) if _is_entry(kind) else []


def _alternatives(hint: Any) -> list[Any]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return list(typing.get_args(hint)) if is_union else [hint]


def _is_entry(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Entry)
