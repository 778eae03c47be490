"""PURE: the texts of a mocks file, checked and compiled to expressions. This happens once, at load."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from latehook.base.errors import ExpressionError, MocksError, Place
from latehook.base.text import did_you_mean
from latehook.expressions.dotted_names import DottedName, check_members, dotted_names_in
from latehook.expressions.expression import Evaluate, Expression, Names, Render, expressions_in
from latehook.expressions.patterns import PatternError
from latehook.expressions.renderer import Renderer
from latehook.expressions.sandbox import Sandbox
from latehook.expressions.syntax_errors import in_plain_words
from latehook.expressions.templates import Run, parse, text_function, value_function, value_of

_REASONS = {
    "job": ": this mock starts no job (it would with `job: {}`, `webhook` or `stages`), and finds none with `lookup`",
    "item": ": a webhook has it if its stage or its mock has `each`",
    "index": ": a webhook has it if its stage has `each` or `repeat`, or its mock has `each`",
    "env": ": a filter cannot read environment variables, because they can hold secrets",
}
"""Why a name does not exist where others do."""


@dataclass(frozen=True, slots=True)
class _CompiledText:
    """A compiled text, which may occur in several places.

    `free` are the names that it reads from the scope.
    """

    evaluate: Evaluate
    free: frozenset[str]
    dotted_names: tuple[DottedName, ...]


class Compiler:
    """Compiles the texts of a mocks file, each text once. `env` is the environment as it was at the start.

    An environment variable that is not set is an error; where `missing` is given, its name is added there instead.
    """

    def __init__(self, env: Mapping[str, str], missing: set[str] | None = None, sandbox: Sandbox | None = None) -> None:
        self._env = env
        self._missing = missing
        self._sandbox = sandbox or Sandbox()
        self._texts: dict[str, _CompiledText] = {}

    def compile(self, text: str, place: Place, names: Names) -> Any:
        """Return an Expression, or the value itself where it depends on nothing but `env`.

        `names` are those that the text may use. Raises MocksError with the place.
        """
        if not any(mark in text for mark in ("{{", "{%", "{#")):
            return text
        compiled = self._texts.get(text)
        if compiled is None:
            compiled = self._texts[text] = self._compile(text, place)
        self._check(compiled, place, names)
        reads = frozenset(".".join(name.parts[:3]) for name in compiled.dotted_names)
        expression = Expression(text, compiled.evaluate, place, reads)
        if compiled.free <= {"env"} and not any(self._is_missing(name) for name in compiled.dotted_names):
            return self._evaluate(expression)
        return expression

    def renderer(self, value: Any) -> Render:
        """Return a function that renders a compiled value, as `render` does, but faster."""
        if isinstance(value, Expression):
            return value
        return Renderer(self._sandbox, value).render if any(expressions_in(value)) else lambda _: value

    def constants(self) -> dict[str, Any]:
        """Return the part of a scope that is the same for all expressions: `env` and Jinja's functions."""
        return {**self._sandbox.globals, "env": self._env}

    def _compile(self, text: str, place: Place) -> _CompiledText:
        try:
            tree = parse(self._sandbox, text)
            for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)):
                kind = type(node).__name__.lower()
                raise MocksError(place, f"{kind} cannot be used: a mocks file has no other templates (in {text!r})")
            free = _undeclared(tree)
            dotted_names = tuple(name for name in dotted_names_in(tree) if name.parts[0] in free)
            value = value_of(tree)
            run = text_function(self._sandbox, tree) if value is None else value_function(self._sandbox, value)
            return _CompiledText(self._evaluator(run), free, dotted_names)
        except PatternError as error:
            raise MocksError(place, f"{error} (in {text!r})") from None
        except TemplateSyntaxError as error:
            problem = in_plain_words(error.message or "") + self._filter_hint(error)
            raise MocksError(place, f"{problem} (in {text!r})") from None
        except RecursionError:
            raise MocksError(place, "the expression is nested too deeply") from None
        except (SyntaxError, ValueError, OverflowError, MemoryError) as error:  # Python's, for the code Jinja generates
            if "nested" in str(error):
                raise MocksError(place, "the expression is nested too deeply") from None
            raise MocksError(place, f"this cannot be used: {error or type(error).__name__} (in {text!r})") from None

    def _evaluator(self, run: Run) -> Evaluate:
        sandbox, new_evaluation = self._sandbox, self._sandbox.evaluation
        return lambda scope: run(new_evaluation(sandbox, scope))

    def _filter_hint(self, error: TemplateSyntaxError) -> str:
        found = re.match(r"No (filter|test) named '(\w+)'", error.message or "")
        if found is None:
            return ""
        known = self._sandbox.filters if found[1] == "filter" else self._sandbox.tests
        return did_you_mean(found[2], known)

    def _check(self, text: _CompiledText, place: Place, names: Names) -> None:
        """Raise MocksError for a name that does not exist here and for an environment variable that is not set."""
        allowed = {**names, **dict.fromkeys(self._sandbox.globals)}
        for name in sorted(text.free - allowed.keys()):
            raise MocksError(place, f"there is no {name!r} here{_REASONS.get(name) or did_you_mean(name, allowed)}")
        for dotted in text.dotted_names:
            check_members(dotted.parts, allowed, place)
            if self._is_missing(dotted):
                self._report_missing(dotted.parts[1], place)

    def _is_missing(self, name: DottedName) -> bool:
        parts = name.parts
        return parts[0] == "env" and len(parts) > 1 and not name.has_default and parts[1] not in self._env

    def _report_missing(self, name: str, place: Place) -> None:
        if self._missing is None:
            remedy = f"set it, or write {{{{ env.{name} | default('…') }}}}{did_you_mean(name, self._env)}"
            raise MocksError(place, f"the environment variable {name} is not set: {remedy}")
        self._missing.add(name)

    def _evaluate(self, expression: Expression) -> Any:
        try:
            value = expression(self.constants(), keep_bytes=True)
        except ExpressionError as error:
            raise MocksError(expression.place, str(error).removeprefix(f"{expression.place}: ")) from None
        return expression if isinstance(value, bytes) else value  # bytes are a value only where a body takes them


