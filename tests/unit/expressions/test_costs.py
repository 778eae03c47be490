"""Everything that an expression can do counts what it costs, by the size of what it works on."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import jinja2.filters
import jinja2.tests
import pytest
from jinja2 import nodes

from latehook.base.errors import ExpressionError
from latehook.base.json_numbers import NumberAsWritten
from latehook.expressions import evaluation
from latehook.expressions.compiler import Compiler
from latehook.expressions.costs import CONSTANT, COSTS
from latehook.expressions.evaluation import Evaluation, ShortEvaluation
from latehook.expressions.filters import COUNTING, FILTERS
from latehook.expressions.limits import MAX_STEPS, MAX_VALUE_SIZE, STEP, LimitExceeded
from latehook.expressions.operators import CONSTANT_TESTS, COUNTED_TESTS, COUNTING_TESTS, INTERCEPTED
from latehook.expressions.sandbox import Sandbox
from support.expressions import NAMES, PLACE, busy_sandbox, evaluate

LEFT_OUT = {"random", "pprint", "urlize", "xmlattr"}
"""Filters of Jinja that are not reproducible, or of no use in a message."""

SIZE = 4_000
"""Characters of the values that operations are tried with: one whose time grows with the square takes seconds."""

TEXTS = ["a" * SIZE, "a " * (SIZE // 2), "\n" * SIZE, "<a>" * (SIZE // 3), "<!--" * (SIZE // 4), "&amp;" * (SIZE // 5)]
TEXTS += [
    "%(" * (SIZE // 2),
    "%s" * (SIZE // 2),
    "-" * SIZE,
    "\U0001f600" * SIZE,
    "9" * SIZE,
    "[" * SIZE,
    "a.b," * (SIZE // 4),
]
COLLIDING = [number * (2**61 - 1) for number in range(SIZE // 4)]
"""Whole numbers of which Python computes the same hash."""
PAIRS = [(number, number) for number in COLLIDING]
"""And tuples."""

VALUES: list[Any] = [*TEXTS, COLLIDING, list(range(SIZE)), ["a" * 1000 + str(n) for n in range(100)], [["a"] * SIZE]]
VALUES += [
    {str(n): [n] for n in range(SIZE // 8)},
    PAIRS,
    2**13_000,
    1e308,
    NumberAsWritten("1E4000"),
    NumberAsWritten("1." + "0" * 4000),
    None,
]
OTHERS = [*TEXTS[0::4], "[" * SIZE, "a.b," * (SIZE // 4), "b" * SIZE, *VALUES[len(TEXTS) :]]
"""Second operands: one of each kind."""
ARGUMENTS: list[list[Any]] = [[], [3], ["a" * SIZE], ["a.b," * 20], [-SIZE], ["", "b" * SIZE], [16]]


class EarlyEnd(Evaluation):
    """An evaluation that ends after a fraction of the steps, so that a test takes that fraction of the time."""

    max_steps = MAX_STEPS // 50


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def context(sandbox: Sandbox) -> Evaluation:
    return Evaluation(sandbox, {})


def test_the_cost_of_every_filter_is_known(sandbox: Sandbox) -> None:
    known = {*CONSTANT, *COSTS, *COUNTING}

    assert known == {*jinja2.filters.FILTERS, *FILTERS} - LEFT_OUT
    assert {name for name in sandbox.filters if " " not in name} == known


def test_the_cost_of_every_test_is_known(sandbox: Sandbox) -> None:
    known = {*CONSTANT_TESTS, *COUNTED_TESTS, *COUNTING_TESTS}

    assert known == {*jinja2.tests.TESTS, *COUNTING_TESTS} == set(sandbox.tests)


def test_every_operator_that_computes_a_value_is_intercepted() -> None:
    operators = {kind.operator for kind in nodes.BinExpr.__subclasses__()}

    assert operators - {"and", "or", None} == INTERCEPTED


COUNTED_NODES = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"), "call_binop"),
    **dict.fromkeys(("Filter", "FilterBlock", "Test", "Call", "CallBlock"), "by what is called"),
    **dict.fromkeys(
        ("Concat", "Compare", "Operand", "Slice", "List", "Dict", "Tuple", "For", "AssignBlock"), "add_limits"
    ),
    **dict.fromkeys(("Output",), "finalize"),
    **dict.fromkeys(("Const", "TemplateData", "Pair", "Keyword", "Template", "Macro"), "in the text itself"),
    **dict.fromkeys(("Name", "NSRef", "Getattr", "Getitem", "Neg", "Pos", "Not", "And", "Or", "CondExpr"), "constant"),
    **dict.fromkeys(("If", "Assign", "ExprStmt", "With", "Break", "Continue", "Scope"), "constant"),
    **dict.fromkeys(("Include", "Import", "FromImport", "Extends", "Block"), "refused"),
    **dict.fromkeys(("EnvironmentAttribute", "ExtensionAttribute", "ImportedName", "InternalName"), "extensions only"),
    **dict.fromkeys(
        ("MarkSafe", "MarkSafeIfAutoescape", "ContextReference", "DerivedContextReference"), "extensions only"
    ),
    **dict.fromkeys(("OverlayScope", "EvalContextModifier", "ScopedEvalContextModifier"), "extensions only"),
}
"""The kinds of nodes of a parsed text → what counts their cost."""


def test_every_kind_of_node_is_accounted_for() -> None:
    def kinds(of: type[nodes.Node]) -> Iterator[str]:
        for kind in of.__subclasses__():
            if not getattr(kind, "abstract", False):
                yield kind.__name__
            yield from kinds(kind)

    abstract = {"Expr", "Stmt", "Helper", "BinExpr", "UnaryExpr", "Literal"}
    assert set(kinds(nodes.Node)) - abstract == set(COUNTED_NODES)


def spend(context: Evaluation, operation: Callable[..., Any], *arguments: Any) -> float:
    """Call an operation, and read what it gives: filters such as `map` compute it then. Return the seconds."""
    started = time.thread_time()
    with suppress(Exception):  # wrong types, and limits
        result = operation(*arguments, context)
        for item in result if isinstance(result, Iterator) else ():
            context.text(item)
    return time.thread_time() - started


@pytest.fixture
def assert_counted(sandbox: Sandbox) -> Iterator[Callable[..., None]]:
    """Assert that the time of an operation is within what it has counted: 10 µs a step, and 10 ms."""

    template = sandbox.from_string("")

    def assert_counted(*operation: Any) -> None:
        context = EarlyEnd(template, {})  # what counts its cost ends early
        took = spend(context, *operation)
        if took > 0.01 + context.steps * 1e-5:
            pytest.fail(f"{took * 1e3:.0f} ms, {context.steps:,.0f} steps: {str(operation[1:])[:1000]}", pytrace=False)

    gc.disable()
    yield assert_counted
    gc.enable()


@pytest.mark.parametrize("name", sorted({*CONSTANT, *COSTS, *COUNTING}))
def test_a_filter_takes_no_longer_than_it_counts(name: str, sandbox: Sandbox, assert_counted: Any) -> None:
    values = (
        VALUES if name != "unique" else [value for value in VALUES if value not in (COLLIDING, PAIRS)]
    )  # they have a test
    for value, arguments in product(values, ARGUMENTS):
        named = {"attribute": arguments[0]} if arguments and name in ("map", "sort", "min", "unique", "join") else {}
        given = [] if named else ["upper", *arguments] if name in ("map", "select", "selectattr") else arguments
        assert_counted(sandbox.call_filter, name, value, given, named)


DISTINCT_TESTS = {
    (jinja2.tests.TESTS.get(name, name), name in CONSTANT_TESTS): name
    for name in sorted({*CONSTANT_TESTS, *COUNTED_TESTS, *COUNTING_TESTS})
}
"""Tests by what they do and how they are counted: `eq`, `==` and `equalto` are one."""


@pytest.mark.parametrize("name", DISTINCT_TESTS.values())
def test_a_test_takes_no_longer_than_it_counts(name: str, sandbox: Sandbox, assert_counted: Any) -> None:
    for value, given in product(VALUES, [[], *([other] for other in OTHERS)]):
        assert_counted(sandbox.call_test, name, value, given, {})


@pytest.mark.parametrize("name", sorted(INTERCEPTED))
def test_an_operator_takes_no_longer_than_it_counts(name: str, sandbox: Sandbox, assert_counted: Any) -> None:
    def operate(left: Any, right: Any, context: Evaluation) -> Any:
        return sandbox.call_binop(context, name, left, right)

    for left, right in product([*VALUES, 3], [*OTHERS, 3, -3, 10**9]):
        assert_counted(operate, left, right)


@pytest.mark.parametrize("name", sorted({*COSTS, *COUNTING}))
def test_no_argument_gives_steps_back(name: str, sandbox: Sandbox, context: Evaluation) -> None:
    for value, argument in product(["a", [1, 2], 1, {"a": 1}], [-(10**12), "a", -1.5]):
        before = context.steps
        spend(context, sandbox.call_filter, name, value, [argument], {})
        assert context.steps >= before


def test_a_negative_size_counts_as_a_step(context: Evaluation) -> None:
    context.count(-(10**12))

    assert context.steps == 1


SHARED = "{% set ns = namespace(x=['a' * 1000], y=['a' * 1000]) %}{% for i in range(100) %}{% set ns.x = STEP %}{% set ns.y = OTHER %}{% endfor %}"


def shared(step: str, use: str) -> str:
    """Return a text that puts `ns.x` and `ns.y` into themselves 100 times, and uses them then."""
    return SHARED.replace("STEP", step).replace("OTHER", step.replace("ns.x", "ns.y")) + use


BIG = "{% set b = 'a' * 1600000 %}"
OVERLOOKED = [
    *("{{ (('f' * N) | int(base=16)) OP (('e' * N) | int(base=16)) > 1 }}".replace("N", n).replace("OP", op) for n in ("400000", "1600000") for op in ("//", "%", "/", "+", "-", "<")),
    "{{ (('f' * 800000) | int(base=16)) is divisibleby(('e' * 400000) | int(base=16)) }}",
    "{{ ('f' * 1600000) | int(base=16) > 1 }}",
    BIG + "{% for i in range(20000) if 'b' in b %}{% endfor %}x",
    BIG + "{% for i in range(20000) if 'b' not in b %}{% endfor %}x",
    BIG + "{% for i in range(5000) if b[1:] == 1 %}{% endfor %}x",
    BIG + "{% for i in range(5000) if b[::-1] is string %}{% endfor %}x",
    BIG + "{% set c = b ~ '' %}{% set d = ('a' * 1599999) ~ 'b' %}{% for i in range(5000) if d == c %}{% endfor %}x",
    BIG + "{% set c = b ~ '' %}{% for i in range(5000) if 1 < 2 < 3 and c < b < c %}{% endfor %}x",
    "{% set b = 'ab' * 400000 %}{% set n = ('ab' * 200000) ~ 'c' %}{% for i in range(100) if n in b %}{% endfor %}x",
    "{% set b = range(100000) | list %}{% for i in range(5000) if 'x' in b %}{% endfor %}x",
    "{% set b = range(100000) | list %}{% set c = range(100000) | list %}{% for i in range(5000) if c == b and false %}{% endfor %}x",
    "{% set b = ('[' ~ '1e400,' * 100000 ~ '1]') | from_json %}{% for i in range(5000) if 1.5 in b %}{% endfor %}x",
    BIG + "{{ range(20000) | select('in', b) | list | length }}",
    BIG + "{{ range(20000) | map('string') | select('in', b) | list | length }}",
    BIG + "{{ [b] * 1000 | select('equalto', b ~ '') | list | length }}",
    "{{ range(100000) | map(attribute='a' ~ '.a' * 100000) | list | length }}",
    "{{ range(100000) | sort(attribute='a' ~ ',a' * 100000) | length }}",
    "{{ range(100000) | map('default', 'x' * 1600000) | list | length }}",
    "{{ ('a' * 800000) | trim('b' * 800000 ~ 'a') | length }}",
    "{{ ('&amp;' * 300000) | striptags | length }}",
    "{{ ('<!---->' * 200000) | striptags | length }}",
    "{{ ('a' * 1600000) | wordwrap(1) | length }}",
    "{{ ('a-' * 800000) | title | length }}",
    "{{ ('é' * 1600000) | urlencode | length }}",
    "{{ ('\n' * 1600000) | indent | length }}",
    "{{ ('a ' * 800000) | wordcount }}",
    "{{ ('%(' * 800000) % {'a': 1} }}",
    "{{ ('%s' * 800000) % (('',) * 500000) }}",
    "{{ ('%(a)d' * 300000) % {'a': 1e308} }}",
    "{{ ('%(a)d' * 100000) | format(a='[1E4000]' | from_json | first) }}",
    "{{ '%999999999d' is odd }}",
    "{{ '%999999999d' is divisibleby(3) }}",
    "{{ now | strftime('%c' * 800000) | length }}",
    "{{ namespace(range(100000) | list) }}",
    "{% for i in range(100000) %}{{ 'x' | center(-10 ** 12) }}{{ 'x' * 10000 }}{% endfor %}",
    "{% for i in [[1]] | map('a loop', -10 ** 12) | list * 3 %}{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}{% endfor %}",
    *(shared("[ns.x, ns.x]", use) for use in ("{{ ns.x == ns.y }}", "{{ ns.x < ns.y }}", "{{ [ns.x] | unique | list }}", "{{ ns.x in [ns.y] }}", "{{ [ns.x, ns.y] | max }}", "{{ [ns.x, ns.y] | sort }}", "{{ ns.x is lower }}")),
    *(shared("(ns.x, ns.x)", use) for use in ("{{ ns.x == ns.y }}", "{{ {ns.x: 1} }}", "{{ {}[ns.x] }}", "{{ [ns.x] | unique | list }}", "{{ {} in ns.x }}")),
    *(shared("{'a': ns.x, 'b': ns.x}", use) for use in ("{{ ns.x == ns.y }}", "{{ ns.x | dictsort }}")),
    "{% macro m(n) %}{% if n %}{{ m(n - 1, varargs, varargs) }}{% else %}{{ varargs == (varargs,) }}{% endif %}{% endmacro %}{{ m(100, 1) }}",
    "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x %}{{ ns.x | e }}{{ ns.x }}{% endset %}{% endfor %}{{ ns.x | length }}",
]  # fmt: skip


@pytest.mark.parametrize("text", OVERLOOKED)
def test_an_expression_ends_soon_whatever_it_works_on(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ExpressionError, match=r"^mocks\.yaml:7: mocks\[0\]\.response\.json: the expression failed: "):
        evaluate("{% set _ = now %}" + text, sandbox=Sandbox(EarlyEnd))

    assert time.process_time() - started < 3


def test_colliding_hashes_do_not_make_it_slow() -> None:
    compiler = Compiler({})
    count = compiler.compile("{{ data | unique | list | length }}", PLACE, {"data": None})

    started = time.process_time()
    with pytest.raises(ExpressionError, match=r"it takes more than (250,000 steps|1 s of processor time)"):
        count({**compiler.constants(), "data": [number * (2**61 - 1) for number in range(100_000)]})
    assert time.process_time() - started < 3


def test_the_processor_time_of_an_evaluation_is_limited_whatever_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_SECONDS", 0.2)
    compiler = Compiler({}, sandbox=busy_sandbox(0.01))
    loop = compiler.compile("{% for i in range(n) %}{{ i | busy }}{% endfor %}", PLACE, {"n": None})

    assert loop({**compiler.constants(), "n": 3}) == "012"
    started = time.thread_time()
    with pytest.raises(ExpressionError, match=r"it takes more than 0\.2 s of processor time"):
        loop({**compiler.constants(), "n": 1000})
    assert time.thread_time() - started < 0.4


def test_time_in_which_others_use_the_processor_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_SECONDS", 0.1)
    compiler = Compiler({})
    text = compiler.compile("{% for i in range(20) %}{{ wait() }}{% endfor %}", PLACE, {"wait": None})

    assert text({**compiler.constants(), "wait": lambda: time.sleep(0.01) or ""}) == ""


def test_a_list_is_not_read_when_it_is_looked_up() -> None:
    class Unread(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            raise AssertionError("the list was read")

        __contains__ = __iter__  # type: ignore[assignment]

    compiler = Compiler({})
    length = compiler.compile("{{ data.list | length }}{{ data['list'][0] }}", PLACE, NAMES | {"data": None})

    assert length({**compiler.constants(), "data": {"list": Unread([None, 1])}}) == "2"


def test_a_short_evaluation_may_take_fewer_steps() -> None:
    context = ShortEvaluation(Sandbox(), {})
    with pytest.raises(LimitExceeded, match="it takes more than 10,000 steps"):
        context.count(MAX_VALUE_SIZE)
    assert context.steps == MAX_VALUE_SIZE / STEP + 1
