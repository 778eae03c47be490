"""PURE: what is known when a message is written, and which expressions explain a value in it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from latehook.importing.exchanges import KeyPath
from latehook.importing.scrubbing import Scrubber, new_secret, snake
from latehook.importing.shapes import is_id_key, is_opaque, literal
from latehook.importing.sources import Source
from latehook.importing.times import FORMS, TimeForm, is_whole, read_time

MIN_ECHO = 5
"""Characters of the shortest text that counts as an echo of the request by its value alone."""
TOLERANCE = 2.5
"""Seconds by which a time may differ from the moment that it names."""
MAX_DAYS = 60
"""Days after a job began in which a date is one of the job: others are constants."""
STATUS_KEY = re.compile(r"(^|_)(status|state|phase)$")
EVENT_KEY = re.compile(r"(^|_)(event|event_?type|type|action|topic|webhook_code|code|event_?name|name)$")

TEST_SECRET = "test-secret"
TEST_SECRET_BASE64 = "whsec_dGVzdC1zZWNyZXQtZm9yLWxhdGVob29r"
TEST_SECRET_HEX = "746573742d736563726574"
"""The secrets of inferred files, where no variable has another one."""

_DELIVERY = re.compile(r"(delivery|request|event|message|webhook|trace|correlation|hook|notification)(_?id)?$")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Situation:
    """What is known when a message is written.

    `at` is its time in Unix seconds. `known` has the job's id and vars as texts, with their expressions. `moments` are
    expressions of the job's times so far, `unreached` those that are null then. `status` and `event` are the job's and
    the webhook's. `sources` are the values of the requests, `absent` expressions that read nothing in them. `digest` is
    that of the request's body. `related` are values of jobs of other mocks that the request is about.
    """

    at: float
    known: Mapping[str, str] = field(default_factory=dict)
    moments: Sequence[tuple[str, float]] = ()
    unreached: Sequence[str] = ()
    status: str | None = None
    event: str | None = None
    sources: Sequence[Source] = ()
    absent: frozenset[str] = frozenset()
    digest: str | None = None
    is_webhook: bool = False
    related: Sequence[Source] = ()


def braces(expression: str) -> str:
    return f"{{{{ {expression} }}}}"


def explain(path: KeyPath, value: Any, situation: Situation, scrubber: Scrubber) -> list[str]:
    """Return what explains a value, as texts of a mocks file. The best comes first; an empty text is the value itself.

    What stands behind the empty text is weak: it counts only where the value itself differs between messages.
    """
    strong = list(dict.fromkeys(_strong(path, value, situation, scrubber)))
    weak = [text for text in dict.fromkeys(_weak(path, value, situation, scrubber)) if text not in strong]
    return [*strong, "", *weak]


def _strong(path: KeyPath, value: Any, situation: Situation, scrubber: Scrubber) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        return
    key = _key(path)
    if isinstance(value, str) and (variable := scrubber.secrets.get(value)) is not None:
        yield from_environment(variable, value)
    if path[:1] == ("headers",) and isinstance(value, str):
        yield from _credentials(value, situation)
    expression = None if isinstance(value, float) else situation.known.get(str(value))
    if expression is not None and (len(str(value)) > 4 or is_id_key(path[-1] if path else "")):  # 15 may be a size
        yield braces(expression if isinstance(value, str) else f"{expression} | int")
    if (
        path[:1] == ("headers",)
        and situation.is_webhook
        and _DELIVERY.search(key)
        and isinstance(value, str)
        and _UUID.fullmatch(value)
    ):
        yield "{{ webhook.id }}"
    if path == ("method",):
        yield from (braces(source.expression) for source in situation.sources if str(source.value).upper() == value)
    if situation.event is not None and value == situation.event and EVENT_KEY.search(key):
        yield "{{ webhook.event }}"
    if read_time(value, situation.at) is not None:  # the request may have given it
        yield from _echoes(key, value, situation, same_name=True)
    yield from _times(value, situation)
    if value == situation.status and STATUS_KEY.search(key):
        yield "{{ job.status }}"
    yield from _echoes(key, value, situation, same_name=True)
    if value == situation.digest:
        yield "{{ request.sha256 }}"
    if isinstance(value, str):
        yield from _echoes(key, value, situation, same_name=False)
        yield from _dates(value, situation)
        composed = _compose(path, value, situation, scrubber)
        if composed is not None:
            yield composed


def _credentials(value: str, situation: Situation) -> Iterator[str]:
    """Yield what explains a header such as `Authorization: Bearer TOKEN`, whose token the request gave."""
    found = re.fullmatch(r"((?:Bearer|Basic|Token) )(.+)", value)
    if found is not None:
        for source in situation.sources:
            if source.value == found[2]:
                yield f"{found[1]}{braces(source.expression)}"


def from_environment(variable: str, value: str) -> str:
    """Return the expression of a secret that a variable holds. Its default is a secret of the same form, for tests."""
    is_hex = re.fullmatch(r"(?:[0-9a-fA-F]{2}){16,}", value) is not None
    default = TEST_SECRET_BASE64 if value.startswith("whsec_") else TEST_SECRET_HEX if is_hex else TEST_SECRET
    return braces(f"env.{variable} | default('{default}')")


def _weak(path: KeyPath, value: Any, situation: Situation, scrubber: Scrubber) -> Iterator[str]:
    if value is None:
        for moment in situation.unreached:
            yield from (braces(form.expression(moment)) for form in FORMS)
        yield from map(braces, sorted(situation.absent))
        return
    if isinstance(value, str) and value == situation.status:
        yield "{{ job.status }}"
    if isinstance(value, bool):
        same = (source for source in situation.sources if source.key == _key(path) and source.value is value)
        yield from (braces(source.expression) for source in same)
    if not isinstance(value, bool):
        for source in situation.sources:
            if source.value == value and type(source.value) is type(value):
                yield braces(source.expression)
            elif (
                isinstance(value, str)
                and isinstance(source.value, str)
                and len(source.value) >= 8
                and source.value in value
            ):
                before, _, after = value.partition(source.value)
                yield f"{literal(before)}{braces(source.expression)}{literal(after)}"


def _key(path: KeyPath) -> str:
    return next((snake(part) for part in reversed(path) if isinstance(part, str) and part != "#text"), "")


def _times(value: Any, situation: Situation) -> Iterator[str]:
    read = read_time(value, situation.at)
    if read is None:
        return
    seconds, form = read
    near = [
        (abs(_distance(seconds, moment, form)), order, expression)
        for order, (expression, moment) in enumerate(situation.moments)
    ]
    if (distance := abs(_distance(seconds, situation.at, form))) <= TOLERANCE:
        near.append(
            (max(1.0 + distance / 100, distance), len(near), "now")
        )  # a moment that is a second away at most says more
    near += _after_creation(seconds, situation, form)
    ordered = [expression for distance, _, expression in sorted(near) if distance <= TOLERANCE]
    if not ordered and situation.moments:
        offset = seconds - situation.moments[0][1]
        whole = round(offset / 60) * 60
        if 0 <= offset <= situation.at - situation.moments[0][1]:
            ordered = [expression for _, _, expression in sorted(near)[:1]]
        elif whole and abs(offset - whole) <= TOLERANCE:
            ordered = [f"({situation.moments[0][0]} {'+' if whole > 0 else '-'} {abs(whole)})"]
    yield from (braces(form.expression(moment)) for moment in ordered)


def _dates(value: str, situation: Situation) -> Iterator[str]:
    """Yield what explains a date without a time: so many days after the job began, or today."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return
    expression, began = situation.moments[0] if situation.moments else ("now", situation.at)
    try:
        days = (date.fromisoformat(value) - datetime.fromtimestamp(began, UTC).date()).days
    except ValueError:
        return
    if 0 <= days <= MAX_DAYS:
        moment = f"({expression} + {days * 86400})" if days else expression
        yield braces(f"{moment} | strftime('%Y-%m-%d')")


