"""PURE: parsed texts with limits: what is not counted by itself gets a filter around it that counts."""

from collections.abc import Iterable
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer


def add_limits(tree: nodes.Template) -> None:
    """Change a parsed text so that it counts the cost of loops, comparisons, slices, literals and concatenations."""
    _Limits().visit(tree)


_SEARCHES = ("in", "notin")
"""Jinja's names of the operators that search."""


class _Limits(NodeTransformer):
    """Puts the filters of `operators.INTERNAL` around nodes."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        written = sum(len(text.data) for body in (node.body, node.else_) for inner in body for text in _texts(inner))
        self.generic_visit(node)
        node.iter = _filter("a loop", node.iter, nodes.Const(written))
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.AssignBlock:
        self.generic_visit(node)
        node.filter = _filter("a literal", node.filter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return concat(node.nodes)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        right = node.ops[0]
        is_alone, is_search = len(node.ops) == 1, right.op in _SEARCHES
        if is_alone and not is_search and _has_constant(node.expr, right.expr):
            return node  # it takes no longer than the constant is
        if is_alone and is_search and _has_constant(node.expr):
            right.expr = _filter("a search for a constant", right.expr)
            return node
        node.expr = _operand(node.expr, is_searched=False)
        for operand in node.ops:
            operand.expr = _operand(operand.expr, operand.op in _SEARCHES)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        ends = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter("a slice", node.node, *(nodes.Const(None) if end is None else end for end in ends))

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._literal(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self._literal(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._literal(node) if node.ctx == "load" else node

    def _literal(self, node: nodes.Literal) -> nodes.Node:
        """Count a list or map, unless it has no more in it than the text itself."""
        if _is_constant(node):
            return node
        self.generic_visit(node)
        return _filter("a literal", node)


def _is_constant(node: nodes.Node) -> bool:
    if isinstance(node, (nodes.Literal, nodes.Pair)):
        return isinstance(node, nodes.Const) or all(map(_is_constant, node.iter_child_nodes()))
    return False


def _has_constant(*operands: nodes.Expr) -> bool:
    return any(isinstance(operand, nodes.Const) for operand in operands)


def _operand(node: nodes.Expr, is_searched: bool) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filter("a comparison", node, nodes.Const(is_searched))


def _texts(node: nodes.Node) -> Iterable[nodes.TemplateData]:
    return [node] if isinstance(node, nodes.TemplateData) else node.find_all(nodes.TemplateData)


def concat(pieces: list[nodes.Expr]) -> nodes.Filter:
    """Return an expression that joins the texts of several, with the limits of every other one."""
    return _filter("a concatenation", nodes.List(pieces))


def finished(value: nodes.Expr) -> nodes.Filter:
    """Return an expression that is one of several, each with limits of its own."""
    return _filter("a value", value)


def _filter(name: str, node: Any, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=1)
