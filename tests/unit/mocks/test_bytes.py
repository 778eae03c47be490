"""What a request carries and a mock sends back arrives as it was, or an error names the place."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from latehook.base.messages import Request, Response
from latehook.mocks.decide import decide
from support.scenario import Scenario, json_body, request

URL = "https://api.slow.example/"
ECHO = """
mocks:
  - {match: "POST api.slow.example/bytes", response: {headers: {content-type: "{{ request.content_type }}"}, text: "{{ request.bytes }}"}}
  - {match: "POST api.slow.example/base64", response: {text: "{{ request.bytes | b64encode }}"}}
  - {match: "POST api.slow.example/again", response: {text: "{{ request.text | b64decode }}"}}
  - {match: "POST api.slow.example/text", response: {text: "{{ request.text }}"}}
  - {match: "POST api.slow.example/json", response: {json: "{{ request.json }}"}}
  - {match: "POST api.slow.example/form", response: {form: "{{ request.form }}"}}
  - {match: "POST api.slow.example/query", response: {form: "{{ request.query }}"}}
  - {match: "POST api.slow.example/header", response: {headers: {x-echo: "{{ request.headers.x_sent }}"}, json: "{{ request.headers.x_sent }}"}}
  - {match: "POST api.slow.example/path/{id}", response: {json: "{{ request.path.id }}"}}
  - {match: "POST api.slow.example/files", response: {json: "{{ request.files.f.filename }}"}}
