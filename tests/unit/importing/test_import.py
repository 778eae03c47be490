"""`latehook import`: what an OpenAPI document gives. Each file that is made is loaded and used."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from latehook.base.errors import LatehookError
from latehook.cli import main
from latehook.importing import import_command, writing
from latehook.importing.openapi.choice import choose
from latehook.importing.openapi.mocks import import_
from latehook.importing.openapi.runtime_expressions import NotUnderstood, translate
from latehook.mocksfile.loading import load
from latehook.openapi.document import Document, NotReadable
from latehook.openapi.reading import read_document
from support.openapi_documents import SHOP, TRANSCRIBE
from support.scenario import Scenario, json_body

HOOK = "http://app.test/hook"
API = "https://api.slow.example/v2"


@pytest.fixture
def imports(tmp_path: Path) -> Callable[..., Scenario]:
    """`imports(document, arguments…)` runs the command, and returns a scenario with what it has written."""

    def run(document: str, *arguments: str, file: str = "api.yaml") -> Scenario:
        (tmp_path / file).write_text(document)
        output = tmp_path / "mocks.yaml"
        output.unlink(missing_ok=True)
        assert main(["import", str(tmp_path / file), *arguments, "-o", str(output)]) == 0
        return Scenario(load([output], {"CALLBACK_URL": HOOK}))

    return run


def made_of(
    document: str, *only: str, on: tuple[str, ...] = (), host: str | None = "api.slow.example"
) -> dict[str, Any]:
    """Return the mocks file that is made of a document's operations, as data; all operations by default."""

    def load_nothing(name: str) -> Any:
        raise NotReadable("there are no other files")

    opened = Document(read_document(document, "api.yaml"), "api.yaml", load_nothing)
    choice = choose(opened, only or ("ANY /**",), on, host)
    text = import_command.mocks_file(import_(opened, choice), opened, choice, Path("api.yaml"), {})
    writing.check_text(text, Path("mocks.yaml"))
    data: dict[str, Any] = YAML(typ="safe").load(text)
    return data


def test_a_job_goes_through_its_statuses_and_calls_back(imports: Callable[..., Scenario], tmp_path: Path) -> None:
    scenario = imports(TRANSCRIBE, "--only", "POST /transcript", "--only", "ANY /transcript/{id}")
    body = json.dumps({"audio_url": "https://files.example/a.mp3", "webhook_url": HOOK, "language": "de"}).encode()

    started = scenario.ask("POST", f"{API}/transcript", body, content_type="application/json")
    made = json_body(started)
    early = json_body(scenario.ask("GET", f"{API}/transcript/{made['id']}"))
    scenario.elapsed = 6
    middle = json_body(scenario.ask("GET", f"{API}/transcript/{made['id']}"))
    scenario.elapsed = 11
    late = json_body(scenario.ask("GET", f"{API}/transcript/{made['id']}"))

    assert made["id"].startswith("tr_") and made["id"] != "tr_8Kx2mQ7pL0vN4tRw"
    assert [made["status"], early["status"], middle["status"], late["status"]] == [
        "queued",
        "queued",
        "processing",
        "completed",
    ]
    assert made["language"] == late["language"] == "de"
    assert made["id"] == late["id"]
    assert started.started is not None
    [webhook] = started.started.webhooks
    assert (webhook.to, webhook.event) == (HOOK, "ready")
    assert json.loads(scenario.content(started).body or b"") == {"transcript_id": made["id"], "status": "completed"}
    assert scenario.ask("DELETE", f"{API}/transcript/{made['id']}").response.status == 204  # type: ignore[union-attr]
    assert scenario.ask("GET", f"{API}/transcript/nothing").response.status == 404  # type: ignore[union-attr]
    text = (tmp_path / "mocks.yaml").read_text()
    assert "# guessed: the order of the statuses, and 5 s between them; it may also be error" in text
    assert "# not sent: the callback redacted, here as a stage; or --on 'POST /transcript=redacted'" in text


