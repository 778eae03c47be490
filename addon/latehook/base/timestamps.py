"""PURE: times in Unix seconds, as providers write them."""

from datetime import UTC, datetime
from functools import lru_cache

FORMATS = ("seconds", "milliseconds", "iso8601")


def format_timestamp(moment: float, form: str) -> str:
    """Return a moment in one of the FORMATS."""
    if form == "milliseconds":
        return str(int(moment * 1000))
    return iso8601(moment) if form == "iso8601" else str(int(moment))


def iso8601(moment: float) -> str:
    """Return a moment in UTC with milliseconds: `2026-11-24T18:20:30.250Z`."""
    whole, fraction = divmod(moment, 1)
    milliseconds = (
        round(fraction * 1_000_000) // 1000
    )  # rounded to microseconds first: 0.123 is a little less in binary
    return f"{_second(whole + milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=64)  # messages of one second repeat it: a thirtieth of the time of a large mock's request
def _second(moment: float) -> str:
    return utc_datetime(moment).isoformat().removesuffix("+00:00")


def utc_datetime(moment: float) -> datetime:
    """Return a moment as a datetime. Raises ValueError or OverflowError outside the years 1 to 9999."""
    return datetime.fromtimestamp(moment, UTC)
