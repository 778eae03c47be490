"""PURE: Jinja as Latehook uses it: sandboxed, with limits, one null, and data without methods."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.lexer import TOKEN_FLOAT, Lexer, Token
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from latehook.base.json_numbers import JSON_NUMBER, NumberAsWritten, fraction
from latehook.expressions import operators
from latehook.expressions.evaluation import Evaluation
from latehook.expressions.filters import FILTERS, limited
from latehook.expressions.values import AnnotatedText, Null, View, null

_JINJA_OBJECTS = (LoopContext, Namespace)


class _Lexer(Lexer):
    """Jinja's lexer, but a decimal number in an expression keeps its text."""

    def wrap(
        self, stream: Iterable[tuple[int, str, str]], name: str | None = None, filename: str | None = None
    ) -> Iterator[Token]:
        texts: list[str] = []

        def noted() -> Iterator[tuple[int, str, str]]:
            for line, kind, text in stream:
                if kind == TOKEN_FLOAT:
                    texts.append(text)
                yield line, kind, text

        for token in super().wrap(noted(), name, filename):
            if token.type == TOKEN_FLOAT and JSON_NUMBER.fullmatch(text := texts.pop()):
                token = token._replace(value=fraction(text))  # type: ignore[arg-type]  # Jinja has floats there too
            yield token


class _CodeGenerator(CodeGenerator):
    """Jinja's, but numbers keep their text, and an expression that the compiler makes a statement is returned.

    Jinja's own functions are generators: that takes as long as a short expression itself.
    """

    _returns_value = False

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        self._returns_value = len(node.body) == 1 and isinstance(node.body[0], nodes.ExprStmt)
        super().visit_Template(node, frame)

    def write_commons(self) -> None:
        """Write the names that expressions use. Jinja's own makes each function a generator."""
        if not self._returns_value:
            super().write_commons()
            return
        self.writeline("resolve = context.resolve_or_missing")
        self.writeline("undefined = environment.undefined")
        self.writeline("cond_expr_undefined = Undefined")

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        value = node.as_const(frame.eval_ctx)
        if isinstance(value, NumberAsWritten):
            self.write(f"environment.number({value.text!r})")
        else:
            super().visit_Const(node, frame)

    def visit_ExprStmt(self, node: nodes.ExprStmt, frame: Frame) -> None:
        """Return the value of an expression as it is: `Output` would give its text."""
        self.writeline("return ", node)
        self.visit(node.node, frame)


_PRIVATE_USE = range(0xF0000, 0xFFFFE)
"""Codes of characters that no standard gives a meaning."""

_TAGS = {"{{": "}}", "{%": "%}", "{#": "#}"}


def _replaced_in_text(source: str, old: str, new: str) -> str:
    """Return a text of a mocks file with a replacement outside of its tags, `{{ … }}`, `{% … %}` and `{# … #}`."""
    pieces, at = [], 0
    for start in _OPENING.finditer(source):
        if start.start() < at:
            continue
        end = source.find(_TAGS[start[0]], start.end())
        if end < 0:
            break
        pieces += [source[at : start.start()].replace(old, new), source[start.start() : end]]
        at = end
    return "".join([*pieces, source[at:].replace(old, new)])


_OPENING = re.compile(r"\{[{%#]")


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which `.x` on data is its key x, never a method, and every missing value is null."""

    intercepted_binops = operators.INTERCEPTED

    code_generator_class = _CodeGenerator
    number = NumberAsWritten
    """Makes a number that keeps its text, in the code that Jinja generates."""

    def __init__(self, evaluation: type[Evaluation] = Evaluation) -> None:
        """`evaluation` is the class of the contexts in which its templates are evaluated."""
        super().__init__(
            undefined=Null, finalize=operators.written, keep_trailing_newline=True, cache_size=0, optimized=False
        )  # optimizing takes quadratic time for chains (`a and b and …`)
        self.evaluation = evaluation
        self.globals = {"range": self.globals["range"], "namespace": _namespace}
        filters: dict[str, Any] = {**self.filters, **FILTERS}
        self.filters: dict[str, Any] = {**limited(filters), **operators.INTERNAL}
        self.tests: dict[str, Any] = operators.limited_tests(dict[str, Any](self.tests))

    @cached_property
    def lexer(self) -> Lexer:
        return _Lexer(self)

    def parse(self, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        """Parse a text. Its carriage returns stay, except in tags: Jinja would make line feeds of them."""
        if "\r" not in source:
            return super().parse(source, name, filename)
        mark = next(chr(code) for code in _PRIVATE_USE if chr(code) not in source)
        tree = super().parse(_replaced_in_text(source, "\r", mark), name, filename)
        for data in tree.find_all(nodes.TemplateData):
            data.data = data.data.replace(mark, "\r")
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a member. One message calls this some fifty times, so the most frequent types come first."""
        if type(obj) is dict:
            value = obj.get(attribute)
        elif isinstance(obj, View):
            value = getattr(obj, attribute) if attribute in obj.members else None
        elif isinstance(obj, _JINJA_OBJECTS):
            return super().getattr(obj, attribute)
        elif isinstance(obj, AnnotatedText):
            value = obj.parts.get(attribute)
        else:
            value = obj.get(attribute) if isinstance(obj, Mapping) else None
        return null(attribute) if value is None else value

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str) and not isinstance(obj, _JINJA_OBJECTS):
            return self.getattr(obj, argument)
        value = None
        if isinstance(obj, Sequence) and isinstance(argument, (int, slice)):
            with suppress(IndexError):
                value = obj[argument]
        elif isinstance(obj, Mapping):
            value = obj.get(argument)
        if value is None:
            return null(str(argument) if isinstance(argument, (str, int)) else type(argument).__name__)
        return value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            return operators.modulo(context, left, right)
        operators.check_operands(context, operator, left, right)
        return self.binop_table[operator](left, right)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        context.count(context.sizes((*args, *kwargs.values())))
        if isinstance(called, LoopContext) and args:  # `loop(children)` of a recursive loop
            args = (operators.loop_items(context, args[0]), *args[1:])
        if kwargs or isinstance(called, Macro):  # Jinja passes more arguments in loops and to macros
            return context.call(called, *args, **kwargs)
        return called(*args)  # nothing else here has the marks (`pass_context` …) that `context.call` looks for


def _namespace(**values: Any) -> Namespace:
    """Return an object whose attributes `set` can change. Unlike Jinja's, it takes no lists of keys and values."""
    return Namespace(**values)
