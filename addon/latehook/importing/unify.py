"""PURE: finds one template for the same message seen several times.

Each value has several possible explanations: an expression, or the value itself. The template has the best one that
explains the value in every message. So each further recording settles what one recording leaves open.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from latehook.importing.exchanges import KeyPath
from latehook.importing.scrubbing import Scrubber
from latehook.importing.shapes import generator, is_id_key, is_opaque
from latehook.importing.situations import Situation, explain, explain_container
from latehook.importing.sources import quote
from latehook.importing.times import read_time
from latehook.importing.wordwise import by_words

MAX_CHOICES = 4
"""Values of one message that an expression chooses by the status. With more, each status has a message of its own."""

Sample = tuple[Any, Situation]
"""A value, and the situation in which its message was written."""


class Differs(Exception):
    """No template gives all messages."""


class Notes:
    """What was guessed or replaced, by field. It never has a value."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, None]] = {}

    def add(self, reason: str, path: KeyPath) -> None:
        self._found.setdefault(reason, {})[dotted(path)] = None

    def lines(self) -> list[str]:
        """Return one line for each reason, with the fields."""
        return [f"{reason}: {', '.join(fields)}" for reason, fields in self._found.items()]

    @property
    def fields(self) -> int:
        return sum(map(len, self._found.values()))


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path)) or "the body"


