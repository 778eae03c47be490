"""The JSON Schema of mocks files: it describes every key, and accepts what the loader accepts."""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from latehook.base import timestamps
from latehook.base.errors import MocksError
from latehook.base.messages import ResponseFault, WebhookFault
from latehook.mocks.definitions import Mock
from latehook.mocksfile.loading import load_text
from latehook.mocksfile.schema import json_schema
from latehook.mocksfile.source import Source
from latehook.mocksfile.words import VALIDATE_MODES
from latehook.webhooks import jws, keys, retries, schemes, templates
from support.paths import ADDON, ROOT

SCHEMA = json_schema()
TYPES: dict[str, Any] = SCHEMA["$defs"]
VALIDATOR = Draft202012Validator(SCHEMA)
ENV = {"CALLBACK_URL": "http://app.test/hook"}

RESPONSE = "mocks: [{match: GET a.example/, response: {%s}}]"
WEBHOOK = "mocks: [{match: GET a.example/, webhook: {to: 'http://a.test/', text: x, %s}}]"
SIGN = WEBHOOK % "sign: {secret: s, headers: {x: y}, %s}"
SIGNED = WEBHOOK % "sign: {scheme: github, secret: s}, %s"
FILES = {
    "Defaults": "{mocks: [{match: GET a.example/}], defaults: {%s}}",
    "ResponseEntry": RESPONSE,
    "ChoiceEntry": "mocks: [{match: GET a.example/, job: {}, response: [{when: true, %s}, {}]}]",
    "WebhookEntry": SIGNED,
    "SignEntry": SIGN,
    "JwtEntry": SIGN % "jwt: {%s}",
    "StageEntry": "mocks: [{match: GET a.example/, stages: [{%s}]}]",
    "StageTimeEntry": "mocks: [{match: GET a.example/, lookup: '1', stages: [{after: {%s}}]}]",
    "RetryEntry": WEBHOOK % "retry: {%s}",
    "ResponseFaultEntry": RESPONSE % "fault: {%s}",
    "WebhookFaultEntry": SIGNED % "fault: {%s}",
}
"""A mocks file in which keys of a type can be written in the place of %s."""
REQUIRED = {"StageTimeEntry": "ended: paid", "ResponseFaultEntry": "kind: reset", "WebhookFaultEntry": "kind: drop"}
"""Keys of a type without which no other key can be written."""


def properties() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind, schema in TYPES.items():
        for key, value in schema["properties"].items():
            yield kind, key, value


def mock_of(text: str) -> Mock:
    """Return the first mock of a text, without what depends on the text itself."""
    mock = load_text(text, None, ENV, {}).all[0]
    return dataclasses.replace(mock, excerpt=b"", definition="", constants={})


def is_valid(text: str) -> bool:
    return VALIDATOR.is_valid(Source.parse("mocks.yaml", text).data)


