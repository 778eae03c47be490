"""Block scalars (`|`, `>`): a single expression keeps its type, and text keeps every line break."""

from typing import Any

import pytest

from latehook.mocksfile.source import Source

ONE = ["{{ a }}", "{{ a\n   | first }}", "{{- a -}}", '{{ {"a": {"b": 1}} }}', '{{ "}}" }}', "{{ '{{' }}"]
TEXT = [
    "{{ a }}{{ b }}",
    "{{ a }} and {{ b }}",
    "x {{ a }}",
    "{{ a }} x",
    "{% if a %}x{% endif %}",
    "plain",
    "{# a #}{{ a }}",
]


def read(style: str, text: str) -> Any:
    lines = "".join(f"  {line}\n" for line in text.split("\n"))
    return Source.parse("mocks.yaml", f"value: {style}\n{lines}").data["value"]


@pytest.mark.parametrize("style", ["|", ">", "|2", "| # a comment"])
@pytest.mark.parametrize("text", ONE)
def test_the_line_break_behind_one_expression_does_not_make_it_text(style: str, text: str) -> None:
    assert read(style, text).rstrip("\n") == read(style, text)
    assert read(style, text).endswith("}}")


@pytest.mark.parametrize("style", ["|-", ">-"])
@pytest.mark.parametrize("text", ONE)
def test_a_stripped_block_scalar_is_the_same(style: str, text: str) -> None:
    assert read(style, text) == read(style[0], text)


def test_only_the_last_line_break_goes() -> None:
    assert Source.parse("mocks.yaml", "value: |+\n  {{ a }}\n\n\n").data["value"] == "{{ a }}\n\n\n"


@pytest.mark.parametrize("style", ["|", ">"])
@pytest.mark.parametrize("text", TEXT)
def test_text_keeps_its_last_line_break(style: str, text: str) -> None:
    assert read(style, text) == f"{text}\n"


def test_a_quoted_text_keeps_the_line_break_that_it_was_given() -> None:
    assert Source.parse("mocks.yaml", r'value: "{{ a }}\n"').data["value"] == "{{ a }}\n"
