"""msgspec's validation errors as data: the messages are those of the installed msgspec."""

from typing import Annotated, Any, Literal

import msgspec
import pytest

from latehook.base.validation import Mismatch, parse_validation_error


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=1)]


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: list[Inner] = []
    text: str | None = None
    choice: Literal["a"] | Inner = "a"


@pytest.mark.parametrize(
    ("data", "mismatch"),
    [
        ({"txt": 1}, Mismatch((), unknown="txt")),
        ({"a`b": 1}, Mismatch((), unknown="a`b")),
        ({"a\nb": 1}, Mismatch((), unknown="a\nb")),
        ({"inner": [{"number": 1}, {"nr": 1}]}, Mismatch(("inner", 1), unknown="nr")),
        ({"inner": [{}]}, Mismatch(("inner", 0), missing="number")),
        ({"inner": 3}, Mismatch(("inner",), expected="a list", got="a number")),
        ({"text": [1]}, Mismatch(("text",), expected="text or null", got="a list")),
        ({"inner": [{"number": 0}]}, Mismatch(("inner", 0, "number"), expected="a number >= 1")),
        ({"choice": "b"}, Mismatch(("choice",), expected="Invalid enum value 'b'")),
    ],
)
def test_a_validation_error_says_where_and_why(data: dict[str, Any], mismatch: Mismatch) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(data, Outer)

    assert parse_validation_error(raised.value) == mismatch
