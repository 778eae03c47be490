"""PURE: Jinja as Latehook uses it: sandboxed, with limits, one null, and data without methods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.lexer import TOKEN_FLOAT, Lexer, Token
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from latehook.base.json_numbers import JSON_NUMBER, NumberAsWritten, fraction
from latehook.expressions.evaluation import Evaluation
from latehook.expressions.filters import FILTERS, format_text, limited
from latehook.expressions.limits import OPERATOR_SIZES, check_size
from latehook.expressions.values import AnnotatedText, Null, View, is_null, null, to_text

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
    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        value = node.as_const(frame.eval_ctx)
        if isinstance(value, NumberAsWritten):
            self.write(f"environment.number({value.text!r})")
        else:
            super().visit_Const(node, frame)


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which `.x` on data is its key x, never a method, and every missing value is null."""

    intercepted_binops = frozenset({*OPERATOR_SIZES, "%"})

    code_generator_class = _CodeGenerator
    number = NumberAsWritten
    """Makes a number that keeps its text, in the code that Jinja generates."""

    evaluation: type[Evaluation] = Evaluation
    """The class of the contexts in which its templates are evaluated."""

    def __init__(self) -> None:
        super().__init__(undefined=Null, finalize=_write, keep_trailing_newline=True, cache_size=0)
        self.globals = {"range": self.globals["range"], "namespace": Namespace}
        for name in ("random", "pprint", "urlize", "xmlattr"):  # not reproducible, or of no use in a message
            del self.filters[name]
        self.filters = {**limited({**self.filters, **FILTERS}), "_loop_items": _loop_items, "_concat": _concat}
        self.tests.update({"none": is_null, "undefined": is_null, "defined": lambda value: not is_null(value)})

    @cached_property
    def lexer(self) -> Lexer:
        return _Lexer(self)

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
        return self._with_nulls(value, attribute) if value is None or type(value) is list else value

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str) and not isinstance(obj, _JINJA_OBJECTS):
            return self.getattr(obj, argument)
        if isinstance(obj, Sequence) and isinstance(argument, (int, slice)):
            try:
                return self._with_nulls(obj[argument], argument)
            except IndexError:
                return self._with_nulls(None, argument)
        return self._with_nulls(obj.get(argument) if isinstance(obj, Mapping) else None, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            context.count_step()
            return format_text(left, right) if isinstance(left, str) else left % right
        context.count_step(OPERATOR_SIZES[operator](left, right))
        return self.binop_table[operator](left, right)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        context.count_step()
        if isinstance(called, LoopContext) and args:  # `loop(children)` of a recursive loop
            args = (_loop_items(context, args[0]), *args[1:])
        if kwargs or isinstance(called, Macro):  # Jinja passes more arguments in loops and to macros
            return context.call(called, *args, **kwargs)
        return called(*args)  # nothing else here has the marks (`pass_context` …) that `context.call` looks for

    def _with_nulls(self, value: Any, name: Any) -> Any:
        """Return a member with null for None, in lists too; `name` is the member's."""
        if value is None:
            return null(str(name))
        if type(value) is list and None in value:
            return [self._with_nulls(item, name) for item in value]
        return value


@pass_context
def _write(context: Any, value: Any) -> str:
    """Return what an expression writes into a text."""
    text = to_text(value)
    context.count_step(len(text))
    return text


def add_limits(tree: nodes.Template) -> None:
    """Change a parsed text so that it counts the turns of its loops and the size of what `~` joins."""
    for loop in list(tree.find_all(nodes.For)):
        written = sum(len(text.data) for body in (loop.body, loop.else_) for node in body for text in _texts(node))
        loop.iter = _filter("_loop_items", loop.iter, written)
    for holder in [tree, *tree.find_all(nodes.Node)]:
        for field, value in list(holder.iter_fields()):
            if isinstance(value, nodes.Concat):
                setattr(holder, field, concat(value.nodes))
            elif isinstance(value, list):
                value[:] = [concat(item.nodes) if isinstance(item, nodes.Concat) else item for item in value]


def _texts(node: nodes.Node) -> Iterable[nodes.TemplateData]:
    return [node] if isinstance(node, nodes.TemplateData) else node.find_all(nodes.TemplateData)


def concat(pieces: list[nodes.Expr]) -> nodes.Filter:
    """Return an expression that joins the texts of several, with the limits of every other one."""
    return _filter("_concat", nodes.List(pieces, lineno=1))


def _filter(name: str, node: Any, *args: Any) -> nodes.Filter:
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in args]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


@pass_context
def _loop_items(context: Any, items: Any, characters: int = 0) -> Iterable[Any]:
    """Yield the items of a loop and count a step for each; `characters` are those of the loop's fixed text."""
    for item in items:
        context.count_step(characters)
        yield item


@pass_context
def _concat(context: Any, pieces: list[Any]) -> str:
    texts = list(map(to_text, pieces))
    context.count_step(check_size(sum(map(len, texts))))
    return "".join(texts)
