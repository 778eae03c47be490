"""`validate`: requests are compared with an OpenAPI document. The mocks are loaded from a file, and used."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latehook.base.errors import FileNotSent, MocksError
from latehook.base.redaction import Redaction
from latehook.cli import main
from latehook.mocksfile.describing import describe
from latehook.mocksfile.loading import load, load_text, restore
from support.openapi_documents import SHOP
from support.scenario import Scenario, json_body

DOCUMENT = """
openapi: 3.0.3
servers: [{url: https://api.slow.example/v1}]
paths:
  /orders/{id}:
    post:
      parameters:
        - {name: dry, in: query, schema: {type: boolean}}
        - {name: tag, in: query, schema: {type: array, items: {type: string, minLength: 2}}}
        - {name: limit, in: query, required: true, schema: {type: integer, maximum: 10}}
        - {name: X-Tenant, in: header, required: true, schema: {type: string}}
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Order"}}
          application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Order"}}
      responses:
        "401": {description: no}
        "422": {content: {application/json: {example: {error: bad order}}}}
  /plain: {put: {responses: {}}}
components:
  schemas:
    Order:
      required: [id, count, price]
      properties:
        id: {type: string, readOnly: true}
        note: {type: string, nullable: true}
        parent: {$ref: "#/components/schemas/Order", description: the one before}
      allOf:
        - {type: object, additionalProperties: false, properties: {count: {type: integer}}}
        - {type: object, properties: {price: {type: number, minimum: 0, exclusiveMinimum: true}}}
"""
MOCKS = """
openapi: api.yaml
defaults: {validate: warn}
mocks:
  - match: POST https://api.slow.example/v1/orders/{order_id}
    job: {}
    response: {json: {id: "{{ job.id }}"}}
  - {match: PUT https://api.slow.example/v1/plain, validate: refuse}
  - {match: GET https://api.slow.example/v1/other, validate: "off"}
"""
URL = "https://api.slow.example/v1/orders/7?limit=3"
GOOD = {"count": 1, "price": 10.5}
JSON = "application/json; charset=utf-8"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Scenario]:
    def make(mocks: str = MOCKS, document: str = DOCUMENT) -> Scenario:
        (tmp_path / "api.yaml").write_text(document)
        (tmp_path / "mocks.yaml").write_text(mocks)
        return Scenario(load([tmp_path / "mocks.yaml"], {}))

    return make


@pytest.mark.parametrize(
    ("url", "body", "content_type", "problems"),
    [
        (URL, GOOD, JSON, []),
        (f"{URL}&dry=true&tag=ab&tag=cd", {**GOOD, "note": None, "parent": GOOD, "more": 1}, JSON, []),
        (URL, "count=1&price=10.5", "application/x-www-form-urlencoded", []),
        (URL, {"count": "x", "price": 1}, JSON, ['body.count: "x" is not of type "integer"']),
        (URL, {"count": 1, "price": 0, "note": 3}, JSON, ['body.note: 3 is not of types "null", "string"', "body.price: 0 is less than or equal to the minimum of 0"]),
        (URL, {**GOOD, "parent": {"count": 1}}, JSON, ['body.parent: "price" is a required property']),
        (URL, "count=x&price=1", "application/x-www-form-urlencoded", ['body.count: "x" is not of type "integer"']),
        (URL, "{", JSON, ["body: it is not JSON"]),
        (URL, "", JSON, ["body: it is missing"]),
        (URL, "x", "text/plain", ["header content-type: text/plain is not application/json or application/x-www-form-urlencoded"]),
        (URL[:-8], GOOD, JSON, ["query limit: it is missing"]),
        (f"{URL[:-8]}?limit=11&dry=maybe&tag=a", GOOD, JSON, ['query dry: "maybe" is not of type "boolean"', 'query tag[0]: "a" is shorter than 2 characters', "query limit: 11 is greater than the maximum of 10"]),
    ],
)  # fmt: skip
def test_what_differs_is_named_and_answered_all_the_same(
    opened: Callable[..., Scenario], url: str, body: Any, content_type: str, problems: list[str]
) -> None:
    sent = body if isinstance(body, str) else json.dumps(body)

    decision = opened().ask("POST", url, sent.encode(), content_type=content_type, x_tenant="a")

    assert sorted(decision.problems) == sorted(problems)
    assert decision.started is not None and json_body(decision) == {"id": decision.started.id}


def test_refuse_gives_the_documented_error_and_starts_no_job(opened: Callable[..., Scenario]) -> None:
    scenario = opened(MOCKS.replace("defaults: {validate: warn}", "defaults: {validate: refuse}"))

    refused = scenario.ask("POST", URL, b"{}", content_type=JSON)
    accepted = scenario.ask("POST", URL, json.dumps(GOOD).encode(), content_type=JSON, x_tenant="a")

    assert refused.response is not None and (refused.response.status, json_body(refused)) == (
        422,
        {"error": "bad order"},
    )
    assert (refused.started, refused.problems[0]) == (None, "header X-Tenant: it is missing")
    assert accepted.started is not None and accepted.problems == ()
    assert scenario.ask("PUT", "https://api.slow.example/v1/plain", b"anything").problems == ()


def test_check_says_which_mocks_compare(opened: Callable[..., Scenario]) -> None:
    first, second, third = opened().mocks.all

    assert "  warns of requests that do not fit the document" in describe(first)
    assert "  refuses requests that do not fit the document" in describe(second)
    assert third.validation is None


@pytest.mark.parametrize(
    ("mocks", "document", "problem"),
    [
        ("mocks: [{match: PUT a.example/x, validate: warn}]", "", "mocks.yaml:1: mocks[0].validate: the file names no document: write `openapi: FILE` beside `mocks`"),
        ("openapi: no.yaml\nmocks: [{match: PUT a.example/x, validate: warn}]", "", "mocks.yaml:1: openapi: the file '{folder}/no.yaml' cannot be read: No such file or directory"),
        (MOCKS, "a: [", "mocks.yaml:2: openapi: api.yaml:2: this is not YAML: did not find expected node content"),
        (MOCKS, "swagger: '2.0'", "mocks.yaml:3: defaults.validate: api.yaml is Swagger 2.0, which has no callbacks: convert it to OpenAPI 3 first, for example with `npx swagger2openapi api.yaml`: correct it, or write `validate: off`"),
        (MOCKS.replace("PUT", "PATCH"), DOCUMENT, "mocks.yaml:8: mocks[1].validate: the document has no operation for 'PATCH https://api.slow.example/v1/plain': correct it, or write `validate: off`"),
        (MOCKS, DOCUMENT.replace("{type: boolean}", "{pattern: '('}"), "mocks.yaml:3: defaults.validate: "),
        (MOCKS.replace("refuse", "refuze"), DOCUMENT, "mocks.yaml:8: mocks[1].validate: 'refuze' is not a value of `validate`; did you mean 'refuse'? (possible values: off, warn, refuse)"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line(
    opened: Callable[..., Scenario], tmp_path: Path, mocks: str, document: str, problem: str
) -> None:
    with pytest.raises(MocksError) as error:
        opened(mocks, document)

    assert str(error.value).startswith(f"{tmp_path}/{problem}".replace("{folder}", str(tmp_path)))


def test_a_missing_extra_is_one_clear_message(
    opened: Callable[..., Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)

    with pytest.raises(MocksError) as error:
        opened()
    assert str(error.value).endswith(
        "`validate` needs the package jsonschema-rs: pip install 'latehook[openapi]', or write `validate: off`"
    )
    assert opened(MOCKS.replace("validate: warn", "validate: 'off'").replace("refuse", "'off'")).mocks.all

    (tmp_path / "shop.yaml").write_text(SHOP)
    made = tmp_path / "made.yaml"
    assert (
        main(["import", str(tmp_path / "shop.yaml"), "--only", "/orders", "--host", "a.example", "-o", str(made)]) == 0
    )
    assert "validate" not in made.read_text()
    assert (
        "  requests are not compared with the document: pip install 'latehook[openapi]', and import again"
        in capsys.readouterr().err
    )


def test_posted_mocks_bring_their_document() -> None:
    with pytest.raises(FileNotSent) as missing:
        load_text(MOCKS, None, {}, {})
    assert missing.value.name == "api.yaml"

    mocks = load_text(MOCKS, None, {}, {}, {"api.yaml": DOCUMENT.encode()})

    assert Scenario(mocks).ask("POST", URL, b"{}", content_type=JSON).problems
    restored = restore(mocks.all[0].excerpt, {}, Redaction())  # a job keeps its mock: its request was compared before
    assert (restored.definition, restored.validation) == (mocks.all[0].definition, None)


def test_an_import_compares_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "api.yaml").write_text(
        DOCUMENT.replace(
            "/plain: {put: {", "/plain: {put: {parameters: [{name: q, in: query, schema: {pattern: '('}}], "
        )
    )
    monkeypatch.chdir(tmp_path)

    assert main(["import", "docs/api.yaml", "--only", "ANY /**", "-o", "mocks.yaml"]) == 0

    text = Path("mocks.yaml").read_text()
    assert "openapi: docs/api.yaml\ndefaults: {validate: warn}\nmocks:\n" in text
    assert "  # not compared with the document: " in text
    order, plain = (
        load([Path("mocks.yaml")], {}).all
        if "orders" in text.partition("plain")[0]
        else load([Path("mocks.yaml")], {}).all[::-1]
    )
    assert order.validation is not None and plain.validation is None


def test_mocks_that_compare_nothing_import_nothing_for_it(tmp_path: Path) -> None:
    import subprocess

    program = "import sys; from latehook.cli import main; main(['check', sys.argv[1]]); print(sorted({'yaml', 'jsonschema_rs', 'latehook.openapi'} & sys.modules.keys()))"
    file = tmp_path / "mocks.yaml"
    file.write_text("mocks: [{match: GET a.example/}]")

    ran = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "[]"
