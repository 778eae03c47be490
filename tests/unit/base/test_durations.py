"""Durations as mocks files write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latehook.base.durations import parse_duration


@given(st.integers(0, 9999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    sizes = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

    assert parse_duration(f"{number}{unit}") == pytest.approx(number * sizes[unit])
