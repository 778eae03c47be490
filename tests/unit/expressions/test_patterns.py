"""The tests `contains` and `matching`, and the filters `regex_replace` and `split`."""

import json
import time
from typing import Any

import pytest

from latehook.base.errors import ExpressionError, MocksError
from latehook.expressions.compiler import Compiler
from support.expressions import NAMES, PLACE, evaluate

FAILED = r"^mocks\.yaml:7: mocks\[0\]\.response\.json: the expression failed: "


def with_json(text: str, **values: Any) -> Any:
    """Evaluate an expression for a request with this JSON."""
    return evaluate(text, json.dumps(values).encode())


@pytest.mark.parametrize(
    ("value", "item", "expected"),
    [
        (["order.paid", "order.sent"], "order.paid", True),
        (["order.paid"], "order", False),
        ([1, None], None, True),
        ([1], 1.0, True),
        ([], None, False),
        ("order.paid", "paid", True),
        ("a1", 1, True),
        ("text", None, False),
        (None, "x", False),
        ({"a": None}, "a", True),
        ({"7": 1}, 7, True),
        ({"a": 1}, None, False),
        ({"a": 1}, "keys", False),
    ],
)
def test_contains(value: Any, item: Any, expected: bool) -> None:
    assert with_json("{{ request.json.value is contains(request.json.item) }}", value=value, item=item) is expected


def test_contains_takes_headers_bytes_and_selects() -> None:
    hooks = [{"url": "a", "events": ["paid"]}, {"url": "b", "events": []}, {"url": "c"}]
    selected = "{{ request.json.hooks | selectattr('events', 'contains', 'paid') | map(attribute='url') | list }}"

    assert with_json(selected, hooks=hooks) == ["a"]
    assert evaluate("{{ request.headers is contains('x_foo') and request.bytes is contains('deep') }}") is True


def test_contains_refuses_a_number() -> None:
    with pytest.raises(ExpressionError, match=FAILED + "`contains` is a test of texts, lists and maps, not of 17"):
        with_json("{{ request.json.n is contains('x') }}", n=17)


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        ("ord_17", "^ord_[0-9]+$", True),
        ("an ord_17", "^ord_", False),
        ("an ord_17", "ord_", True),
        ("ORD", "(?i)^ord$", True),
        ("größe", "^gr.ße$", True),
        ("größe", r"^\pL+$", True),
        ("\U0001f600", "^.$", True),
        ("a\nb", "^b", False),
        ("a\nb", "(?m)^b", True),
        ("", "", True),
        (17, "^17$", True),
        (None, "", False),
        ("a b", r"\bb\b", True),
    ],
)
def test_matching(value: Any, pattern: str, expected: bool) -> None:
    assert with_json("{{ request.json.value is matching(request.json.p) }}", value=value, p=pattern) is expected


