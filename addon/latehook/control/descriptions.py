"""Descriptions of structures for the OpenAPI document, from the docstrings in their source."""

import ast
import inspect
from functools import cache
from textwrap import dedent

from msgspec import Struct


def class_description(struct: type[Struct]) -> str:
    return _one_line(inspect.getdoc(struct) or "")


def field_descriptions(struct: type[Struct]) -> dict[str, str]:
    """Return the docstring below each field, by the field's name. Those of a base class count unless redefined."""
    found: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        if issubclass(kind, Struct) and kind is not Struct:
            found |= _own_descriptions(kind)
    return found


@cache
def _own_descriptions(struct: type[Struct]) -> dict[str, str]:
    [definition] = ast.parse(dedent(inspect.getsource(struct))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(text))):
                found[name] = _one_line(text)
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
