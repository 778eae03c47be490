"""PURE: recognises times, and makes expressions that write another time in the same form."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

NOISE = 2.0
"""Seconds that count as nothing: so much a network and a slow machine can add."""

NEAR = 400 * 86400.0
"""Seconds around a message within which a value is taken for a time of the job: others are constants."""


class TimeForm(NamedTuple):
    """A way to write a time. `filters` is what follows an expression that gives Unix seconds; `parse` reads a value."""

    filters: str
    parse: Callable[[Any], float | None]

    def expression(self, moment: str) -> str:
        """Return the expression that writes the time that the expression `moment` gives."""
        return f"{self.filters.replace('@', moment)}"


def _number(low: float, high: float, scale: float, kind: Any) -> Callable[[Any], float | None]:
    """Return a function that reads a number of seconds (or of parts of them, by `scale`) between two bounds."""

    def parse(value: Any) -> float | None:
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, str) and not value.isdigit()):
            return None
        seconds: float = float(value) / scale
        return seconds if low <= seconds <= high else None

    return parse


def _text(pattern: str, form: str) -> Callable[[Any], float | None]:
    compiled = re.compile(pattern)

    def parse(value: Any) -> float | None:
        if not isinstance(value, str) or len(value) > 40 or not compiled.fullmatch(value):
            return None
        try:
            found = datetime.strptime(value, form)
        except ValueError:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

    return parse


_OLDEST, _NEWEST = 1_000_000_000.0, 4_000_000_000.0
_DATE = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d:\d\d"

FORMS: tuple[TimeForm, ...] = (
    TimeForm("@ | iso8601", _text(rf"{_DATE}T{_CLOCK}\.\d{{3}}Z", "%Y-%m-%dT%H:%M:%S.%fZ")),
    *(
        TimeForm(f"@ | strftime('{form}')", _text(pattern, read))
        for pattern, form, read in (
            (rf"{_DATE}T{_CLOCK}Z", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%SZ"),
            (rf"{_DATE}T{_CLOCK}\.\d{{4,6}}Z", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%fZ"),
            (rf"{_DATE}T{_CLOCK}\.\d{{1,6}}[+-]\d\d:?\d\d", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%Y-%m-%dT%H:%M:%S.%f%z"),
            (rf"{_DATE}T{_CLOCK}[+-]\d\d:?\d\d", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S%z"),
            (rf"{_DATE}T{_CLOCK}\.\d{{1,6}}", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"),
            (rf"{_DATE}T{_CLOCK}", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S"),
            (rf"{_DATE} {_CLOCK}", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"),
            (
                rf"[A-Z][a-z]{{2}}, \d\d [A-Z][a-z]{{2}} \d{{4}} {_CLOCK} \+0000",
                "%a, %d %b %Y %H:%M:%S +0000",
                "%a, %d %b %Y %H:%M:%S %z",
            ),
            (
                rf"[A-Z][a-z]{{2}}, \d\d [A-Z][a-z]{{2}} \d{{4}} {_CLOCK} GMT",
                "%a, %d %b %Y %H:%M:%S GMT",
                "%a, %d %b %Y %H:%M:%S GMT",
            ),
        )
    ),
    TimeForm("@ | unix", _number(_OLDEST, _NEWEST, 1, int)),
    TimeForm("(@ * 1000) | int", _number(_OLDEST, _NEWEST, 1000, int)),
    TimeForm("@", _number(_OLDEST, _NEWEST, 1, float)),
    TimeForm("@ | unix | string", _number(_OLDEST, _NEWEST, 1, str)),
    TimeForm("((@ * 1000) | int) | string", _number(_OLDEST, _NEWEST, 1000, str)),
)


def read_time(value: Any, around: float) -> tuple[float, TimeForm] | None:
    """Return a value as Unix seconds with its form, if it is a time within NEAR of `around`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    for form in FORMS:
        seconds = form.parse(value)
        if seconds is not None and abs(seconds - around) <= NEAR:
            return seconds, form
    return None


def is_whole(form: TimeForm) -> bool:
    """Return whether a form has whole seconds only."""
    return (
        "%f" not in form.filters
        and "iso8601" not in form.filters
        and "1000" not in form.filters
        and form.filters != "@"
    )


def duration(seconds: float) -> str | None:
    """Return a duration as a mocks file has it, rounded to what a recording can tell; None for nothing."""
    if seconds < NOISE / 2:
        return None
    if seconds < 10:
        rounded = round(seconds * 2) / 2
        return f"{rounded:g}s" if rounded == int(rounded) else f"{int(rounded * 1000)}ms"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if whole < 120:
        return f"{whole}s"
    return "".join(f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if value)
