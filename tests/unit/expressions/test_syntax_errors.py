"""What is said about an expression that is no Jinja: plain words, none of the parser's own."""

import pytest
from jinja2 import Environment, TemplateSyntaxError

from latehook.expressions.syntax_errors import in_plain_words

CASES = {
    "{{ request. }}": "a name is missing behind the dot",
    "{{ 1 + }}": "there is `}}` where a value should be",
    "{{ a": "it is not closed: `}}` is missing",
    "{{ request.json.a b }}": "there is `b` where `}}` should be",
    "{{ a = 1 }}": "there is `=` where `}}` should be",
    "{{ [1, 2 }}": "there is `}` where `]` should be",
    "{{ 1 | }}": "there is `}}` where a name should be",
    "{{ 'a }}": "the character `'` cannot be here, or a quote is not closed",
    "{{ ? }}": "the character `?` cannot be here, or a quote is not closed",
    "{{ }}": "there is `}}` where a value should be",
    "{% if x %}": "`{% if %}` has no end",
    "{% endif %}": "there is no statement `endif`, or it has no beginning here",
    "{{ 1 | nofilter }}": "there is no filter `nofilter`",
    "{# a": "a comment is not closed: `#}` is missing",
}
OTHERS = [
    "{{ ) }}",
    "{{ a if }}",
    "{% for %}",
    "{{ {a:} }}",
    "{{ a[ }}",
    "{{ a( }}",
    "{% set %}",
    "{{ 1 is }}",
    "{{ a.b.. }}",
]


def message(text: str) -> str:
    with pytest.raises(TemplateSyntaxError) as error:
        Environment(autoescape=False).from_string(text)
    return error.value.message or ""


@pytest.mark.parametrize("text", CASES)
def test_a_syntax_error_in_plain_words(text: str) -> None:
    assert in_plain_words(message(text)) == CASES[text]


@pytest.mark.parametrize("text", [*CASES, *OTHERS])
def test_no_words_of_the_parser_remain(text: str) -> None:
    said = in_plain_words(message(text))

    for word in ("token", "print statement", "Jinja", "template", "nexpected", "got "):
        assert word not in said, said
