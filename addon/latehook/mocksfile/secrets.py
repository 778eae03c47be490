"""Which values are secrets: what webhooks are signed with, and variables of the environment by their names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.base.errors import MocksError
from latehook.base.redaction import texts_in
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import Expression, Names
from latehook.expressions.names import AT_REQUEST, JOB, WEBHOOK
from latehook.mocksfile.source import Source

SECRET_NAMES = re.compile("SECRET|TOKEN|KEY|PASSWORD", re.IGNORECASE)

_AT_ATTEMPT: Names = {**AT_REQUEST, **JOB, **WEBHOOK, "vars": None}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is not to be shown. `variables` are the names of those that a secret is made of: they may be set later."""

    values: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()


def of_environment(env: Mapping[str, str]) -> Secrets:
    """The values of variables whose names say so."""
    return Secrets(frozenset(value for name, value in env.items() if SECRET_NAMES.search(name)))


def of_files(sources: Sequence[Source], env: Mapping[str, str]) -> Secrets:
    """Those of the environment and of files, which need not be right: what is wrong in them may not show one either.

    What an expression takes from a request is not known before it comes, and is none.
    """
    compiler = Compiler(env, set())
    found = [secret for source in sources for sign in _signs(source.data) for secret in _secrets(sign, compiler)]
    variables = {name for secret in found for name in _dials(secret)}
    files = [source.data for source in sources if isinstance(source.data, dict)]
    written = [file["vars"].get(name) for file in files if isinstance(file.get("vars"), dict) for name in variables]
    found += [_value(text, compiler) for text in texts_in(written)]
    known = (text for secret in found if not isinstance(secret, Expression) for text in texts_in(secret))
    return Secrets(of_environment(env).values.union(known), frozenset(variables))


def _signs(value: Any) -> Iterator[dict[str, Any]]:
    """Every `sign` with keys, wherever it stands: YAML's anchors may stand anywhere."""
    if isinstance(value, dict):
        if isinstance(value.get("sign"), dict):
            yield value["sign"]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _signs(item)


def _secrets(sign: Mapping[str, Any], compiler: Compiler) -> Iterator[Any]:
    """The secrets of a `sign`; of what Basic authentication sends, user:password, the password too."""
    for text in texts_in(sign.get("secret")):
        value = _value(text, compiler)
        yield value
        if sign.get("scheme") == "basic" and isinstance(value, str):
            yield value.partition(":")[2]


def _value(text: str, compiler: Compiler) -> Any:
    """What a text comes to; an Expression where more than the environment says so."""
    try:
        return compiler.compile(text, Source("").place(()), _AT_ATTEMPT)
    except MocksError:  # whatever is wrong with it is said when its mock is compiled, and not by showing it
        return text


def _dials(secret: Any) -> Iterator[str]:
    if isinstance(secret, Expression):
        for root in secret.roots:
            if root.startswith("vars."):
                yield root.split(".")[1]
