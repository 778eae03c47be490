"""PURE: compares messages of mocks with recorded ones. Ids may differ, if they differ in the same way everywhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from latehook.base.json_text import encode_json
from latehook.importing.exchanges import LOCATIONS, KeyPath, Message, leaves
from latehook.importing.scrubbing import Scrubber
from latehook.importing.shapes import generator, is_id_key, is_opaque
from latehook.importing.times import read_time
from latehook.importing.unify import dotted

MAX_SHOWN = 80
"""Characters of a value that a difference shows."""

TIME_TOLERANCE = 3.0
"""Seconds by which a time in a message may differ from the recorded one."""

HEADERS = ("content-type", "retry-after", *LOCATIONS)
"""The headers of responses that are compared."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs. `recorded` and `mocked` are texts, without secrets and personal data."""

    where: str
    field: str
    recorded: str
    mocked: str

    def __str__(self) -> str:
        return f"{self.where}: {self.field}: recorded {self.recorded}, the mocks give {self.mocked}"


class Translation:
    """The ids of the recording and those that the mocks have made in their place."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, recorded: Any, mocked: Any) -> None:
        """Note every id that stands at the same place in both values."""
        mocked_leaves = dict(leaves(mocked))
        for path, value in leaves(recorded):
            other = mocked_leaves.get(path)
            if (
                value != other
                and type(value) is type(other)
                and isinstance(value, (str, int))
                and not isinstance(value, bool)
            ):
                key = path[-1] if path else ""
                is_id = (is_opaque(value) and _same_shape(value, other)) or (isinstance(value, int) and is_id_key(key))
                if is_id and read_time(value, 1.8e9) is None and "://" not in str(value):
                    self._known.setdefault(str(value), str(other))

    def merge(self, other: "Translation") -> None:
        """Know what another translation knows."""
        self._known |= other._known

    def contradicts(self, recorded: Any, mocked: Any) -> int:
        """Return how many known ids of the recording have another one than theirs at the same place."""
        mocked_leaves = dict(leaves(mocked))
        known = ((path, self._known.get(str(value))) for path, value in leaves(recorded))
        return sum(id is not None and str(mocked_leaves.get(path)) != id for path, id in known)

    def learn_text(self, recorded: str, mocked: str) -> None:
        """Note the ids in two texts that have the same parts, such as the URLs of a Location header."""
        ours, theirs = (re.split(r"[/?&=.:#]", unquote(text)) for text in (recorded, mocked))
        if len(ours) == len(theirs):
            for one, other in zip(ours, theirs, strict=True):
                if one != other and is_opaque(one) and _same_shape(one, other):
                    self._known.setdefault(one, other)

    def apply(self, text: str) -> str:
        """Return a recorded text with the ids that the mocks have made."""
        if not self._known:
            return text
        longest_first = sorted(self._known, key=lambda known: (-len(known), known))
        pattern = r"(?<![A-Za-z0-9])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![A-Za-z0-9])"
        return re.sub(pattern, lambda found: self._known[found[0]], text)


def _same_shape(first: Any, second: Any) -> bool:
    return re.sub(r"\d+", "", generator(first)) == re.sub(r"\d+", "", generator(second))


class Comparison:
    """Compares messages. `scrubber` says which values are not compared, since the mocks cannot have them."""

    def __init__(self, scrubber: Scrubber, translation: Translation) -> None:
        self.scrubber = scrubber
        self._translation = translation

    def clean(self, text: str) -> str:
        """Return a text without secrets and personal data."""
        return self.scrubber.clean_text(text)

    def messages(self, where: str, recorded: Message, mocked: Message, at: float) -> Iterator[Difference]:
        """Yield what differs in the bodies, and in the headers of responses. `at` is their time in Unix seconds."""
        for name in HEADERS:
            ours, theirs = recorded.header(name), mocked.header(name)
            if name == "content-type":
                ours, theirs = (value.partition(";")[0].strip().lower() for value in (ours, theirs))
            else:
                self._translation.learn_text(ours, theirs)
            if self._translation.apply(ours) != theirs and not (name == "content-type" and not recorded.content):
                yield self._difference(where, f"header {name}", (name,), ours, theirs)
        yield from self.bodies(where, recorded, mocked, at)

    def bodies(self, where: str, recorded: Message, mocked: Message, at: float) -> Iterator[Difference]:
        """Yield what differs in the bodies."""
        if recorded.body.kind != mocked.body.kind:
            yield Difference(where, "the body", recorded.body.kind, mocked.body.kind)
            return
        self._translation.learn(recorded.body.value, mocked.body.value)
        yield from self.values(where, recorded.body.value, mocked.body.value, at, ())

    def values(self, where: str, recorded: Any, mocked: Any, at: float, path: KeyPath) -> Iterator[Difference]:
        """Yield what differs in two values at a place of a body."""
        if isinstance(recorded, dict) and isinstance(mocked, dict):
            cleaned = {self.scrubber.clean_text(str(key)): key for key in recorded}
            for key in [*recorded, *(key for key in mocked if key not in recorded and key not in cleaned)]:
                name = self.scrubber.clean_text(str(key))
                place = (*path, name)
                if key not in recorded:
                    yield Difference(where, dotted(place), "nothing", self._shown(place, mocked[key]))
                elif name not in mocked:
                    yield Difference(where, dotted(place), self._shown(place, recorded[key]), "nothing")
                else:
                    yield from self.values(where, recorded[key], mocked[name], at, place)
        elif isinstance(recorded, list) and isinstance(mocked, list) and len(recorded) == len(mocked):
            for index, (one, other) in enumerate(zip(recorded, mocked, strict=True)):
                yield from self.values(where, one, other, at, (*path, index))
        elif not self._equal(path, recorded, mocked, at):
            yield self._difference(where, dotted(path), path, recorded, mocked)

    def _equal(self, path: KeyPath, recorded: Any, mocked: Any, at: float) -> bool:
        if isinstance(recorded, bool) or isinstance(mocked, bool) or recorded is None or mocked is None:
            return recorded is mocked
        if isinstance(recorded, (dict, list)) or isinstance(mocked, (dict, list)):
            return False
        if isinstance(recorded, str) is not isinstance(mocked, str):
            return False
        if recorded == mocked or self._translation.apply(str(recorded)) == str(mocked):
            return True
        ours, theirs = read_time(recorded, at), read_time(mocked, at)
        if ours is not None and theirs is not None:
            return ours[1] == theirs[1] and abs(ours[0] - theirs[0]) <= TIME_TOLERANCE
        if is_opaque(recorded) and _same_shape(recorded, mocked):
            return True  # new in each message
        return self.scrubber.clean(path, recorded)[1] is not None and isinstance(mocked, str)

    def _difference(self, where: str, field: str, path: KeyPath, recorded: Any, mocked: Any) -> Difference:
        return Difference(where, field, self._shown(path, recorded), self._shown(path, mocked))

    def _shown(self, path: KeyPath, value: Any) -> str:
        """Return a value as a difference shows it."""
        if isinstance(value, (dict, list)):
            return f"{'a map' if isinstance(value, dict) else 'a list'} of {len(value)}"
        _, reason = self.scrubber.clean(path, value)
        if reason is not None:
            return f"another value ({reason})"
        text = encode_json(value).decode()
        return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
