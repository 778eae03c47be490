"""The tables of REFERENCE have the same names as the code: keys, values, options, commands, paths, filters."""

import re
from collections.abc import Collection, Iterator
from typing import Any

import pytest

import latehook
from latehook import options
from latehook.base import timestamps
from latehook.base.messages import ResponseFault, WebhookFault
from latehook.base.model import State
from latehook.control.routes import OPERATIONS
from latehook.engine.filters import FILTERS
from latehook.expressions import filters, operators
from latehook.expressions.answers import AnsweredWebhookView
from latehook.expressions.names import AT_REQUEST, INDEX, ITEM, JOB, WEBHOOK
from latehook.expressions.random_values import RandomView
from latehook.expressions.views import JobView, RequestView, ResponseView, WebhookView
from latehook.mocks import bodies
from latehook.mocksfile.entries import File, JobEntry, MockEntry, ResponseEntry, StageEntry
from latehook.mocksfile.schema import json_schema
from latehook.mocksfile.shared_entries import DelayEntry, FaultEntry, Lognormal
from latehook.mocksfile.sign_entries import JwtEntry, SignEntry
from latehook.mocksfile.webhook_entries import RetryEntry, WebhookEntry
from latehook.proxy.commands import Commands
from latehook.webhooks import jws, retries, schemes, templates
from latehook.webhooks import keys as signing_keys
from support.paths import ROOT

REFERENCE = (ROOT / "addon" / "REFERENCE.md").read_text()
NAME = re.compile(r"`(\w[\w.-]*)`")


def section(title: str) -> str:
    """Return the text below a heading."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def rows(title: str, table: int = 0) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table, each as its cells. `table` counts the tables of the section."""
    tables = re.findall(r"^\|.*\|\n\|[- |]+\|\n(?:\|.*\n)+", section(title), re.MULTILINE)
    lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in tables[table].splitlines()]
    return lines[0], lines[2:]


def first_column(title: str, table: int = 0) -> list[str]:
    """Return the first cells of a table's rows."""
    return [cells[0] for cells in rows(title, table)[1]]


def names(cells: Collection[str]) -> list[str]:
    """Return what is written as code in these cells."""
    return [name for cell in cells for name in NAME.findall(cell)]


def row(title: str, name: str) -> str:
    """Return the row of a table whose first cell is a name."""
    return next(line for line in section(title).splitlines() if line.startswith(f"| `{name}` |"))


def keys(kind: type, *without: str) -> set[str]:
    return {*kind.__struct_fields__} - {*without}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("title", "table", "expected"),
    [
        ("A mocks file", 0, keys(File)),
        ("A mock", 0, keys(MockEntry)),
        ("Jobs", 0, keys(JobEntry)),
        ("Responses", 0, keys(ResponseEntry, *bodies.KINDS)),
        ("Responses", 1, {"when", "rejects"}),
        ("Stages", 0, keys(StageEntry)),
        ("Many webhooks", 0, {"each", "repeat"}),
        ("Webhooks", 0, keys(WebhookEntry, *bodies.KINDS)),
        ("Webhooks", 1, {*State}),
        ("Webhooks", 2, keys(RetryEntry)),
        ("Bodies", 0, {*bodies.KINDS}),
        ("Signing", 0, keys(SignEntry)),
        ("Signing", 2, keys(JwtEntry)),
        ("Faults", 0, {*ResponseFault}),
        ("Faults", 1, {*WebhookFault}),
        ("Faults", 2, keys(FaultEntry)),
        ("Options", 0, set(options.HELP)),
        ("Control", 1, {*FILTERS, "limit", "after"}),
    ],
)
def test_a_table_has_a_row_for_each_name(title: str, table: int, expected: set[str]) -> None:
    found = names(first_column(title, table))

    assert (set(found), len(found)) == (expected, len(expected))


def default_in_words(text: str) -> str:
    """Return what a description says behind "Default:", without the marks of code."""
    found = re.search(r"Default: (.*?)\.?$", text)
    return found[1].replace("`", "") if found else ""


def check_defaults(title: str, table: int, descriptions: dict[str, str]) -> None:
    head, body = rows(title, table)
    column = head.index("default")
    listed = {name: cells[column].replace("`", "") for cells in body for name in names(cells[:1])}

    assert listed == {name: default_in_words(descriptions[name]) for name in listed}