def in_braces(text: str) -> str:
    """Return the text of an expression with braces: a mocks file may leave them out where only an expression fits."""
    return text if "{{" in text or "{%" in text else "{{ " + text + " }}"


def is_one_expression(text: str) -> bool:
    """Return whether a text is a single `{{ … }}`, with nothing before or behind it."""
    try:
        kinds = [kind for _, kind, _ in Environment().lex(text)]
    except TemplateSyntaxError:  # reported with its place when the text is compiled
        return False
    return kinds[:1] == ["variable_begin"] and kinds[-1] == "variable_end" and kinds.count("variable_begin") == 1


def split_expressions(text: str) -> list[tuple[bool, str]]:
    """Return a text's pieces in order: (True, an expression with its braces), and (False, the text between them).

    Comments are left out. Raises ValueError for a statement: it could not be told from the text that it encloses.
    """
    try:
        tokens = list(Environment(keep_trailing_newline=True).lex(text))
    except TemplateSyntaxError:  # reported with its place when the text is compiled
        return [(True, text)]
    pieces: list[tuple[bool, str]] = []
    expression = ""
    for _, kind, value in tokens:
        if kind == "data":
            pieces.append((False, value))
        elif kind in ("block_begin", "raw_begin"):
            raise ValueError("a statement cannot stand here: write an expression, {{ … if … else … }}")
        elif not kind.startswith("comment"):
            expression += value
            if kind == "variable_end":
                pieces.append((True, expression))
                expression = ""
    return pieces


def _undeclared(tree: nodes.Template) -> frozenset[str]:
    """Return what `meta.find_undeclared_variables` does, without optimizing."""
    generator = meta.TrackingCodeGenerator(tree.environment)  # type: ignore[arg-type]  # the parser has set it
    generator.optimizer = None
    generator.visit(tree)
    return frozenset(generator.undeclared_identifiers)
