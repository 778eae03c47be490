"""PURE: which operations of an OpenAPI document the user means, and what a document offers."""

import re
from collections.abc import Sequence

from latehook.base.counting import number_of
from latehook.base.errors import LatehookError
from latehook.base.text import did_you_mean
from latehook.importing.openapi.lives import Choice
from latehook.importing.openapi.matches import is_below, segments
from latehook.openapi.document import Document
from latehook.openapi.operations import Hook, Operation, operations, webhooks


def choose(document: Document, only: Sequence[str], on: Sequence[str], host: str | None) -> Choice:
    """Return what the user chose by the options --only and --on. Raises LatehookError for what the document lacks."""
    every = operations(document)
    hooks: dict[str, list[Hook]] = {}
    chosen = [one for text in only for one in _named(text, every, "--only")]
    for text in on:
        operation, hook = _trigger(text, every, webhooks(document), document)
        hooks.setdefault(operation.name, []).append(hook)
        chosen.append(operation)
    wanted = {one.name: one for one in chosen}
    in_order = [one for one in every if one.name in wanted]
    return Choice(every, in_order or list(wanted.values()), hooks, host)


def _named(text: str, every: Sequence[Operation], option: str) -> list[Operation]:
    """Return the operations that a text names: METHOD /path, also with ANY or several methods, and ** at the end."""
    method, _, path = text.strip().rpartition(" ")
    methods = {one.upper() for one in method.strip().split("|")} - {"ANY", ""}
    found = [
        one
        for one in every
        if (not methods or one.method in methods) and (_is_path(path, one) or one.data.get("operationId") == path)
    ]
    if found:
        return found
    names = [one.name for one in every]
    close = did_you_mean(text.strip(), names) or did_you_mean(f"{method.upper()} {path}".strip(), names)
    hint = close or ("; without --only the command lists them" if names else ": it has none")
    raise LatehookError(f"{option} {text!r}: the document has no such operation{hint}")


def _is_path(path: str, operation: Operation) -> bool:
    """Return whether a path is that of an operation, with or without the path of its server."""
    for full in dict.fromkeys((operation.path, *(f"{server.path}{operation.path}" for server in operation.servers))):
        if full == path:
            return True
        if path.endswith("/**"):
            first = segments(path[:-3]) if path != "/**" else ()
            if segments(full)[: len(first)] == first:
                return True
        elif segments(full) == segments(path) and "?" not in full and "#" not in full:
            return True
    return False


def _trigger(
    text: str, every: Sequence[Operation], offered: Sequence[Hook], document: Document
) -> tuple[Operation, Hook]:
    """Return the operation and the webhook that `METHOD /path=WEBHOOK` names."""
    found = [(text[: at.start()], text[at.end() :].strip()) for at in re.finditer("=", text)]
    if not found or not re.search(r"/", text):
        raise LatehookError(f"--on {text!r}: write 'METHOD /path=WEBHOOK', such as 'POST /v1/orders=order.paid'")
    problem = LatehookError(f"--on {text!r}: the document has no such webhook")
    for request, name in reversed(found):
        here = _operations_for(request, every, document)
        named = [*here[0].callbacks, *offered] if here else [*offered]
        hook = next((one for one in named if name in (one.name, one.name.lstrip("/"))), None)
        if hook is None:
            names = [one.name for one in named]
            hint = did_you_mean(name, names) or (f": it has {_listed(names)}" if names else ": it has none")
            problem = LatehookError(f"--on {text!r}: the document has no webhook {name!r}{hint}")
        elif here:
            return here[0], hook
        else:
            _named(request, every, "--on")
    raise problem


def _operations_for(request: str, every: Sequence[Operation], document: Document) -> list[Operation]:
    """Return the operation that --on names. A document without operations (only webhooks) has any."""
    method, _, path = request.strip().rpartition(" ")
    if not every and re.fullmatch(r"[A-Za-z]+", method.strip()) and path.startswith("/"):
        return [Operation(document, method.strip().upper(), path, {}, {})]
    try:
        return _named(request, every, "--on")
    except LatehookError:
        return []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names[:5])) + (", …" if len(names) > 5 else "")


def listing(document: Document, file: str) -> list[str]:
    """Return the lines that say what a document offers. The most useful ones come last."""
    every, offered = operations(document), webhooks(document)
    calling = [one for one in every if one.callbacks]
    lines = [f"{file}: OpenAPI {document.version}, {number_of(len(every), 'operation')}"]
    if others := [one for one in every if not one.callbacks]:
        lines += ["operations without callbacks:", *(f"  {one.name}" for one in others)]
    if offered:
        lines.append("webhooks; the document does not say which request leads to them:")
        lines += [f"  {name}" for name in dict.fromkeys(hook.name for hook in offered)]
    if calling:
        lines.append("operations with callbacks:")
        lines += [f"  {one.name}: {_callbacks(one)}" for one in calling]
    lines.append("nothing was written: choose operations. For example:")
    return [*lines, f"  {_example(every, calling, offered, file)}"]


def _callbacks(operation: Operation) -> str:
    return ", ".join(f"{hook.name} to {hook.url}" for hook in operation.callbacks)


def _example(every: Sequence[Operation], calling: Sequence[Operation], offered: Sequence[Hook], file: str) -> str:
    posts = [one for one in every if one.method == "POST"]
    first = next(iter([*calling, *posts, *every]), None)
    command = f"latehook import {file}"
    if first is None:
        on = f" --on 'POST /v1/x={offered[0].name}' --host api.slow.example" if offered else ""
        return f"{command}{on} -o mocks.yaml"
    below = [one for one in every if one.method == "GET" and is_below(one.path, first.path)]
    only = "".join(f" --only '{one.name}'" for one in [first, *below[:1]])
    on = f" --on '{first.name}={offered[0].name}'" if offered and not first.callbacks else ""
    return f"{command}{only}{on} -o mocks.yaml"
