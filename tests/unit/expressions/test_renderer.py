"""A value's expressions are evaluated in one call, and give what each of them gives alone."""

from typing import Any

import pytest

from latehook.base.errors import ExpressionError, Place
from latehook.base.json_numbers import fraction
from latehook.expressions import evaluation
from latehook.expressions.compiler import Compiler
from latehook.expressions.evaluation import ShortEvaluation
from latehook.expressions.expression import render
from latehook.expressions.renderer import MAX_VALUES
from latehook.expressions.sandbox import Sandbox
from latehook.mocks.bodies import FileSpec
from latehook.mocksfile.source import MAX_DEPTH
from support.expressions import BODY, NAMES, busy_sandbox, scope

TEXTS = [
    "{{ uuid() }}",
    "{{ request.json.list }}",
    "{{ request.json.none }}",
    "{{ random.hex(4) }} of {{ job.id }}",
    "fixed",
    "{{ request.json.list | map('default', 'a') }}",
    "{{ request.json.deep }}",
    "{{ uuid() }}",
]


def compiled(value: Any, compiler: Compiler) -> Any:
    """Compile the texts in a value. Those of a list have the places of lines."""
    if isinstance(value, dict):
        return {name: compiled(item, compiler) for name, item in value.items()}
    if isinstance(value, list):
        return [
            compiler.compile(item, Place("mocks.yaml", line), NAMES)
            if isinstance(item, str)
            else compiled(item, compiler)
            for line, item in enumerate(value, 1)
        ]
    return value


def rendered(value: Any, sandbox: Sandbox | None = None) -> Any:
    """Return a value with the values of its texts, evaluated at once."""
    compiler = Compiler({}, sandbox=sandbox)
    return compiler.renderer(compiled(value, compiler))(scope(compiler, BODY))


@pytest.mark.parametrize("more", [[], ["{% for x in [1, 2] %}{{ random.int(1, 9) }}{% endfor %}"]])
def test_the_values_are_those_of_each_expression_alone(more: list[str]) -> None:
    compiler = Compiler({})
    values = compiled([*TEXTS, *more, *TEXTS], compiler)
    tree = {"list": values, "map": {"a": values[0], "b": [values[1]], "c": 1}}

    assert compiler.renderer(tree)(scope(compiler, BODY)) == render(tree, scope(compiler, BODY))


@pytest.mark.parametrize(
    "constant", [None, True, 1, 1.5, -1, 10**400, fraction("10.00"), fraction("1E400"), "", "'\n\0é\ud800"]
)
def test_a_constant_beside_an_expression_stays_as_it_is(constant: Any) -> None:
    value = [constant, {"a": [constant, {}, []]}]

    assert repr(rendered([*value, "{{ job.id }}"])) == repr([*value, "j1"])


def test_a_file_beside_an_expression_stays_as_it_is() -> None:
    file = FileSpec(b"PDF", "a.pdf", "application/pdf")

    assert rendered([file, "{{ job.id }}"]) == [file, "j1"]


@pytest.mark.parametrize("count", [MAX_VALUES - 3, MAX_VALUES - 2, 10 * MAX_VALUES])
def test_a_value_may_have_many_in_it(count: int) -> None:
    assert rendered(["fixed"] * count + ["{{ job.id }}"]) == ["fixed"] * count + ["j1"]
    with pytest.raises(ExpressionError, match=rf"^mocks\.yaml:{count + 1}: the expression failed: "):
        rendered(["fixed"] * count + ["{{ 1 / 0 if now }}"])


@pytest.mark.parametrize("depth", [1, MAX_DEPTH, 3 * MAX_DEPTH])
def test_an_expression_may_be_deep_inside(depth: int) -> None:
    def nested(value: Any) -> Any:
        for _ in range(depth):
            value = {"a": value}
        return value

    assert rendered(nested(["{{ job.id }}"])) == nested(["j1"])
    with pytest.raises(ExpressionError, match=r"^mocks\.yaml:2: the expression failed: "):
        rendered(nested(["{{ job.id }}", "{{ 1 / 0 if now }}"]))


@pytest.mark.parametrize("failing", ["{{ 1 / 0 if now }}", "{{ request.json.list | map('int', base=job.id) }}"])
@pytest.mark.parametrize("line", [1, 5, 9])
def test_an_expression_that_fails_is_an_error_with_its_own_place(failing: str, line: int) -> None:
    texts = [*TEXTS[: line - 1], failing, *TEXTS[line - 1 :]]

    with pytest.raises(ExpressionError, match=rf"^mocks\.yaml:{line}: the expression failed: \S"):
        rendered(texts)


def test_each_expression_may_take_as_many_steps_as_one_alone() -> None:
    within, above = "{{ range(12000 if now) | list | length }}", "{{ range(24000 if now) | list | length }}"
    sandbox = Sandbox(ShortEvaluation)

    assert rendered([within] * 4, sandbox) == [12000] * 4
    with pytest.raises(ExpressionError, match=r"^mocks\.yaml:3: .*it takes more than 10,000 steps$"):
        rendered([within, within, above], sandbox)


def test_each_expression_may_take_as_much_time_as_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_SECONDS", 0.2)
    sandbox = busy_sandbox(0.005)
    within, above = "{{ range(20 if now) | map('busy') }}", "{{ range(200 if now) | map('busy') }}"

    assert rendered([within] * 4, sandbox) == [list(range(20))] * 4
    with pytest.raises(ExpressionError, match=r"^mocks\.yaml:3: .*it takes more than 0\.2 s of processor time$"):
        rendered([within, within, above], sandbox)
