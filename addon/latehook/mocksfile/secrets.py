"""Finds the secrets: keys that sign webhooks, and environment variables whose names say that they are secret."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latehook.base.errors import MocksError, Place
from latehook.base.redaction import texts_in
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import Expression, Names
from latehook.expressions.names import AT_REQUEST, JOB, WEBHOOK
from latehook.mocksfile.source import Source

SECRET_NAMES = re.compile("SECRET|TOKEN|KEY|PASSWORD", re.IGNORECASE)
"""An environment variable whose name contains one of these is a secret."""

_NAMES_AT_ATTEMPT: Names = {**AT_REQUEST, **JOB, **WEBHOOK, "vars": None}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Values that must not be shown. `variables` are the names of variables with a secret: a test may change them."""

    values: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()


def secrets_of_environment(env: Mapping[str, str]) -> Secrets:
    """Return the values of the environment variables whose names match SECRET_NAMES."""
    return Secrets(frozenset(value for name, value in env.items() if SECRET_NAMES.search(name)))


def secrets_of_files(sources: Sequence[Source], env: Mapping[str, str]) -> Secrets:
    """Return the secrets of the environment and of these files.

    The files may have errors: the messages about them must not show secrets either. A secret that an expression takes
    from a request is not known here, and not returned.
    """
    compiler = Compiler(env, set())
    found = [
        secret for source in sources for sign in _signs(source.data) for secret in _secrets(sign, source, compiler)
    ]
    variables = {name for secret in found for name in _variables(secret)}
    files = [source.data for source in sources if isinstance(source.data, dict)]
    values = [file["vars"].get(name) for file in files if isinstance(file.get("vars"), dict) for name in variables]
    found += [_value(text, compiler) for text in texts_in(values)]
    known = (text for secret in found if not isinstance(secret, Expression) for text in texts_in(secret))
    return Secrets(secrets_of_environment(env).values.union(known), frozenset(variables))


def _signs(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every `sign` map, wherever it is in the data: also under `x-…` keys, where YAML anchors may be."""
    if isinstance(value, dict):
        if isinstance(value.get("sign"), dict):
            yield value["sign"]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _signs(item)


def _secrets(sign: Mapping[str, Any], source: Source, compiler: Compiler) -> Iterator[Any]:
    """Yield the secrets of a `sign`. With `basic` the secret is `user:password`; the password alone is one too."""
    secret = sign.get("secret")
    for item in secret if isinstance(secret, list) else [secret]:
        if isinstance(item, dict) and isinstance(item.get("file"), str):
            yield from _content(item["file"], source, compiler)
            continue
        for text in texts_in(item):
            value = _value(text, compiler)
            yield value
            if sign.get("scheme") == "basic" and isinstance(value, str):
                yield value.partition(":")[2]


def _content(name: Any, source: Source, compiler: Compiler) -> Iterator[str]:
    """Yield the text of a file that has a secret. A file that cannot be read is reported when the mock is compiled."""
    name = str(_value(str(name), compiler))
    try:
        if source.posted is not None:
            yield source.posted.get(name, b"").decode()
        else:
            yield (Path(source.file).parent / Path(name).expanduser()).read_text()
    except (OSError, ValueError):
        return


def _value(text: str, compiler: Compiler) -> Any:
    """Return the value of a text; an Expression if the value depends on more than the environment."""
    try:
        return compiler.compile(text, Place("", 1), _NAMES_AT_ATTEMPT)
    except MocksError:  # the error is reported when the mock is compiled; until then the text counts as the secret
        return text


def _variables(secret: Any) -> Iterator[str]:
    """Yield the names of the variables that a secret is made of."""
    if isinstance(secret, Expression):
        for name in secret.reads:
            if name.startswith("vars."):
                yield name.split(".")[1]