def test_without_a_choice_it_lists_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("api.yaml").write_text(TRANSCRIBE)
    Path("shop.yaml").write_text(SHOP)

    assert main(["import", "api.yaml", "-o", "mocks.yaml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "api.yaml: OpenAPI 3.1.0, 4 operations",
        "operations without callbacks:",
        "  GET /transcript/{transcript_id}",
        "  DELETE /transcript/{transcript_id}",
        "  GET /languages",
        "operations with callbacks:",
        "  POST /transcript: ready to {$request.body#/webhook_url}, redacted to {$request.body#/webhook_url}/redacted",
        "nothing was written: choose operations. For example:",
        "  latehook import api.yaml --only 'POST /transcript' --only 'GET /transcript/{transcript_id}' -o mocks.yaml",
    ]
    assert main(["import", "shop.yaml"]) == 0
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "  POST /orders",
        "webhooks; the document does not say which request leads to them:",
        "  order.paid",
        "  order.shipped",
        "nothing was written: choose operations. For example:",
        "  latehook import shop.yaml --only 'POST /orders' --on 'POST /orders=order.paid' -o mocks.yaml",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["api.yaml", "shop.yaml"]


def test_webhooks_are_hung_under_a_request(imports: Callable[..., Scenario]) -> None:
    on = ("--on", "POST /orders=order.paid", "--on", "POST /orders=order.shipped")
    scenario = imports(SHOP, "--only", "POST /orders", *on, "--host", "shop.example")
    form = {"content_type": "application/x-www-form-urlencoded"}

    started = scenario.ask(
        "POST", "https://shop.example/shop/v1/orders", b"reference=r-9&notify_url=http://app.test/x", **form
    )
    other = scenario.ask("POST", "https://shop.example/shop/v1/orders", b"reference=r-9", **form)

    assert started.started is not None and other.started is not None
    assert [(one.to, one.event) for one in started.started.webhooks] == [
        ("http://app.test/x", "order.paid"),
        ("http://app.test/x", "order.shipped"),
    ]
    assert other.started.webhooks[0].to == HOOK
    answer, webhook = json_body(started), json.loads(scenario.content(started).body or b"")
    assert started.response is not None and b'"total":10.50' in started.response.body
    assert answer["reference"] == webhook["data"]["reference"] == "r-9"
    assert isinstance(answer["id"], int) and webhook["data"]["id"] == answer["id"]
    assert webhook["type"] == "order.paid" and webhook["id"] not in ("evt_1", answer["id"])
    assert scenario.attempt(started, 1).method == "PUT"


def test_examples_come_back_exactly(imports: Callable[..., Scenario]) -> None:
    """What looks like an expression is text, `no` is a name, a date a text, and a number is as it was written."""
    scenario = imports(TRANSCRIBE, "--only", "GET /languages")

    decision = scenario.ask("GET", f"{API}/languages")

    assert decision.response is not None
    assert decision.response.body == b'{"no":"Norsk","{{ x }}":"{% raw %}","since":"2020-01-01","price":10.00}'
    for text in ("{{ 7*7 }}", "{# x #}", "}}", "{{", "a {% if %} b", "\\{{", "{{ '{{' }}"):
        shown = f"openapi: 3.0.0\npaths: {{/x: {{get: {{responses: {{200: {{content: {{text/plain: {{example: {json.dumps(text)}}}}}}}}}}}}}}}"
        decision = imports(shown, "--only", "/x", "--host", "slow.example").ask("GET", "https://slow.example/x")
        assert decision.response is not None and decision.response.body.decode() == text


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        ("{$request.body#/webhook_url}", "{{ request.json.webhook_url }}"),
        ("{request.body#/notificationUri}", "{{ request.json.notificationUri }}"),
        ("$request.body#/url", "{{ request.json.url }}"),
        ("{$request.body#/a/b~1c/0/d-e}", "{{ request.json.a['b/c'][0]['d-e'] }}"),
        ("{$request.body.url}", "{{ request.json.url }}"),
        ("{$request.body#/url}/update", "{{ request.json.url and request.json.url ~ '/update' }}"),
        ("{$request.query.callbackUrl}/data", "{{ request.query.callbackUrl and request.query.callbackUrl ~ '/data' }}"),
        ("{$request.header.X-Callback-Url}", "{{ request.headers.x_callback_url }}"),
        ("http://app.test/{$request.path.order-id}?u={$url}", "http://app.test/{{ request.path.order_id }}?u={{ request.url }}"),
        ("http://app.test/{$response.body#/id}/{$method}", "http://app.test/{{ job.id }}/{{ request.method }}"),
        ("{$response.header.Location}", "https://slow.example/{{ job.id }}"),
        ("http://app.test/literal", "http://app.test/literal"),
    ],
)  # fmt: skip
def test_runtime_expressions(expression: str, made: str) -> None:
    values = {"body/id": "{{ job.id }}", "headers/location": "https://slow.example/{{ job.id }}"}

    assert translate(expression, "request.json", lambda path: values.get("/".join(path))) == made


