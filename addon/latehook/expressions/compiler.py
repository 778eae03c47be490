"""PURE: the texts of a mocks file, made into expressions: checked and compiled once, at load."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Template, TemplateSyntaxError, meta, nodes
from jinja2.visitor import NodeTransformer

from latehook.base.errors import ExpressionError, MocksError, Place
from latehook.base.text import did_you_mean
from latehook.expressions.expression import Bundle, Evaluate, Expression, Hole, Names
from latehook.expressions.limits import Evaluation
from latehook.expressions.sandbox import Sandbox, bound, joined

NO_JOB = ": this mock starts no job (it would with `job: {}`, `webhook` or `stages`), and asks for none with `lookup`"


@dataclass(frozen=True, slots=True)
class _Chain:
    """A dotted chain that starts at a name, as its parts: `job.request.json` and `job['request'].json` alike."""

    parts: tuple[str, ...]
    has_default: bool


@dataclass(frozen=True, slots=True)
class _Text:
    """What is known of a text wherever it stands; `free` are the names it takes from its scope."""

    evaluate: Evaluate
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
        values: list[nodes.Expr] = []

        def shape(value: Any) -> Any:
            if isinstance(value, Expression) and (made := _value(self._parsed(value.text))) is not None:
                values.append(made)
                return Hole(len(values) - 1)
            if isinstance(value, dict):
                return {key: shape(item) for key, item in value.items()}
            return [shape(item) for item in value] if isinstance(value, list) else value

        shaped = shape(tree) if isinstance(tree, (dict, list)) else tree
        if len(values) < 2:
            return tree
        try:
            sharing = _Sharing(nodes.List(values, lineno=1))
            return Bundle(tree, shaped, self._evaluator(sharing.value, sharing.named))
        except RecursionError:  # each for itself is not quite as deep
            return tree

    def _evaluator(self, value: nodes.Node, named: Sequence[nodes.Assign] = ()) -> Evaluate:
        tree = nodes.Template([*named, _named(_VALUE, value)], lineno=1)
        tree.set_environment(self._sandbox)
        return _kept(self._sandbox.from_string(tree))

    def scope(self) -> dict[str, Any]:
        """What every expression sees."""
        return {**self._sandbox.globals, "env": self._env}

    def _compile(self, text: str, place: Place) -> _Text:
        try:
            tree = self._parsed(text)
            for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)):
                kind = type(node).__name__.lower()
                raise MocksError(place, f"{kind} cannot be used: a mocks file has no other templates (in {text!r})")
            free = frozenset(meta.find_undeclared_variables(tree))
            chains = tuple(chain for chain in _chains(tree) if chain.parts[0] in free)
            return _Text(self._evaluated(tree), free, chains)
        except TemplateSyntaxError as error:
            raise MocksError(place, f"{error.message}{self._nearest_filter(error)} (in {text!r})") from None
        except RecursionError:
            raise MocksError(place, "the expression is nested too deeply") from None
        except (SyntaxError, ValueError, OverflowError, MemoryError) as error:  # Python's, of what Jinja makes
            raise MocksError(place, f"this cannot be used: {error or type(error).__name__} (in {text!r})") from None

    def _parsed(self, text: str) -> nodes.Template:
        tree = self._sandbox.parse(text)
        bound(tree)
        return tree

    def _evaluated(self, tree: nodes.Template) -> Evaluate:
        value = _value(tree)
        if value is None:
            return _written(self._sandbox.from_string(tree))
        parts = _parts(value)
        return self._evaluator(value) if parts is None else _followed(parts, self._sandbox.getattr)

    def _nearest_filter(self, error: TemplateSyntaxError) -> str:
        found = re.match(r"No (filter|test) named '(\w+)'", error.message or "")
        if found is None:
            return ""
        known = self._sandbox.filters if found[1] == "filter" else self._sandbox.tests
        return did_you_mean(found[2], known)

    def _check(self, text: _Text, place: Place, names: Names) -> None:
        """Refuse names that do not exist here, and environment variables that are not set."""
        allowed = {**names, **dict.fromkeys(self._sandbox.globals)}
        for name in sorted(text.free - allowed.keys()):
            hint = NO_JOB if name == "job" else did_you_mean(name, allowed)
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
            remedy = f"set it, or write {{{{ env.{name} | default('…') }}}}{did_you_mean(name, self._env)}"
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


def _value(tree: nodes.Template) -> nodes.Expr | None:
    """The expression that gives a text's value: the only one in it, or what joins several with the text between.

    None where it has statements, such as a loop.
    """
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    pieces = tree.body[0].nodes
    if len(pieces) == 1 and not isinstance(pieces[0], nodes.TemplateData):
        return pieces[0]
    return joined([nodes.Const(at.data, lineno=1) if isinstance(at, nodes.TemplateData) else at for at in pieces])


_VALUE = "_value"  # Jinja would export a name without a _ at its front


def _named(name: str, value: nodes.Node) -> nodes.Assign:
    return nodes.Assign(nodes.Name(name, "store"), value, lineno=1)


class _Sharing(NodeTransformer):
    """`value` with a name in the place of each chain that came several times: one message is mostly of one job.

    What is `named` is evaluated first, perhaps in vain: where that fails, each expression is evaluated for itself.
    """

    def __init__(self, tree: nodes.Node) -> None:
        self.named: list[nodes.Assign] = []
        self._times = Counter(map(_parts, tree.find_all((nodes.Getattr, nodes.Getitem))))
        self._names: dict[tuple[str, ...], str] = {}
        self.value = self.visit(tree)

    def visit_Getattr(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Node:
        parts = _parts(node)
        if parts is None or self._times[parts] < 2:
            return self.generic_visit(node)
        if parts not in self._names:
            self._names[parts] = f"_{len(self._names)}"
            self.named.append(_named(self._names[parts], self.generic_visit(node)))
        return nodes.Name(self._names[parts], "load", lineno=1)

    visit_Getitem = visit_Getattr


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
            raise MocksError(place, f"{'.'.join(chain[:at])} has no {part!r}{did_you_mean(part, known)}")
        known = known[part]


def _kept(template: Template) -> Evaluate:
    """Evaluates a template that keeps its value: written out it would be text."""
    run = template.root_render_func

    def evaluate(scope: Mapping[str, Any]) -> Any:
        context = Evaluation(template, scope)
        list(run(context))
        return context.vars[_VALUE]

    return evaluate


def _written(template: Template) -> Evaluate:
    return lambda scope: "".join(template.root_render_func(Evaluation(template, scope)))


def _followed(parts: Sequence[str], member: Callable[[Any, str], Any]) -> Evaluate:
    """Evaluates a dotted chain. Many expressions are one, and Jinja's own way takes three times as long."""
    first, *others = parts

    def evaluate(scope: Mapping[str, Any]) -> Any:
        value = scope[first]
        for name in others:
            value = member(value, name)
        return value

    return evaluate
