"""What expressions read of a request: its query, headers, forms and files."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.scenario import Scenario, json_body


@pytest.mark.parametrize(
    ("source", "content_type", "sent"),
    [
        ("request.json.cb.url", "application/json", b'{"cb": {"url": "http://app.test/"}}'),
        (
            "request.form['cb[url]'] or request.form.cb.url",
            "application/x-www-form-urlencoded",
            b"cb[url]=http://app.test/",
        ),
        ("request.query.cb", "text/plain", b""),
        ("request.headers.x_callback", "text/plain", b""),
        (
            "(request.form.payload | from_json).url",
            "application/x-www-form-urlencoded",
            b'payload={"url":"http://app.test/"}',
        ),
        (
            "request.form.cb",
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\n...\r\n'
            b'--b\r\ncontent-disposition: form-data; name="cb"\r\n\r\nhttp://app.test/\r\n--b--\r\n',
        ),
    ],
)
def test_a_target_may_come_from_every_part_of_the_request(
    scenario_of: Callable[..., Scenario], source: str, content_type: str, sent: bytes
) -> None:
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    webhook: {{to: "{{{{ {source} }}}}"}}
""")

    decision = scenario.ask(
        "POST",
        "https://api.slow.example/?cb=http://app.test/",
        sent,
        Content_Type=content_type,
        X_Callback="http://app.test/",
    )

    assert decision.started is not None
    assert [webhook.to for webhook in decision.started.webhooks] == ["http://app.test/"]


def test_a_file_has_its_name_type_size_and_hash(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    response: {json: "{{ request.files.doc }}"}
""")
    sent = (
        b'--b\r\nContent-Disposition: form-data; name="doc"; filename="a \xc3\xab.pdf"\r\nContent-Type: application/pdf\r\n'
        b"\r\nabc\r\n--b--\r\n"
    )

    decision = scenario.ask("POST", "https://api.slow.example/", sent, Content_Type="multipart/form-data; boundary=b")

    assert json_body(decision) == {
        "filename": "a ë.pdf",
        "type": "application/pdf",
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_forms_have_limits(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("mocks: [{match: POST api.slow.example/forms, response: {json: '{{ request.form }}'}}]")

    def form(body: bytes, kind: str = "application/x-www-form-urlencoded") -> Any:
        decision = scenario.ask("POST", "https://api.slow.example/forms", body, content_type=kind)
        assert decision.response is not None
        return json.loads(decision.response.body)

    part = '--b\r\ncontent-disposition: form-data; name="{}"\r\n\r\n1\r\n'
    multipart = "".join(part.format(number) for number in range(1001)).encode()
    assert len(form(b"".join(b"%d=1&" % number for number in range(2000)))) == 1000
    assert len(form(multipart, "multipart/form-data; boundary=b")) == 1000
    assert form(multipart, f"multipart/form-data; boundary={'b' * 300}") == {}
    assert form(b"a" + b"[b]" * 32 + b"=1")["a"]["b"]["b"]
    assert form(b"a" + b"[b]" * 33 + b"=1") == {"a" + "[b]" * 33: "1"}
    assert len(form(b"a=" + b"1" * 4_000_000)["a"]) == 4_000_000
    assert "has 5,000,002 bytes, and may have 4,194,304: use multipart" in form(b"a=" + b"1" * 5_000_000)["error"]
