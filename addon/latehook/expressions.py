"""PURE: the expressions of a mocks file: checked and compiled once, at load, then evaluated."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Template, TemplateSyntaxError, meta, nodes

from latehook.data import plain
from latehook.limits import Evaluation
from latehook.model import ExpressionError, MocksError, Place
from latehook.sandbox import Sandbox, bound, joined

NO_JOB = ": this mock starts no job (it would with `job: {}`, `webhook` or `stages`), and asks for none with `lookup`"

Names = Mapping[str, Any]
"""The names an expression may use: name → the members it has, as Names, or None where any will do."""


class Expression:
    """A text of a mocks file with `{{ }}` in it, compiled. Called with a scope it gives its value."""

    __slots__ = ("_evaluate", "place", "roots", "text")

    def __init__(self, text: str, evaluate: "_Evaluate", place: Place, roots: frozenset[str]) -> None:
        self.text = text
        self._evaluate = evaluate
        self.place = place
        self.roots = roots
        """The dotted names it reads, such as `request.json`."""

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        """The value: of its own type where the text is one expression, else text. ExpressionError has the place."""
        try:
            return plain(self._evaluate(scope))
        except RecursionError:
            raise ExpressionError(self.place, "the expression failed: its data is nested too deeply") from None
        except Exception as error:  # whatever Jinja's filters raise on data they were not made for
            raise ExpressionError(self.place, f"the expression failed: {error or type(error).__name__}") from None


type _Evaluate = Callable[[Mapping[str, Any]], Any]
"""Gives the value in a scope, not yet as plain data."""


def _kept(template: Template) -> _Evaluate:
    """Evaluates a template that keeps its value: written out it would be text."""

    run = template.root_render_func

    def evaluate(scope: Mapping[str, Any]) -> Any:
        context = Evaluation(template, scope)
        list(run(context))
        return context.vars["_value"]

    return evaluate


def _written(template: Template) -> _Evaluate:
    return lambda scope: "".join(template.root_render_func(Evaluation(template, scope)))


def _followed(parts: Sequence[str], member: Callable[[Any, str], Any]) -> _Evaluate:
    """Evaluates a dotted chain. Many expressions are one, and Jinja's own way takes three times as long."""
    first, *others = parts

    def evaluate(scope: Mapping[str, Any]) -> Any:
        value = scope[first]
        for name in others:
            value = member(value, name)
        return value

    return evaluate


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where in a shape the value of an expression goes."""

    at: int


class Bundle:
    """A map or list with several expressions in it, evaluated as one: each call of Jinja has its price.

    `tree` is the same with each expression for itself: it says which one failed, and in which place.
    """

    __slots__ = ("_evaluate", "_shape", "tree")

    def __init__(self, tree: Any, shape: Any, evaluate: _Evaluate) -> None:
        self.tree = tree
        self._shape = shape
        self._evaluate = evaluate

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        """The map or list as plain data. ExpressionError has the place."""
        try:
            return _filled(self._shape, list(map(plain, self._evaluate(scope))), scope)
        except Exception:  # slower, and with the place
            return render(self.tree, scope)


def _filled(shape: Any, values: list[Any], scope: Mapping[str, Any]) -> Any:
    kind = type(shape)
    if kind is _Hole:
        return values[shape.at]
    if kind is dict:
        return {
            key: values[item.at] if type(item) is _Hole else _filled(item, values, scope) for key, item in shape.items()
        }
    if kind is list:
        return [_filled(item, values, scope) for item in shape]
    return shape(scope) if kind is Expression else shape


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """A compiled value, and all in it, as plain data."""
    if isinstance(value, (Expression, Bundle)):
        return value(scope)
    if isinstance(value, dict):
        return {key: render(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, scope) for item in value]
    return value


def roots_of(value: Any) -> frozenset[str]:
    """The dotted names that a compiled value reads."""
    if isinstance(value, Bundle):
        value = value.tree
    if isinstance(value, Expression):
        return value.roots
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return frozenset().union(*map(roots_of, value))
    return frozenset()


@dataclass(frozen=True, slots=True)
class _Chain:
    """A dotted chain that starts at a name, as its parts: `job.request.json` and `job['request'].json` alike."""

    parts: tuple[str, ...]
    has_default: bool


@dataclass(frozen=True, slots=True)
class _Text:
    """What is known of a text wherever it stands; `free` are the names it takes from its scope.

    `value` is the expression that gives its value; None where it has statements, such as a loop.
    """

    evaluate: _Evaluate
    value: nodes.Expr | None
    free: frozenset[str]
    chains: tuple[_Chain, ...]


class Compiler:
    """Compiles the texts of a mocks file, each text once. `env` is the environment as it was at the start.

    A variable that is not set is an error, or is put into `missing` where that is given.
    """

    def __init__(self, env: Mapping[str, str], missing: set[str] | None = None) -> None:
        self._env = env
        self._missing = missing
        self._sandbox = Sandbox()
        self._texts: dict[str, _Text] = {}

    def compile(self, text: str, place: Place, names: Names) -> Any:
        """An Expression; or the value itself where nothing but `env` stands in the text. MocksError has the place."""
        if not any(mark in text for mark in ("{{", "{%", "{#")):
            return text
        known = self._texts.get(text)
        if known is None:
            known = self._texts[text] = self._compile(text, place)
        self._check(known, place, names)
        roots = frozenset(".".join(chain.parts[:3]) for chain in known.chains)
        expression = Expression(text, known.evaluate, place, roots)
        if known.free <= {"env"} and not any(self._is_missing(chain) for chain in known.chains):
            return self._evaluate(expression)
        return expression

    def bundle(self, tree: Any) -> Any:
        """A compiled map or list, its expressions made one; anything else as it is."""
        expressions: list[nodes.Expr] = []

        def shape(value: Any) -> Any:
            if isinstance(value, Expression) and (made := self._texts[value.text].value) is not None:
                expressions.append(made)
                return _Hole(len(expressions) - 1)
            if isinstance(value, dict):
                return {key: shape(item) for key, item in value.items()}
            return [shape(item) for item in value] if isinstance(value, list) else value

        shaped = shape(tree) if isinstance(tree, (dict, list)) else tree
        if len(expressions) < 2:
            return tree
        return Bundle(tree, shaped, self._keep(nodes.List(expressions, lineno=1)))

    def _keep(self, value: nodes.Expr) -> _Evaluate:
        name = nodes.Name("_value", "store")  # with _ at its front Jinja does not export it
        tree = nodes.Template([nodes.Assign(name, value, lineno=1)], lineno=1)
        tree.set_environment(self._sandbox)
        return _kept(self._sandbox.from_string(tree))

    def scope(self) -> dict[str, Any]:
        """What every expression sees."""
        return {**self._sandbox.globals, "env": self._env}

    def _compile(self, text: str, place: Place) -> _Text:
        try:
            tree = self._sandbox.parse(text)
            for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)):
                kind = type(node).__name__.lower()
                raise MocksError(place, f"{kind} cannot be used: a mocks file has no other templates (in {text!r})")
            free = frozenset(meta.find_undeclared_variables(tree))
            chains = tuple(chain for chain in _chains(tree) if chain.parts[0] in free)
            bound(tree)
            value = _value(tree)
            return _Text(self._evaluated(tree, value), value, free, chains)
        except TemplateSyntaxError as error:
            raise MocksError(place, f"{error.message}{self._nearest_filter(error)} (in {text!r})") from None
        except RecursionError:
            raise MocksError(place, "the expression is nested too deeply") from None
        except (SyntaxError, ValueError, OverflowError, MemoryError) as error:  # Python's, of what Jinja makes
            raise MocksError(place, f"this cannot be used: {error or type(error).__name__} (in {text!r})") from None

    def _evaluated(self, tree: nodes.Template, value: nodes.Expr | None) -> _Evaluate:
        if value is None:
            return _written(self._sandbox.from_string(tree))
        parts = _parts(value)
        return self._keep(value) if parts is None else _followed(parts, self._sandbox.getattr)

    def _nearest_filter(self, error: TemplateSyntaxError) -> str:
        found = re.match(r"No (filter|test) named '(\w+)'", error.message or "")
        if found is None:
            return ""
        known = self._sandbox.filters if found[1] == "filter" else self._sandbox.tests
        return nearest(found[2], known)

    def _check(self, text: _Text, place: Place, names: Names) -> None:
        """Refuse names that do not exist here, and environment variables that are not set."""
        allowed = {**names, **dict.fromkeys(self._sandbox.globals)}
        for name in sorted(text.free - allowed.keys()):
            hint = NO_JOB if name == "job" else nearest(name, allowed)
            raise MocksError(place, f"there is no {name!r} here{hint}")
        for chain in text.chains:
            _check_chain(chain.parts, allowed, place)
            if self._is_missing(chain):
                self._miss(chain.parts[1], place)

    def _is_missing(self, chain: _Chain) -> bool:
        parts = chain.parts
        return parts[0] == "env" and len(parts) > 1 and not chain.has_default and parts[1] not in self._env

    def _miss(self, name: str, place: Place) -> None:
        if self._missing is None:
            remedy = f"set it, or write {{{{ env.{name} | default('…') }}}}{nearest(name, self._env)}"
            raise MocksError(place, f"the environment variable {name} is not set: {remedy}")
        self._missing.add(name)

    def _evaluate(self, expression: Expression) -> Any:
        try:
            return expression(self.scope())
        except ExpressionError as error:
            raise MocksError(expression.place, str(error).removeprefix(f"{expression.place}: ")) from None


def in_braces(text: str) -> str:
    """A text that is to be an expression: it may have been written without its braces."""
    return text if "{{" in text or "{%" in text else "{{ " + text + " }}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The nearest valid spelling, as the end of a message; nothing where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def _value(tree: nodes.Template) -> nodes.Expr | None:
    """The expression that gives a text's value: the only one in it, or what joins several with the text between."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    pieces = tree.body[0].nodes
    if len(pieces) == 1 and not isinstance(pieces[0], nodes.TemplateData):
        return pieces[0]
    return joined([nodes.Const(at.data, lineno=1) if isinstance(at, nodes.TemplateData) else at for at in pieces])