class Unifier:
    """Makes templates. With `strict` a value that nothing explains in all messages raises Differs."""

    def __init__(self, scrubber: Scrubber, notes: Notes, strict: bool = False, place: KeyPath = ()) -> None:
        self._scrubber = scrubber
        self._notes = notes
        self._strict = strict
        self._place = place
        self._choices = 0

    def unify(self, samples: Sequence[Sample], path: KeyPath = ()) -> Any:
        """Return the template of these values. Raises Differs."""
        containers = [value for value, _ in samples if isinstance(value, (dict, list))]
        if len(containers) < len(samples):
            if not containers:
                return self._leaf(samples, path)
            if self._strict:
                raise Differs
            samples = [sample for sample in samples if isinstance(sample[0], (dict, list))]
            self._note("not always a map or list", path)
        if path and (whole := self._whole(samples, path)) is not None:
            return whole
        if all(isinstance(value, dict) for value, _ in samples):
            return self._map(samples, path)
        if all(isinstance(value, list) for value, _ in samples):
            return self._list(samples, path)
        if self._strict:
            raise Differs
        self._note("differs in kind, the first one stays", path)
        return self.unify(samples[:1], path)

    def _whole(self, samples: Sequence[Sample], path: KeyPath) -> str | None:
        common = set.intersection(*(explain_container(path, value, situation) for value, situation in samples))
        return min(common, key=lambda text: (len(text), text), default=None)

    def _map(self, samples: Sequence[Sample], path: KeyPath) -> dict[str, Any]:
        keys = list(dict.fromkeys(key for value, _ in samples for key in value))
        found: dict[str, Any] = {}
        for key in keys:
            having = [(value[key], situation) for value, situation in samples if key in value]
            if len(having) < len(samples):
                if self._strict:
                    raise Differs
                self._note("not always there", (*path, key))
            found[self._scrubber.clean_text(str(key))] = self.unify(having, (*path, key))
        return found

    def _list(self, samples: Sequence[Sample], path: KeyPath) -> list[Any]:
        lengths = {len(value) for value, _ in samples}
        if len(lengths) > 1:
            if self._strict:
                raise Differs
            self._note("has another length in other messages, the longest one stays", path)
            samples = [max(samples, key=lambda sample: len(sample[0]))]
        columns = zip(*(value for value, _ in samples), strict=True)
        situations = [situation for _, situation in samples]
        return [
            self.unify(list(zip(column, situations, strict=True)), (*path, at)) for at, column in enumerate(columns)
        ]

    def _leaf(self, samples: Sequence[Sample], path: KeyPath) -> Any:
        where = (*self._place, *path)
        values = [value for value, _ in samples]
        is_same = all(type(value) is type(values[0]) and value == values[0] for value in values)
        explanations = [explain(where, value, situation, self._scrubber) for value, situation in samples]
        common = [
            text for text in explanations[0] if all(text in others for others in explanations[1:]) and (text or is_same)
        ]
        if common and common[0]:
            return common[0]
        if common and not self._looks_random(where, values):
            return self._literal(where, values[0])
        if common or all(value is not None and is_opaque(value) for value in values):
            if common:
                self._note("looks random, a second recording would tell", path)
            return generator(self._scrubber.clean_text(values[0]) if isinstance(values[0], str) else values[0])
        if (text := self._with_default(where, samples, explanations) or self._by_status(where, samples)) is not None:
            return text
        if all(isinstance(value, str) for value in values) and (text := by_words(samples, self._scrubber)) is not None:
            return text
        if self._strict:
            raise Differs
        self._note("differs between messages without a visible reason, the first value stays", path)
        return self._literal(where, next((value for value in values if value is not None), None))

    def _with_default(self, path: KeyPath, samples: Sequence[Sample], explanations: Sequence[list[str]]) -> str | None:
        """Return `EXPRESSION | default(VALUE)`, where an expression explains some messages and is null in others.

        These others must have one value.
        """
        key = path[-1] if path else ""
        strong = [text for one in explanations for text in one[: one.index("")]]
        weak = [text for one in explanations for text in one[one.index("") + 1 :] if text.endswith(f".{key} }}}}")]
        for text in dict.fromkeys([*strong, *weak]):
            found = re.fullmatch(r"\{\{ ((?:job\.)?request\.[\w.]+)( \| int)? \}\}", text)
            if found is None:
                continue
            rest = [sample for sample, own in zip(samples, explanations, strict=True) if text not in own]
            values = {json.dumps(value) for value, _ in rest}
            if len(values) == 1 and all(found[1] in situation.absent for _, situation in rest):
                literal = self._plain(path, rest[0][0])
                if literal is not None:
                    return f"{{{{ {found[1]} | default({literal}){found[2] or ''} }}}}"
        return None

    def _by_status(self, path: KeyPath, samples: Sequence[Sample]) -> str | None:
        """Return an expression that chooses a value by the job's status; None if the status does not decide."""
        if self._choices >= MAX_CHOICES:
            return None
        by_status: dict[str, str] = {}
        for value, situation in samples:
            literal = self._moment(path, value, situation) or self._plain(path, value)
            if (
                situation.status is None
                or literal is None
                or by_status.setdefault(situation.status, literal) != literal
            ):
                return None
        literals = list(by_status.values())
        single = [status for status, literal in by_status.items() if literals.count(literal) == 1]
        self._choices += 1
        if len(set(literals)) == 2 and single and (len(by_status) == 2 or literals.count(by_status[single[-1]]) == 1):
            status = single[-1]
            other = next(literal for literal in literals if literal != by_status[status])
            return f"{{{{ {by_status[status]} if job.status == {quote(status)} else {other} }}}}"
        pairs = ", ".join(f"{quote(status)}: {literal}" for status, literal in by_status.items())
        return f"{{{{ {{{pairs}}}[job.status] }}}}"

    def _moment(self, path: KeyPath, value: Any, situation: Situation) -> str | None:
        """Return what explains a time, as it is written inside an expression; None for other values."""
        if value is None or read_time(value, situation.at) is None:
            return None
        best = explain((*self._place, *path), value, situation, self._scrubber)[0]
        found = re.fullmatch(r"\{\{ ([^{}]+) \}\}", best)
        return found and f"({found[1]})"

    def _plain(self, path: KeyPath, value: Any) -> str | None:
        """Return a value as it is written inside an expression; None if it is long, or may not be written."""
        if isinstance(value, str):
            cleaned, _ = self._scrubber.clean(path, value)
            return (
                quote(cleaned)
                if isinstance(cleaned, str) and len(cleaned) <= 200 and "{" not in cleaned and cleaned.isprintable()
                else None
            )
        return (
            "none"
            if value is None
            else "true"
            if value is True
            else "false"
            if value is False
            else str(self._scrubber.clean(path, value)[0])
        )

    def _looks_random(self, path: KeyPath, values: Sequence[Any]) -> bool:
        """Return whether a value that was seen once is taken for an id that is new each time."""
        is_in_header = bool(path) and path[0] == "headers"
        if self._scrubber.is_repeated(values[0]):
            return False
        return len(values) == 1 and is_opaque(values[0]) and bool(path) and is_id_key(path[-1]) and not is_in_header

    def _literal(self, path: KeyPath, value: Any) -> Any:
        cleaned, reason = self._scrubber.clean(path, value)
        if reason is not None:
            self._note(f"{reason} replaced", path[len(self._place) :])
        return cleaned

    def _note(self, reason: str, path: KeyPath) -> None:
        self._notes.add(
            reason,
            tuple(
                self._scrubber.clean_text(str(part)) if isinstance(part, str) else part
                for part in (*self._place, *path)
            ),
        )
