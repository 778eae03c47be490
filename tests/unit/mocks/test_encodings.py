"""A body is what its headers say: encoded in their charset, and with their content codings."""

import codecs
import gzip
import json
import zlib
from collections.abc import Callable
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

import brotli
import pytest
import zstandard
from msgspec.structs import replace

from latehook.base.errors import MocksError
from latehook.mocks.decide import decide
from latehook.mocksfile.loading import load_text
from support.scenario import Scenario, json_body, request

HOST = "https://api.slow.example/"
CHARSETS = [
    "iso-8859-1",
    "windows-1252",
    "Shift_JIS",
    "utf-16",
    "utf-16-be",
    "utf-8",
    "gb18030",
    "koi8-r",
    "iso-8859-15",
]
TEXTS = {"Shift_JIS": "日本 2", "koi8-r": "Привет", "gb18030": "你好 😀", "utf-8": "Zoë 😀"}
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "x-gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


def text_in(charset: str) -> str:
    return TEXTS.get(charset, "Zoë é")


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_body_comes_and_goes_in_its_charset(scenario_of: Callable[..., Scenario], charset: str) -> None:
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    response: {{headers: {{Content-Type: "text/plain; charset={charset}"}}, text: "{text_in(charset)}{{{{ request.text }}}}"}}
    webhook:
      to: http://app.test/
      headers: {{content-type: "{{{{ request.headers.content_type }}}}"}}
      text: "<{{{{ request.text }}}}>"
  - match: PUT api.slow.example/
    response: {{json: "{{{{ request.json }}}}", headers: {{content-type: application/json; charset={charset}}}}}
""")
    text = text_in(charset)

    decision = scenario.ask("POST", HOST, text.encode(charset), content_type=f"text/plain; charset={charset}")
    assert decision.response is not None
    assert decision.response.body == (text * 2).encode(charset)
    assert scenario.attempt(decision).body == f"<{text}>".encode(charset)
    document = json.dumps({"a": text}, ensure_ascii=False).encode(charset)
    decision = scenario.ask("PUT", HOST, document, content_type=f"application/json; charset={charset}")
    assert decision.response is not None
    assert json.loads(decision.response.body.decode(charset)) == {"a": text}


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "Shift_JIS", "utf-8", "koi8-r"])
def test_a_form_comes_and_goes_in_its_charset(scenario_of: Callable[..., Scenario], charset: str) -> None:
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    response: {{json: "{{{{ request.form.name }}}}"}}
    webhook:
      to: http://app.test/
      headers: {{content-type: application/x-www-form-urlencoded; charset={charset}}}
      form: {{name: "{text_in(charset)}{{{{ request.form.name }}}}"}}
""")
    text = text_in(charset)
    value = "".join(f"%{byte:02X}" for byte in text.encode(charset)).encode()
    kind = "application/x-www-form-urlencoded"

    for body, content_type in (
        (b"name=" + value, f"{kind}; charset={charset}"),
        (b"name=" + text.encode(charset), f"{kind}; charset={charset}"),
        (b"_charset_=" + charset.encode() + b"&name=" + value, kind),
    ):
        decision = scenario.ask("POST", HOST, body, content_type=content_type)
        assert json_body(decision) == text
        sent = scenario.content(decision).body.decode("ascii")
        assert parse_qsl(sent, encoding=charset) == [("name", text * 2)]


@pytest.mark.parametrize("charset", ["iso-8859-1", "Shift_JIS", "utf-8"])
def test_a_multipart_form_comes_and_goes_in_its_charset(scenario_of: Callable[..., Scenario], charset: str) -> None:
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    response: {{json: ["{{{{ request.form.name }}}}", "{{{{ request.files.doc.filename }}}}"]}}
    webhook:
      to: http://app.test/
      headers: {{Content-Type: multipart/form-data; charset={charset}}}
      multipart: {{name: "{{{{ request.form.name }}}}"}}
