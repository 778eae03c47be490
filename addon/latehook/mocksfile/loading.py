"""Loads mocks files: reads, checks and compiles them. Every error names file, line and key, and says what to write."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from latehook.base.errors import FileNotSent, MocksError, Place
from latehook.base.json_text import encode_json
from latehook.base.redaction import Redaction
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import Names
from latehook.expressions.names import AT_LOAD
from latehook.mocks.definitions import Mock, Mocks
from latehook.mocksfile import entries
from latehook.mocksfile.mocks import MockCompiler
from latehook.mocksfile.reachability import Covering
from latehook.mocksfile.secrets import Secrets, secrets_of_environment, secrets_of_files
from latehook.mocksfile.source import Source
from latehook.mocksfile.validation import to_entries
from latehook.mocksfile.validations import with_validations
from latehook.mocksfile.values import Values

POSTED = "posted mocks"
"""The file name in errors for a text that came without one."""


def load(files: Sequence[Path], env: Mapping[str, str], missing: set[str] | None = None) -> Mocks:
    """Return the mocks of all files, in order. Raises MocksError for the first error.

    A variable that is not in `env` and has no default is an error, or is added to `missing` if that is given.
    """
    with _redacted_errors(secrets_of_environment(env)):
        sources = [_read(file) for file in files]
    return _compile(sources, env, missing)


def load_text(
    text: str,
    file: str | None,
    env: Mapping[str, str],
    variables: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> Mocks:
    """Return the mocks of a text. They are used together with other mocks, which define `variables`.

    `file` is the name for errors. `files` are the contents of the files that the text names: none are read from this
    machine. Raises MocksError, FileNotSent for a file that is not in `files`.
    """
    with _redacted_errors(secrets_of_environment(env)):
        source = Source.parse(file or POSTED, text, files or {})
    return _compile([source], env, None, variables)


def load_new(text: str, file: str, missing: set[str]) -> Mocks:
    """Return the mocks of a text that is to become a file of this name. Raises MocksError.

    Environment variables are not read: those that the text needs are added to `missing`.
    """
    return _compile([Source.parse(file, text)], {}, missing)


def restore(excerpt: bytes, env: Mapping[str, str], redaction: Redaction) -> Mock:
    """Return the mock of an excerpt that was stored with a job, and add its secrets to `redaction`.

    Raises MocksError if it cannot be compiled any more, because the environment or a file that it names has changed.
    """
    source, index = Source.from_excerpt(excerpt)
    redaction.add(secrets_of_files([source], env).values)
    entry = msgspec.convert(source.data["mocks"][index], entries.MockEntry)
    defaults = msgspec.convert(source.data["defaults"], entries.Defaults)
    return MockCompiler(source, Compiler(env), defaults.webhook, entry, index, {"vars": None}, None).compile()


@contextmanager
def _redacted_errors(secrets: Secrets) -> Iterator[None]:
    """Redact the secrets in a MocksError that is raised inside."""
    try:
        yield
    except FileNotSent:  # who sent the mocks knows the name
        raise
    except MocksError as error:
        raise MocksError(error.place, Redaction(secrets.values).redact(error.problem)) from None


def _read(file: Path) -> Source:
    try:
        return Source.parse(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MocksError(Place(str(file), 0), f"cannot be read: {reason}") from None


def _compile(
    sources: Sequence[Source],
    env: Mapping[str, str],
    missing: set[str] | None,
    other_variables: Mapping[str, Any] | None = None,
) -> Mocks:
    """Compile the mocks of these files. `other_variables` are those of other mocks that are used with them."""
    secrets = secrets_of_files(sources, env)
    with _redacted_errors(secrets):
        compiler = Compiler(env, missing)
        files = [to_entries(source) for source in sources]
        variables = _variables(sources, files, compiler)
        names: Names = {"vars": dict.fromkeys((*(other_variables or ()), *variables))}
        job_vars = None if other_variables is not None else _job_vars(files)
        mock_compilers = [
            MockCompiler(source, compiler, file.defaults.webhook, entry, index, names, job_vars)
            for source, file in zip(sources, files, strict=True)
            for index, entry in enumerate(file.mocks)
        ]
        mocks = _with_validations(sources, files, [one.compile() for one in mock_compilers], compiler)
        _check_names(mocks)
        _check_reachable(mocks)
    body_members = frozenset().union(*(one.body_members for one in mock_compilers))
    if any(mock.validation is not None for mock in mocks):
        body_members |= {"json", "form", "files"}
    kept_members = frozenset().union(*(one.kept_members for one in mock_compilers))
    return Mocks(mocks, variables, body_members, kept_members, secrets.values, secrets.variables)


def _with_validations(
    sources: Sequence[Source], files: Sequence[entries.File], mocks: Sequence[Mock], compiler: Compiler
) -> list[Mock]:
    """Return all mocks; those with `validate` compare their requests with the document of their file."""
    found: list[Mock] = []
    for source, file in zip(sources, files, strict=True):
        own = mocks[len(found) : len(found) + len(file.mocks)]
        found += with_validations(source, file, own, compiler)
    return found


def _variables(sources: Sequence[Source], files: Sequence[entries.File], compiler: Compiler) -> dict[str, Any]:
    """Return the variables of all files. Two files may define the same one only with the same value."""
    variables: dict[str, Any] = {}
    for source, file in zip(sources, files, strict=True):
        values = Values(source, compiler)
        for name, text in file.vars.items():
            value = values.compile(text, ("vars", name), AT_LOAD)
            if encode_json(variables.setdefault(name, value)) != encode_json(value):  # 1.0 and 1.00 are different
                problem = f"another file sets the variable {name!r} to {variables[name]!r}, this one to {value!r}"
                raise MocksError(source.place(("vars", name)), f"{problem}: rename one, or give both the same value")
    return variables


def _job_vars(files: Iterable[entries.File]) -> Names | None:
    """Return all names that `job.vars` can have; None if an expression makes them, so that they are not known."""
    names: dict[str, Any] = {}
    for job in (mock.job for file in files for mock in file.mocks):
        if isinstance(job, entries.JobEntry):
            if isinstance(job.vars, str):
                return None
            names |= dict.fromkeys(job.vars)
    return names


def _check_names(mocks: Sequence[Mock]) -> None:
    """Refuse a `name` that two mocks have: filters and messages identify a mock by it."""
    first: dict[str, Mock] = {}
    for mock in mocks:
        if mock.name == mock.matcher.text:
            continue
        before = first.setdefault(mock.name, mock)
        if before is not mock:
            where = before.place.line_of_file
            raise MocksError(mock.place, f"the mock at {where} has the name {mock.name!r} too: rename one of them")


def _check_reachable(mocks: Sequence[Mock]) -> None:
    """Refuse a mock that can never answer, because one before it answers all of its requests."""
    unconditional: Covering[Mock] = Covering()
    for mock in mocks:
        before = unconditional.first_that_covers(mock.matcher)
        if before is not None:
            where = before.place.line_of_file
            problem = f"{mock.name!r} can never match, because the mock at {where} answers all of its requests"
            raise MocksError(mock.place, f"{problem}: move it in front of that one, or give that one a `when`")
        if mock.when is None and mock.times is None and mock.lookup is None:
            unconditional.add(mock.matcher, mock)