"""


def send(scenario: Scenario, path: str, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    sent = replace(request("POST", URL, body), target=path, headers=headers)
    response = decide(scenario.mocks, sent, scenario.moment, scenario).response
    assert response is not None
    if response.status != 200:
        assert response.status == 500
        assert "mocks.yaml:" in json_body(decide(scenario.mocks, sent, scenario.moment, scenario))["error"]
    return response


def is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
some_bytes = st.binary(max_size=40) | st.text(max_size=20).map(str.encode)


@pytest.fixture
def echo(scenario_of: Callable[..., Scenario]) -> Scenario:
    return scenario_of(ECHO)


@given(some_bytes)
@fuzz
def test_bytes_come_back(echo: Scenario, data: bytes) -> None:
    response = send(echo, "/bytes", data, ((b"Content-Type", b"Image/PNG; a=b"),))
    assert (response.body, dict(response.headers)["content-type"]) == (data, "Image/PNG; a=b")
    assert base64.b64decode(send(echo, "/base64", data).body) == data
    assert send(echo, "/again", base64.encodebytes(data)).body == data


@given(some_bytes)
@fuzz
def test_text_comes_back_or_is_an_error(echo: Scenario, data: bytes) -> None:
    response = send(echo, "/text", data)

    if response.status == 200:
        assert response.body == data or data.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16 becomes UTF-8
    else:
        assert not is_utf_8(data)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.booleans())
@fuzz
def test_json_comes_back(echo: Scenario, value: Any, ascii_only: bool) -> None:
    sent = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass")

    echoed = send(echo, "/json", sent).body

    assert repr(json.loads(echoed)) == repr(value)  # with the order of keys
    assert ascii_only or echoed == sent


pairs = st.dictionaries(st.text(min_size=1).filter(lambda name: "[" not in name), st.text(), max_size=3)


@given(pairs)
@fuzz
def test_forms_and_queries_come_back(echo: Scenario, fields: dict[str, str]) -> None:
    form = urlencode(fields).encode()

    echoed = send(echo, "/form", form, ((b"content-type", b"application/x-www-form-urlencoded"),)).body
    assert echoed == form
    assert send(echo, "/query?" + form.decode()).body == form
    plus = form.decode().replace("+", "%20")
    assert parse_qsl(send(echo, "/query?" + plus).body.decode(), keep_blank_values=True) == list(fields.items())


@given(some_bytes)
@fuzz
def test_bytes_in_a_query_path_form_or_header_come_back_or_are_an_error(echo: Scenario, data: bytes) -> None:
    escaped = quote_from_bytes(data, safe="")
    valid = is_utf_8(data)

    assert (send(echo, f"/query?a={escaped}").status == 200) == valid
    form = ((b"content-type", b"application/x-www-form-urlencoded"),)
    assert (send(echo, "/form", b"a=" + escaped.encode(), form).status == 200) == valid
    if data and b"/" not in data:
        response = send(echo, f"/path/{escaped}")
        assert (response.status == 200) == valid
        assert not valid or json.loads(response.body) == data.decode()
    in_header = data.translate(None, b"\r\n\0")
    response = send(echo, "/header", b"", ((b"X-Sent", in_header),))
    assert (response.status == 200) == is_utf_8(in_header)
    assert response.status != 200 or dict(response.headers)["x-echo"].encode() == in_header
    filename = data.translate(None, b'\r\n\0"\\;')
    part = b'--b\r\ncontent-disposition: form-data; name="f"; filename="' + filename + b'"\r\n\r\n\xff\r\n--b--\r\n'
    response = send(echo, "/files", part, ((b"content-type", b"multipart/form-data; boundary=b"),))
    assert (response.status == 200) == is_utf_8(filename)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("request.bytes | length", 3),
        ("request.bytes | sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("request.bytes == 'abc'", True),
        ("request.bytes", "abc"),
        ("'x' ~ request.bytes", "xabc"),
        ("request.bytes[0] is none", True),
        ("'YWJj' | b64decode", "abc"),
        ("('/w==' | b64decode) | b64encode", "/w=="),
        ("request.content_type", "text/Plain; charset=utf-8"),
        ("request.headers.none is none", True),
        ("request.host", "api.slow.example"),
        ("request.host_header", "API.Slow.Example.:443"),
    ],
)
def test_members_and_filters_of_bytes(scenario_of: Callable[..., Scenario], expression: str, value: object) -> None:
    scenario = scenario_of(
        f'mocks: [{{match: POST api.slow.example/, response: {{json: {{v: "{{{{ {expression} }}}}"}}}}}}]'
    )
    fields = ((b"Host", b"API.Slow.Example.:443"), (b"content-type", b"text/Plain; charset=utf-8"))
    sent = Request("POST", "https", "API.Slow.Example.", 443, "/", fields, b"abc", 3)

    decision = decide(scenario.mocks, sent, scenario.moment, scenario)

    assert json_body(decision) == {"v": value}


@pytest.mark.parametrize(
    "expression",
    [
        *("request.bytes", "'x' ~ request.bytes", "[request.bytes]", "request.bytes | tojson", "request.bytes | upper"),
        *("'/w==' | b64decode", "(request.host ~ '!') | b64decode", "request.bytes * 1000000", "request.bytes + 'a'"),
    ],
)
def test_bytes_that_are_no_text_are_an_error_where_text_is_needed(
    scenario_of: Callable[..., Scenario], expression: str
) -> None:
    scenario = scenario_of(
        f'mocks:\n- match: POST api.slow.example/\n  response: {{json: {{v: "{{{{ {expression} }}}}"}}}}'
    )

    decision = scenario.ask("POST", URL, b"\xff\x00")

    assert "mocks.yaml:" in json_body(decision)["error"]
    if expression in ("request.bytes", "'/w==' | b64decode"):
        assert "these bytes are no UTF-8 text (byte 0xff at 0): write `| b64encode`" in json_body(decision)["error"]


@pytest.mark.parametrize(
    ("written", "host"),
    [("API.Slow.Example.", "api.slow.example"), ("bücher.example", "xn--bcher-kva.example"), ("127.1", "127.0.0.1")],
)
def test_the_host_is_canonical(scenario_of: Callable[..., Scenario], written: str, host: str) -> None:
    scenario = scenario_of(
        f'mocks: [{{match: "GET {host}/", response: {{json: "{{{{ [request.host, request.host_header] }}}}"}}}}]'
    )
    sent = Request("GET", "http", written, 80, "/", authority=f"{written}:80")

    assert json_body(decide(scenario.mocks, sent, scenario.moment, scenario)) == [host, f"{written}:80"]


@pytest.mark.parametrize("text", ["a\\r\\n", "\\r", "\\n\\r\\n\\r", "\\U000F0000\\r"])
def test_line_breaks_of_a_text_stay(scenario_of: Callable[..., Scenario], text: str) -> None:
    scenario = scenario_of(f"""
mocks: [{{match: POST api.slow.example/, response: {{text: "{text}{{{{ request.text }}}}{text}{{# {text} #}}{text}"}}}}]
""")
    expected = text.encode().decode("unicode_escape") + "b\r\n" + text.encode().decode("unicode_escape") * 2

    assert scenario.ask("POST", URL, b"b\r\n").response.body.decode() == expected  # type: ignore[union-attr]


def test_cookies_of_http_2_are_one_header(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("mocks: [{match: POST api.slow.example/, response: {text: '{{ request.headers.cookie }}'}}]")

    response = send(scenario, "/", b"", ((b"cookie", b"a=b"), (b"cookie", b"c=d")))

    assert response.body == b"a=b; c=d"


def test_fields_that_are_too_large_are_an_error(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("mocks: [{match: POST api.slow.example/, response: {text: '{{ request.form.a }}'}}]")
    part = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n%s\r\n--b--\r\n'
    kind = ((b"content-type", b"multipart/form-data; boundary=b"),)

    assert send(scenario, "/", part % (b"x" * 1024 * 1024), kind).status == 200
    response = send(scenario, "/", part % (b"x" * (1024 * 1024 + 1)), kind)
    assert b"the fields of the form have more than 1,048,576 bytes" in response.body
