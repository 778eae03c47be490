"""Times as providers write them."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from latehook.base.timestamps import iso8601


@given(st.floats(0, 2**33))
def test_iso8601_is_what_datetime_writes(moment: float) -> None:
    written = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")

    assert iso8601(moment) == written.replace("+00:00", "Z")
