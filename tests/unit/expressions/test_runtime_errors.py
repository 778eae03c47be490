"""What an expression that fails says: in plain words, with the kinds of values that a mocks file has."""

import pytest

from latehook.base.errors import ExpressionError
from latehook.expressions.runtime_errors import in_plain_words
from support.expressions import PLACE, evaluate

DEFAULT = "write `| default(…)` behind it, or test it first"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("request.json.none + 1", f"'none' is null or missing: {DEFAULT}"),
        ("request.json.list | sum", f"'none' is null or missing: {DEFAULT}"),
        ("request.json.missing.list < 1", f"'list' is null or missing: {DEFAULT}"),
        ("request.json.text + 1", "`+` cannot take a text and a number: `~` joins any values"),
        ("1 + request.path", "`+` cannot take a number and a text: `~` joins any values"),
        ("request.json.list + 1", "`+` cannot take a list and a number"),
        ("request.json.deep * 1.50", "`*` cannot take a map and a number"),
        ("2 ** request.json.text", "`**` cannot take a number and a text"),
        ("-request.json.list", "`-` cannot take a list"),
        ("request.path < 3", "`<` cannot compare a text with a number"),
        ("[3, request.json.list] | max", "`>` cannot compare a list with a number"),
        ("request.json.deep > request.json.list", "`>` cannot compare a map with a list"),
        ("1 / 0", "division by zero"),
        ("1 // 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("1.5 / 0", "division by zero"),
        ("request.json.n()", "a number cannot be called: leave out the parentheses"),
        ("request.json.n | first", "a number has no items"),
        ("request.json.n | length", "a number has no items"),
        ("1 in request.json.n", "a number has no items"),
        ("1 in request.json.text", "only a text can be `in` a text, not a number"),
        ("{request.json.list: 1}", "a list cannot be the key of a map"),
        ("request.json.deep[request.json.list]", "a list cannot be the key of a map"),
        ("request.json.list['a':]", "the places in `[from:to]` must be whole numbers"),
        ("range(request.path)", "there is a text where a whole number should be"),
        ("range(1000000)", "a range may have 100000 numbers"),
        ("uuid", "a function is not data: call it, as in `uuid()`"),
        ("[random.hex]", "a function is not data: call it, as in `uuid()`"),
        ("request.json.list | unix", "there is a list where a number should be"),
        ("request.json.text | unix", "'{{ 7*7 }}' is not a number"),
        ("request.json.text | round", "a text cannot be rounded"),
        ("request.json.text | replace('a')", "an argument is missing: 'new'"),
        ("request.json.text | hmac", "an argument is missing: 'secret'"),
        ("uuid(3)", "there are too many arguments"),
        ("request.json.text | truncate(1, foo=3)", "there is no argument 'foo'"),
        ("request.json.text | truncate(1, length=3)", "the argument 'length' is there twice"),
        ("'%d' | format(request.json.text)", "`%d` takes a number, not a text"),
        ("'%d %d' | format(1)", "the format needs more values"),
        ("'%s' % (1, request.json.n)", "there are more values than the format takes"),
        ("'%y' | format(1)", "the format has `%y`, which does not exist"),
        ("request.json.list | map('nope')", "there is no filter `nope`"),
        ("request.json.list | select('nope')", "there is no test `nope`"),
        ("([] | max) + 1", "the list is empty"),
        ("request.json.text | trim(3)", "`trim` takes the characters to remove as a text"),
        ("1e300 | iso8601", "the time is not in the years 1 to 9999"),
        ("1e12 | iso8601", "the time is not in the years 1 to 9999"),
        ("'no' | from_json", "`from_json` has a text that is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("'é' | b64decode", "`b64decode` has a text that is not base64"),
        ("'a' | b64decode", "`b64decode` has a text that is not base64"),
        ("random.int(5, 2)", "random.int(5, 2): write two whole numbers, the smaller one first"),
        ("random.int(0, 1.5)", "random.int(0, 1.5): write two whole numbers, the smaller one first"),
        ("random.hex('a')", "random.hex(a): write a length from 0 to 1000"),
        ("random.choice([])", "random.choice takes a list with at least one item"),
        ("random.choice(3)", "random.choice takes a list with at least one item"),
    ],
)
def test_an_expression_that_fails_says_why_in_plain_words(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        evaluate("{{ (" + text + ") if now }}")

    assert str(raised.value) == f"{PLACE}: the expression failed: {words}"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("argument of type 'int' is not a container or iterable", "a number has no items"),
        ("cannot use 'list' as a dict key (unhashable type: 'list')", "a list cannot be the key of a map"),
        ("something new", "something new"),
        ("", "ValueError"),
    ],
)
def test_the_words_of_later_pythons_are_known_and_others_stay(message: str, words: str) -> None:
    assert in_plain_words(ValueError(message)) == words