def _after_creation(seconds: float, situation: Situation, form: TimeForm) -> list[tuple[float, int, str]]:
    """Return a past time as so many seconds after the job began: worse than now, or a moment that is a second away."""
    if not situation.moments or seconds > situation.at + 0.5:
        return []
    expression, created = situation.moments[0]
    distance = _distance(seconds, created, form)
    whole = round(distance)
    return [(1.1 + abs(distance - whole), len(situation.moments), f"({expression} + {whole})")] if whole >= 1 else []


def _distance(seconds: float, moment: float, form: TimeForm) -> float:
    """Return the seconds between a written time and a moment; a form with whole seconds has lost the fraction."""
    return seconds - (int(moment) if is_whole(form) else moment)


def _echoes(key: str, value: Any, situation: Situation, same_name: bool) -> Iterator[str]:
    for source in situation.sources:
        if (source.key == key) is not same_name:
            continue
        if (
            re.search(r"\['(?![#@]|[A-Za-z]+(?:-[A-Za-z]+)*'\])", source.expression)
            and "headers" not in source.expression
        ):
            continue  # a key that is no name may be data itself: it is weak
        if same_name or (isinstance(value, str) and len(value) >= MIN_ECHO):
            if source.value == value and type(source.value) is type(value):
                yield braces(source.expression)
            elif type(value) is int and isinstance(source.value, str) and source.value == str(value) and same_name:
                yield braces(f"{source.expression} | int")
            elif isinstance(value, str) and type(source.value) is int and value == str(source.value):
                yield braces(f"{source.expression} | string")
            elif same_name and isinstance(value, str) and isinstance(source.value, str) and len(value) >= MIN_ECHO:
                yield from (
                    braces(f"{source.expression} | {case}")
                    for case, made in (("upper", source.value.upper()), ("lower", source.value.lower()))
                    if value == made
                )