""")
    text = text_in(charset)

    def part(disposition: str, content: bytes, extra: str = "") -> bytes:
        head = f"--b\r\ncontent-disposition: form-data; {disposition}\r\n{extra}\r\n"
        return head.encode(charset) + content + b"\r\n"

    own = part('name="name"', text.encode(charset), f"content-type: text/plain; charset={charset}\r\n")
    plain = part('name="name"', text.encode(charset))
    named = part('name="_charset_"', charset.encode())
    file = part(f'name="doc"; filename="{text}"', b"\0\xff", "content-type: image/png\r\n")
    for body, content_type, filename in (
        (own, "multipart/form-data; boundary=b", None),
        (plain + file, f"multipart/form-data; boundary=b; charset={charset}", text),
        (plain + file + named, "multipart/form-data; boundary=b", text),
    ):
        decision = scenario.ask("POST", HOST, body + b"--b--\r\n", content_type=content_type)
        assert json_body(decision) == [text, filename]
        attempt = scenario.attempt(decision)
        content_type = next(value for name, value in attempt.headers if name == "Content-Type")
        message = BytesParser().parsebytes(f"content-type: {content_type}\r\n\r\n".encode() + attempt.body)
        [sent] = message.get_payload()
        assert sent.get_payload(decode=True).decode(charset) == text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("read", "content_type", "body", "problem"),
    [
        ("text", "text/plain", b"Mor\xe9", "the body is not utf-8 text (byte 0xe9 at 3): read `bytes` instead of"),
        ("text", "text/plain; charset=klingon", b"a", "the charset 'klingon' is not known"),
        ("json", "application/json; charset=ascii", b'{"a": "\xe9"}', "the body is not ascii text (byte 0xe9 at 7)"),
        ("form.a", "application/x-www-form-urlencoded", b"b=1&a=Mor%E9", "the form has 'a=Mor%E9', which is not utf-8"),
        ("form.a", "application/x-www-form-urlencoded", b"a=Mor\xe9", "the form is not utf-8 text (byte 0xe9 at 5)"),
        ("form.a", "application/x-www-form-urlencoded; charset=x-y", b"a=b", "the charset 'x-y' is not known"),
        (
            "form.a",
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nMor\xe9\r\n--b--\r\n',
            "the form's field 'a' is not utf-8 text (byte 0xe9 at 3)",
        ),
        (
            "files.a",
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="a"; filename="\xe9"\r\n\r\n1\r\n--b--\r\n',
            "the name of the form's file 'a' is not utf-8 text (byte 0xe9 at 0)",
        ),
    ],
)
def test_what_cannot_be_decoded_is_an_error(
    scenario_of: Callable[..., Scenario], read: str, content_type: str, body: bytes, problem: str
) -> None:
    scenario = scenario_of(f"""
mocks: [{{match: POST api.slow.example/, response: {{json: "{{{{ request.{read} }}}}"}}}}]
""")

    decision = scenario.ask("POST", HOST, body, content_type=content_type)

    assert decision.response is not None
    assert decision.response.status == 500
    assert "mocks.yaml:2" in json_body(decision)["error"]
    assert problem in json_body(decision)["error"]


def test_what_cannot_be_encoded_is_an_error(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/{kind}
    when: request.path.kind == 'text'
    response: {headers: {content-type: text/plain; charset=iso-8859-1}, text: "{{ request.json }}"}
  - match: POST api.slow.example/{kind}
    response: {headers: {content-type: "{{ request.headers.x_type }}"}, form: {a: "{{ request.json }}"}}
""")

    for path in ("text", "form"):
        response = scenario.ask("POST", HOST + path, b'"a\\u20ac"', x_type="a/b; charset=iso-8859-1").response
        assert response is not None
        assert response.status == 500
        assert "iso-8859-1 has no U+20AC (€), the character at" in response.body.decode()
    response = scenario.ask("POST", HOST + "form", b'"a"', x_type="a/b; charset=klingon").response
    assert response is not None
    assert "the charset 'klingon' is not known" in response.body.decode()


