"""A body's expressions are evaluated in one call, and give what each of them gives alone."""

from collections.abc import Sequence
from typing import Any

import pytest

from latehook.base.errors import ExpressionError, Place
from latehook.expressions import evaluation
from latehook.expressions.compiler import Compiler
from latehook.expressions.evaluation import ShortEvaluation
from latehook.expressions.expression import render
from latehook.expressions.sandbox import Sandbox
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


def compiled(texts: Sequence[str], compiler: Compiler) -> list[Any]:
    """Compile texts, each in a line of its own."""
    return [compiler.compile(text, Place("mocks.yaml", line), NAMES) for line, text in enumerate(texts, 1)]


def rendered(texts: Sequence[str], sandbox: Sandbox | None = None) -> Any:
    """Return the values of several texts, evaluated at once."""
    compiler = Compiler({}, sandbox=sandbox)
    return compiler.renderer(compiled(texts, compiler))(scope(compiler, BODY))


@pytest.mark.parametrize("more", [[], ["{% for x in [1, 2] %}{{ random.int(1, 9) }}{% endfor %}"]])
def test_the_values_are_those_of_each_expression_alone(more: list[str]) -> None:
    compiler = Compiler({})
    values = compiled([*TEXTS, *more, *TEXTS], compiler)
    tree = {"list": values, "map": {"a": values[0], "b": [values[1]], "c": 1}}

    assert compiler.renderer(tree)(scope(compiler, BODY)) == render(tree, scope(compiler, BODY))


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