def _compose(path: KeyPath, text: str, situation: Situation, scrubber: Scrubber) -> str | None:
    """Return a text that holds an id, or in an event the status, with expressions in its place; None if it has none."""
    found = {value: expression for value, expression in situation.known.items() if len(value) >= 4 and value in text}
    for source in situation.sources:
        if (
            isinstance(source.value, str)
            and source.value in text
            and "://" not in source.value
            and (_is_stem(source) or (len(source.value) >= 8 and is_opaque(source.value)))
        ):
            found.setdefault(source.value, source.expression)
    status = situation.status or ""
    if (
        len(status) >= 4
        and EVENT_KEY.search(_key(path))
        and re.search(rf"(?<![^\W_]){re.escape(status)}(?![^\W_])", text)
    ):
        found.setdefault(status, "job.status")
    found = {value: expression for value, expression in found.items() if value != text}
    if not found:
        return None
    longest_first = sorted(found, key=lambda value: (-len(value), value))
    parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
    is_secret = scrubber.is_secret(path, text)
    plain = [
        new_secret(part) if is_secret and len(part) > 3 else literal(scrubber.clean_text(part)) for part in parts[::2]
    ]
    marks = [braces(found[part]) for part in parts[1::2]]
    return "".join(part for pair in zip(plain, [*marks, ""], strict=True) for part in pair)


def _is_stem(source: Source) -> bool:
    """Return whether a value is the name of an uploaded file without its ending: what is made of it has another one."""
    return source.key == "stem" and len(source.value) >= MIN_ECHO


def explain_container(path: KeyPath, value: Any, situation: Situation) -> set[str]:
    """Return the expressions that give a whole map or list: those of the request that have the same value."""
    empty = "{}" if isinstance(value, dict) else "[]"
    if not value:
        key = _key(path)
        return {
            braces(f"{expression} | default({empty})")
            for expression in situation.absent
            if snake(_last(expression)) == key
        }
    found: set[str] = set()
    for source in situation.sources:
        if source.value == value and (source.key == _key(path) or len(json.dumps(value)) > 8):
            found |= {braces(source.expression), braces(f"{source.expression} | default({empty})")}
    return found


def _last(expression: str) -> str:
    return re.split(r"[.\['\]]+", expression.rstrip("]'"))[-1]