def _chains(tree: nodes.Node) -> list[_Chain]:
    """Every chain, as long as it is, and every name that stands alone."""
    defaulted = {id(found.node) for found in tree.find_all(nodes.Filter) if found.name in ("default", "d")}
    links: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    within = {id(link.node) for link in links}
    chains = []
    bases = set()
    for node in (link for link in links if id(link) not in within):
        parts: list[str] = []
        at: nodes.Node = node
        while isinstance(at, (nodes.Getattr, nodes.Getitem)):
            key = _key(at)
            if key is None:  # a computed key: what stands behind it is data
                parts.clear()
            else:
                parts.append(key)
            at = at.node
        if isinstance(at, nodes.Name) and parts:
            chains.append(_Chain((at.name, *reversed(parts)), id(node) in defaulted))
            bases.add(id(at))
    alone = (name for name in tree.find_all(nodes.Name) if name.ctx == "load" and id(name) not in bases)
    return chains + [_Chain((name.name,), False) for name in alone]


def _parts(node: nodes.Node) -> tuple[str, ...] | None:
    """The parts of a dotted chain that starts at a name; None of anything else."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, (nodes.Getattr, nodes.Getitem)):
        key, before = _key(node), _parts(node.node)
        return None if key is None or before is None else (*before, key)
    return None


def _key(node: nodes.Getattr | nodes.Getitem) -> str | None:
    """The name that is asked for; None where it is computed."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def _check_chain(chain: tuple[str, ...], names: Names, place: Place) -> None:
    known: Names | None = names
    for at, part in enumerate(chain):
        if known is None:
            return
        if part not in known:
            raise MocksError(place, f"{'.'.join(chain[:at])} has no {part!r}{nearest(part, known)}")
        known = known[part]
