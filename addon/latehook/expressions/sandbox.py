"""PURE: Jinja as Latehook has it: sandboxed and bounded, with one null, and data that has no methods."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from latehook.expressions.filters import OURS, bounded, formatted
from latehook.expressions.limits import OPERATOR_SIZES, check_size
from latehook.expressions.values import AnnotatedText, Null, View, is_null, null, to_text

_JINJA_OWN = (LoopContext, Namespace)


class Sandbox(ImmutableSandboxedEnvironment):
    """`.x` on data is the key x and never a method; what is null or missing is the one null."""

    intercepted_binops = frozenset({*OPERATOR_SIZES, "%"})

    def __init__(self) -> None:
        super().__init__(undefined=Null, finalize=_written, keep_trailing_newline=True, cache_size=0)
        self.globals = {"range": self.globals["range"], "namespace": Namespace}
        for name in ("random", "pprint", "urlize", "xmlattr"):  # not reproducible; of no use in a message
            del self.filters[name]
        self.filters = {**bounded({**self.filters, **OURS}), "_turns": _turns, "_joined": _joined}
        self.tests.update({"none": is_null, "undefined": is_null, "defined": lambda value: not is_null(value)})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Asked some fifty times for one message, so what is asked the most comes first."""
        if type(obj) is dict:
            value = obj.get(attribute)
        elif isinstance(obj, View):
            value = getattr(obj, attribute) if attribute in obj.members else None
        elif isinstance(obj, _JINJA_OWN):
            return super().getattr(obj, attribute)
        elif isinstance(obj, AnnotatedText):
            value = obj.parts.get(attribute)
        else:
            value = obj.get(attribute) if isinstance(obj, Mapping) else None
        return self._or_null(value, attribute) if value is None or type(value) is list else value

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str) and not isinstance(obj, _JINJA_OWN):
            return self.getattr(obj, argument)
        if isinstance(obj, Sequence) and isinstance(argument, (int, slice)):
            try:
                return self._or_null(obj[argument], argument)
            except IndexError:
                return self._or_null(None, argument)
        return self._or_null(obj.get(argument) if isinstance(obj, Mapping) else None, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            context.count_step()
            return formatted(left, right) if isinstance(left, str) else left % right
        context.count_step(OPERATOR_SIZES[operator](left, right))
        return self.binop_table[operator](left, right)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        context.count_step()
        if isinstance(called, LoopContext) and args:  # `loop(children)` of a recursive loop
            args = (_turns(context, args[0]), *args[1:])
        if kwargs or isinstance(called, Macro):  # what Jinja hands over besides, in loops and to macros
            return context.call(called, *args, **kwargs)
        return called(*args)  # Jinja looks for marks on what it calls, which nothing else here bears

    def _or_null(self, value: Any, name: Any) -> Any:
        if value is None:
            return null(str(name))
        if type(value) is list and None in value:
            return [self._or_null(item, name) for item in value]
        return value


@pass_context
def _written(context: Any, value: Any) -> str:
    """What an expression writes into a text."""
    text = to_text(value)
    context.count_step(len(text))
    return text


def bound(tree: nodes.Template) -> None:
    """Have counted what Jinja does by itself: the turns of loops, and what `~` puts together."""
    for loop in list(tree.find_all(nodes.For)):
        cost = sum(len(text.data) for body in (loop.body, loop.else_) for node in body for text in _texts(node))
        loop.iter = _filter("_turns", loop.iter, cost)
    for holder in [tree, *tree.find_all(nodes.Node)]:
        for field, value in list(holder.iter_fields()):
            if isinstance(value, nodes.Concat):
                setattr(holder, field, joined(value.nodes))
            elif isinstance(value, list):
                value[:] = [joined(item.nodes) if isinstance(item, nodes.Concat) else item for item in value]


def _texts(node: nodes.Node) -> Iterable[nodes.TemplateData]:
    return [node] if isinstance(node, nodes.TemplateData) else node.find_all(nodes.TemplateData)


def joined(pieces: list[nodes.Expr]) -> nodes.Filter:
    """The expression whose value is the text of these together, as bounded as any."""
    return _filter("_joined", nodes.List(pieces, lineno=1))


def _filter(name: str, node: Any, *args: Any) -> nodes.Filter:
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in args]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


@pass_context
def _turns(context: Any, items: Any, cost: int = 0) -> Iterable[Any]:
    """What a loop goes through, each turn counted; `cost` are the characters it writes besides."""
    for item in items:
        context.count_step(cost)
        yield item


@pass_context
def _joined(context: Any, pieces: list[Any]) -> str:
    """The text of these together."""
    texts = list(map(to_text, pieces))
    context.count_step(check_size(sum(map(len, texts))))
    return "".join(texts)
