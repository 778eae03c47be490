"""PURE: texts with `{{ }}` parsed, with limits, and made functions of Jinja."""

from collections.abc import Callable
from typing import Any

from jinja2 import nodes

from latehook.expressions.evaluation import Evaluation
from latehook.expressions.metering import add_limits, concat
from latehook.expressions.patterns import check_patterns
from latehook.expressions.sandbox import Sandbox

type Run = Callable[[Evaluation], Any]
"""A function that Jinja has generated. It takes the context in which it is evaluated."""


def parse(sandbox: Sandbox, text: str) -> nodes.Template:
    """Parse a text, and have it count what it costs. Raises TemplateSyntaxError, PatternError, RecursionError."""
    tree = sandbox.parse(text)
    check_patterns(tree)
    add_limits(tree)
    return tree


def value_of(tree: nodes.Template) -> nodes.Expr | None:
    """Return the expression that gives a text's value: the only one in it, or one that joins all its pieces.

    None where the text has statements, such as a loop.
    """
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    pieces = tree.body[0].nodes
    if len(pieces) == 1 and not isinstance(pieces[0], nodes.TemplateData):
        return pieces[0]
    return concat([nodes.Const(at.data) if isinstance(at, nodes.TemplateData) else at for at in pieces])


def value_function(sandbox: Sandbox, value: nodes.Expr) -> Run:
    """Return the function that returns the value of an expression, of its own type.

    Raises the errors that Python has for generated code: SyntaxError, RecursionError, MemoryError, OverflowError.
    """
    tree = nodes.Template([nodes.ExprStmt(value, lineno=1)], lineno=1)
    tree.set_environment(sandbox)
    return sandbox.from_string(tree).root_render_func


def text_function(sandbox: Sandbox, tree: nodes.Template) -> Run:
    """Return the function that returns what a text with statements writes. Raises as `value_function` does."""
    write = sandbox.from_string(tree).root_render_func
    return lambda evaluation: "".join(write(evaluation))
