"""PURE: the dotted names in a parsed text, such as `request.json.id`, and whether their members exist."""

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import nodes

from latehook.base.errors import MocksError, Place
from latehook.base.text import did_you_mean
from latehook.expressions.expression import Names

_MEMBER_REASONS: Mapping[tuple[str, ...], str] = {
    (
        "job",
        "webhooks",
    ): ": it is there for what is decided after the request: `to` and `when` of a webhook and what it "
    "sends, the status of a stage, the response"
}
"""Why a member does not exist where others do."""


@dataclass(frozen=True, slots=True)
class DottedName:
    """A name with the members that follow it: the parts of `job.request.json`, and of `job['request'].json` alike."""

    parts: tuple[str, ...]
    has_default: bool


def dotted_names_in(tree: nodes.Template) -> list[DottedName]:
    """Return every dotted name in a text, each in its full length, and every name that stands alone."""
    defaulted = {id(found.node) for found in tree.find_all(nodes.Filter) if found.name in ("default", "d")}
    lookups: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    inner = {id(lookup.node) for lookup in lookups}
    dotted = []
    bases = set()
    for node in (lookup for lookup in lookups if id(lookup) not in inner):
        base, parts = _parts(node)
        if isinstance(base, nodes.Name) and parts:
            dotted.append(DottedName((base.name, *parts), id(node) in defaulted))
            bases.add(id(base))
    alone = (name for name in tree.find_all(nodes.Name) if name.ctx == "load" and id(name) not in bases)
    return dotted + [DottedName((name.name,), False) for name in alone]


def _parts(node: nodes.Node) -> tuple[nodes.Node, list[str]]:
    """Return what a chain of lookups starts at, and its members up to the first computed one."""
    parts: list[str] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        member = _member(node)
        if member is None:  # everything that follows is data
            parts.clear()
        else:
            parts.append(member)
        node = node.node
    return node, parts[::-1]


def _member(node: nodes.Getattr | nodes.Getitem) -> str | None:
    """Return the name of the member that is looked up; None where it is computed."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def check_members(parts: tuple[str, ...], names: Names, place: Place) -> None:
    """Raise MocksError for the first part of a dotted name that the names do not have."""
    known: Names | None = names
    for at, part in enumerate(parts):
        if known is None:
            return
        if part not in known:
            hint = _MEMBER_REASONS.get(parts[: at + 1]) or did_you_mean(part, known)
            raise MocksError(place, f"{'.'.join(parts[:at])} has no {part!r}{hint}")
        known = known[part]