def examples() -> Iterator[Any]:
    for document in (ROOT / "README.md", ADDON / "REFERENCE.md", ADDON / "RECIPES.md"):
        for text in re.findall(r"^```yaml\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL):
            if re.search("^mocks:", text, re.MULTILINE):
                yield pytest.param(text, id=f"{document.name}: {text[:40]!r}")
    for file in (ADDON / "mocks.yaml", *sorted((ADDON / "providers").glob("*.yaml"))):
        yield pytest.param(file.read_text(), id=file.name)


def test_every_type_and_every_key_is_described() -> None:
    missing = [kind for kind, schema in TYPES.items() if not schema.get("description", "").endswith(".")]
    missing += [f"{kind}.{key}" for kind, key, value in properties() if not value.get("description", "").endswith(".")]

    assert missing == []


@pytest.mark.parametrize("text", examples())
def test_examples_and_shipped_files_are_valid(text: str) -> None:
    assert VALIDATOR.validate(Source.parse("mocks.yaml", text).data) is None


# Fixed sets of values

VALUES = [
    ("SignEntry", "scheme", [*schemes.SCHEMES]),
    ("SignEntry", "algorithm", [*keys.ALGORITHMS]),
    ("SignEntry", "secret_encoding", [*keys.SECRET_ENCODINGS]),
    ("SignEntry", "encoding", [*templates.ENCODINGS]),
    ("SignEntry", "timestamp_format", [*timestamps.FORMATS]),
    ("JwtEntry", "algorithm", [*jws.ALGORITHMS]),
    ("WebhookEntry", "retry", [*retries.RETRY_SCHEDULES]),
    ("RetryEntry", "waits", [*retries.RETRY_SCHEDULES]),
    ("WebhookEntry", "fault", [*WebhookFault]),
    ("WebhookFaultEntry", "kind", [*WebhookFault]),
    ("ResponseEntry", "fault", [*ResponseFault]),
    ("ChoiceEntry", "fault", [*ResponseFault]),
    ("ResponseFaultEntry", "kind", [*ResponseFault]),
]
MORE_VALUES = [
    ("WebhookEntry", "after", ["before-response"]),
    ("StageEntry", "after", ["before-response"]),
    ("MockEntry", "response", ["forward"]),
    ("MockEntry", "validate", [*VALIDATE_MODES]),
    ("Defaults", "validate", [*VALIDATE_MODES]),
]


def choices(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas with an `enum` inside a key's schema."""
    if "enum" in schema:
        yield schema
    for alternative in schema.get("anyOf", ()):
        yield from choices(alternative)


@pytest.mark.parametrize(("kind", "key", "values"), [*VALUES, *MORE_VALUES])
def test_a_fixed_set_of_values_is_that_of_the_code(kind: str, key: str, values: list[str]) -> None:
    [choice] = choices(TYPES[kind]["properties"][key])

    assert choice["enum"] == values
    assert len(choice.get("enumDescriptions", values)) == len(values)


def test_no_other_key_has_a_fixed_set_of_values() -> None:
    found = {(kind, key) for kind, key, value in properties() if list(choices(value))}

    assert found == {(kind, key) for kind, key, _ in (*VALUES, *MORE_VALUES)}


@pytest.mark.parametrize(
    ("kind", "key", "value", "values"), [(kind, key, value, values) for kind, key, values in VALUES for value in values]
)
def test_the_loader_accepts_each_value_and_refuses_a_similar_one(
    kind: str, key: str, value: str, values: list[str]
) -> None:
    try:
        mock_of(FILES[kind] % f"{key}: {value}")
    except MocksError as error:  # the value is known, and needs a secret of another form, or a name of its key
        assert "the secret is" in str(error) or "`key_id`, which is missing" in str(error)
    with pytest.raises(MocksError, match="possible values: ") as raised:
        mock_of(FILES[kind] % f"{key}: {value}-x")

    assert str(raised.value).endswith(f"(possible values: {', '.join(values)})")
    assert is_valid(FILES[kind] % f"{key}: {value}")
    assert is_valid(FILES[kind] % f"{key}: '{{{{ env.ANY }}}}'")
    assert not is_valid(FILES[kind] % f"{key}: {value}-x")


# Defaults


@pytest.mark.parametrize(
    ("kind", "key", "default"),
    [(kind, key, value["default"]) for kind, key, value in properties() if value.get("default") not in (None, {})],
)
def test_a_default_that_is_written_changes_nothing(kind: str, key: str, default: Any) -> None:
    required = REQUIRED.get(kind, "")
    with_default = FILES[kind] % f"{required}, {key}: {json.dumps(default)}".removeprefix(", ")

    assert is_valid(with_default)
    assert mock_of(with_default) == mock_of(FILES[kind] % required)


# Wrong files


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "mocks: {}", "x-a: 1", "mocks: []\nmock: []", "mocks: [{}]", "mocks: [{match: 5}]"),
        *(
            "mocks: [{match: /jobs}]",
            "mocks: [{match: api.slow.example/jobs}]",
            "mocks: [{match: POST api.slow.example}]",
        ),
        *("mocks: [{match: GET a.example/, respnse: {}}]", "mocks: [{match: GET a.example/, response: forwrd}]"),
        *("mocks: [{match: GET a.example/, times: 0}]", "mocks: [{match: GET a.example/, times: often}]"),
        *(RESPONSE % "status: ok", RESPONSE % "status: 199", RESPONSE % "status: '600'", RESPONSE % "colour: 1"),
        *(RESPONSE % "delay: 5 parsecs", RESPONSE % "delay: -1", RESPONSE % "delay: {uniform: [1s]}"),
        *(RESPONSE % "delay: {lognormal: {median: 1s, sigma: -1}}", RESPONSE % "headers: text"),
        *(RESPONSE % "fault: drop", RESPONSE % "fault: {chance: 0.2}", RESPONSE % "delay: before-response"),
        *(
            WEBHOOK.replace("http://a.test/", "app:8000/hook") % "",
            WEBHOOK % "retry: strpe",
            WEBHOOK % "retry: [1s, soon]",
        ),
        *(WEBHOOK % "retry: {stop_on: [4xy]}", WEBHOOK % "retry: {success: [99]}", WEBHOOK % "method: GET!"),
        *(WEBHOOK % "ordered: perhaps", WEBHOOK % "fault: reset", WEBHOOK % "fault: {kind: drop, chance: 20}"),
        *(WEBHOOK % "fault: {kind: drop, count: 0}", WEBHOOK % "query: [a]", WEBHOOK % "after: before-respons"),
        *(SIGN % "encoding: base46", SIGN % "skew: soon", SIGN % "skw: 5s"),
        *("mocks: []\ndefaults: {webhok: {}}", "mocks: []\nvars: []"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_the_schema_and_by_the_loader(text: str) -> None:
    assert not is_valid(text)
    with pytest.raises(MocksError):
        load_text(text, None, ENV, {})


@pytest.mark.parametrize("duration", ["250ms", "65s", "1m30s", "2h", "5d", "1.5s", "0s", "7", "1d 2h", " 5s ", 7, 0.5])
def test_a_duration_is_valid(duration: str | float) -> None:
    assert is_valid(RESPONSE % f"delay: {json.dumps(duration)}")


@pytest.mark.parametrize("duration", ["", " ", "5 parsecs", "-5s", "5s5m", -1, "s", True, "1e3"])
def test_a_text_that_is_not_a_duration_is_not_valid(duration: str | float) -> None:
    assert not is_valid(RESPONSE % f"delay: {json.dumps(duration)}")


@pytest.mark.parametrize(
    "text",
    [
        "mocks: []\nx-anything: [1, {a: b}]",
        "mocks: [{match: 'put|Post *.slow.example:8443/a/{id}.json', when: true, times: '3', lookup: request.path.id}]",
        "mocks: [{match: 'GET [::1]:8000/', response: forward}, {match: 'GET {{ env.CALLBACK_URL }}'}]",
        RESPONSE % "status: '404', headers: '{{ {} }}', delay: '{{ env.ANY | default(\"1s\") }}', fault: null",
        WEBHOOK.replace("to: 'http://a.test/', ", "")
        % "to: [null, HTTPS://a.test], after: before-response, sign: null",
        WEBHOOK
        % "ordered: '{{ true }}', verify: false, retry: {success: [2XX, 304], stop_on: ['410']}, query: {a: null}",
        SIGN % "skew: -10m",
        SIGN % "skew: -5",
    ],
)
def test_unusual_values_that_the_loader_accepts_are_valid(text: str) -> None:
    assert load_text(text, None, ENV, {}) is not None
    assert is_valid(text)
