"""Expressions that would take too much time or memory are errors; large requests are not."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from latehook.base.errors import ExpressionError, MocksError
from latehook.expressions.compiler import Compiler
from latehook.expressions.evaluation import ShortEvaluation
from latehook.expressions.expression import render
from latehook.expressions.sandbox import Sandbox
from support.expressions import NAMES, PLACE, evaluate

NS = "{% set ns = namespace(x=START) %}{% for i in range(100) %}{% set ns.x = STEP %}{% endfor %}"


def grown(start: str, step: str, then: str) -> str:
    """Return a text that applies `step` to `ns.x` 100 times."""
    return NS.replace("START", start).replace("STEP", step) + then


GREEDY = [
    *("{{ 9 ** (9 ** 9) }}", "{{ 2 ** 100000 }}", "{{ (2 ** 13000) * (2 ** 13000) }}"),
    *("{{ 'a' * 10 ** 9 }}", "{{ 10 ** 9 * 'a' }}", "{{ [0] * 10 ** 9 }}", "{{ (0,) * 10 ** 9 }}"),
    *("{{ range(10 ** 9) | list }}", "{{ range(10 ** 100) | list }}", "{{ random.hex(10 ** 9) }}"),
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% for b in range(1000) %}{{ a * b }}{% endfor %}{% endfor %}",
    "{% for a in range(100000) %}" + "x" * 2000 + "{% endfor %}",
    "{% set x %}{% for a in range(100000) %}" + "x" * 2000 + "{% endfor %}{% endset %}{{ x | length }}",
    *("{{ 'x' | center(10 ** 9) }}", "{{ range(100000) | map('center', 10 ** 6) | join }}"),
    *("{{ range(100000) | map('center', 10 ** 6) | list }}", "{{ 'a\nb' | indent(10 ** 9) }}"),
    "{{ ('x\n' * 1000) | indent('y' * 10 ** 7) }}",
    *("{{ '%999999999d' | format(1) }}", "{{ '%999999999d' % 1 }}", "{{ '%.999999999f' % 1 }}", "{{ '%(a)999999999d' % {'a': 1} }}"),
    *("{{ '%*d' % (10 ** 9, 1) }}", "{{ '%*d' | format(10 ** 9, 1) }}", "{{ '%.*f' | format(10 ** 9, 1) }}"),
    *("{{ ('%s' * 10 ** 5) % (('a' * 10 ** 6,) * 10 ** 5) }}", "{{ ['%999999999d'] | map('format', 1) | list }}"),
    *("{{ 'aaaa' | replace('a', 'b' * 10 ** 7) }}", "{{ ('a' * 10 ** 6) | replace('', 'b' * 10 ** 6) }}"),
    *("{{ range(100000) | join('x' * 10 ** 6) }}", "{{ range(100000) | join('x' * 10 ** 6, attribute='a') }}"),
    *("{{ [1] | batch(10 ** 9, 'x') | list }}", "{{ [1] | slice(10 ** 9) | list }}"),
    *("{{ 1.5 | round(10 ** 9, 'ceil') }}", "{{ 1 | round(-10 ** 9, 'floor') }}"),
    *("{{ ('a ' * 10 ** 6) | wordwrap(1, wrapstring='x' * 10 ** 6) }}", "{{ ('a ' * 10 ** 6) | wordwrap(1) }}"),
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% for x in [1] recursive %}{% if loop.depth < 50 %}{{ loop([1, 1]) }}{% endif %}{% endfor %}",
    "{% for x in [1] recursive %}{% if loop.depth < 5 %}{{ loop(range(100000)) }}{% endif %}{% endfor %}",
    *(grown("'a'", "ns.x + ns.x", "{{ ns.x }}"), grown("'a'", "ns.x ~ ns.x", "{{ ns.x }}"), grown("[1]", "ns.x + ns.x", "{{ ns.x }}")),
    *(grown("3", "ns.x * ns.x", "{{ ns.x }}"), grown("'a'", "'%s%s' % (ns.x, ns.x)", "{{ ns.x }}"), grown("'a'", "[ns.x, ns.x] | join", "{{ ns.x }}")),
    "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}{{ ns.x }}",
    *(grown("[1]", "[ns.x, ns.x]", "{{ ns.x" + then + " }}") for then in ("", " | string", " | upper", " ~ ''", " | tojson", " | join", " | replace('a', 'b')", " | safe", " | e")),
    *(grown("[1]", "{'a': ns.x, 'b': ns.x}", "{{ " + then + " }}") for then in ("ns.x", "{'a': ns.x} | urlencode", "'%s' % (ns.x,)", "'%s' | format(ns.x)")),
    "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = ns.x + [i] %}{% endfor %}{{ ns.x | length }}",
    *(f"{{% set all = [range(100000) | list] * 10 ** 4 %}}{{{{ all | map('{f}') | list | length }}}}" for f in ("sum", "join", "list", "max", "sort", "tojson")),
    *(f"{{% set all = ['x' * 10 ** 6] * 10 ** 4 %}}{{{{ all | map('{f}') | list | length }}}}" for f in ("upper", "b64encode", "sha256", "wordcount", "title", "from_json")),
    *("{{ ([[1] * 1000] * 1000) | sum(start=[]) }}", "{{ ['x' * 10 ** 7] * 1000 }}", "{{ {'a': ['x' * 10 ** 7] * 1000} | tojson }}"),
    "{% filter upper %}{% for i in range(100000) %}{{ 'x' * 10000 }}{% endfor %}{% endfilter %}",
]  # fmt: skip


@pytest.fixture
def limited_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000_000


@pytest.mark.parametrize("text", GREEDY)
def test_a_greedy_expression_is_an_error_within_seconds(text: str) -> None:
    started = time.process_time()
    with pytest.raises(
        (ExpressionError, MocksError), match=r"^mocks\.yaml:7: mocks\[0\]\.response\.json: the expression "
    ):
        evaluate(text, sandbox=Sandbox(ShortEvaluation))  # the limit is reached in a 25th of the time

    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "text",
    [
        "{{ ['x' * 10 ** 7] * 1000 }}",
        "{{ range(100000) | map('center', 10 ** 6) | list }}",
        "{% for i in range(100000) %}{{ 'x' * 10000 }}{% endfor %}",
        "{{ ['x' * 10 ** 7] * 1000 | int }}",
    ],
)
@pytest.mark.usefixtures("limited_memory")
def test_a_greedy_expression_takes_little_memory(text: str) -> None:
    with pytest.raises((ExpressionError, MocksError)):
        evaluate(text)


@pytest.mark.parametrize("text", ["{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ " + "[" * 500 + "]" * 500 + " }}", "{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "{{ " + "9" * 5000 + " }}"])  # fmt: skip
def test_a_text_that_python_cannot_compile_is_an_error_at_load(text: str) -> None:
    with pytest.raises(MocksError, match=r"^mocks\.yaml:7: "):
        Compiler({}).compile(text, PLACE, NAMES)


BIG = b'{"list": [' + b",".join(b'{"id": %d, "name": "n%d"}' % (n, n) for n in range(20000)) + b"]}"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("{{ request.json.list | map(attribute='id') | list | length }}", 20000),
        ("{% for x in request.json.list %}{{ x.id }},{{ x.name | upper }};{% endfor %}", 237780),
        ("{{ request.json.list | sum(attribute='id') }}", 199990000),
        ("{{ (request.text * 10) | sha256 | length }}", 64),
    ],
)
def test_large_requests_stay_within_the_limits(text: str, length: int) -> None:
    value = evaluate(text, body=BIG)

    assert (len(value) if isinstance(value, str) else value) == length


def test_a_text_of_16_mib_stays_within_the_limits() -> None:
    body = b"x" * 16 * 1024 * 1024

    assert evaluate("{{ request.text }}", body=body) == body.decode()
    assert len(evaluate("{{ request.text | b64encode | length }}{{ now and '' }}", body=body)) == 8


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "{% for x in [1, 2, 3] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
            "1/3,2/3,3/3",
        ),
        ("{% for k, v in {'a': 1} | items %}{{ k }}={{ v }}{% else %}none{% endfor %}", "a=1"),
        ("{% for x in [[1, [2]], []] recursive %}<{{ loop(x) if x is iterable else x }}>{% endfor %}", "<<1><<2>>><>"),
        ("{% for x in [1, 2, 3] if x != 2 %}{{ x }}{% endfor %}", "13"),
        ("{{ 'a' ~ 1 ~ true ~ none ~ [1] }}", "a1true[1]"),
        ("{{ [1, true, none, 'x'] | join(', ') }}", "1, true, , x"),
        ("{{ [{'a': 1}, {'a': 2}] | join('-', attribute='a') }}", "1-2"),
        ("{{ '%s/%05.1f/%d%%' | format('a', 2, 3) }}", "a/002.0/3%"),
        ("{{ '%(a)s-%(b)d' | format(a=[1], b=2) }}", "[1]-2"),
        ("{{ '%03d' % 7 }}", "007"),
        ("{{ 7 % 4 }}", 3),
        ("{{ 'ab' * 3 }}", "ababab"),
        ("{{ [1] + [2] }}", [1, 2]),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ true | upper }}", "TRUE"),
        ("{{ 'a b c' | wordwrap(1) }}", "a\nb\nc"),
        ("{{ 'x' | center(5) }}|{{ 'a\nb' | indent(2) }}", "  x  |a\n  b"),
        ("{{ [1, 2, 3] | batch(2, 0) | list }}", [[1, 2], [3, 0]]),
        ("{{ 2.345 | round(2) }}", 2.35),
        ("{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice('a') }}", "aa"),
    ],
)
def test_a_limited_feature_gives_the_value_of_jinjas_own(text: str, value: object) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize("link", ["data.id", "data is odd", "data", "1"])
@pytest.mark.parametrize("operator", [" and ", " or ", " ~ ", " + "])
def test_a_chain_is_compiled_in_proportion_to_its_length(operator: str, link: str) -> None:
    def seconds(links: int) -> float:
        text = "{{ " + operator.join([link] * links) + " }}"
        started = time.thread_time()
        with suppress(MocksError):  # too deep
            Compiler({}).compile(text, PLACE, {"data": None})
        return time.thread_time() - started

    assert min(seconds(180) for _ in range(3)) < 8 * min(seconds(45) for _ in range(3)) + 0.05


def test_a_chain_that_is_too_long_is_an_error_in_plain_words() -> None:
    with pytest.raises(MocksError, match=r"the expression is nested too deeply$"):
        Compiler({}).compile("{{ " + " and ".join(["data.id"] * 250) + " }}", PLACE, {"data": None})


@pytest.mark.parametrize("depth", [40, 64, 88, 136])
def test_a_deeply_nested_text_is_an_error_at_load_or_has_a_value(depth: int) -> None:
    compiler = Compiler({})
    texts = {"{{ data" + ".x" * depth + " }}": None, "{{ " + "[" * depth + "data" + "]" * depth + " | length }}": 1}
    for text, value in texts.items():
        with suppress(MocksError):
            assert render(compiler.compile(text, PLACE, {"data": None}), {**compiler.constants(), "data": 2}) == value


def test_nulls_keep_only_the_beginning_of_a_name() -> None:
    tracemalloc.start()
    for number in range(20):
        assert evaluate("{{ request.query[request.text] is none }}", f"{number}{'x' * 1_000_000}".encode())
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert kept < 5_000_000