@pytest.mark.parametrize(
    ("message", "line", "problem"),
    [
        (
            "headers: {content-type: text/plain; charset=klingon}\n      text: a",
            4,
            "the charset 'klingon' is not known",
        ),
        ("headers: {Content-Type: a/b; charset=ascii}\n      text: a€", 5, "ascii has no U+20AC"),
        ("headers: {content-type: a/b; charset=ascii}\n      form: {a: [b, é]}", 5, "ascii has no U+00E9"),
        ("headers: {content-encoding: 'gzip, snappy'}\n      json: 1", 4, "the content coding 'snappy' is not known"),
        (
            "headers: {Content-Encoding: [gzip, compress]}\n      json: 1",
            4,
            "the content coding 'compress' is not known",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["response", "webhook"])
def test_a_file_with_what_cannot_be_encoded_is_not_loaded(kind: str, message: str, line: int, problem: str) -> None:
    to = "      to: http://app.test/\n" if kind == "webhook" else ""
    text = f"mocks:\n  - match: POST api.slow.example/\n    {kind}:\n      {message}\n{to}"

    with pytest.raises(MocksError, match=rf"^posted mocks:{line}: ") as error:
        load_text(text, None, {}, {})
    assert problem in str(error.value)


@pytest.mark.parametrize("codings", [["gzip"], ["x-gzip"], ["deflate"], ["br"], ["zstd"], ["GZIP, br"], ["gzip", "zstd"], ["identity"]])  # fmt: skip
def test_a_body_has_the_content_codings_of_its_headers(
    scenario_of: Callable[..., Scenario], codings: list[str]
) -> None:
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    response: {{headers: {{Content-Encoding: {json.dumps(codings)}}}, json: {{a: "{{{{ request.json.a }}}}"}}}}
    webhook:
      to: http://app.test/
      headers: {{content-encoding: {json.dumps(codings)}}}
      json: {{status: "{{{{ job.response.json.a }}}}", text: "{{{{ job.response.text }}}}"}}
      sign: {{secret: s3cret, headers: {{x-signature: "{{signature}}"}}, message: "{{body}}"}}
""")

    def decoded(body: bytes) -> Any:
        for coding in reversed(", ".join(codings).lower().split(", ")):
            body = DECODERS.get(coding, bytes)(body)
        return body

    first = scenario.ask("POST", HOST, b'{"a": 1.50}')
    assert first.response is not None
    assert decoded(first.response.body) == b'{"a":1.50}'
    assert dict(first.response.headers)["content-length"] == str(len(first.response.body))
    attempt = scenario.attempt(first)
    assert decoded(attempt.body) == scenario.content(first).body == b'{"status":1.50,"text":"{\\"a\\":1.50}"}'
    assert scenario.attempt(first).body == attempt.body


def test_a_request_with_several_codings_in_several_headers_is_read(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("mocks: [{match: POST api.slow.example/, response: {json: '{{ request.json }}'}}]")
    sent = request("POST", HOST, brotli.compress(gzip.compress(b"[1.0]")))
    sent = replace(sent, headers=((b"Content-Encoding", b"gzip"), (b"content-encoding", b"br")))
    assert decide(scenario.mocks, sent, scenario.moment, scenario).response.body == b"[1.0]"  # type: ignore[union-attr]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_was_cut_off_is_an_error(scenario_of: Callable[..., Scenario], coding: str) -> None:
    scenario = scenario_of("mocks: [{match: POST api.slow.example/, response: {json: '{{ request.text }}'}}]")
    compress: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }
    whole = compress[coding](bytes(range(256)) * 100)

    decision = scenario.ask("POST", HOST, whole[:-5], content_encoding=coding, content_type="a/b; charset=latin-1")

    assert f"the body is not {coding}" in json_body(decision)["error"]


def test_a_file_is_sent_as_it_is_and_a_response_without_body_stays_without(
    scenario_of: Callable[..., Scenario], tmp_path: Any
) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
    scenario = scenario_of("""
mocks:
  - {match: GET api.slow.example/file, response: {headers: {content-encoding: gzip}, file: a.gz}}
  - {match: GET api.slow.example/none, response: {headers: {content-encoding: gzip}}}
  - {match: GET api.slow.example/304, response: {status: 304, headers: {content-encoding: gzip}, text: a}}
""")

    responses = [scenario.ask("GET", HOST + path).response for path in ("file", "none", "304")]
    assert [gzip.decompress(response.body) for response in responses if response] == [b"abc", b"", b""]


def test_codecs_that_are_not_for_texts_are_no_charsets() -> None:
    for name in ("hex", "rot13", "base64", "utf-7", "punycode"):
        assert codecs.lookup(name)
        with pytest.raises(MocksError, match="is not known"):
            load_text(
                f"mocks: [{{match: GET a.example/, response: {{text: a, headers: {{content-type: a/b; charset={name}}}}}}}]",
                None,
                {},
                {},
            )