@pytest.mark.parametrize(
    "expression", ["{callback}", "{$request.cookie.x}", "{$response.body#/nothing}", "{$statusCode}"]
)
def test_other_texts_in_braces_are_no_runtime_expressions(expression: str) -> None:
    with pytest.raises(NotUnderstood):
        translate(expression, "request.json", lambda path: None)


def test_files_beside_the_document_are_read_and_nothing_is_fetched(
    imports: Callable[..., Scenario],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection or lookup: {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "orders.yaml").write_text(
        "post: {responses: {200: {content: {application/json: {schema: {$ref: '../schemas.json#/Order'}}}}}}"
    )
    (tmp_path / "schemas.json").write_text(
        '{"Order": {"properties": {"name": {"$ref": "#/Name"}, "far": {"$ref": "http://slow.example/x.yaml#/Y"},'
        ' "own": {"$ref": "/etc/passwd#/x"}, "lost": {"$ref": "lost.yaml"}}}, "Name": {"type": "string", "example": "x"}}'
    )
    scenario = imports(
        "openapi: 3.0.0\npaths: {/orders: {$ref: parts/orders.yaml}}", "--only", "/orders", "--host", "h.example"
    )

    assert json_body(scenario.ask("POST", "https://h.example/orders"))["name"] == "x"
    left_out = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert left_out == [
        "  left out: $ref http://slow.example/x.yaml#/Y: only files beside the document are read, nothing is fetched from elsewhere",
        "  left out: $ref /etc/passwd#/x: only files beside the document are read, nothing is fetched from elsewhere",
        "  left out: $ref lost.yaml: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("document", "arguments", "problem"),
    [
        ('swagger: "2.0"', [], "api.yaml is Swagger 2.0, which has no callbacks: convert it to OpenAPI 3 first, for example with `npx swagger2openapi api.yaml`"),
        ("asyncapi: 3.0.0", [], "api.yaml is an AsyncAPI document; Latehook reads OpenAPI 3.0, 3.1 and 3.2"),
        ("[1]", [], "api.yaml is no OpenAPI document: it has no key `openapi`; Latehook reads OpenAPI 3.0, 3.1 and 3.2"),
        ("openapi: 4.0.0", [], "api.yaml is OpenAPI 4.0.0: Latehook reads OpenAPI 3.0, 3.1 and 3.2"),
        ("openapi: 3.0.0\n x: [", [], "api.yaml:2: this is not YAML: mapping values are not allowed in this context"),
        ("a: &a [*a]", [], "api.yaml:1: the alias *a contains itself"),
        ("[" * 500, [], "api.yaml:1: lists and maps are more than 400 levels deep here"),
        (SHOP, ["--only", "POST /order"], "--only 'POST /order': the document has no such operation; did you mean 'POST /orders'?"),
        (SHOP, ["--only", "POST /orders"], "the document names no host for POST /orders: name it with --host"),
        (SHOP, ["--only", "POST /orders", "--host", "a b"], "'GET a b/' is not a match: write METHOD [scheme://]host[:port]/path, such as POST https://api.slow.example/jobs: name the host with --host"),
        (SHOP, ["--on", "POST /orders"], "--on 'POST /orders': write 'METHOD /path=WEBHOOK', such as 'POST /v1/orders=order.paid'"),
        (SHOP, ["--on", "POST /orders=order.payd"], "--on 'POST /orders=order.payd': the document has no webhook 'order.payd'; did you mean 'order.paid'?"),
        (SHOP, ["--only", "/orders", "--host", "h", "-o", "api.yaml"], "api.yaml exists, and is not written over: name another file with -o, or -o - to print"),
    ],
)  # fmt: skip
def test_each_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    document: str, arguments: list[str], problem: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("api.yaml").write_text(document)

    assert main(["import", "api.yaml", *arguments]) == 1
    assert capsys.readouterr() == ("", f"latehook import: {problem}\n")


def test_the_same_document_gives_the_same_bytes_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("api.yaml").write_text(TRANSCRIBE)
    outputs = set()
    for _ in range(2):
        assert main(["import", "api.yaml", "--only", "ANY /**", "-o", "-"]) == 0
        outputs.add(capsys.readouterr().out)

    assert len(outputs) == 1 and str(tmp_path) not in outputs.pop()


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("/a/{order-id}/{order-id}", "/a/{order_id}/{order_id_2}"),
        ("/a/:id", "/a/{id}"),
        ("a b/{1}", "/a%20b/{p_1}"),
        ("/x/**/*", "/x/%2A%2A/%2A"),
        ("/x:cancel/{id}.json", "/x:cancel/{id}.json"),
    ],
)
def test_paths_are_written_as_a_match_has_them(path: str, match: str) -> None:
    document = json.dumps({"openapi": "3.0.0", "paths": {path: {"get": {}}}})

    assert [mock["match"] for mock in made_of(document)["mocks"]] == [f"GET api.slow.example{match}"]


