"""Mocks files read, checked and compiled. Every error names file, line and key, the value and the remedy."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from latehook.base.errors import MocksError, Place
from latehook.base.redaction import Redaction
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import Names
from latehook.expressions.names import AT_LOAD
from latehook.mocks.definitions import Mock, Mocks
from latehook.mocks.matching import shadows
from latehook.mocksfile import entries
from latehook.mocksfile.mocks import MockCompiler
from latehook.mocksfile.secrets import Secrets, of_environment, of_files
from latehook.mocksfile.source import Source
from latehook.mocksfile.values import Values

POSTED = "posted mocks"
"""What errors call a text that came without a file."""


def load(files: Sequence[Path], env: Mapping[str, str], missing: set[str] | None = None) -> Mocks:
    """The mocks of all files, in order. MocksError for the first thing that is wrong.

    A variable that is not in `env` and has no default is an error, or is put into `missing` where that is given.
    """
    return _safely(lambda: [_read(file) for file in files], env, missing)


def load_text(text: str, file: str | None, env: Mapping[str, str], variables: Mapping[str, Any]) -> Mocks:
    """The mocks of a text, which stand in front of others that have these variables. MocksError."""
    return _safely(lambda: [Source.read(file or POSTED, text)], env, None, variables)


def _safely(
    read: Callable[[], Sequence[Source]],
    env: Mapping[str, str],
    missing: set[str] | None,
    others: Mapping[str, Any] | None = None,
) -> Mocks:
    """Read and compile; no error shows a secret."""
    secrets = of_environment(env)
    try:
        sources = read()
        secrets = of_files(sources, env)
        return _compiled(sources, Compiler(env, missing), secrets, others)
    except MocksError as error:
        raise MocksError(error.place, Redaction(secrets.values).redact(error.problem)) from None


def _compiled(
    sources: Sequence[Source], compiler: Compiler, secrets: Secrets, others: Mapping[str, Any] | None = None
) -> Mocks:
    converted = [entries.convert(source) for source in sources]
    variables = _dials(sources, converted, compiler)
    names: Names = {"vars": dict.fromkeys((*(others or ()), *variables))}
    job_vars = None if others is not None else _job_vars(converted)
    compilers = [
        MockCompiler(source, compiler, file.defaults.webhook, entry, at, names, job_vars)
        for source, file in zip(sources, converted, strict=True)
        for at, entry in enumerate(file.mocks)
    ]
    mocks = [one.compile() for one in compilers]
    _check_names(mocks)
    _check_shadows(mocks)
    later = frozenset().union(*(one.later for one in compilers))
    reads = frozenset().union(*(one.reads for one in compilers))
    return Mocks(mocks, variables, reads, later, secrets.values, secrets.variables)


def revive(written: bytes, env: Mapping[str, str], redaction: Redaction) -> Mock:
    """A mock as it was written for a job that has started with it; its secrets are hidden from now on.

    MocksError, where the environment has changed.
    """
    source, at = Source.of_excerpt(written)
    redaction.add(of_files([source], env).values)
    entry = msgspec.convert(source.data["mocks"][at], entries.MockEntry)
    defaults = msgspec.convert(source.data["defaults"], entries.Defaults)
    return MockCompiler(source, Compiler(env), defaults.webhook, entry, at, {"vars": None}, None).compile()


def _read(file: Path) -> Source:
    try:
        return Source.read(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MocksError(Place(str(file), 1), f"cannot be read: {reason}") from None


def _dials(sources: Sequence[Source], files: Sequence[entries.File], compiler: Compiler) -> dict[str, Any]:
    """The variables of all files. Two files may name the same one, if they set it to the same."""
    variables: dict[str, Any] = {}
    for source, file in zip(sources, files, strict=True):
        values = Values(source, compiler)
        for name, written in file.vars.items():
            value = values.compile(written, ("vars", name), AT_LOAD)
            if variables.setdefault(name, value) != value:
                problem = f"another file sets the variable {name!r} to {variables[name]!r}, this one to {value!r}"
                raise MocksError(source.place(("vars", name)), f"{problem}: give each its own name")
    return variables


def _job_vars(files: Iterable[entries.File]) -> Names | None:
    """The names that any job may have in its vars; None where an expression makes them."""
    names: dict[str, Any] = {}
    for job in (mock.job for file in files for mock in file.mocks):
        if isinstance(job, entries.JobEntry):
            if isinstance(job.vars, str):
                return None
            names |= dict.fromkeys(job.vars)
    return names


def _check_names(mocks: Sequence[Mock]) -> None:
    """A name that was given says which mock is meant, so it stands once."""
    first: dict[str, Mock] = {}
    for mock in mocks:
        if mock.name == mock.matcher.text:
            continue
        before = first.setdefault(mock.name, mock)
        if before is not mock:
            where = f"{before.place.file}:{before.place.line}"
            raise MocksError(mock.place, f"the name {mock.name!r} is taken ({where}): give each mock its own")


def _check_shadows(mocks: Sequence[Mock]) -> None:
    """A mock behind one that takes all its requests can never match."""
    always: defaultdict[str | None, list[Mock]] = defaultdict(list)
    for mock in mocks:
        start = mock.matcher.first_literal
        for before in always[start] + (always[None] if start is not None else []):
            if shadows(before.matcher, mock.matcher):
                where = f"{before.place.file}:{before.place.line}"
                remedy = "put it in front of that one, or give that one a `when`"
                raise MocksError(mock.place, f"{mock.name!r} can never match: {where} takes its requests; {remedy}")
        if mock.when is None and mock.times is None and mock.lookup is None:
            always[start].append(mock)