@pytest.mark.parametrize(
    ("title", "table", "kind"),
    [
        ("A mock", 0, "MockEntry"),
        ("Jobs", 0, "JobEntry"),
        ("Responses", 0, "ResponseEntry"),
        ("Responses", 1, "ChoiceEntry"),
        ("Stages", 0, "StageEntry"),
        ("Webhooks", 0, "WebhookEntry"),
        ("Webhooks", 2, "RetryEntry"),
        ("Signing", 0, "SignEntry"),
        ("Signing", 2, "JwtEntry"),
        ("Faults", 2, "WebhookFaultEntry"),
    ],
)
def test_the_defaults_of_keys_are_those_of_the_json_schema(title: str, table: int, kind: str) -> None:
    properties: dict[str, Any] = json_schema()["$defs"][kind]["properties"]

    check_defaults(title, table, {name: schema["description"] for name, schema in properties.items()})


def test_the_defaults_of_options_are_those_of_their_help() -> None:
    check_defaults("Options", 0, options.HELP)


def test_the_random_times_are_listed() -> None:
    cells = first_column("Times")[2:]

    assert [re.findall(r"\w+", cell)[0] for cell in cells] == [*DelayEntry.__struct_fields__]
    assert re.findall(r"\w+", cells[1])[1:] == [*Lognormal.__struct_fields__]


def test_the_names_of_expressions_are_listed() -> None:
    cells = {name: value for first, value in rows("Expressions")[1] for name in re.findall(r"\w+", first)}
    of_response = re.search(r"`response` \((.*?)\)", cells["job"])
    assert of_response is not None

    assert cells.keys() - {"filters", "tests"} == {*AT_REQUEST, *JOB, *WEBHOOK, *ITEM, *INDEX, "vars"}
    assert set(names([cells["request"].partition(".")[0]])) == RequestView.members
    assert (
        set(names([cells["job"].replace(of_response[0], "`response`").replace(".STATUS", "").replace(".EVENT", "")]))
        == JobView.members
    )
    assert set(names(first_column("What a receiver answered"))) == AnsweredWebhookView.members
    assert set(names([of_response[1]])) == ResponseView.members
    assert set(names([cells["webhook"]])) == WebhookView.members
    assert set(re.findall(r"`(\w+)\(", cells["random"])) == RandomView.members
    assert set(re.findall(r"`is (\w+)", cells["tests"])) == operators.COUNTING_TESTS.keys()
    assert set(re.findall(r"`(\w+)", cells["filters"])) == filters.FILTERS.keys() - {
        "default",
        "d",
        "first",
        "last",
        "items",
    }  # Jinja's names


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("scheme", schemes.SCHEMES),
        ("algorithm", signing_keys.ALGORITHMS),
        ("secret_encoding", signing_keys.SECRET_ENCODINGS),
        ("encoding", templates.ENCODINGS),
        ("timestamp_format", timestamps.FORMATS),
    ],
)
def test_a_key_of_sign_lists_its_values(key: str, values: Collection[str]) -> None:
    assert names([row("Signing", key).split("|")[2]]) == [*values]


def test_the_algorithms_of_jwts_are_listed() -> None:
    assert names([rows("Signing", 2)[1][0][1]]) == [*jws.ALGORITHMS]


def test_every_token_of_a_template_is_listed() -> None:
    table = rows("Signing", 1)[1]
    listed = {token.name for first, _ in table for token in templates.tokens_in(first)}
    hashes = next(names([second]) for first, second in table if "{sha256}" in first)

    assert listed.union(hashes) == templates.TOKENS


def test_the_retry_presets_are_listed() -> None:
    listed = re.search(r"^Presets: ([^.]*)\.", section("Webhooks"), re.MULTILINE)

    assert listed is not None and names([listed[1]]) == [*retries.RETRY_SCHEDULES]


def test_the_commands_are_listed() -> None:
    commands = {value.command_name for value in vars(Commands).values() if hasattr(value, "command_name")}

    assert commands
    assert set(re.findall(r"`(mock\.\w+)", "\n".join(first_column("Commands")))) == commands


def _paths(cell: str) -> Iterator[tuple[str, str]]:
    """Yield the operations that a cell such as "`GET jobs`, `jobs/ID`" names."""
    method = path = ""
    for code in re.findall(r"`(.*?)`", cell):
        if " " in code:
            method, code = code.split(" ")
        path = code.replace("…", path.rpartition("/")[0])
        yield method, path


def test_the_operations_of_the_control_api_are_listed() -> None:
    listed = [path for cell in first_column("Control") for path in _paths(cell)]
    operations = [(one.method, one.path.replace("{id}", "ID")) for one in OPERATIONS if one.path]

    assert sorted(listed) == sorted(operations)


def test_the_public_names_are_listed() -> None:
    assert sorted(names(first_column("Public Python names"))) == sorted(latehook.__all__)
