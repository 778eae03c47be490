"""Numbers come back from JSON as they were written, compare exactly and compute as numbers."""

import copy
import json
import pickle
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latehook.base.json_numbers import NumberAsWritten
from latehook.base.json_text import decode_json, encode_json, read_json_as

WHOLE = st.integers(-(10**40), 10**40).map(str) | st.just("-0") | st.integers(1, 4000).map(lambda digits: "9" * digits)
NUMBERS = st.tuples(
    WHOLE,
    st.just("") | st.from_regex(r"\.[0-9]{1,25}", fullmatch=True),
    st.just("") | st.from_regex(r"[eE][+-]?[0-9]{1,4}", fullmatch=True),
).map("".join)
"""Every spelling that RFC 8259 allows."""


@given(NUMBERS)
def test_every_number_is_encoded_as_it_was_written(text: str) -> None:
    document = f'{{"a":[{text},null],"b":"-0, 1.50"}}'.encode()

    assert encode_json(decode_json(document)) == document
    assert encode_json(decode_json(document.decode())) == document
    assert encode_json(decode_json(document.decode().encode("utf-16"))) == document
    assert encode_json(read_json_as(document, dict[str, Any])) == document


@given(NUMBERS, NUMBERS)
def test_numbers_compare_exactly(first: str, second: str) -> None:
    a, b = decode_json(first), decode_json(second)
    exact = Decimal(first), Decimal(second)

    assert (a == b, a < b, a <= b, a > b, a >= b, a != b) == (
        exact[0] == exact[1],
        *(exact[0] < exact[1], exact[0] <= exact[1], exact[0] > exact[1], exact[0] >= exact[1]),
        exact[0] != exact[1],
    )
    assert bool(a) == bool(exact[0])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_counts_as_it_is_written(value: float) -> None:
    assert decode_json(repr(value)) == value


def test_what_python_writes_alike_stays_a_plain_number() -> None:
    assert [type(decode_json(text)) for text in ("10", "1.5", "-0.0", "12345678901234567890123")] == [
        int,
        float,
        float,
        int,
    ]
    assert [type(decode_json(text)) for text in ("10.0", "1.50", "1e2", "-0", "1E400")] == [
        float,
        *[NumberAsWritten] * 4,
    ]


def test_it_computes_as_a_number() -> None:
    number = decode_json("10.00")

    assert (number + 1, 3 * number, number / 4, -number, round(number, 1)) == (11.0, 30.0, 2.5, -10.0, 10.0)
    assert (int(number), int(decode_json("12345678901234567.89")), f"{number}", repr(number)) == (
        *(10, 12345678901234567),
        *("10.00", "10.00"),
    )
    assert max(number, decode_json("10.001"), 3) == decode_json("10.001")
    with pytest.raises(OverflowError, match="1E400000 is too large for a whole number"):
        int(decode_json("1E400000"))
    with pytest.raises(ValueError, match="the exponent of 1e9999999999999999999 is too large to compare it"):
        _ = decode_json("1e9999999999999999999") > 1


def test_a_copy_keeps_the_text() -> None:
    number = decode_json("1E400")

    assert [str(copied) for copied in (copy.deepcopy(number), pickle.loads(pickle.dumps(number)))] == ["1E400"] * 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_have_are_an_error(number: float) -> None:
    for value in (number, [None, number], {"a": [{"b": number}]}, OrderedDict(a=[number])):
        with pytest.raises(ValueError, match="is not a number that JSON can hold"):
            encode_json(value)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_is_what_pythons_encoder_writes(value: Any) -> None:
    assert encode_json(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
