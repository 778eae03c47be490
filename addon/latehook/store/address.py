"""PURE: what the option `mock_store` names: memory, a file, or a schema of a PostgreSQL database."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode

from latehook.base.urls import origin_of, split_url
from latehook.store.protocol import MEMORY

SCHEMES = ("postgresql", "postgres")
DEFAULT_SCHEMA = "latehook"
SHOWN_PARAMETERS = frozenset({"host", "port", "dbname", "database", "sslmode"})
"""Parameters of a URL that messages show. Others may be secrets."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database and the schema in it. `url` may hold a password, so it is not in the `repr`.

    `name` is the URL as messages show it: without password and secret parameters.
    """

    name: str
    schema: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return self.name


Address = str | PostgresAddress
"""A file's path, MEMORY, or a PostgreSQL database."""


def parse_address(given: str) -> Address:
    """Return what a value of `mock_store` names; MEMORY if it is empty. Raises ValueError, which shows no password."""
    scheme, separator, _ = given.partition("://")
    if separator and scheme.lower() in SCHEMES:
        return _postgres(given)
    if separator and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme, re.IGNORECASE):
        raise ValueError(f"{scheme}:// is no store: write a file, or postgresql://HOST/DATABASE")
    return given or MEMORY


def _postgres(given: str) -> PostgresAddress:
    parts = split_url(given)
    if parts is None or origin_of(given) is None:
        remedy = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and / ? # @ in them as %2F %3F %23 %40"
        raise ValueError(f"postgresql://…: host or port is wrong: {remedy}")  # the text may have a part of the password
    user, password = parts.username, parts.password
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(parameters).get("schema", DEFAULT_SCHEMA)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise ValueError(f"schema={schema}: write a lower-case letter, then letters, digits and _, at most 63")
    others = [(name, value) for name, value in parameters if name != "schema"]
    shown = [(name, value) for name, value in parameters if name in SHOWN_PARAMETERS]
    if schema != DEFAULT_SCHEMA:
        shown.append(("schema", schema))
    place = parts.netloc.rpartition("@")[2]
    who = f"{quote(user, safe='%')}@" if user else ""
    secrets = [value for name, value in others if "pass" in name.lower()]
    if password:
        secrets += {password, quote(password, safe="")}
    return PostgresAddress(
        name=_url(f"{who}{place}", parts.path, shown),
        schema=schema,
        url=_url(parts.netloc, parts.path, others),
        secrets=tuple(secrets),
    )


def _url(place: str, path: str, parameters: Sequence[tuple[str, str]]) -> str:
    return f"postgresql://{place}{path}" + (f"?{urlencode(parameters)}" if parameters else "")