def test_matching_selects() -> None:
    rows = [{"url": "https://a.test"}, {"url": "http://b.test"}, {}]

    assert with_json("{{ request.json.rows | selectattr('url', 'matching', '^https:') | list }}", rows=rows) == rows[:1]
    assert with_json("{{ ['a1', 'b'] | reject('matching', '[0-9]') | list }}") == ["b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"{{ 'https://a.test/x?y' | regex_replace('^https?://([^/]+)/(.*)$', '\\2 at \\1') }}", "x?y at a.test"),
        (r"{{ 'a-b' | regex_replace('(?P<left>\\w)-(\\w)', '\\g<2>\\g<left>\\0\\\\') }}", "baa-b\\"),
        ("{{ 'größe, weiß' | regex_replace('[öß]', '_') }}", "gr__e, wei_"),
        ("{{ 'a b  c' | regex_replace(' +') }}", "abc"),
        ("{{ 'ab' | regex_replace('(x)?b', '<\\\\1>') }}", "a<>"),
        ("{{ 1234 | regex_replace('2', 'x') }}", "1x34"),
        ("{{ request.json.missing | regex_replace('^$', 'x') }}", "x"),
        ("{{ 'a,b,,c' | split(',') }}", ["a", "b", "", "c"]),
        ("{{ ' a  b\n' | split }}", ["a", "b"]),
        ("{{ 'a=b=c' | split('=', 1) | last }}", "b=c"),
        ("{{ request.json.missing | split(',') }}", None),
    ],
)
def test_a_filter(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


WRONG = [
    ("'a(?=b)'", r"the pattern 'a\(\?=b\)' cannot be used: .*: lookaround, backreferences and possessive quantifiers do not exist here"),
    (r"'(a)\\1'", r"the pattern '\(a\)\\\\1' cannot be used: .*: lookaround, backreferences"),
    ("'a++'", r"the pattern 'a\+\+' cannot be used: .*: lookaround"),
    ("'a('", r"the pattern 'a\(' cannot be used: missing \)"),
    ("'[z-a]'", r"the pattern '\[z-a\]' cannot be used: .*z-a"),
    ("'((a{1000}){1000}){1000}'", "cannot be used: "),
    ("'" + "a" * 1001 + "'", "a pattern of 1,001 characters is too long: at most 1,000"),
    (r"'\bx'", r"the pattern has the character '\\x08': write \\\\b for \\b"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "says"), WRONG)
@pytest.mark.parametrize("form", ["x is matching({})", "x | regex_replace({})", "x | select('matching', {})", "x | selectattr('y', 'matching', {})"])  # fmt: skip
def test_a_wrong_pattern_in_the_file_is_an_error_at_load(form: str, pattern: str, says: str) -> None:
    with pytest.raises(MocksError, match=r"^mocks\.yaml:7: mocks\[0\]\.response\.json: .*" + says):
        Compiler({}).compile("{{ " + form.format(pattern).replace("x", "request.json", 1) + " }}", PLACE, NAMES)


@pytest.mark.parametrize(("pattern", "says"), [*WRONG[:3], ("null", "the pattern is null")])
def test_a_wrong_pattern_of_a_request_is_an_error_with_its_name(pattern: str, says: str) -> None:
    body = b'{"p": %s}' % pattern.replace("'", '"').encode()
    for use in ("{{ 'a' is matching(request.json.p) }}", "{{ 'a' | regex_replace(request.json.p, 'b') }}"):
        with pytest.raises(ExpressionError, match=FAILED + says):
            evaluate(use, body)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"{{ now and 'a' | regex_replace('(a)', '\\2') }}", r"the pattern '\(a\)' has no group 2"),
        (r"{{ now and 'a' | regex_replace('(a)', '\\g<b>') }}", r"the pattern '\(a\)' has no group b"),
        (r"{{ now and 'a' | regex_replace('(a)', '\1') }}", r"the replacement has the character '\\x01': write \\\\1 for \\1"),
        ("{{ now and 'a' | split('') }}", "`split` has an empty separator: `list` gives the characters of a text"),
        (r"{{ (request.json.h) is matching('a') }}", "a text with half of a surrogate pair cannot be searched"),
        ("{{ request.json.long | split | length }}", "it makes a value of more than 16,777,216 characters"),
        (r"{{ request.json.long | regex_replace('a', 'a' * 1000) | length }}", "it (makes a value of|takes) more than"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_an_error_with_its_name(text: str, says: str) -> None:
    body = b'{"h": "\\ud83d", "long": "%s"}' % (b"a " * 600_000)
    with pytest.raises(ExpressionError, match=FAILED + says):
        evaluate(text, body)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*a){20}x", "(a?){50}a{50}b", "a[^b]*b|a", "(?i)(x+x+)+y"])
def test_a_pattern_that_backtracks_elsewhere_takes_linear_time(pattern: str) -> None:
    started = time.process_time()

    for use in ("{{ request.json.t is matching(request.json.p) }}", "{{ request.json.t | regex_replace(request.json.p) | length }}"):  # fmt: skip
        try:
            with_json(use, t="a" * 30_000, p=pattern)
        except ExpressionError as error:
            assert "it takes more than" in str(error)
    assert time.process_time() - started < 3