def test_operations_with_one_path_are_told_apart_by_its_query() -> None:
    document = """
openapi: 3.2.0
paths:
  /jobs/{id}: {get: {}}
  /jobs/all: {get: {}, additionalOperations: {PURGE: {}}, query: {}}
  /token: {post: {}}
  /token?refresh: {post: {}}
  "/token#a": {post: {}}
"""
    data = made_of(document)

    assert [(mock["match"].partition(" ")[0], mock.get("when")) for mock in data["mocks"]] == [
        ("POST", "request.query.refresh != none"),
        ("POST", None), ("GET", None), ("QUERY", None), ("PURGE", None), ("GET", None),
    ]  # fmt: skip


SCHEMAS = {
    "Tree": {"type": "object", "required": ["child", "children"], "properties": {
        "child": {"$ref": "#/components/schemas/Tree"},
        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
    "Self": {"$ref": "#/components/schemas/Self"},
    "All": {"allOf": [{"$ref": "#/components/schemas/All"}]},
    **{f"L{n}": {"required": ["a", "b"], "properties": {"a": {"$ref": f"#/components/schemas/L{n + 1}"}, "b": {"$ref": f"#/components/schemas/L{n + 1}"}}} for n in range(60)},
    **{f"B{n}": {"allOf": [{"$ref": f"#/components/schemas/B{n + 1}"}] * 2} for n in range(60)},
    "Deep": json.loads('{"properties": {"x": ' * 180 + "{}" + "}}" * 180),
}  # fmt: skip


@pytest.mark.parametrize("name", ["Tree", "Self", "All", "L0", "B0", "Deep"])
def test_cyclic_and_deep_schemas_are_bounded(name: str) -> None:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    document = {
        "openapi": "3.1.0",
        "components": {"schemas": SCHEMAS},
        "paths": {"/x": {"get": {"responses": {"200": {"content": content}}}}},
    }
    start = time.process_time()

    made_of(json.dumps(document))

    assert time.process_time() - start < 5


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
    | st.sampled_from(["{{ x }}", "{$request.body#/a}", "#/paths", "object", "http://[", "https://h.example/{x}", "\x00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["$ref", "type", "properties", "id", "{{"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in below for place in places(item, (*path, key)))]


VALID = read_document(TRANSCRIBE, "api.yaml")
PLACES = [path for path in places(VALID) if len(path) > 1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=4))
def test_a_document_that_is_not_valid_gives_mocks_or_one_line(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = json.loads(json.dumps(VALID))
    for path, value in changes:
        target = document
        for part in path[:-1]:
            target = target.get(part, {}) if isinstance(target, dict) else {}
        if isinstance(target, dict):
            target[path[-1]] = value
    try:
        made_of(json.dumps(document))
    except LatehookError as error:
        assert not isinstance(error, writing.InternalError)
        assert len(str(error).splitlines()) == 1


def test_a_reference_that_is_no_url_leads_to_nothing() -> None:
    content = {"application/json": {"schema": {"$ref": "http://["}}}
    paths = {"/x": {"get": {"responses": {"200": {"description": "", "content": content}}}}}

    made = made_of(json.dumps({"openapi": "3.1.0", "paths": paths}))

    assert [mock["match"] for mock in made["mocks"]] == ["GET api.slow.example/x"]


@pytest.mark.slow
def test_a_document_of_3_megabytes_is_imported_within_15_seconds(tmp_path: Path) -> None:
    paths = "".join(
        f"""  /v1/things{number}:
    post:
      description: |-
        {"Text that explains the operation. " * 40}
      requestBody: {{content: {{application/json: {{schema: {{$ref: "#/components/schemas/S{number}"}}}}}}}}
      responses:
        "200":
          content:
            application/json:
              schema: {{$ref: "#/components/schemas/S{number}"}}
"""
        for number in range(1000)
    )
    schemas = "".join(
        f"    S{number}:\n      type: object\n      required: [id]\n      properties:\n"
        + "".join(
            f"        p{at}:\n          type: string\n          description: A member\n          example: x{at}\n"
            for at in range(15)
        )
        + f"        next:\n          $ref: '#/components/schemas/S{(number + 1) % 1000}'\n"
        for number in range(1000)
    )
    file = tmp_path / "large.yaml"
    file.write_text(
        f"openapi: 3.0.0\nservers: [{{url: https://h.example}}]\npaths:\n{paths}components:\n  schemas:\n{schemas}"
    )
    assert file.stat().st_size > 3_000_000
    start = time.process_time()

    assert main(["import", str(file), "--only", "POST /v1/things7", "-o", str(tmp_path / "mocks.yaml")]) == 0

    assert time.process_time() - start < 15


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^[A-Fa-f0-9]{6}$", "aaaaaa"),
        (r"^\d{3}$", "000"),
        (r"^tr_[a-z]+-\d{2}\.x$", "tr_a-00.x"),
        ("^(imsi-[0-9]{5,15}|nai-.+)$", "imsi-00000"),
        ("^[a-z]*$", "string"),
        ("(a+)+$", "string"),
        ("(?P<", "string"),
    ],
)
def test_a_text_fits_the_pattern_of_its_schema(pattern: str, text: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    content = {"application/json": {"schema": {"properties": {"x": schema}}}}
    document = {"openapi": "3.1.0", "paths": {"/x": {"get": {"responses": {"200": {"content": content}}}}}}

    assert made_of(json.dumps(document))["mocks"][0]["response"]["json"]["x"] == text
